package kernel

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linebond/bond"
	"linebond/config"
	"linebond/line"
	"linebond/netstate"
)

// multipath is a multipath bond of two lines at work, with a host of the LAN and the internet:
//
//	lan 192.168.7.10 -- lan0 router ppp-a -- far-a outside 192.0.2.1
//	                                ppp-b -- far-b
type multipath struct {
	kernel  *Kernel
	bonds   *bond.Bonds
	now     time.Time
	members []bond.Member
}

// uploads are what the lines carry.
var uploads = []config.Rate{8e6, 2e6}

// newMultipath has lines with these addresses.
func newMultipath(t *testing.T, addresses ...string) *multipath {
	t.Helper()
	return newSpread(t, config.Bond{Device: config.ModeMultipath, Mode: config.ModeMultipath, DefaultRoute: true, Metric: 100}, addresses...)
}

// newSpread has such a bond without a device, of lines with these addresses. Of eBPF the kernel has none.
func newSpread(t *testing.T, of config.Bond, addresses ...string) *multipath {
	t.Helper()
	m := &multipath{kernel: host(t), now: time.Now()}
	t.Cleanup(func() {
		for _, command := range []string{"ip link delete lan0", "ip netns delete lan", "ip netns delete outside", "sysctl -qw net.ipv4.ip_forward=0"} {
			run(t, command)
		}
		reconcile(t, m.kernel, netstate.State{})
	})
	for _, command := range []string{
		"ip netns add lan", "ip netns add outside", "ip link add lan0 type veth peer name eth0 netns lan", "ip link set lan0 up",
		"ip address add 192.168.7.1/24 dev lan0", "ip -n lan link set eth0 up", "ip -n lan address add 192.168.7.10/24 dev eth0",
		"ip -n lan route add default via 192.168.7.1", "ip -n outside link set lo up", "ip -n outside address add 192.0.2.1/32 dev lo",
	} {
		run(t, command)
	}
	c := &config.Config{
		Bonds: []config.Bond{of},
		LAN:   config.LAN{Interfaces: []string{"lan0"}, NAT: config.NATMasquerade}, Health: config.Health{Failures: 3},
	}
	for i, address := range addresses {
		name := string(rune('a' + i))
		m.cable(t, name, address)
		l := config.Line{Name: name, Enabled: true, Interface: "eth1", Device: "ppp-" + name, Bond: of.Device, Upload: uploads[i]}
		status := line.Status{Name: name, Device: l.Device, State: line.Running, Session: &line.Session{MTU: 1492, UpSince: m.now}}
		status.IPv4.Local = netip.MustParseAddr(address)
		c.Lines = append(c.Lines, l)
		m.members = append(m.members, bond.Member{Config: l, Status: status})
	}
	m.bonds = bond.New(c, 1)
	m.bonds.WithoutEBPF()
	m.plan(t)
	return m
}

// cable makes a line's device. Nobody asks for hardware addresses, as on a line of PPP.
func (m *multipath) cable(t *testing.T, name, address string) {
	t.Helper()
	for _, command := range []string{
		"ip link add ppp-NAME address 02:00:00:00:00:01 arp off type veth peer name far-NAME address 02:00:00:00:00:01 netns outside",
		"ip link set ppp-NAME addrgenmode none", "ip -n outside link set far-NAME up arp off",
		"ip netns exec outside sysctl -qw net.ipv4.conf.far-NAME.rp_filter=0", "ip -n outside route replace " + address + " dev far-NAME",
	} {
		run(t, strings.ReplaceAll(command, "NAME", name))
	}
	t.Cleanup(func() { _ = tryRun("ip link delete ppp-" + name) })
}

// plan makes the host what the bond wants of it now.
func (m *multipath) plan(t *testing.T) {
	t.Helper()
	m.now = m.now.Add(time.Hour)
	reconcile(t, m.kernel, m.bonds.Plan(m.now, m.members).State)
}

// fall takes the first line away, with its device.
func (m *multipath) fall(t *testing.T) {
	t.Helper()
	run(t, "ip link delete ppp-a")
	m.members[0].Status = line.Status{Name: "a", Device: "ppp-a", State: line.Waiting}
	m.plan(t)
}

// chat is a connection of which each line comes back.
type chat struct {
	net.Conn
	lines *bufio.Scanner
	from  string // its address outside
}

// chats has a host in the LAN make connections, of which each goes on for ever. By is how many go out with which address.
func chats(t *testing.T, n int) (all []*chat, by map[string]int) {
	t.Helper()
	from := make(chan string, n)
	within(t, "outside", func() {
		listener, err := net.Listen("tcp", "192.0.2.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				address, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
				from <- address
				go func() {
					defer conn.Close()
					_, _ = io.Copy(conn, conn)
				}()
			}
		}()
		by = map[string]int{}
		within(t, "lan", func() {
			for range n {
				conn, err := net.DialTimeout("tcp", listener.Addr().String(), 20*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				c := &chat{conn, bufio.NewScanner(conn), <-from}
				all = append(all, c)
				by[c.from]++
			}
		})
	})
	return all, by
}

// goesOn says whether a line comes back.
func (c *chat) goesOn(patience time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c, "still there?"); err != nil {
		return err
	}
	if !c.lines.Scan() {
		return fmt.Errorf("no answer: %v", c.lines.Err())
	}
	return nil
}

// TestConnectionsStayOnTheirLines: those of the line that falls end, and no other notices.
func TestConnectionsStayOnTheirLines(t *testing.T) {
	m := newMultipath(t, "203.0.113.10", "203.0.113.20")
	all, by := chats(t, 20)
	if by["203.0.113.10"] == 0 || by["203.0.113.20"] == 0 {
		t.Fatalf("20 connections: %v", by)
	}
	m.fall(t)
	for _, c := range all {
		err := c.goesOn(20 * time.Second)
		if (err == nil) != (c.from == "203.0.113.20") {
			t.Errorf("a connection from %s: %v", c.from, err)
		}
	}
	if _, by := chats(t, 5); by["203.0.113.20"] != 5 {
		t.Errorf("5 new ones: %v", by)
	}
	m.cable(t, "a", "203.0.113.10")
	m.members[0].Status = m.members[1].Status
	m.members[0].Status.Name, m.members[0].Status.Device = "a", "ppp-a"
	m.members[0].Status.IPv4.Local = netip.MustParseAddr("203.0.113.10")
	m.plan(t)
	for _, c := range all {
		if err := c.goesOn(20 * time.Second); c.from == "203.0.113.20" && err != nil {
			t.Errorf("a connection from %s, with the other line back: %v", c.from, err)
		}
	}
	if _, by := chats(t, 20); by["203.0.113.10"] == 0 || by["203.0.113.20"] == 0 {
		t.Errorf("20 new ones: %v", by)
	}
}

// TestMarksCopiedWhole: somebody else's rule gives our marks to what comes in too; it goes to the LAN all the same.
func TestMarksCopiedWhole(t *testing.T) {
	newMultipath(t, "203.0.113.10", "203.0.113.20")
	run(t, "nft add table inet other")
	t.Cleanup(func() { run(t, "nft delete table inet other") })
	run(t, "nft add chain inet other copy { type filter hook prerouting priority 0 ; }")
	run(t, "nft add rule inet other copy meta mark set ct mark")
	all, _ := chats(t, 4)
	for _, c := range all {
		if err := c.goesOn(20 * time.Second); err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionsOfOneAddress: they go on over the line that is left.
func TestConnectionsOfOneAddress(t *testing.T) {
	m := newMultipath(t, "203.0.113.10", "203.0.113.10")
	sent := func() uint64 {
		counters, err := m.kernel.Counters()
		if err != nil {
			t.Fatal(err)
		}
		return counters["ppp-a"].TxPackets
	}
	all, by := chats(t, 20)
	if by["203.0.113.10"] != 20 || sent() == 0 {
		t.Fatalf("20 connections: %v; %d packets by line a", by, sent())
	}
	m.fall(t)
	for _, c := range all {
		if err := c.goesOn(20 * time.Second); err != nil {
			t.Error(err)
		}
	}
}
