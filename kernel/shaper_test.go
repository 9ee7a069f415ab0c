package kernel

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// shaperHost is a host with the device of a weighted bond, all of whose packets go to 192.0.2.2 and get lost there. Its kernel has these
// kinds of shapers alone.
func shaperHost(t *testing.T, best netstate.ShaperKind) *Kernel {
	t.Helper()
	k := host(t)
	k.shapers.noCake.Store(best != netstate.ShaperCake)
	k.shapers.noFQCoDel.Store(best == netstate.ShaperTBF)
	t.Cleanup(func() { run(t, "ip link delete wanbond0") })
	makeWeighted(t, k)
	return k
}

func makeWeighted(t *testing.T, k *Kernel) {
	t.Helper()
	run(t, "ip link add wanbond0 type veth peer name inner0")
	link, err := k.link("wanbond0")
	if err == nil {
		err = k.handle.LinkSetAlias(link, netstate.SchedulerAlias)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"ip link set inner0 up", "ip link set wanbond0 up", "ip address add 192.0.2.1/24 dev wanbond0",
		"ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev wanbond0",
	} {
		run(t, command)
	}
}

// shapedAs wants a shaper.
func shapedAs(rate uint64, overhead int, cells bool) netstate.State {
	own := netip.MustParsePrefix("192.0.2.1/24")
	return netstate.State{
		Links:     []netstate.Link{{Name: "wanbond0", Weighted: true, Ours: true, Up: true}},
		Addresses: []netstate.Address{{Device: "wanbond0", Local: own.Addr(), Peer: own}},
		Shapers:   []netstate.Shaper{{Device: "wanbond0", Rate: rate, Overhead: overhead, Cells: cells}},
	}
}

// load puts packets of 1000 bytes into the queue of wanbond0, which may be marked by ECN.
func load(t *testing.T, packets int) {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		const ect0 = 2
		refused := c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, ect0),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 64<<20)) // what waits in the queue counts
		})
		return errors.Join(err, refused)
	}}
	conn, err := dialer.Dial("udp4", "192.0.2.2:9")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range packets {
		if _, err := conn.Write(make([]byte, 972)); err != nil && !errors.Is(err, unix.ENOBUFS) { // which tells of a drop
			t.Fatal(err)
		}
	}
}

func statsOf(t *testing.T, k *Kernel) ShaperStats {
	t.Helper()
	stats, ours, err := k.Shaper("wanbond0")
	if err != nil || !ours {
		t.Fatal(ours, err)
	}
	return stats
}

// TestShaper sets, changes and deletes shapers of each kind. A change keeps what waits.
func TestShaper(t *testing.T) {
	for _, test := range []struct {
		kind      netstate.ShaperKind
		first     []string // of what tc shows, at 24.75 Mbit/s
		ethernet  string   // at 4.95 Mbit/s, overhead 14
		cells     string   // overhead 40
		fast, set string
	}{
		{
			netstate.ShaperCake,
			[]string{"qdisc cake 108: root", "bandwidth 24750Kbit diffserv3 dual-srchost nat", "no-ack-filter split-gso", "noatm overhead 30"},
			"noatm overhead 14", "atm overhead 40", "bandwidth 1584Gbit", "",
		},
		{
			netstate.ShaperTBFCoDel,
			[]string{"qdisc tbf 108: root", "rate 24750Kbit", "overhead 16", "parent 108:1 limit 10240p", "ecn"}, "rate 4950Kbit", "overhead 26 linklayer atm", "", "",
		},
		{netstate.ShaperTBF, []string{"qdisc tbf 108: root", "rate 24750Kbit", "overhead 16"}, "rate 4950Kbit", "overhead 26 linklayer atm", "", ""},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			k := shaperHost(t, test.kind)
			expect := func(want netstate.State, texts ...string) {
				t.Helper()
				ops := reconcile(t, k, want)
				if len(ops) != 1 {
					t.Errorf("operations %v", ops)
				}
				contains(t, "tc -d qdisc show dev wanbond0", texts...)
				have := observe(t, k, want).Shapers
				if len(have) != 1 || have[0].Kind != test.kind {
					t.Errorf("there is %v, want %s", have, test.kind)
				}
			}
			expect(shapedAs(24_750_000, 30, false), test.first...)
			expect(shapedAs(4_950_000, 14, false), test.ethernet)
			expect(shapedAs(4_950_000, 40, true), test.cells)
			for _, s := range []netstate.State{
				shapedAs(64_000, 200, true), shapedAs(63_360, 30, true), shapedAs(23_456_789, 0, false), shapedAs(941_000_123, 46, false), shapedAs(34e9, 46, false),
			} {
				expect(s)
			}
			if test.fast != "" {
				expect(shapedAs(16*99e9, 40, true), test.fast)
			} else if err := k.Apply([]netstate.Op{netstate.SetShaper{Shaper: shapedAs(16*99e9, 40, true).Shapers[0]}}); err == nil || !strings.Contains(err.Error(), "more than tbf can be told") {
				t.Errorf("at 1584 Gbit/s: %v", err)
			}

			expect(shapedAs(8_000, 14, false))
			load(t, 12)
			before := statsOf(t, k)
			expect(shapedAs(16_000, 40, true))
			after := statsOf(t, k)
			if before.Backlog < 8_000 || after.Backlog < before.Backlog/2 || after.Kind != test.kind || after.Rate != 16_000 {
				t.Errorf("before a change %+v, after it %+v", before, after)
			}
			load(t, 11_000)
			if full := statsOf(t, k); full.Drops == 0 {
				t.Errorf("of a full queue: %+v", full)
			}

			none := shapedAs(0, 0, false)
			none.Shapers = nil
			reconcile(t, k, none)
			contains(t, "tc qdisc show dev wanbond0", "qdisc noqueue 0: root")
			if _, ours, err := k.Shaper("wanbond0"); ours || err != nil {
				t.Error(ours, err)
			}
			if err := k.Apply([]netstate.Op{netstate.DeleteShaper{Device: "wanbond0"}}); err != nil {
				t.Errorf("deleting it again: %v", err)
			}
		})
	}
}

// TestShaperMarks has more sent than a shaper lets through, by one who knows ECN.
func TestShaperMarks(t *testing.T) {
	for _, kind := range []netstate.ShaperKind{netstate.ShaperCake, netstate.ShaperTBFCoDel} {
		t.Run(string(kind), func(t *testing.T) {
			k := shaperHost(t, kind)
			reconcile(t, k, shapedAs(800_000, 30, false))
			for statsOf(t, k).Marks == 0 { // till the test's time is over
				load(t, 20)
			}
		})
	}
}

// TestForeignHandsOnTheShaper has other programs undo it. Watch must tell, and another round must put it right.
func TestForeignHandsOnTheShaper(t *testing.T) {
	k := shaperHost(t, netstate.ShaperCake)
	want := shapedAs(24_750_000, 30, false)
	changed := startWatch(t, k)
	reconcile(t, k, want)
	for _, commands := range [][]string{
		{"tc qdisc delete dev wanbond0 root"},
		{"tc qdisc replace dev wanbond0 root pfifo"},
		{"tc qdisc replace dev wanbond0 root cake bandwidth 5mbit"},
		{"tc qdisc delete dev wanbond0 root", "tc qdisc add dev wanbond0 root handle 108: pfifo"},
		{"tc qdisc change dev wanbond0 root handle 108: cake bandwidth 1mbit"},
		{"tc qdisc change dev wanbond0 root handle 108: cake unlimited"},
		{"tc qdisc change dev wanbond0 root handle 108: cake besteffort"},
		{"tc qdisc change dev wanbond0 root handle 108: cake flows"},
		{"tc qdisc change dev wanbond0 root handle 108: cake nonat"},
		{"tc qdisc change dev wanbond0 root handle 108: cake overhead 31"},
		{"tc qdisc change dev wanbond0 root handle 108: cake ptm"},
		{"tc qdisc change dev wanbond0 root handle 108: cake atm"},
	} {
		t.Run(strings.Join(commands, "; "), func(t *testing.T) {
			for _, command := range commands {
				run(t, command)
			}
			if len(netstate.Diff(want, observe(t, k, want))) == 0 {
				t.Fatal("this changes nothing that is wanted")
			}
			repair(t, k, want, changed)
			contains(t, "tc -d qdisc show dev wanbond0", "qdisc cake 108: root", "bandwidth 24750Kbit diffserv3 dual-srchost nat", "noatm overhead 30")
		})
	}
	t.Run("the device is made anew", func(t *testing.T) {
		run(t, "ip link delete wanbond0")
		if s := observe(t, k, want).Shapers; len(s) > 0 {
			t.Errorf("without its device there is %v", s)
		}
		makeWeighted(t, k)
		repair(t, k, want, changed)
	})
	t.Run("not wanted, and not ours", func(t *testing.T) {
		run(t, "tc qdisc replace dev wanbond0 root pfifo limit 7")
		want.Shapers = nil
		if ops := reconcile(t, k, want); len(ops) > 0 {
			t.Errorf("operations %v", ops)
		}
		if err := k.Apply([]netstate.Op{netstate.DeleteShaper{Device: "wanbond0"}}); err != nil {
			t.Error(err)
		}
		contains(t, "tc qdisc show dev wanbond0", "qdisc pfifo", "limit 7p")
	})
	run(t, "tc qdisc add dev eth1 root handle 108: pfifo") // no weighted bond's
	if s := observe(t, k, want).Shapers; len(s) > 0 {
		t.Errorf("on eth1 there is %v", s)
	}
}

// TestShaperWithoutModules meets a kernel without cake, and one without tbf either.
func TestShaperWithoutModules(t *testing.T) {
	k := shaperHost(t, netstate.ShaperCake)
	want := shapedAs(24_750_000, 30, false)
	loader := strings.TrimSpace(run(t, "cat /proc/sys/kernel/modprobe"))
	run(t, "sysctl -qw kernel.modprobe=/bin/false")
	t.Cleanup(func() {
		run(t, "sysctl -qw kernel.modprobe="+loader)
		run(t, "modprobe -a sch_cake sch_tbf")
	})
	run(t, "modprobe -r sch_cake")
	reconcile(t, k, want)
	if have := observe(t, k, want).Shapers; have[0].Kind != netstate.ShaperTBFCoDel || !k.shapers.noCake.Load() || k.shapers.noFQCoDel.Load() {
		t.Errorf("without cake: %v", have)
	}
	if err := k.Apply([]netstate.Op{netstate.DeleteShaper{Device: "wanbond0"}}); err != nil {
		t.Fatal(err)
	}
	run(t, "modprobe -r sch_tbf")
	err := k.Apply([]netstate.Op{netstate.SetShaper{Shaper: want.Shapers[0]}})
	const hint = "has neither of the qdiscs cake and tbf: install the package with the rest of its modules, or build it with CONFIG_NET_SCH_CAKE; " +
		`or write shaping = "none"`
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), hint) {
		t.Errorf("without tbf: %v", err)
	}
}
