package daemon

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linebond/control"
	"linebond/netstate"
	"linebond/scheduler"
)

// refuseEBPF has the world's kernel do so; what an earlier process has left can
// be removed all the same.
func (w *world) refuseEBPF() {
	f := w.useSchedulers()
	f.refuse = fmt.Errorf("the bond wanbond0: %w: operation not permitted", scheduler.ErrRefused)
	w.options.Effects.CleanupSchedulers = func() error {
		w.host.change(func(h *fakeHost) { h.remove("wanbond0") })
		return nil
	}
}

// spreads waits until packets take turns, or a line is alone.
func (w *world) spreads(t *testing.T, rules ...string) {
	t.Helper()
	missing := func() string {
		for _, rule := range rules {
			if !strings.Contains(w.host.String(), rule) {
				return rule
			}
		}
		return ""
	}
	for range 10_000 {
		if synctest.Wait(); missing() == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %s in\n%s", missing(), w.host)
}

// TestNumgen: a kernel that refuses eBPF. The bond's packets are spread without,
// from the beginning, also where an earlier process had it.
func TestNumgen(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		w.refuseEBPF()
		w.host.state.Links = append(w.host.state.Links, netstate.Link{Name: "wanbond0", Weighted: true, Ours: true, Up: true, MTU: 1400})
		w.bothUp()
		const (
			turns = `numgen inc mod 5 < 1 meta mark set meta mark & 0xb9ffffff | 0x39000000 accept comment "turns of line b"`
			a     = ` == 0x0e000000 meta mark set meta mark & 0xdeffffff | 0x5e000000 accept comment "turns of line a"`
			b     = ` == 0x0e000000 meta mark set meta mark & 0xb9ffffff | 0x39000000 accept comment "turns of line b"`
		)
		w.spreads(t, turns, a, "route default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1")
		if strings.Contains(w.host.String(), "wanbond0 up") {
			t.Errorf("the device of an earlier process is left:\n%s", w.host)
		}
		w.expect(1, `warn mode "weighted" goes on without eBPF`, "the kernel refuses the eBPF scheduler", "operation not permitted")
		w.expect(1, "info joined line=a bond=wanbond0 reason=up")
		w.expect(1, "info joined line=b bond=wanbond0 reason=up")
		if got := w.trouble(); got != "" {
			t.Errorf("trouble %q", got)
		}
		if status := w.bond(); !status.Numgen || status.Mode != "weighted" || status.Scheduler != nil || status.Members[0].Share != 0.8 {
			t.Errorf("status %+v", status)
		}

		w.ac.with(func(ac *fakeAC) { ac.deafTo = "ppp-a" })
		w.spreads(t, b)
		w.expect(1, "info left line=a bond=wanbond0 reason=echoes unanswered: 3 lines=1")
		w.ac.with(func(ac *fakeAC) { ac.deafTo = "" })
		w.spreads(t, turns, a)

		session := w.reaches("b", "up").Session.ID
		w.write("lines.d/b.toml", lineFile("eth2", "upload = \"10mbit\"\n"+patient))
		w.hup()
		w.spreads(t, "numgen inc mod 3 < 1 meta mark set meta mark & 0xb9ffffff | 0x39000000 accept", a)
		if got := w.status()["b"].Session.ID; got != session {
			t.Errorf("session %d, was %d", got, session)
		}
		w.command("a", control.Down)
		w.command("b", control.Down)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if strings.Contains(w.host.String(), "turns of line") {
			t.Errorf("without a line:\n%s", w.host)
		}
		w.expect(1, `warn mode "weighted" goes on without eBPF`)
	})
}
