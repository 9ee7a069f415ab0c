package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

func TestLineUpAndDown(t *testing.T) {
	k := host(t)
	closeLine := pppUnit(t, "ppp-a")
	reconcile(t, k, lineUp("ppp-a"))
	contains(t, "ip -d link show eth1.101", "eth1.101@eth1:", "LOWER_UP", "vlan protocol 802.1Q id 101", "egress-qos-map { 6:6 }", "alias linebond")
	contains(t, "cat /proc/net/vlan/eth1.101", "VID: 101", "Device: eth1", "6:6")
	contains(t, "ip -d link show ppp-a", "UP", "mtu 1492")
	contains(t, "ip address show dev ppp-a", "inet 203.0.113.10 peer 198.51.100.1/32", "inet6 fe80::1 peer fe80::2/128")
	contains(t, "ip route show default", "default dev ppp-a proto 108 scope link metric 200")
	contains(t, "ip -6 route show default", "default dev ppp-a proto 108 metric 200")
	contains(t, "cat /proc/sys/net/ipv6/conf/ppp-a/accept_ra", "2")

	closeLine()
	reconcile(t, k, netstate.State{})
	contains(t, "ip link show eth1", "LOWER_UP") // the parent is left up
	if out := run(t, "ip -o link show type vlan"); out != "" {
		t.Errorf("left behind: %s", out)
	}
}

func TestAddressesGoWithTheirProtocols(t *testing.T) { // IPCP and IPv6CP close, the session stays
	k := host(t)
	pppUnit(t, "ppp-a")
	want := lineUp("ppp-a")
	reconcile(t, k, want)
	want.Addresses, want.Routes = nil, nil
	reconcile(t, k, want)
	if out := run(t, "ip address show dev ppp-a"); strings.Contains(out, "inet") {
		t.Errorf("addresses are left: %s", out)
	}
}

func TestQinQ(t *testing.T) {
	k := host(t)
	want := netstate.State{Links: ethernet([]uint16{100, 101}, netstate.Dot1AD, 0)}
	reconcile(t, k, want)
	contains(t, "ip -d link show eth1.100", "eth1.100@eth1:", "vlan protocol 802.1ad id 100")
	contains(t, "ip -d link show eth1.100.101", "eth1.100.101@eth1.100:", "vlan protocol 802.1Q id 101")

	want = netstate.State{Links: ethernet([]uint16{100, 101}, netstate.Dot1Q, 0)}
	reconcile(t, k, want)
	contains(t, "ip -d link show eth1.100", "vlan protocol 802.1Q id 100")
	contains(t, "ip -d link show eth1.100.101", "vlan protocol 802.1Q id 101")
	reconcile(t, k, netstate.State{})
}

func TestPriorityChangesInPlace(t *testing.T) {
	k := host(t)
	reconcile(t, k, netstate.State{Links: ethernet([]uint16{101}, netstate.Dot1Q, 6)})
	index := run(t, "cat /sys/class/net/eth1.101/ifindex")
	reconcile(t, k, netstate.State{Links: ethernet([]uint16{101}, netstate.Dot1Q, 3)})
	contains(t, "ip -d link show eth1.101", "egress-qos-map { 3:3 }")
	if now := run(t, "cat /sys/class/net/eth1.101/ifindex"); now != index {
		t.Errorf("the device was made anew: index %s, was %s", now, index)
	}
	reconcile(t, k, netstate.State{})
}

func TestForeignVLANIsLeftAlone(t *testing.T) {
	k := host(t)
	run(t, "ip link add link eth1 name eth1.101 type vlan id 101")
	run(t, "ip link add link eth1 name eth1.7 type vlan id 7")
	reconcile(t, k, netstate.State{Links: ethernet([]uint16{101}, netstate.Dot1Q, 6)})
	contains(t, "ip -d link show eth1.101", "LOWER_UP", "id 101")
	reconcile(t, k, netstate.State{})
	for _, device := range []string{"eth1.101", "eth1.7"} {
		if info, err := k.Link(device); err != nil || !info.Exists {
			t.Errorf("%s: %+v, %v", device, info, err)
		}
	}
}

func TestSharedPeerAndMetric(t *testing.T) { // two lines of one provider, as is usual
	k := host(t)
	closeA := pppUnit(t, "ppp-a")
	pppUnit(t, "ppp-b")
	a, b := lineUp("ppp-a"), lineUp("ppp-b")
	want := netstate.State{
		Links:     append(a.Links, b.Links...),
		Addresses: append(a.Addresses, b.Addresses...),
		Routes:    append(a.Routes, b.Routes...),
		Sysctls:   append(a.Sysctls, b.Sysctls...),
	}
	reconcile(t, k, want)
	contains(t, "ip route show default", "dev ppp-a proto 108 scope link metric 200", "dev ppp-b proto 108 scope link metric 200")
	closeA()
	reconcile(t, k, want)
	contains(t, "ip route show default", "default dev ppp-b")
	contains(t, "ip -6 route show default", "ppp-b")
	reconcile(t, k, b)
	reconcile(t, k, netstate.State{})
}

func TestNewAddressFromTheSamePeer(t *testing.T) {
	for _, promote := range []string{"0", "1"} {
		t.Run("promote_secondaries="+promote, func(t *testing.T) {
			k := host(t)
			pppUnit(t, "ppp-a")
			run(t, "sysctl -qw net/ipv4/conf/ppp-a/promote_secondaries="+promote)
			want := lineUp("ppp-a")
			reconcile(t, k, want)
			run(t, "ip address add 203.0.113.99 peer 198.51.100.1/32 dev ppp-a")
			want.Addresses[0].Local = netip.MustParseAddr("203.0.113.77")
			reconcile(t, k, want)
			contains(t, "ip address show dev ppp-a", "inet 203.0.113.77 peer 198.51.100.1/32")
			contains(t, "ip route show default", "default dev ppp-a")
			reconcile(t, k, netstate.State{})
		})
	}
}

func TestForeignAddressesAndRoutes(t *testing.T) {
	k := host(t)
	pppUnit(t, "ppp-a")
	want := lineUp("ppp-a")
	reconcile(t, k, want)
	run(t, "ip address add 2001:db8::5/64 dev ppp-a")
	run(t, "ip address add 10.0.0.1/24 dev ppp-a")
	run(t, "ip address add 10.0.0.2/24 dev ppp-a") // secondary to the one before
	run(t, "ip address add fe80::99/64 dev ppp-a")
	run(t, "ip route add 192.0.2.0/24 dev ppp-a")
	run(t, "ip route add 192.0.2.0/24 dev ppp-a proto 108 metric 9")
	reconcile(t, k, want)
	contains(t, "ip address show dev ppp-a", "2001:db8::5/64", "203.0.113.10", "fe80::1")
	contains(t, "ip route show 192.0.2.0/24", "192.0.2.0/24 dev ppp-a scope link")
	out := run(t, "ip address show dev ppp-a") + run(t, "ip route")
	for _, foreign := range []string{"10.0.0.", "fe80::99", "metric 9"} {
		if strings.Contains(out, foreign) {
			t.Errorf("%s is still there:\n%s", foreign, out)
		}
	}
}

func TestForeignRouteInTheWay(t *testing.T) {
	k := host(t)
	pppUnit(t, "ppp-a")
	run(t, "ip link set ppp-a up")
	run(t, "ip route add default dev ppp-a metric 200 proto static") // IPv4 has room for both
	run(t, "ip -6 route add default dev ppp-a metric 200 proto static")
	want := lineUp("ppp-a")
	err := k.Apply(netstate.Diff(want, observe(t, k, want)))
	if err == nil || !strings.HasPrefix(err.Error(), "ip -6 route append default dev ppp-a proto 108 metric 200: file exists: another program") {
		t.Errorf("error: %v", err)
	}
	run(t, "ip -6 route delete default dev ppp-a proto static")
	reconcile(t, k, want)
	contains(t, "ip route show default", "dev ppp-a proto static", "dev ppp-a proto 108")
	reconcile(t, k, netstate.State{})
	contains(t, "ip route show default", "dev ppp-a proto static")
}

func TestDump(t *testing.T) {
	for _, test := range []struct {
		interruptions int
		err           error
	}{{0, nil}, {3, nil}, {99, netlink.ErrDumpInterrupted}} {
		attempts := 0
		_, err := dump(func() ([]int, error) {
			if attempts++; attempts <= test.interruptions {
				return nil, netlink.ErrDumpInterrupted
			}
			return nil, nil
		})
		if !errors.Is(err, test.err) || attempts > 5 {
			t.Errorf("%d interruptions: %v after %d attempts", test.interruptions, err, attempts)
		}
	}
}

func TestApplyGoesOnAfterAnError(t *testing.T) {
	k := host(t)
	run(t, "ip link add link eth1 name other type vlan id 101")
	err := k.Apply([]netstate.Op{
		netstate.AddLink{Link: ethernet([]uint16{101}, netstate.Dot1Q, 0)[1]},
		netstate.AddAddress{Address: lineUp("ppp-a").Addresses[0]},
		netstate.SetSysctl{Sysctl: netstate.Sysctl{Key: "net/ipv6/conf/ppp-a/accept_ra", Value: "2"}},
		netstate.SetUp{Device: "eth1"},
	})
	want := `ip link add link eth1 name eth1.101 alias linebond type vlan protocol 802.1Q id 101: file exists: ` +
		`there is another device for VLAN 101 on eth1: delete it, or name it as the interface
ip address replace 203.0.113.10 peer 198.51.100.1/32 dev ppp-a: no such device
sysctl -w net/ipv6/conf/ppp-a/accept_ra=2: open /proc/sys/net/ipv6/conf/ppp-a/accept_ra: no such file or directory`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if !errors.Is(err, unix.EEXIST) || !errors.Is(err, unix.ENODEV) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kernel's answers cannot be found in %v", err)
	}
	contains(t, "ip link show eth1", "UP")
}

func TestLink(t *testing.T) {
	k := host(t)
	info, err := k.Link("eth9")
	if err != nil || info.Exists {
		t.Errorf("a device that does not exist: %+v, %v", info, err)
	}
	changed := startWatch(t, k)
	run(t, "ip link set eth1 address 02:00:00:00:00:99 mtu 1508 up")
	info, err = k.Link("eth1")
	for !info.Carrier && err == nil { // the kernel tells it a moment later, in both directions
		<-changed
		info, err = k.Link("eth1")
	}
	want := LinkInfo{Exists: true, Up: true, Carrier: true, MTU: 1508, Address: "02:00:00:00:00:99"}
	info.Counters = Counters{} // IPv6 may have sent something by itself
	if diff := cmp.Diff(want, info); diff != "" || err != nil {
		t.Errorf("eth1 (-want +got):\n%s%v", diff, err)
	}
	run(t, "ip link set ac1 down")
	for info.Carrier && err == nil {
		<-changed
		info, err = k.Link("eth1")
	}
	if err != nil || !info.Up {
		t.Errorf("the other end is down: %+v, %v", info, err)
	}
}

func TestParseCounters(t *testing.T) {
	for line, want := range map[string]string{
		"  eth0: 1234 10 0 0 0 0 0 0 5678 20 1 3 0 0 0 0":                                    "eth0 {1234 5678 10 20 3}",
		"eth0.101:1234 10 0 0 0 0 0 0 5678 20 1 3 0 0 0 0":                                   "eth0.101 {1234 5678 10 20 3}",
		"  eth0: 1234 10 0 0 0 0 0 0 5678 20 1":                                              "none",
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets": "none",
		"": "none",
	} {
		got := "none"
		if name, c, ok := parseCounters([]byte(line)); ok {
			got = fmt.Sprintf("%s %v", name, c)
		}
		if got != want {
			t.Errorf("%q: %s", line, got)
		}
	}
}

func TestCounters(t *testing.T) {
	k := host(t)
	counters := func() Counters {
		t.Helper()
		all, err := k.Counters()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := all["eth1"]; !ok {
			t.Errorf("eth1 has none: %+v", all)
		}
		return all["lo"]
	}
	before := counters()
	run(t, "ping -c 1 127.0.0.1")
	const n = 2 * 84 // bytes of a request and its reply: IP header, ICMP header, 56 of data
	want := Counters{before.RxBytes + n, before.TxBytes + n, before.RxPackets + 2, before.TxPackets + 2, before.TxDropped}
	if diff := cmp.Diff(want, counters()); diff != "" {
		t.Errorf("after a ping (-want +got):\n%s", diff)
	}
}
