package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

// The rates of these tests' lines are so low that it is mostly them, and not the guest on a busy machine, that hold the traffic back.

// uneven is a line of a bond of mode "weighted".
type uneven struct {
	up    float64       // Mbit/s
	delay time.Duration // each way
	ebpf  bool          // not the kernel's PPPoE
}

// buffer is how long a packet waits at most in a modem before the line.
const buffer = 500 * time.Millisecond

// modem has a buffer of a length in time, as real ones have.
func (u uneven) modem() lab.ModemConfig {
	const full = 1514 * 8 // bits
	return lab.ModemConfig{Up: u.up, Down: 1, Delay: u.delay, Queue: max(10, int(u.up*1e6*buffer.Seconds()/full))}
}

// The LAN's IPv6 network, and the one that is routed to the customer.
const (
	customer6  = "2001:db8:108::/56"
	routerLAN6 = "2001:db8:108:1::1"
	hostLAN6   = "2001:db8:108:1::2"
)

// weighted is a bond of mode "weighted".
type weighted struct {
	*bonded
	lines []uneven
	wires []*wiretap
}

// bondOf is what linebond.toml says of the bond.
func bondOf(shaping string) string {
	return fmt.Sprintf("addresses = [%q, %q]\nshaping = %q\n", lab.BondAddress, public6, shaping)
}

const weightedHealth = "[health]\nfailures = 5\nrejoin_after = \"100ms\"\n"

// newWeighted makes the lines, each with an upload as it is, and linebond's files; more is what else a line's file says, by name.
func newWeighted(t *testing.T, lines []uneven, more map[string]string) *weighted {
	t.Helper()
	s := bondSet{mode: "weighted", bond: bondOf("none"), more: weightedHealth, line: map[string]string{}}
	s.lab.AC.Options = []string{"lcp-echo-failure 30"}
	s.lab.AC.IPv6, s.lab.Block = true, netip.MustParsePrefix(customer6)
	for i, u := range lines {
		s.lab.Lines = append(s.lab.Lines, u.modem())
		name := string(rune('a' + i))
		s.line[name] = lineOf(u) + more[name]
	}
	w := &weighted{bonded: newBonded(t, s), lines: lines}
	w.Router.IP(t, "address add "+routerLAN6+"/64 dev lan0 nodad")
	w.LAN.IP(t, "address add "+hostLAN6+"/64 dev host0 nodad", "route add default via "+routerLAN6)
	w.Router.Run(t, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
	return w
}

// up is bonded's, with more patience: when many tests begin at once the emulated machine is long about checking their programs.
func (w *weighted) up(t *testing.T) {
	t.Helper()
	w.linebond.Start(t)
	for _, l := range w.Lines {
		lab.Eventually(t, 3*limit, w.linebond.Reaches(l.Name, "up", ""))
	}
	w.in(t, w.names()...)
	w.reaches(t)
}

// lineOf is what its file says of a line besides where it is. The session outlives what the tests do, unless they end it.
func lineOf(u uneven) string {
	text := fmt.Sprintf("upload = \"%gmbit\"\nkeepalive.failures = 15\n", u.up)
	if u.ebpf {
		text += ebpf
	}
	return text
}

// TestWeighted: lines of all kinds as one. Each has its share of the bytes, whoever sends them, and the flow goes on whatever happens.
func TestWeighted(t *testing.T) {
	t.Parallel()
	const near, far = 5 * time.Millisecond, 25 * time.Millisecond
	for _, test := range []struct {
		name   string
		lines  []uneven
		faults []int // of weightedFaults, by turns of the lines
		kill   bool  // the daemon, too
	}{
		{"4 to 1", []uneven{{0.8, near, false}, {0.2, near, false}}, []int{blackHoled, pulled}, false},
		{"2 to 1, eBPF, unequal delays", []uneven{{0.6, near, true}, {0.3, far, true}}, []int{slowed, killedAC}, true},
		{"four, of each kind", []uneven{{1, near, false}, {0.4, far, true}, {0.2, near, false}, {0.1, far, true}}, []int{endedByPADT}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWeighted(t, test.lines, nil)
			before := w.settled(t)
			w.up(t)
			w.tap(t)
			w.checkTraffic(t)
			for i, f := range test.faults {
				w.fails(t, weightedFaults[f], i%len(w.lines))
			}
			w.floods(t)
			w.checkClean(t)
			if test.kill {
				w.killed(t, before)
			} else {
				w.ends(t, before)
			}
		})
	}
}

// killed: what happens to a flow when the daemon does not end by itself, and what is left behind in the end.
func (w *weighted) killed(t *testing.T, before string) {
	t.Helper()
	flow := lab.NewFlow(t, w.LAN, w.ISP, lab.BondServer)
	flow.GoesOn(t, 64<<10)
	w.linebond.Kill(t)
	if w.all(func(u uneven) bool { return u.ebpf }) { // the kernel's PPPoE ends with the process
		flow.GoesOn(t, 64<<10)
	}
	w.linebond.Start(t)
	w.in(t, w.names()...)
	flow.GoesOn(t, 64<<10)
	if err := w.linebond.Logged("scheduler", `"bond": "wanbond0"`, `"adopted": true`); err != nil {
		t.Error(err)
	}
	w.checkUse(t, "after kill -9", flow)
	w.linebond.Kill(t)
	if out, err := w.linebond.Cleanup(t); err != nil || !strings.Contains(out, "ip link delete wanbond0") {
		t.Errorf("cleanup: %v: %s", err, out)
	}
	w.nothingLeft(t, before)
	w.up(t)
	w.ends(t, before)
}

// ends has the daemon end in good order, under load.
func (w *weighted) ends(t *testing.T, before string) {
	t.Helper()
	lab.NewFlow(t, w.LAN, w.ISP, lab.BondServer).GoesOn(t, 64<<10)
	if took := w.linebond.Stop(t); took > stopLimit {
		t.Errorf("to end under load took linebond %v", took)
	}
	w.nothingLeft(t, before)
}

func (w *weighted) all(is func(uneven) bool) bool {
	for _, u := range w.lines {
		if !is(u) {
			return false
		}
	}
	return true
}

// nothingLeft wants the host as it was before the daemon came, down to the pinned maps.
func (w *weighted) nothingLeft(t *testing.T, before string) {
	t.Helper()
	w.becomes(t, before)
	entries, err := os.ReadDir(w.linebond.Pins())
	if err != nil || len(entries) > 0 {
		t.Errorf("in the BPF file system there is left: %v, %v", entries, err)
	}
}

// TestWeightedReload: what linebond.toml and a line's file say anew holds at once, and no session is made anew for it.
func TestWeightedReload(t *testing.T) {
	t.Parallel()
	more := map[string]string{"b": "mtu = 1400\n"}
	w := newWeighted(t, []uneven{{0.4, 5 * time.Millisecond, false}, {0.4, 5 * time.Millisecond, true}}, more)
	w.up(t)
	first, err := w.linebond.Line("a")
	if err != nil {
		t.Fatal(err)
	}
	status, err := w.linebond.Status()
	if err != nil || status.Bonds[0].MTU != 1400 || !strings.Contains(w.Router.Run(t, "ip", "link", "show", "wanbond0"), " mtu 1400 ") {
		t.Errorf("the bond's MTU: %v: %+v", err, status.Bonds)
	}
	if err := w.linebond.Logged("wanbond0", "the lines have different MTUs (a 1492, b 1400), and the bond has the least, 1400"); err != nil {
		t.Error(err)
	}
	w.floods(t)
	w.lines[0].up, w.lines[1].up = 0.6, 0.2
	for i, l := range w.Lines {
		l.Modem.SetUp(t, w.lines[i].up)
		w.line(t, l, lineOf(w.lines[i])+more[l.Name])
	}
	if out, err := w.linebond.Run("reload"); err != nil {
		t.Fatalf("reload: %v: %s", err, out)
	}
	lab.Eventually(t, limit, func() error { return w.linebond.Logged("ppp-a rate 569", "ppp-b rate 189") })
	w.floods(t)
	if again, err := w.linebond.Line("a"); err != nil || again.Session == nil || again.Session.ID != first.Session.ID {
		t.Errorf("the session was not kept: %v: %+v, before %+v", err, again.Session, first.Session)
	}
	flow := lab.NewFlow(t, w.LAN, w.ISP, lab.BondServer)
	w.reshaped(t, flow)
	flow.Stop()
	w.checkClean(t)
	w.foreignHand(t)
}

// reshaped: the queue on the bond's device comes and goes under load.
func (w *weighted) reshaped(t *testing.T, flow *lab.Flow) {
	t.Helper()
	for _, shaping := range []string{"cake", "none"} {
		w.reload(t, bondOf(shaping), weightedHealth)
		lab.Eventually(t, limit, func() error {
			kind, err := w.Router.Qdisc("wanbond0")
			if err == nil && (kind == "cake") != (shaping == "cake") {
				err = fmt.Errorf("with shaping %q the bond's qdisc is %q", shaping, kind)
			}
			return err
		})
		w.checkUse(t, "with shaping "+shaping, flow)
	}
}

// foreignHand: what somebody else takes away comes back.
func (w *weighted) foreignHand(t *testing.T) {
	t.Helper()
	w.Router.Run(t, "ip", "link", "delete", "wanbond0")
	w.reaches(t)
	w.in(t, w.names()...)
	before := w.settled(t)
	for _, command := range []string{
		"ip link set wanbond0 down", "ip link set wanbond0 mtu 1300", "ip route delete default dev wanbond0", "nft flush ruleset",
		"tc qdisc delete dev wanbond0-port clsact", "tc qdisc delete dev ppp-a clsact",
	} {
		fields := strings.Fields(command)
		w.Router.Run(t, fields[0], fields[1:]...)
		w.becomes(t, before)
	}
	w.reaches(t)
}
