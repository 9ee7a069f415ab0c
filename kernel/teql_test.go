package kernel

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// teqlHost is a host with as many TEQL devices as asked for; without the module, when that is 0. In the end the module goes.
func teqlHost(t *testing.T, devices string) *Kernel {
	t.Helper()
	k := host(t)
	t.Cleanup(func() { run(t, "modprobe -r sch_teql") })
	if devices != "0" {
		run(t, "modprobe sch_teql max_equalizers="+devices)
	}
	return k
}

// bonded wants lines with these MTUs, ppp-a and so on, in the bond teql0.
func bonded(mtus ...int) netstate.State {
	bond := netstate.Link{Name: "teql0", Bond: true, Ours: true, Up: true, TxQueue: 1000}
	want := netstate.State{
		Addresses: []netstate.Address{
			{Device: "teql0", Local: netip.MustParseAddr("203.0.113.10"), Peer: netip.MustParsePrefix("203.0.113.10/32")},
			{Device: "teql0", Local: netip.MustParseAddr("2001:db8::1"), Peer: netip.MustParsePrefix("2001:db8::1/128")},
		},
		Routes:  []netstate.Route{{Destination: netstate.DefaultIPv4, Device: "teql0", Metric: 100}},
		Sysctls: []netstate.Sysctl{{Key: "net/ipv4/conf/teql0/rp_filter", Value: "2"}},
		Table:   new(everyRule()),
	}
	for i, mtu := range mtus {
		device := "ppp-" + string(rune('a'+i))
		if bond.MTU == 0 || mtu < bond.MTU {
			bond.MTU = mtu
		}
		want.Links = append(want.Links, netstate.Link{Name: device, Line: true, Up: true, MTU: mtu, TxQueue: 100})
		want.Qdiscs = append(want.Qdiscs, netstate.Qdisc{Device: device, Kind: "teql0"})
		want.Sysctls = append(want.Sysctls, netstate.Sysctl{Key: "/sys/class/net/" + device + "/queues/rx-0/rps_cpus", Value: "3"})
	}
	want.Links = append(want.Links, bond)
	return want
}

func TestBondUpAndDown(t *testing.T) {
	k := teqlHost(t, "1")
	closeLine := pppUnit(t, "ppp-a")
	pppUnit(t, "ppp-b")
	reconcile(t, k, bonded(1492, 1400))
	contains(t, "ip -d link show teql0", "UP", "mtu 1400", "qlen 1000", "alias linebond")
	contains(t, "ip link show ppp-a", "mtu 1492", "qdisc teql0", "qlen 100")
	contains(t, "ip link show ppp-b", "mtu 1400", "qdisc teql0", "qlen 100")
	contains(t, "ip address show teql0", "inet 203.0.113.10/32", "inet6 2001:db8::1/128")
	contains(t, "ip route show default", "default dev teql0 proto 108 scope link metric 100")
	contains(t, "cat /sys/class/net/ppp-b/queues/rx-0/rps_cpus", "3")
	contains(t, "cat /proc/sys/net/ipv4/conf/teql0/rp_filter", "2")

	want := bonded(1492, 1400) // the smaller line leaves, and the bond grows; it comes back, and the bond shrinks
	want.Qdiscs, want.Links[2].MTU = want.Qdiscs[:1], 1492
	reconcile(t, k, want)
	contains(t, "ip link show teql0", "mtu 1492")
	if out := run(t, "tc qdisc show dev ppp-b"); strings.Contains(out, "teql0") {
		t.Errorf("ppp-b is still in the bond: %s", out)
	}
	reconcile(t, k, bonded(1492, 1400))
	contains(t, "ip link show teql0", "mtu 1400")

	closeLine() // a line that is gone has left by itself
	left := bonded(1492, 1400)
	have := observe(t, k, left)
	if len(have.Qdiscs) != 1 || have.Qdiscs[0].Device != "ppp-b" {
		t.Errorf("slaves: %v", have.Qdiscs)
	}
	reconcile(t, k, left)

	reconcile(t, k, netstate.State{})
	contains(t, "ip -d link show teql0", "state DOWN", "mtu 1500", "qdisc noop", "qlen 100")
	contains(t, "cat /proc/sys/net/ipv4/conf/teql0/rp_filter", strings.TrimSpace(run(t, "cat /proc/sys/net/ipv4/conf/default/rp_filter")))
	for _, command := range []string{"ip link show teql0", "ip link show ppp-b"} {
		if out := run(t, command); strings.Contains(out, "alias") || strings.Contains(out, "qdisc teql0") {
			t.Errorf("something of ours is left: %s", out)
		}
	}
}

// TestEmptyBond has a bond whose lines are all down: it stays up, with its address.
func TestEmptyBond(t *testing.T) {
	k := teqlHost(t, "1")
	pppUnit(t, "ppp-a")
	reconcile(t, k, bonded(1492))
	want := bonded(1492)
	want.Qdiscs, want.Addresses, want.Links[1].KeepAddresses, want.Links[1].MTU = nil, nil, true, 0
	reconcile(t, k, want)
	contains(t, "ip address show teql0", "UP", "inet 203.0.113.10/32")
	if err := k.Apply([]netstate.Op{netstate.Leave{Qdisc: netstate.Qdisc{Device: "ppp-a", Kind: "teql0"}}}); err != nil {
		t.Errorf("leaving again: %v", err)
	}
	reconcile(t, k, netstate.State{})
}

// TestFirstAddress has a bond's addresses in the wrong order.
func TestFirstAddress(t *testing.T) {
	k := teqlHost(t, "1")
	pppUnit(t, "ppp-a")
	want := bonded(1492)
	want.Addresses = []netstate.Address{
		netstate.PeerAddress("teql0", netip.MustParseAddr("203.0.113.10"), netip.Addr{}),
		netstate.PeerAddress("teql0", netip.MustParseAddr("203.0.113.20"), netip.Addr{}),
		netstate.PeerAddress("teql0", netip.MustParseAddr("2001:db8::1"), netip.Addr{}),
		netstate.PeerAddress("ppp-a", netip.MustParseAddr("203.0.113.30"), netip.Addr{}),
	}
	reconcile(t, k, want)
	for _, c := range []struct {
		first int
		order string
	}{{1, "203.0.113.20 203.0.113.10"}, {0, "203.0.113.10 203.0.113.20"}} {
		for i := range want.Addresses {
			want.Addresses[i].First = i == c.first
		}
		if len(reconcile(t, k, want)) == 0 {
			t.Error("the order was right already")
		}
		found := regexp.MustCompile(`inet ([0-9.]+)`).FindAllStringSubmatch(run(t, "ip address show dev teql0"), -1)
		var order []string
		for _, f := range found {
			order = append(order, f[1])
		}
		if got := strings.Join(order, " "); got != c.order {
			t.Errorf("the order is %s, want %s", got, c.order)
		}
		contains(t, "ip route show default", "default dev teql0")
		var first []string
		for _, a := range observe(t, k, want).Addresses {
			if a.First {
				first = append(first, a.String())
			}
		}
		if len(first) != 1 || !strings.HasPrefix(first[0], want.Addresses[c.first].Local.String()+"/32 dev teql0") {
			t.Errorf("first is %q", first)
		}
	}
	reconcile(t, k, netstate.State{})
}

// TestForeignHandsOnTheBond has other programs undo a bond. Watch must tell, and another round must put it right.
func TestForeignHandsOnTheBond(t *testing.T) {
	k := teqlHost(t, "2")
	pppUnit(t, "ppp-a")
	pppUnit(t, "ppp-b")
	pppUnit(t, "ppp-c")
	want := bonded(1492, 1400)
	changed := startWatch(t, k)
	reconcile(t, k, want)
	run(t, "tc qdisc add dev ppp-c root teql1") // not ours
	for _, command := range []string{
		"tc qdisc delete dev ppp-a root",
		"tc qdisc replace dev ppp-a root pfifo",
		"tc qdisc replace dev ppp-b root teql1",
		"tc qdisc replace dev ppp-c root teql0", // a slave that is no line
		"ip link set teql0 down",
		"ip link set teql0 mtu 1300",
		"ip link set teql0 txqueuelen 5",
		"ip link set ppp-a txqueuelen 5",
		"ip link set teql0 alias mine",
		"ip address flush dev teql0",
		"ip address add 192.0.2.7/32 dev teql0",
		"ip route delete default dev teql0",
		"nft flush ruleset",
		"sysctl -w net.ipv4.conf.teql0.rp_filter=0",
	} {
		t.Run(command, func(t *testing.T) {
			run(t, command)
			if len(netstate.Diff(want, observe(t, k, want))) == 0 {
				t.Fatal("the command changes nothing that is wanted")
			}
			repair(t, k, want, changed)
		})
	}
	run(t, "tc qdisc replace dev ppp-a root pfifo")
	if err := k.Apply([]netstate.Op{netstate.Leave{Qdisc: want.Qdiscs[0]}}); err != nil {
		t.Error(err)
	}
	contains(t, "tc qdisc show dev ppp-a", "qdisc pfifo") // is not ours to take away
	run(t, "tc qdisc replace dev ppp-c root teql1")
	reconcile(t, k, netstate.State{})
	contains(t, "tc qdisc show dev ppp-c", "qdisc teql1")
}

func TestBondAnswers(t *testing.T) {
	k := teqlHost(t, "1")
	pppUnit(t, "ppp-a")
	pppUnit(t, "ppp-b")
	run(t, "ip link set ppp-a mtu 1400 up")
	run(t, "ip link set ppp-b mtu 1492 up")
	join := func(device string) netstate.Op {
		return netstate.Join{Qdisc: netstate.Qdisc{Device: device, Kind: "teql0"}}
	}
	for _, test := range []struct {
		op  netstate.Op
		err error
	}{
		{netstate.SetUp{Device: "teql0"}, unix.EUNATCH},
		{join("ppp-b"), nil},
		{join("ppp-b"), nil}, // again
		{netstate.SetUp{Device: "teql0"}, nil},
		{netstate.SetMTU{Device: "teql0", MTU: 1493}, unix.EINVAL},
		{join("ppp-a"), unix.EINVAL},
		{join("ppp-z"), unix.ENODEV},
		{netstate.Join{Qdisc: netstate.Qdisc{Device: "ppp-a", Kind: "teql7"}}, unix.ENOENT},
		{netstate.Adopt{Device: "teql7"}, unix.ENODEV},
		{netstate.Leave{Qdisc: netstate.Qdisc{Device: "ppp-b", Kind: "teql0"}}, nil},
		{netstate.Release{Device: "teql0"}, nil},
	} {
		if err := k.Apply([]netstate.Op{test.op}); !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: %v, want %v", test.op, err, test.err)
		}
	}
}

func TestLoadBonds(t *testing.T) {
	k := teqlHost(t, "0")
	run(t, "ip link add teql1 type dummy")
	load := netstate.LoadBonds{Devices: []string{"teql0", "teql1"}}
	err := k.Apply([]netstate.Op{load})
	want := "modprobe sch_teql max_equalizers=2: teql1 is a device of another kind: rename it, or choose another device for the bond"
	if err == nil || err.Error() != want {
		t.Errorf("a dummy in the way: %v\nwant: %s", err, want)
	}
	run(t, "ip link delete teql1")
	bonds := netstate.State{}
	for _, device := range []string{"teql0", "teql1", "teql2"} {
		bonds.Links = append(bonds.Links, netstate.Link{Name: device, Bond: true, Ours: true, TxQueue: 1000})
	}
	if err := k.Apply(netstate.Diff(bonds, observe(t, k, bonds))); err != nil {
		t.Fatal(err)
	}
	reconcile(t, k, bonds)
	contains(t, "ip link show teql2", "qlen 1000", "alias linebond")
	loaded, err := k.LoadModules([]string{"pppoe"}, []string{"teql0", "teql2"})
	if strings.Join(loaded, ";") != "pppoe;sch_teql max_equalizers=3" || err != nil {
		t.Errorf("loaded: %q, %v", loaded, err)
	}

	more := netstate.LoadBonds{Devices: []string{"teql2", "teql3"}}
	if err := k.Apply([]netstate.Op{more}); err == nil || !strings.Contains(err.Error(), "rmmod sch_teql") || strings.Contains(err.Error(), "namespace") {
		t.Errorf("one more than there are: %v", err)
	}
	within(t, newNamespace(t), func() {
		other, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := other.Apply([]netstate.Op{load}); err == nil || !strings.Contains(err.Error(), "ip link set dev teql0, teql1 netns PID") {
			t.Errorf("in another namespace: %v", err)
		}
	})
	reconcile(t, k, netstate.State{})
}

func newNamespace(t *testing.T) string {
	t.Helper()
	run(t, "ip netns add other")
	t.Cleanup(func() { run(t, "ip netns delete other") })
	return "other"
}

func TestBondNames(t *testing.T) {
	for name, want := range map[string]bool{"teql0": true, "teql15": true, "teql": false, "teql0.101": false, "teqlx": false, "eth0": false} {
		if isBondName(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}
