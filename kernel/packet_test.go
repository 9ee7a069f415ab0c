package kernel

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// A router's neighbours: a host in its LAN and one outside. The router is the namespace of the tests, with the devices lan0 and out0.
//
//	lan 192.168.7.10, 2001:db8:7::10 -- lan0 router out0 203.0.113.10 -- outside 203.0.113.1, 2001:db8:9::1
//
// The packets from the router to the outside are at most 1400 bytes.
const (
	lan     = "lan"
	outside = "outside"
)

// routed makes the neighbours.
func routed(t *testing.T) *Kernel {
	t.Helper()
	k := host(t)
	forwarding := []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}
	commands := []string{
		"ip netns add lan", "ip netns add outside",
		"ip link add lan0 type veth peer name eth0 netns lan", "ip link add out0 type veth peer name eth0 netns outside",
		"ip link set lan0 up", "ip link set out0 up mtu 1400", "ip -n lan link set eth0 up", "ip -n outside link set eth0 up",
		"ip address add 192.168.7.1/24 dev lan0", "ip address add 203.0.113.10/24 dev out0", "ip address add 203.0.113.200/32 dev out0",
		"ip address add 2001:db8:7::1/64 dev lan0 nodad", "ip address add 2001:db8:9::10/64 dev out0 nodad",
		"ip -n lan address add 192.168.7.10/24 dev eth0", "ip -n lan address add 2001:db8:7::10/64 dev eth0 nodad",
		"ip -n lan route add default via 192.168.7.1", "ip -n lan route add default via 2001:db8:7::1",
		"ip -n outside address add 203.0.113.1/24 dev eth0", "ip -n outside address add 2001:db8:9::1/64 dev eth0 nodad",
		"ip -n outside route add 192.168.7.0/24 via 203.0.113.10", "ip -n outside route add 2001:db8:7::/64 via 2001:db8:9::10",
	}
	for _, setting := range forwarding {
		commands = append(commands, "sysctl -qw "+setting+"=1")
	}
	t.Cleanup(func() {
		for _, device := range []string{"lan0", "out0"} {
			run(t, "ip link delete "+device)
		}
		run(t, "ip netns delete lan")
		run(t, "ip netns delete outside")
		for _, setting := range forwarding {
			run(t, "sysctl -qw "+setting+"=0")
		}
		reconcile(t, k, netstate.State{})
	})
	for _, command := range commands {
		run(t, command)
	}
	return k
}

// table sets a table with these chains, and those devices in its sets.
func (k *Kernel) table(t *testing.T, chains ...netstate.Chain) {
	t.Helper()
	sets := []netstate.DeviceSet{{Name: "outside", Devices: []string{"out0"}}, {Name: "lan", Devices: []string{"lan0"}}}
	reconcile(t, k, netstate.State{Table: &netstate.Table{Sets: sets, Chains: chains}})
}

// within runs a function in a network namespace: "" is the router's.
func within(t *testing.T, namespace string, do func()) {
	t.Helper()
	if namespace == "" {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	other, err := netns.GetFromName(namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := netns.Set(other); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(before); err != nil {
			panic(err) // this thread is lost
		}
	}()
	do()
}

// serve answers each connection with the address that it comes from and the MSS of what it sends.
func serve(t *testing.T, namespace, address string) {
	t.Helper()
	within(t, namespace, func() {
		listener, err := net.Listen("tcp", address)
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
				from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
				fmt.Fprintf(conn, "%s %d\n", from, mss(conn))
				conn.Close()
			}
		}()
	})
}

// mss returns how much data the packets sent on a connection take, in bytes: the peer's MSS less 12 for the time stamps.
func mss(conn net.Conn) int {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0
	}
	size := 0
	if raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) }) != nil || err != nil {
		return 0
	}
	return size
}

// talk connects and returns what the server sees of the client, and the MSS at either end; "" when there is no answer in time.
func talk(t *testing.T, namespace, address string, patience time.Duration) (from string, serverMSS, clientMSS int) {
	t.Helper()
	within(t, namespace, func() {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return
		}
		defer conn.Close()
		clientMSS = mss(conn)
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			return
		}
		if _, err := fmt.Sscan(answer, &from, &serverMSS); err != nil {
			t.Fatal(err)
		}
	})
	return from, serverMSS, clientMSS
}

// reaches checks what address a server sees; "" means that no connection comes about.
func reaches(t *testing.T, namespace, address, from string) {
	t.Helper()
	patience := 20 * time.Second
	if from == "" {
		patience = time.Second // a SYN is sent twice in this time
	}
	if got, _, _ := talk(t, namespace, address, patience); got != from {
		t.Errorf("from %s to %s: it comes from %q, want %q", namespace, address, got, from)
	}
}

func TestSourceTranslation(t *testing.T) {
	k := routed(t)
	serve(t, outside, "203.0.113.1:80")
	serve(t, outside, "[2001:db8:9::1]:80")
	reaches(t, lan, "203.0.113.1:80", "192.168.7.10")
	postrouting := func(rules ...netstate.Rule) netstate.Chain {
		return chain("postrouting", "nat", "postrouting", 100, rules...)
	}

	k.table(t, postrouting(netstate.Rule{In: "lan", Out: "outside", Family: 4, Verdict: netstate.Masquerade}))
	reaches(t, lan, "203.0.113.1:80", "203.0.113.10")
	reaches(t, lan, "[2001:db8:9::1]:80", "2001:db8:7::10")
	reaches(t, "", "203.0.113.1:80", "203.0.113.10")

	k.table(t, postrouting(netstate.Rule{In: "lan", Out: "outside", Verdict: netstate.SNAT, To: netip.MustParseAddr("203.0.113.200")}))
	reaches(t, lan, "203.0.113.1:80", "203.0.113.200")
	reaches(t, lan, "[2001:db8:9::1]:80", "2001:db8:7::10")

	k.table(t, postrouting(
		netstate.Rule{In: "lan", Out: "outside", Source: netip.MustParsePrefix("192.168.7.8/29"), Verdict: netstate.Accept},
		netstate.Rule{In: "lan", Out: "outside", Verdict: netstate.Masquerade}))
	reaches(t, lan, "203.0.113.1:80", "192.168.7.10")
	reaches(t, lan, "[2001:db8:9::1]:80", "2001:db8:9::10")
}

func TestDestinationTranslation(t *testing.T) {
	k := routed(t)
	for _, port := range []string{"443", "8443", "8000", "8010"} {
		serve(t, lan, "192.168.7.10:"+port)
	}
	forward := func(first, last, to uint16) netstate.Rule {
		return netstate.Rule{In: "outside", Protocol: "tcp", Ports: netstate.Ports{First: first, Last: last}, Verdict: netstate.DNAT,
			To: netip.MustParseAddr("192.168.7.10"), ToPort: to}
	}
	k.table(t, chain("prerouting", "nat", "prerouting", -100, forward(443, 443, 0), forward(444, 444, 8443), forward(8000, 8010, 0)))
	for _, port := range []string{"443", "444", "8000", "8010"} {
		reaches(t, outside, "203.0.113.10:"+port, "203.0.113.1")
	}
	for _, port := range []string{"445", "7999", "8011"} { // refused by the router, which has no server there
		reaches(t, outside, "203.0.113.10:"+port, "")
	}
	reaches(t, lan, "203.0.113.10:443", "") // from the LAN it is not forwarded
}

func TestFirewall(t *testing.T) {
	k := routed(t)
	serve(t, outside, "203.0.113.1:80")
	serve(t, outside, "[2001:db8:9::1]:80")
	serve(t, "", "203.0.113.10:22")
	serve(t, "", "192.168.7.1:22")
	serve(t, lan, "192.168.7.10:80")
	serve(t, lan, "[2001:db8:7::10]:80")
	incoming := []string{"203.0.113.10:22", "192.168.7.10:80", "[2001:db8:7::10]:80"}
	for _, address := range incoming {
		if from, _, _ := talk(t, outside, address, 20*time.Second); from == "" {
			t.Errorf("without a firewall %s cannot be reached", address)
		}
	}
	k.table(t,
		chain("prerouting", "nat", "prerouting", -100, netstate.Rule{In: "outside", Protocol: "tcp", Ports: netstate.Ports{First: 8080, Last: 8080},
			Verdict: netstate.DNAT, To: netip.MustParseAddr("192.168.7.10"), ToPort: 80}),
		chain("input", "filter", "input", 0,
			netstate.Rule{In: "outside", Connection: netstate.Established, Verdict: netstate.Accept},
			netstate.Rule{In: "outside", Connection: netstate.Invalid, Verdict: netstate.Drop},
			netstate.Rule{In: "outside", Protocol: "icmp", Verdict: netstate.Accept},
			netstate.Rule{In: "outside", Protocol: "ipv6-icmp", Verdict: netstate.Accept},
			netstate.Rule{In: "outside", Verdict: netstate.Drop}),
		chain("forward", "filter", "forward", 0,
			netstate.Rule{In: "outside", Connection: netstate.Established, Verdict: netstate.Accept},
			netstate.Rule{In: "outside", Connection: netstate.Forwarded, Verdict: netstate.Accept},
			netstate.Rule{In: "outside", Verdict: netstate.Drop}))
	for _, address := range incoming {
		reaches(t, outside, address, "")
	}
	reaches(t, outside, "203.0.113.10:8080", "203.0.113.1")
	reaches(t, lan, "203.0.113.1:80", "192.168.7.10")
	reaches(t, lan, "[2001:db8:9::1]:80", "2001:db8:7::10")
	reaches(t, lan, "192.168.7.1:22", "192.168.7.10")
	reaches(t, "", "203.0.113.1:80", "203.0.113.10")
	run(t, "ip netns exec outside ping -c 1 -W 20 203.0.113.10")
	run(t, "ip netns exec outside ping -c 1 -W 20 2001:db8:9::10")
}

func TestMSS(t *testing.T) {
	k := routed(t)
	ends := map[string][2]int{ // by the address of the server outside: the MSS of a packet of 1500 bytes, and of one of 1400
		"203.0.113.1:80":     {1500 - 40 - 12, 1400 - 40 - 12},
		"[2001:db8:9::1]:80": {1500 - 60 - 12, 1400 - 60 - 12},
	}
	clamp := netstate.Rule{Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS}
	in, out := clamp, clamp
	in.In, out.Out = "outside", "outside"
	for address := range ends {
		serve(t, outside, address)
	}
	for _, test := range []struct {
		rules          []netstate.Rule
		server, client int // which MSS is expected: 0 or 1
	}{
		{nil, 0, 0},
		{[]netstate.Rule{in}, 0, 1},  // the SYN-ACK is clamped
		{[]netstate.Rule{out}, 1, 0}, // the SYN is
		{[]netstate.Rule{in, out}, 1, 1},
	} {
		k.table(t, chain("mss", "filter", "forward", -150, test.rules...))
		for address, sizes := range ends {
			_, server, client := talk(t, lan, address, 20*time.Second)
			if server != sizes[test.server] || client != sizes[test.client] {
				t.Errorf("%s, %d rules: the server sends %d, the client %d bytes; want %d, %d", strings.Trim(address, "[]"), len(test.rules),
					server, client, sizes[test.server], sizes[test.client])
			}
		}
	}
}
