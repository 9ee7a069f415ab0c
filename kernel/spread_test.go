package kernel

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"linebond/netstate"
)

// spreadLines makes devices for the lines of these names.
func spreadLines(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		run(t, "ip link add ppp-"+name+" type veth peer name far-"+name)
		run(t, "ip link set far-"+name+" up")
		run(t, "ip link set ppp-"+name+" addrgenmode none") // as those of PPP are
		t.Cleanup(func() { _ = tryRun("ip link delete ppp-" + name) })
	}
}

// spread is what a multipath bond of these lines wants, of which the first gets four times as many connections.
func spread(names ...string) netstate.State {
	s := netstate.State{Rules: []netstate.RoutingRule{{Priority: 30800, Specific: true}}}
	m := netstate.Multipath{Destination: netstate.DefaultIPv4, Metric: 100}
	for i, name := range names {
		device, table := "ppp-"+name, 10801+i
		local := netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		s.Links = append(s.Links, netstate.Link{Name: device, Line: true, Up: true, MTU: 1492})
		s.Addresses = append(s.Addresses, netstate.PeerAddress(device, local, netip.MustParseAddr("198.51.100.1")))
		s.Routes = append(s.Routes,
			netstate.Route{Destination: netstate.DefaultIPv4, Device: device, Metric: 101},
			netstate.Route{Destination: netstate.DefaultIPv4, Device: device, Metric: 1, Table: table})
		s.Rules = append(s.Rules,
			netstate.RoutingRule{Priority: 30799, In: device, Specific: true},
			netstate.RoutingRule{Priority: 30801 + i, Mark: markOf(uint32(i + 1)), Table: table},
			netstate.RoutingRule{Priority: 30801 + i, From: netip.PrefixFrom(local, 32), Table: table})
		m.Hops = append(m.Hops, netstate.Hop{Device: device, Weight: 1})
	}
	m.Hops[0].Weight = 4
	s.Multipaths = []netstate.Multipath{m}
	return s
}

// TestSpread: connections are spread over lines that come and go.
func TestSpread(t *testing.T) {
	k := host(t)
	spreadLines(t, "a", "b", "c")
	run(t, "ip rule add pref 20000 fwmark 0x7 lookup 7") // somebody else's
	want := spread("a", "b", "c")
	reconcile(t, k, want)
	contains(t, "ip route show default",
		"default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1 nexthop dev ppp-c weight 1",
		"default dev ppp-a proto 108 scope link metric 101", "default dev ppp-c proto 108 scope link metric 101")
	contains(t, "ip route show table 10802", "default dev ppp-b proto 108 scope link metric 1")
	contains(t, "ip -d rule", "30800: from all lookup main suppress_prefixlength 0 proto 108",
		"30801: from all fwmark 0x1000000/0x7f000000 lookup 10801 proto 108", "30803: from 203.0.113.12 lookup 10803 proto 108")

	if err := tryRun("ip link delete ppp-c"); err != nil { // and the kernel takes the route away
		t.Fatal(err)
	}
	contains(t, "ip route get 192.0.2.1", "dev ppp-a")
	reconcile(t, k, want)
	contains(t, "ip route show default", "default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1")
	reconcile(t, k, spread("a", "b"))
	reconcile(t, k, spread("b", "a")) // other addresses, weights, tables
	contains(t, "ip route show default", "nexthop dev ppp-a weight 1 nexthop dev ppp-b weight 4")
	reconcile(t, k, spread("b"))
	contains(t, "ip route show default", "default dev ppp-b proto 108 scope link metric 100")
	reconcile(t, k, spread("b", "a"))
	reconcile(t, k, netstate.State{})
	contains(t, "ip rule", "20000: from all fwmark 0x7 lookup 7")
	run(t, "ip rule delete pref 20000")
	if out := run(t, "ip route show table all proto 108"); out != "" {
		t.Error(out)
	}
}

// TestForeignHandsInTheSpread has others change what spreads connections. Watch must tell, and another round must put it right.
func TestForeignHandsInTheSpread(t *testing.T) {
	k := host(t)
	spreadLines(t, "a", "b")
	want := spread("a", "b")
	changed := startWatch(t, k)
	reconcile(t, k, want)
	before := spreadText(t)
	for _, command := range []string{
		"ip route delete default metric 100 proto 108",
		"ip route replace default dev ppp-b metric 100",
		"ip route append default proto 108 metric 100 nexthop dev ppp-a weight 9 nexthop dev ppp-b weight 1",
		"ip route flush table 10801",
		"ip route append default dev ppp-b metric 1 table 10801 proto 108",
		"ip rule delete pref 30801",
		"ip rule delete pref 30800",
		"ip rule add pref 5 lookup 99 protocol 108",
		"ip rule add pref 5 from 192.0.2.0/24 lookup 99 protocol 108",
		"ip address flush dev ppp-a",
		"ip address delete 203.0.113.11 peer 198.51.100.1/32 dev ppp-b",
		"ip link set ppp-a down",
	} {
		t.Run(command, func(t *testing.T) {
			run(t, command)
			if len(netstate.Diff(want, observe(t, k, want))) == 0 {
				t.Fatal("the command changes nothing that is wanted")
			}
			repair(t, k, want, changed)
			if command == "ip route replace default dev ppp-b metric 100" {
				run(t, "ip route delete default dev ppp-b metric 100 proto boot") // which is theirs
			}
			if after := spreadText(t); after != before {
				t.Errorf("it was\n%s\nand is\n%s", before, after)
			}
		})
	}
	reconcile(t, k, netstate.State{})
}

// spreadText is what a person sees of it. Rules of one priority are in any order.
func spreadText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, command := range []string{"ip route show default", "ip route show table 10801", "ip route show table 10802", "ip -d rule"} {
		b.WriteString(run(t, command))
	}
	lines := strings.Split(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestSpreadRefused: what the kernel does not do is explained.
func TestSpreadRefused(t *testing.T) {
	k := host(t)
	spreadLines(t, "a", "b")
	run(t, "ip rule add pref 30800 lookup main suppress_prefixlength 0 protocol 108")
	m := spread("a", "b")
	err := k.Apply([]netstate.Op{
		netstate.AddMultipath{Multipath: m.Multipaths[0]}, netstate.AddRule{Rule: m.Rules[0]}, netstate.DeleteRule{Rule: m.Rules[2]},
		netstate.DeleteMultipath{Multipath: spread("a", "z").Multipaths[0]},
	})
	want := `ip route append default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1: network is down: a device is down
ip rule add pref 30800 from all lookup main suppress_prefixlength 0 proto 108: file exists: another program has made the same rule: delete that one
ip rule delete pref 30801 from all fwmark 0x1000000/0x7f000000 lookup 10801 proto 108: no such file or directory
ip route delete default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-z weight 1: ppp-z: no such device`
	if fmt.Sprint(err) != want {
		t.Errorf("errors:\n%v\nwant:\n%s", err, want)
	}
	reconcile(t, k, netstate.State{})
}

// tryRun is run for a command that may fail.
func tryRun(command string) error {
	fields := strings.Fields(command)
	return exec.Command(fields[0], fields[1:]...).Run()
}
