package scheduler

import (
	"fmt"
	"testing"
)

// A line whose device is gone is in no more, and stays so when another has its name, until that is put in. Nor is one that has left.
func TestLost(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	for _, step := range []struct{ do, want string }{
		{"true", "[ppp-0 ppp-1]"}, {"ip link del ppp-1", "[ppp-0]"}, {"ip link add ppp-1 type ifb", "[ppp-0]"}, {"ip link del ppp-0", "[]"},
	} {
		w.router.sh("%s", step.do)
		found, err := w.bond.Check()
		must(t, err)
		if got := fmt.Sprint(found.In); got != step.want {
			t.Errorf("after %s: %s, want %s", step.do, got, step.want)
		}
	}
	must(t, w.bond.SetLines(w.lines[1:]))
	if found, err := w.bond.Check(); err != nil || fmt.Sprint(found) != "{[ppp-1] []}" {
		t.Errorf("found %v, %v", found, err)
	}
	must(t, onlyError(w.bond.Leave("ppp-1")))
	if found, err := w.bond.Check(); err != nil || fmt.Sprint(found) != "{[] []}" {
		t.Errorf("found %v, %v", found, err)
	}
}

// What others do to the devices and filters is found, and put right by SetLines. Packets find their way then.
func TestDamage(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	const choose, hear = "the tc filter linebond-choose of wanbond0-port is missing", "the tc filter linebond-hear of ppp-1 is missing"
	for _, test := range []struct{ do, want string }{
		{"true", "[]"},
		{"tc filter del dev wanbond0-port ingress", "[" + choose + "]"},
		{"tc qdisc del dev wanbond0-port clsact", "[" + choose + "]"},
		{"tc filter del dev ppp-1 ingress pref 1", "[" + hear + "]"},
		{"tc qdisc del dev ppp-1 clsact", "[" + hear + "]"},
		{"ip link set wanbond0 gso_max_segs 64", "[wanbond0 has gso_max_segs 64]"},
		{"ip link set wanbond0 alias other", "[wanbond0 has lost its alias]"},
		{"ip link set wanbond0-port alias ''", "[wanbond0-port has lost its alias]"},
		{"sysctl -qw net.ipv6.conf.default.addr_gen_mode=0; ip link set wanbond0 mtu 1000; ip link set wanbond0 mtu 1492",
			"[wanbond0 has an IPv6 address of the kernel's making]"},
		{"ip link set wanbond0 arp on", "[wanbond0 has ARP switched on]"},
		{"ip link set wanbond0-port arp on down", "[wanbond0-port has ARP switched on wanbond0-port is down]"},
		{"ip link set wanbond0-port down; tc qdisc del dev ppp-1 clsact", "[wanbond0-port is down " + hear + "]"},
		{"tc qdisc del dev ppp-1 clsact; tc qdisc add dev ppp-1 ingress", "[" + hear + "]"},
	} {
		w.router.sh("%s", test.do)
		for range 2 { // and until it is put right
			found, err := w.bond.Check()
			must(t, err)
			if got := fmt.Sprint(found.Damage); got != test.want || len(found.In) != 2 {
				t.Errorf("after %s: %s, in are %v; want %s", test.do, got, found.In, test.want)
			}
		}
		must(t, w.bond.SetLines(w.lines))
		if found, err := w.bond.Check(); err != nil || len(found.Damage) > 0 {
			t.Errorf("after %s, and SetLines: %v, %v", test.do, found, err)
		}
		w.router.sh("ping -c 4 -i 0.002 -W 10 %s", server)
	}
}

// Another's program in the place of ours is found, too.
func TestForeignProgram(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	other := newSimulator(t)
	must(t, attach(w.bond.handle, w.bond.port.Attrs().Index, "other", other.programs.Choose))
	found, err := w.bond.Check()
	if got := fmt.Sprint(found.Damage); err != nil || got != "[the tc filter linebond-choose of wanbond0-port is missing]" {
		t.Errorf("%s, %v", got, err)
	}
	must(t, w.bond.SetLines(w.lines))
	if found, err := w.bond.Check(); err != nil || len(found.Damage) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	w.router.sh("ping -c 2 -i 0.002 -W 10 %s", server)
}
