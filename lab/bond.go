package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BondConfig describes the lines that one ISP has sold to one customer, who is to bond them.
type BondConfig struct {
	Lines     []ModemConfig // one for each line
	Addresses []netip.Addr  // what each line's session gets; none: all lines the same, 203.0.113.10
	Block     netip.Prefix  // routed down all lines besides the addresses of the lines
	AC        ACConfig      // of every line's AC; Namespace, Device, Name, Users and Pool are filled in
	MTU       int           // of the Ethernet; 0: 1500
	Apart     bool          // the modems are boxes of their own: see CableConfig.Via
}

// Bond is a customer's network, the ISP and the lines between them:
//
//	+-- LAN ------+       +-- Router ---------+           +-- ISP ------------------------+
//	| host0       |       |        eth1 ======+== Modem ==+== ac1.101: AC a --- ppp -+    |
//	| 192.168.7.2 +-------+ lan0   eth2 ======+== Modem ==+== ac2.101: AC b --- ppp -+ teql   192.0.2.1
//	+-------------+       | 192.168.7.1       |           +-------------------------------+
//
// What comes down to an address that several lines have is spread over their sessions packet by packet, by a TEQL device of the ISP's.
// A session has its share until the AC knows of its end. Nothing is set up in the router but lan0.
type Bond struct {
	Router, ISP, LAN *Namespace
	TEQL             string // the device for the router's bond, which is in its namespace
	Lines            []*BondLine
}

// BondLine is one of a Bond's lines.
type BondLine struct {
	Name   string // a, b, c, ...
	Device string // the Ethernet at the router: eth1, eth2, ...
	Cable  *Cable
	Modem  *Modem
	AC     *AC

	directory string // of the AC's ip-up script, and the file in which that leaves the session's device
	isp       *Namespace
}

// What is where in a Bond.
const (
	BondUser     = "user@isp"
	BondPassword = "secret"
	BondServer   = "192.0.2.1"    // on the internet
	BondServer6  = "2001:db8::53" // likewise
	BondAddress  = "203.0.113.10" // that all lines get
	RouterLAN    = "192.168.7.1"
	HostLAN      = "192.168.7.2"
)

const spreadTable = "108" // the ISP's routing table that is asked before the one with the sessions' own routes

// NewBond makes the lines and starts the ACs.
func NewBond(t testing.TB, c BondConfig) *Bond {
	t.Helper()
	b := &Bond{Router: NewNamespace(t, "router"), ISP: NewNamespace(t, "isp"), LAN: NewNamespace(t, "lan")}
	b.TEQL = TEQL(t, b.Router)
	b.lan(t)
	b.ISP.IP(t, "address add "+BondServer+"/32 dev lo", "address add "+BondServer6+"/128 dev lo")
	spread := takeTEQL(t, b.ISP, teqlClient, teqlDevices)
	var shared []string // addresses and blocks that are routed down all lines
	if len(c.Addresses) == 0 {
		shared = append(shared, BondAddress)
	}
	if c.Block.IsValid() {
		shared = append(shared, c.Block.String())
	}
	for _, to := range shared {
		b.ISP.Run(t, "ip", family(to), "rule", "add", "to", to, "lookup", spreadTable)
	}
	for i := range c.Lines {
		b.Lines = append(b.Lines, b.newLine(t, c, i, ipUp(spread, shared)))
	}
	return b
}

// lan connects a host of the LAN to the router.
func (b *Bond) lan(t testing.TB) {
	t.Helper()
	b.Router.IP(t, "link add lan0 type veth peer name host0 netns "+b.LAN.Name, "address add "+RouterLAN+"/24 dev lan0", "link set lan0 up")
	b.LAN.IP(t, "address add "+HostLAN+"/24 dev host0", "link set host0 up", "route add default via "+RouterLAN)
}

// ipUp is the script that an AC's pppd runs when a session has its address. The session's device joins the ISP's TEQL device, and
// leaves it by itself in the end. (A TEQL device cannot be up, nor have a route, before the first has joined.)
func ipUp(spread string, shared []string) string {
	script := "#!/bin/sh\nexport PATH=" + os.Getenv("PATH") + `
echo "$1" >"$0.device.new" && mv "$0.device.new" "$0.device"
`
	if len(shared) > 0 {
		script += `tc qdisc replace dev "$1" root ` + spread + "\nip link set " + spread + " up\n"
	}
	for _, to := range shared {
		script += fmt.Sprintf("ip route replace %s dev %s table %s\n", to, spread, spreadTable)
	}
	return script
}

// family is the option of ip(8) for an address or block: a rule does not tell its family by it.
func family(to string) string {
	if strings.Contains(to, ":") {
		return "-6"
	}
	return "-4"
}

func (b *Bond) newLine(t testing.TB, c BondConfig, i int, script string) *BondLine {
	t.Helper()
	l := &BondLine{Name: string(rune('a' + i)), Device: fmt.Sprintf("eth%d", i+1), isp: b.ISP, directory: t.TempDir()}
	cable := CableConfig{Router: b.Router, ISP: b.ISP, RouterDevice: l.Device, ISPDevice: fmt.Sprintf("ac%d", i+1), VLAN: []uint16{101}, MTU: c.MTU}
	if c.Apart {
		cable.Via = NewNamespace(t, "wire")
	}
	l.Cable = NewCable(t, cable)
	l.Modem = NewModem(t, l.Cable, c.Lines[i])
	if err := os.WriteFile(l.script(), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ac := c.AC
	ac.Namespace, ac.Device, ac.Name, ac.Users = b.ISP, l.Cable.ISPLink(), "AC-"+l.Name, map[string]string{BondUser: BondPassword}
	ac.Kernel, ac.Same = true, true
	ac.Options = append([]string{"ip-up-script " + l.script(), "lcp-echo-interval 1", "lcp-echo-failure 5"}, ac.Options...)
	if len(c.Addresses) > 0 {
		ac.Pool = c.Addresses[i]
	}
	l.AC = NewAC(t, ac)
	return l
}

// AnswerOn has the ISP send what is for the router's address down one line alone, until another session begins.
func (b *Bond) AnswerOn(t testing.TB, l *BondLine) {
	t.Helper()
	device, err := l.SessionDevice()
	if err != nil {
		t.Fatal(err)
	}
	b.ISP.Run(t, "ip", "route", "replace", BondAddress, "dev", device, "table", spreadTable)
}

func (l *BondLine) script() string { return filepath.Join(l.directory, "ip-up") }

// SessionDevice is the ISP's device of the line's newest session.
func (l *BondLine) SessionDevice() (string, error) {
	name, err := os.ReadFile(l.script() + ".device")
	if err != nil {
		return "", fmt.Errorf("line %s has had no session: %w", l.Name, err)
	}
	return strings.TrimSpace(string(name)), nil
}

// Traffic is what both ends of a session have counted.
type Traffic struct{ Sent, Received uint64 }

// Up counts the packets that the router has sent into its device of a session, and those that the ISP's device has received.
func (l *BondLine) Up(router *Namespace, device string) (Traffic, error) {
	far, err := l.SessionDevice()
	if err != nil {
		return Traffic{}, err
	}
	_, sent, err := router.Packets(device)
	if err != nil {
		return Traffic{}, err
	}
	received, _, err := l.isp.Packets(far)
	return Traffic{Sent: sent, Received: received}, err
}

// Arrived waits until all that the router has sent since the traffic given has arrived: it must be the same session, and be about to
// fall silent. It returns how many packets that were.
func (l *BondLine) Arrived(t testing.TB, router *Namespace, device string, since Traffic) uint64 {
	t.Helper()
	var sent uint64
	Eventually(t, time.Minute, func() error {
		now, err := l.Up(router, device)
		if err != nil {
			return err
		}
		sent = now.Sent - since.Sent
		if received := now.Received - since.Received; received != sent {
			return fmt.Errorf("line %s: %d packets sent, %d received", l.Name, sent, received)
		}
		return nil
	})
	return sent
}

// ReferenceBond is the set-up that linebond replaces: a pppd for each line, with these options beside the usual ones, and by hand with tc
// and ip what bonds them.
func (b *Bond) ReferenceBond(t testing.TB, options ...string) {
	t.Helper()
	for _, l := range b.Lines {
		c := ReferenceConfig{Namespace: b.Router, Link: l.Cable.TagRouter(t), Device: "ppp-" + l.Name, User: BondUser, Password: BondPassword, Options: options}
		if _, err := Dial(t, c); err != nil {
			t.Fatal(err)
		}
		b.Router.Run(t, "tc", "qdisc", "replace", "dev", c.Device, "root", b.TEQL)
		b.Router.Run(t, "sysctl", "-qw", "net/ipv4/conf/"+c.Device+"/rp_filter=2")
	}
	for _, args := range []string{
		"ip link set " + b.TEQL + " up txqueuelen 1000", "ip address add " + BondAddress + "/32 dev " + b.TEQL,
		"ip route add default dev " + b.TEQL, "sysctl -qw net/ipv4/ip_forward=1", "nft add table inet nat",
		"nft add chain inet nat postrouting { type nat hook postrouting priority srcnat ; }",
		"nft add rule inet nat postrouting iifname lan0 oifname " + b.TEQL + " masquerade",
	} {
		fields := strings.Fields(args)
		b.Router.Run(t, fields[0], fields[1:]...)
	}
}

// Spread returns nil when the packets that the lines have sent are within the tolerance of being equal, such as 0.01.
func Spread(sent []uint64, tolerance float64) error {
	var sum uint64
	for _, n := range sent {
		sum += n
	}
	if sum == 0 {
		return errors.New("no packet was sent")
	}
	for i, n := range sent {
		if share := float64(n) / float64(sum) * float64(len(sent)); share < 1-tolerance || share > 1+tolerance {
			return fmt.Errorf("line %d of %d has sent %d of %d packets", i+1, len(sent), n, sum)
		}
	}
	return nil
}
