package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linebond/control"
	"linebond/netstate"
)

const bondFile = "[bond]\nmode = \"teql\"\n"

// patient is a line's keepalive that leaves it to the bond to act.
const patient = "keepalive.failures = 60"

// two is a bond of two lines.
var two = map[string]string{"linebond.toml": bondFile, "lines.d/a.toml": lineFile("eth1", patient), "lines.d/b.toml": lineFile("eth2", patient)}

var shared = netip.MustParseAddr("203.0.113.200")

// bonded runs a test in a world with lines a and b, which have one address.
func bonded(t *testing.T, files map[string]string, test func(t *testing.T, w *world)) {
	t.Helper()
	bubble(t, files, func(t *testing.T, w *world) {
		w.ac.address = shared
		test(t, w)
	})
}

// bothUp starts the daemon and waits for lines a and b.
func (w *world) bothUp() {
	w.t.Helper()
	w.start()
	w.reaches("a", "up")
	w.reaches("b", "up")
	synctest.Wait()
}

// bond is the status of the first bond.
func (w *world) bond() control.Bond {
	w.t.Helper()
	s, err := w.daemon.Status(w.t.Context())
	if err != nil || len(s.Bonds) == 0 {
		w.t.Fatalf("%+v, %v", s.Bonds, err)
	}
	return s.Bonds[0]
}

// has says whether the host's state has a line of text.
func (w *world) has(line string) bool {
	return slices.Contains(strings.Split(w.host.String(), "\n"), line)
}

// joins waits until a line's device is in the bond, or is not.
func (w *world) joins(line string, in bool) time.Duration {
	w.t.Helper()
	begin := time.Now()
	for range 100_000 {
		synctest.Wait()
		w.host.mu.Lock()
		found := slices.Contains(w.host.state.Qdiscs, netstate.Qdisc{Device: "ppp-" + line, Kind: "teql0"})
		w.host.mu.Unlock()
		if found == in {
			return time.Since(begin)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("%s in the bond: %v", line, !in)
	return 0
}

// TestBond is the main job of a bond: its lines join when they are up, and one
// that is silent leaves before its session ends, and comes back.
func TestBond(t *testing.T) {
	bonded(t, two, func(t *testing.T, w *world) {
		w.bothUp()
		for _, want := range []string{
			"link teql0 up mtu 1500 txqueuelen 1000 bond alias linebond",
			"qdisc teql0 dev ppp-a root", "qdisc teql0 dev ppp-b root",
			"address 203.0.113.200/32 dev teql0",
			"route default dev teql0 proto 108 metric 100",
		} {
			if !w.has(want) {
				t.Errorf("missing: %s; there is\n%s", want, w.host)
			}
		}
		w.expect(1, "info joined line=a bond=teql0 reason=up")
		w.expect(1, "bond=teql0 reason=up lines=2")
		session := w.status()["a"].Session.ID
		time.Sleep(10 * time.Second)

		w.ac.with(func(a *fakeAC) { a.deafTo = "ppp-a" })
		if d := w.joins("a", false); d > 4100*time.Millisecond {
			t.Errorf("a silent line has left after %v", d)
		}
		w.expect(1, "info left line=a bond=teql0 reason=echoes unanswered: 3 lines=1")
		b := w.bond()
		if a := b.Members[0]; a.In || a.Reason != "echoes unanswered: 3" || a.Rejoin != nil || b.Members[1].Share != 1 {
			t.Errorf("%+v", b)
		}
		if !w.has("route default dev teql0 proto 108 metric 100") || !w.has("qdisc teql0 dev ppp-b root") {
			t.Errorf("the other line does not serve:\n%s", w.host)
		}

		w.ac.with(func(a *fakeAC) { a.deafTo = "" })
		time.Sleep(2 * time.Second)
		if a := w.bond().Members[0]; a.In || a.Rejoin == nil || a.Reason != "fell once; waits 5s" {
			t.Errorf("%+v", a)
		}
		if d := w.joins("a", true); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("a line that answers again is back after 2s+%v", d)
		}
		w.expect(1, "info joined line=a bond=teql0 reason=up again for 5s lines=2")
		if got := w.status()["a"].Session.ID; got != session {
			t.Errorf("session %d, which was %d", got, session)
		}
	})
}

// TestBondStatus: what the bond's lines carry.
func TestBondStatus(t *testing.T) {
	bonded(t, two, func(t *testing.T, w *world) {
		rate := map[string]uint64{"ppp-a": 1000, "ppp-b": 3000} // bytes of each direction in a second
		w.host.traffic = traffic(rate)
		w.bothUp()
		time.Sleep(time.Minute)
		b := w.bond()
		about := cmpopts.EquateApprox(0.05, 0) // the readings are between two packets
		if diff := cmp.Diff(&control.Rates{RxBits: 64_000, TxBits: 32_000, RxPackets: 80, TxPackets: 40}, b.Rates, about); diff != "" {
			t.Error(diff)
		}
		if b.Device != "teql0" || b.Mode != "teql" || b.MTU != 1500 || !cmp.Equal(b.Addresses, []string{"203.0.113.200"}) || len(b.Members) != 2 {
			t.Errorf("%+v", b)
		}
		want := control.Member{
			Line: "a", Device: "ppp-a", In: true, Reason: "up", Since: b.Members[0].Since, Share: 0.5, Sent: &control.Sent{Packets: 0.25, Bytes: 0.25},
			Rates: &control.Rates{RxBits: 16_000, TxBits: 8_000, RxPackets: 20, TxPackets: 10},
		}
		if diff := cmp.Diff(want, b.Members[0], about); diff != "" {
			t.Error(diff)
		}
		if r := w.status()["b"].Rates; r == nil || r.TxBits < 23_999 || r.TxBits > 24_001 {
			t.Errorf("line b: %+v", r)
		}
	})
}

// TestBondReload: a bond comes, changes and goes without a line's session
// ending, and so does what linebond.toml says of the host.
func TestBondReload(t *testing.T) {
	files := map[string]string{"lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": two["lines.d/b.toml"], "linebond.toml": ""}
	bonded(t, files, func(t *testing.T, w *world) {
		w.bothUp()
		sessions := func() string { return fmt.Sprint(w.status()["a"].Session.ID, w.status()["b"].Session.ID) }
		before := sessions()
		if w.has("qdisc teql0 dev ppp-a root") || !w.has(routeA) {
			t.Errorf("without a bond:\n%s", w.host)
		}
		reload := func(linebond, b string) {
			t.Helper()
			w.write("linebond.toml", linebond)
			w.write("lines.d/b.toml", lineFile("eth2", patient+"\n"+b))
			w.hup()
			time.Sleep(2 * settleTime) // the module is loaded first
			synctest.Wait()
			if after := sessions(); after != before {
				t.Errorf("sessions %s, which were %s", after, before)
			}
		}
		reload(bondFile+"[[forward]]\nport = 443\nto = \"192.168.7.10\"\n", "")
		if !w.has("qdisc teql0 dev ppp-a root") || !w.has("qdisc teql0 dev ppp-b root") || w.has(routeA) {
			t.Errorf("with a bond:\n%s", w.host)
		}
		if !w.tableHas("192.168.7.10") {
			t.Errorf("without the forward:\n%s", w.host)
		}
		reload(bondFile, "fallback = true")
		if !w.has("qdisc teql0 dev ppp-a root") || w.has("qdisc teql0 dev ppp-b root") || w.tableHas("") {
			t.Errorf("with b as a fallback:\n%s", w.host)
		}
		w.expect(1, "info left line=b bond=teql0 reason=fallback: other lines are up lines=1")
		reload(bondFile, "bond = \"none\"")
		if w.has("qdisc teql0 dev ppp-b root") || !w.has("route default dev ppp-b proto 108 metric 200") {
			t.Errorf("with b by itself:\n%s", w.host)
		}
		reload("", "")
		if w.has("qdisc teql0 dev ppp-a root") || strings.Contains(w.host.String(), "teql0 up") || !w.has(routeA) {
			t.Errorf("without a bond again:\n%s", w.host)
		}
		w.expect(0, "started again")
	})
}

// tableHas says whether the host has a table with such a target in a rule; of
// the target "", whether it has a table at all.
func (w *world) tableHas(target string) bool {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	return w.host.state.Table != nil && strings.Contains(fmt.Sprint(*w.host.state.Table), target)
}

// TestBondShutdown: nothing is left behind but what came with the kernel's
// module, as it was, and settings.
func TestBondShutdown(t *testing.T) {
	files := map[string]string{"linebond.toml": bondFile + "[lan]\ninterfaces = [\"lan0\"]\n", "lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": two["lines.d/b.toml"]}
	bonded(t, files, func(t *testing.T, w *world) {
		w.host.state.Links = append(w.host.state.Links, teql("teql0"))
		before := w.host.String()
		w.bothUp()
		if !w.tableHas("") || !w.has("qdisc teql0 dev ppp-a root") {
			t.Errorf("before:\n%s", w.host)
		}
		w.host.ops = nil
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		before = strings.NewReplacer("link eth1 mtu", "link eth1 up mtu", "link eth2 mtu", "link eth2 up mtu").Replace(before)
		if diff := cmp.Diff(before, w.host.String()); diff != "" || w.tableHas("") {
			t.Errorf("left behind:\n%s", diff)
		}
		for _, op := range w.host.ops {
			if strings.Contains(op, "tc qdisc") {
				t.Errorf("%s: the bond did not stay until its lines were closed", op)
			}
		}
	})
}

// TestBondAdopted: after a kill -9 the bond goes on where it is: connections
// through it live on.
func TestBondAdopted(t *testing.T) {
	files := map[string]string{"linebond.toml": bondFile + "[lan]\ninterfaces = [\"lan0\"]\n", "lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": two["lines.d/b.toml"]}
	bonded(t, files, func(t *testing.T, w *world) {
		w.bothUp()
		left, err := w.host.Observe(netstate.State{})
		if err != nil {
			t.Fatal(err)
		}
		w.ac.with(func(a *fakeAC) { a.silent = true }) // it does not hear of the end
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		w.ac.with(func(a *fakeAC) { a.silent = false })
		w.host.change(func(h *fakeHost) {
			h.state = left
			h.remove("ppp-a")
			h.remove("ppp-b")
			h.ops = nil
		})
		w.bothUp()
		if !w.has("qdisc teql0 dev ppp-a root") || !w.has("qdisc teql0 dev ppp-b root") {
			t.Errorf("the lines have not joined:\n%s", w.host)
		}
		for _, op := range w.host.ops {
			if strings.Contains(op, "dev teql0 down") || strings.Contains(op, "address") && strings.Contains(op, "teql0") || strings.Contains(op, "nft") {
				t.Errorf("%s: the bond was not left as it was", op)
			}
		}
	})
}

// TestBondMissing: a kernel without TEQL is told of, and the lines are up
// nevertheless.
func TestBondMissing(t *testing.T) {
	bonded(t, two, func(t *testing.T, w *world) {
		w.host.missing = true
		w.bothUp()
		time.Sleep(time.Minute)
		w.expect(1, "warn host networking is not as it should be", "sch_teql max_equalizers=1: no such module")
		w.host.mu.Lock()
		w.host.missing = false // nobody announces that
		w.host.mu.Unlock()
		if d := w.joins("a", true); d > retryAfter+100*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

// TestAddressesDiffer: the warning comes once, also when lines come and go.
func TestAddressesDiffer(t *testing.T) {
	bubble(t, two, func(t *testing.T, w *world) {
		w.bothUp()
		for range 3 {
			w.command("b", control.Down)
			w.reaches("b", "down")
			w.command("b", control.Up)
			w.reaches("b", "up")
		}
		synctest.Wait()
		w.expect(1, "warn bond bond=teql0 reason=the lines have different addresses (a 203.0.113.")
	})
}

// TestStrict: a setting for all devices is told of, where there are lines.
func TestStrict(t *testing.T) {
	for value, count := range map[string]int{"0": 0, "1": 1, "2": 0} {
		bubble(t, one, func(t *testing.T, w *world) {
			w.host.state.Sysctls = append(w.host.state.Sysctls, netstate.Sysctl{Key: strictAll, Value: value})
			w.up()
			w.expect(count, "reverse path filtering is strict")
			w.remove("lines.d/a.toml")
			if err := w.stop(); err != nil {
				t.Error(err)
			}
			w.start()
			w.expect(count, "reverse path filtering is strict") // and not once more
			if !w.has("sysctl " + strictAll + "=" + value) {
				t.Errorf("the setting has been touched:\n%s", w.host)
			}
		})
	}
}

// TestCleanup: what a dead daemon has left is listed, and goes.
func TestCleanup(t *testing.T) {
	left := func() *fakeHost {
		h := newHost("eth1")
		bond := teql("teql0")
		bond.Ours, bond.Up = true, true
		vlan := netstate.Link{Name: "eth1.101", Ours: true, Up: true, MTU: 1508, VLAN: netstate.VLAN{Parent: "eth1", ID: 101, Protocol: netstate.Dot1Q}}
		h.state.Links = append(h.state.Links, bond, vlan)
		h.state.Addresses = []netstate.Address{netstate.PeerAddress("teql0", shared, netip.Addr{})}
		h.state.Routes = []netstate.Route{{Destination: netstate.DefaultIPv4, Device: "teql0", Metric: 100}}
		h.state.Table = &netstate.Table{}
		return h
	}
	const stays = "# net.ipv4.ip_forward and net.ipv6.conf.all.forwarding stay as they are: others may need them, too\n"
	const all = "ip route delete default dev teql0 proto 108 metric 100\nip address delete 203.0.113.200/32 dev teql0\n" +
		"ip link delete dev eth1.101\nip link set dev teql0 down mtu 1500 txqueuelen 100 alias ''\nnft delete table inet linebond\n" + stays
	h := left()
	for _, c := range []struct {
		dryRun    bool
		out, left string
	}{{true, all, h.String()}, {false, all, "link eth1 mtu 1508\nlink teql0 mtu 1500 txqueuelen 100 bond"}, {false, "nothing of linebond's is in the kernel\n", "link eth1 mtu 1508\nlink teql0 mtu 1500 txqueuelen 100 bond"}} {
		var out strings.Builder
		if err := Cleanup(h, nil, c.dryRun, &out); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.out, out.String()); diff != "" {
			t.Errorf("dry run %v:\n%s", c.dryRun, diff)
		}
		if diff := cmp.Diff(c.left, h.String()); diff != "" {
			t.Errorf("dry run %v, left:\n%s", c.dryRun, diff)
		}
	}
}
