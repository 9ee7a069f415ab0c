package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/lab"
)

const ebpf = "dataplane = \"ebpf\"\n"

// host is all that linebond could leave in the router: devices, addresses,
// routes, qdiscs and the filters of eth1.
func (l *line) host(t *testing.T) string {
	t.Helper()
	return l.settled(t) + l.router.Run(t, "tc", "qdisc") + l.router.Run(t, "tc", "filter", "show", "dev", "eth1", "ingress")
}

// TestDataplane is a line's life without the kernel's PPPoE, on a kernel before
// tcx.
func TestDataplane(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		cable lab.CableConfig
		file  string
		mtu   int
	}{
		{name: "untagged", cable: lab.CableConfig{VLAN: []uint16{}}, mtu: 1492},
		{name: "VLAN", file: "priority = 6\n", mtu: 1492},
		{name: "QinQ", cable: lab.CableConfig{VLAN: []uint16{100, 101}}, mtu: 1492},
		{name: "QinQ of 802.1Q", cable: lab.CableConfig{VLAN: []uint16{100, 101}, OuterProtocol: "802.1Q"}, file: "vlan_protocol = \"802.1q\"\n", mtu: 1492},
		{name: "MTU 1500, untagged", cable: lab.CableConfig{VLAN: []uint16{}, MTU: 1508}, mtu: 1500},
		{name: "MTU 1500, VLAN", cable: lab.CableConfig{MTU: 1508}, mtu: 1500},
		{name: "MTU 1500, QinQ", cable: lab.CableConfig{VLAN: []uint16{100, 101}, MTU: 1508}, mtu: 1500},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, set{cable: test.cable, ac: lab.ACConfig{IPv6: true}, file: ebpf + test.file})
			before := l.host(t)
			status := l.up(t)
			if status.Dataplane != "ebpf" || status.Link != "eth1" || status.Session.MTU != test.mtu {
				t.Errorf("%+v, session %+v", status, status.Session)
			}
			if links := l.router.Run(t, "ip", "-o", "link"); strings.Contains(links, "eth1.") || !strings.Contains(links, "ppp-a@ppp-a-port") {
				t.Errorf("devices:\n%s", links)
			}
			l.carries(t, test.mtu)
			l.redials(t, status.Session.ID)
			l.carries(t, test.mtu)
			if took := l.linebond.Stop(t); took > 5*time.Second {
				t.Errorf("stopping took %v", took)
			}
			if diff := cmp.Diff(before, l.host(t)); diff != "" {
				t.Errorf("linebond left something behind (-before +after):\n%s", diff)
			}
		})
	}
}

// carries has packets go through up to the MTU, and no longer ones; IPv6 as
// well. Nothing of that is dropped by the data plane.
func (l *line) carries(t *testing.T, mtu int) {
	t.Helper()
	for _, size := range []int{56, mtu - 28} {
		if err := l.router.Ping("", server, size); err != nil {
			t.Error(err)
		}
	}
	if l.router.Ping("", server, mtu-27) == nil {
		t.Errorf("a packet of more than %d bytes passed", mtu)
	}
	l.checkIPv6(t)
	status, err := l.linebond.Line("a")
	if err != nil {
		t.Fatal(err)
	}
	if status.Traffic == nil || status.Traffic.RxPackets == 0 || status.Traffic.TxPackets == 0 {
		t.Errorf("traffic: %+v", status.Traffic)
	}
	if len(status.Dropped) == 0 {
		t.Error("nothing is told of what was dropped")
	}
	for reason, n := range status.Dropped {
		if n != 0 {
			t.Errorf("dropped: %s: %d", reason, n)
		}
	}
}

// redials takes the access concentrator away without a word, and back.
func (l *line) redials(t *testing.T, old uint16) {
	t.Helper()
	l.ac.Kill(t)
	lab.Eventually(t, limit, l.linebond.Reaches("a", "discovery", ""))
	l.ac.Start(t)
	if status := l.isUp(t); status.Session.ID == old {
		t.Errorf("still session %d", old)
	}
}

// TestDataplaneAuto: a kernel that has PPPoE is left its work.
func TestDataplaneAuto(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{ac: lab.ACConfig{IPv6: true}})
	if status := l.up(t); status.Dataplane != "kernel" || status.Dropped != nil {
		t.Errorf("%+v", status)
	}
	if err := l.linebond.Logged("data plane", `"line": "a"`, `"dataplane": "kernel"`, `"reason": "this kernel has PPPoE"`); err != nil {
		t.Error(err)
	}
	l.linebond.Write(t, "lines.d/a.toml", file([]uint16{101}, password, ebpf)) // another data plane is another session
	l.linebond.Hangup(t)
	lab.Eventually(t, limit, func() error {
		status, err := l.linebond.Line("a")
		if err == nil && (status.Dataplane != "ebpf" || status.State != "up") {
			err = fmt.Errorf("%+v", status)
		}
		return err
	})
	l.carries(t, 1492)
}

// TestDataplaneKilled: after kill -9 cleanup takes everything away, and so does
// the next linebond, which ends the old session first.
func TestDataplaneKilled(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{ac: lab.ACConfig{IPv6: true}, file: ebpf})
	before := l.host(t)
	first := l.up(t)
	l.linebond.Kill(t)
	if l.host(t) == before {
		t.Error("there is nothing to clean up")
	}
	out, err := l.linebond.Cleanup(t)
	if err != nil || !strings.Contains(out, "ip link delete ppp-a-port\n") || !strings.Contains(out, "tc filter delete dev eth1 ingress pref ") {
		t.Errorf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(before, l.host(t)); diff != "" {
		t.Errorf("after cleanup (-before +after):\n%s", diff)
	}
	padts := padts(t, l.isp, l.cable.ISPLink())
	if second := l.up(t); second.Session.ID == first.Session.ID || padts() == 0 {
		t.Errorf("session %d after %d; %d PADTs", second.Session.ID, first.Session.ID, padts())
	}
	l.linebond.Kill(t)
	l.up(t)
	l.carries(t, 1492)
	l.linebond.Stop(t)
	if diff := cmp.Diff(before, l.host(t)); diff != "" {
		t.Errorf("after the next run (-before +after):\n%s", diff)
	}
}

// TestDataplaneMTU: an Ethernet device's new MTU is acted upon, as it is with
// the kernel's PPPoE.
func TestDataplaneMTU(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{cable: lab.CableConfig{MTU: 1508}, ac: lab.ACConfig{IPv6: true}, file: ebpf})
	l.up(t)
	for _, mtu := range []int{1500, 1508} {
		l.router.Run(t, "ip", "link", "set", "eth1", "mtu", fmt.Sprint(mtu))
		lab.Eventually(t, limit, func() error {
			s, err := l.linebond.Line("a")
			if err == nil && (s.State != "up" || s.Session.MTU != mtu-8) {
				err = fmt.Errorf("%s: %+v", s.State, s.Session)
			}
			return err
		})
		l.isUp(t)
		l.carries(t, mtu-8)
	}
}

// TestDataplaneBond: TEQL takes eBPF lines, but not beside lines of the
// kernel's PPPoE, of which the log says so.
func TestDataplaneBond(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, line: map[string]string{"a": ebpf, "b": ebpf}})
	b.up(t)
	const pings = 20
	var before [2]uint64
	count := func() (sent [2]uint64) {
		for i, l := range b.Lines {
			var err error
			if _, sent[i], err = b.Router.Packets("ppp-" + l.Name); err != nil {
				t.Fatal(err)
			}
		}
		return sent
	}
	before = count()
	for range pings {
		if err := b.LAN.Ping("", lab.BondServer, 56); err != nil {
			t.Error(err)
		}
	}
	for i, sent := range count() {
		if n := sent - before[i]; n < pings*2/5 {
			t.Errorf("line %d of 2 has sent %d of %d packets", i+1, n, pings)
		}
	}
	b.linebond.Write(t, "lines.d/b.toml", fmt.Sprintf("interface = %q\nvlan = 101\nusername = %q\npassword = %q\n",
		b.Lines[1].Device, lab.BondUser, lab.BondPassword))
	b.linebond.Hangup(t)
	lab.Eventually(t, limit, func() error { return b.linebond.Logged("nor one of another kind than its first") })
	b.reaches(t)
	if out, err := b.linebond.Run("check"); err != nil || !strings.Contains(out, "TEQL takes no lines of two data planes into one bond") {
		t.Errorf("check: %v\n%s", err, out)
	}
}
