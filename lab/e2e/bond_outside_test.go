package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

const (
	short    = 3 * time.Second // for what is not to be answered
	firewall = "[host]\nfirewall = true\n"
	forward  = "[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"" + lab.HostLAN + ":8443\"\n"
	second   = "192.168.7.3" // another address of the host in the LAN
)

// foreignForward is somebody else's way from outside to the host in the LAN, such as Docker's to a container.
const foreignForward = "add table ip other; add chain ip other prerouting { type nat hook prerouting priority dstnat; }; " +
	"add rule ip other prerouting iifname ppp-* tcp dport 8080 dnat to " + second + ":8443"

// TestBondForward: what reaches the router and the LAN from outside, without the firewall and with it.
func TestBondForward(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, more: forward})
	b.up(t)
	inside := b.outsiders(t)
	lab.NewEcho(t, b.Router, "0.0.0.0:2222")
	tests := []struct {
		name, address string
		guarded       bool // by the firewall
	}{
		{"a forward", lab.BondAddress + ":443", false},
		{"the LAN over a session", lab.HostLAN + ":8443", true},
		{"the LAN from the wire below a session", second + ":8443", true},
		{"the router over a session", lab.BondAddress + ":2222", true},
		{"the router from the wire below a session", lab.RouterLAN + ":2222", true},
		{"a DNAT of somebody else", lab.BondAddress + ":8080", true},
	}
	for _, test := range tests {
		b.reached(t, test.name, test.address)
	}
	if client := <-inside.Clients; !strings.HasPrefix(client, "1") {
		t.Errorf("the host sees %s", client)
	}
	b.guard(t, forward)
	for _, test := range tests {
		if !test.guarded {
			b.reached(t, test.name, test.address)
		} else if _, err := lab.DialTalk(t, b.ISP, test.address, short); err == nil {
			t.Errorf("%s: %s can be reached from outside", test.name, test.address)
		}
	}
	if err := b.ISP.Ping("", lab.BondAddress, 56); err != nil {
		t.Error(err)
	}
	if out := b.Router.Run(t, "ip", "-6", "address", "show", "dev", "eth1.101"); out != "" {
		t.Errorf("a neighbour on the wire can speak IPv6 to the router: %s", out)
	}
	b.reaches(t)
	if _, err := lab.DialTalk(t, b.LAN, lab.RouterLAN+":2222", limit); err != nil {
		t.Errorf("the LAN cannot reach the router: %v", err)
	}
}

// outsiders makes ways from the ISP to the router and the host in the LAN: over a session, from the wire below it to other addresses, and by
// the DNAT of somebody else. It returns the host's server.
func (b *bonded) outsiders(t *testing.T) *lab.Echo {
	t.Helper()
	wire := b.Lines[0].Cable.ISPLink()
	mac := strings.TrimSpace(b.Router.Run(t, "cat", "/sys/class/net/eth1.101/address"))
	b.LAN.IP(t, "address add "+second+"/24 dev host0")
	b.ISP.IP(t, "route add "+lab.HostLAN+" via "+lab.BondAddress+" dev ppp0 onlink")
	for _, to := range []string{lab.RouterLAN, second} {
		b.ISP.IP(t, "route add "+to+" dev "+wire, "neighbour replace "+to+" lladdr "+mac+" nud permanent dev "+wire)
	}
	b.Router.Run(t, "nft", foreignForward)
	return lab.NewEcho(t, b.LAN, "0.0.0.0:8443")
}

// reached has the ISP talk to a server of the router or the LAN.
func (b *bonded) reached(t *testing.T, name, address string) {
	t.Helper()
	var talk *lab.Talk
	lab.Eventually(t, limit, func() (err error) {
		if talk, err = lab.DialTalk(t, b.ISP, address, short); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return err
	})
	if err := talk.Say(limit); err != nil {
		t.Errorf("%s: %s: %v", name, address, err)
	}
}

// guard puts the firewall up while linebond runs.
func (b *bonded) guard(t *testing.T, more string) {
	t.Helper()
	b.reload(t, "", more+firewall)
	lab.Eventually(t, limit, func() error {
		out, err := b.Router.Command("nft", "list", "chain", "inet", "linebond", "input").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "drop") {
			return fmt.Errorf("no firewall: %v: %s", err, out)
		}
		return nil
	})
}

// reload gives the running daemon another linebond.toml.
func (b *bonded) reload(t *testing.T, bond, more string) {
	t.Helper()
	b.configure(t, bond, more)
	if out, err := b.linebond.Run("reload"); err != nil {
		t.Fatalf("reload: %v: %s", err, out)
	}
}

const public6 = "2001:db8:108::1" // routed down all lines

// TestBondIPv6: an IPv6 address for the bond.
func TestBondIPv6(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{
		lab:  lab.BondConfig{Lines: slow(2), AC: lab.ACConfig{IPv6: true}, Block: netip.MustParsePrefix(public6 + "/128")},
		bond: "addresses = [\"" + public6 + "\"]\n",
	})
	b.Router.Run(t, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1") // as linebond leaves it, with a few routes of the kernel's own
	before := b.settled(t)
	b.up(t)
	b.spreads6(t)
	b.linebond.Stop(t)
	b.becomes(t, before)
}

// spreads6 has the router ping an IPv6 host over the bond.
func (b *bonded) spreads6(t *testing.T) {
	t.Helper()
	ping := func(count string) string {
		out, _ := b.Router.Command("ping", "-6", "-n", "-q", "-c", count, "-i", "0.02", "-W", "20", lab.BondServer6).CombinedOutput()
		return string(out)
	}
	lab.Eventually(t, limit, func() error {
		if out := ping("1"); !strings.Contains(out, " 1 received") {
			return fmt.Errorf("no IPv6: %s", out)
		}
		return nil
	})
	since := b.traffic(t, b.names()...)
	if out := ping("100"); !strings.Contains(out, " 100 received, 0% packet loss") {
		t.Errorf("pings: %s", out)
	}
	if err := lab.Spread(b.arrived(t, since), 0.2); err != nil {
		t.Error(err)
	}
}
