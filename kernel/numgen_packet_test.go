package kernel

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linebond/config"
)

func newNumgen(t *testing.T, addresses ...string) *multipath {
	t.Helper()
	m := newSpread(t, config.Bond{Device: "wanbond0", Mode: config.ModeWeighted, DefaultRoute: true, Metric: 100}, addresses...)
	runs(t, "a")
	runs(t, "b")
	return m
}

// runs waits until a line has its carrier: until then the kernel drops what goes there.
func runs(t *testing.T, name string) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for start := time.Now(); ; <-poll.C {
		near, far := run(t, "ip -o link show ppp-"+name), run(t, "ip -n outside -o link show far-"+name)
		if strings.Contains(near, " state UP ") && strings.Contains(far, " state UP ") {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatal(near, far)
		}
	}
}

// answers has a server outside that answers datagrams with the address that they come from.
func answers(t *testing.T) (address string) {
	t.Helper()
	within(t, "outside", func() {
		server, err := net.ListenPacket("udp", "192.0.2.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		go func() {
			var buffer [16]byte
			for {
				_, from, err := server.ReadFrom(buffer[:])
				if err != nil {
					return
				}
				_, _ = server.WriteTo([]byte(from.String()), from)
			}
		}()
		address = server.LocalAddr().String()
	})
	return address
}

// dialUDP connects a socket of a namespace; "" is the router.
func dialUDP(t *testing.T, namespace, address string) (conn net.Conn) {
	t.Helper()
	dial := func() {
		var err error
		if conn, err = net.Dial("udp", address); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	if namespace == "" {
		dial()
	} else {
		within(t, namespace, dial)
	}
	return conn
}

// sent counts the packets that the lines' devices have sent; one that is not there 0.
func (m *multipath) sent(t *testing.T) (counts [2]uint64) {
	t.Helper()
	counters, err := m.kernel.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return [2]uint64{counters["ppp-a"].TxPackets, counters["ppp-b"].TxPackets}
}

// exchange has each of n datagrams answered, and returns how many went by which line. From is the address that they come from.
func (m *multipath) exchange(t *testing.T, conn net.Conn, n int) (by [2]uint64, from string) {
	t.Helper()
	before := m.sent(t)
	var buffer [64]byte
	for i := range n {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		size, err := conn.Read(buffer[:])
		if err != nil {
			t.Fatalf("datagram %d: %v", i+1, err)
		}
		from, _, _ = net.SplitHostPort(string(buffer[:size]))
	}
	after := m.sent(t)
	return [2]uint64{after[0] - before[0], after[1] - before[1]}, from
}

// checkTurns: of 500 packets four fifths go by line a, but for the first, which goes anywhere.
func (m *multipath) checkTurns(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	by, from := m.exchange(t, conn, 500)
	if by[0] < 399 || by[0] > 401 || by[0]+by[1] != 500 || from != "203.0.113.10" {
		t.Errorf("%s: packets by line %d, from %s", what, by, from)
	}
}

// TestPacketsTakeTurns: those of the LAN and of the router itself, in proportion to the lines' uploads; and connections go on when a line falls
// and comes back. What is for the LAN goes there.
func TestPacketsTakeTurns(t *testing.T) {
	m := newNumgen(t, "203.0.113.10", "203.0.113.10")
	server := answers(t)
	lan, router := dialUDP(t, "lan", server), dialUDP(t, "", server)
	m.checkTurns(t, "the LAN", lan)
	m.checkTurns(t, "the router", router)
	run(t, "ping -q -c 3 -W 20 192.168.7.10")
	all, by := chats(t, 10)
	if by["203.0.113.10"] != 10 {
		t.Errorf("10 connections come from %v", by)
	}
	up := m.members[0]
	m.fall(t)
	for name, conn := range map[string]net.Conn{"the LAN": lan, "the router": router} {
		if by, _ := m.exchange(t, conn, 50); by[1] != 50 {
			t.Errorf("%s, without line a: packets by line %d", name, by)
		}
	}
	for _, c := range all {
		if err := c.goesOn(time.Minute); err != nil {
			t.Error("without line a:", err)
		}
	}
	m.cable(t, "a", "203.0.113.10")
	m.members[0] = up
	m.plan(t)
	runs(t, "a")
	m.checkTurns(t, "the LAN, with line a back", lan)
	m.checkTurns(t, "the router, with line a back", router)
	for _, c := range all {
		if err := c.goesOn(time.Minute); err != nil {
			t.Error("with line a back:", err)
		}
	}
}

// TestPacketsOfDifferentAddresses: each connection stays on its line, as in a multipath bond; until the lines have one address.
func TestPacketsOfDifferentAddresses(t *testing.T) {
	m := newNumgen(t, "203.0.113.10", "203.0.113.20")
	server := answers(t)
	for range 8 {
		by, from := m.exchange(t, dialUDP(t, "lan", server), 20)
		if want := map[string][2]uint64{"203.0.113.10": {20, 0}, "203.0.113.20": {0, 20}}[from]; by != want {
			t.Errorf("packets by line %d, from %s", by, from)
		}
	}
	m.members[1].Status.IPv4.Local = netip.MustParseAddr("203.0.113.10")
	m.plan(t)
	m.checkTurns(t, "with one address", dialUDP(t, "lan", server))
}

// TestTurnsWithMarksCopiedWhole: somebody else has a rule that copies the marks of connections.
func TestTurnsWithMarksCopiedWhole(t *testing.T) {
	m := newNumgen(t, "203.0.113.10", "203.0.113.10")
	run(t, "nft add table inet other")
	t.Cleanup(func() { run(t, "nft delete table inet other") })
	run(t, "nft add chain inet other copy { type filter hook prerouting priority -160 ; }")
	run(t, "nft add rule inet other copy meta mark set ct mark")
	m.checkTurns(t, "the LAN", dialUDP(t, "lan", answers(t)))
}
