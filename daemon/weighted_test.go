package daemon

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linebond/config"
	"linebond/control"
	"linebond/netstate"
	"linebond/scheduler"
)

// unequal is a weighted bond of two lines.
func unequal() map[string]string {
	return map[string]string{
		"linebond.toml":  "[bond]\nmode = \"weighted\"\nshaping = \"none\"\n",
		"lines.d/a.toml": lineFile("eth1", "upload = \"20mbit\"\noverhead = \"vdsl\"\n"+patient),
		"lines.d/b.toml": lineFile("eth2", "upload = \"5mbit\"\n"+patient),
	}
}

// carries waits until a weighted bond's packets go to these lines alone.
func (f *fakeSchedulers) carries(t *testing.T, lines string) {
	t.Helper()
	for range 10_000 {
		synctest.Wait()
		if f.lines("wanbond0") == lines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("packets go to %q, want %q", f.lines("wanbond0"), lines)
}

// TestWeighted: lines come and go, and what carries packets is told.
func TestWeighted(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		for _, want := range []string{
			"link wanbond0 up mtu 1500 weighted alias linebond",
			"address 203.0.113.200/32 dev wanbond0",
			"route default dev wanbond0 proto 108 metric 100",
		} {
			if !w.has(want) {
				t.Errorf("missing: %s; there is\n%s", want, w.host)
			}
		}
		s := f.made["wanbond0"]
		// Echo requests of 30 and 38 bytes a second are not the scheduler's.
		want := []scheduler.Line{{Device: "ppp-a", Rate: (20_000_000 - 304) * 95 / 100, Overhead: 30}, {Device: "ppp-b", Rate: (5_000_000 - 240) * 95 / 100, Overhead: 22}}
		lines, mode := s.told()
		if diff := cmp.Diff(want, lines); diff != "" || mode != (scheduler.Mode{Cap: scheduler.DefaultCap, DeadAfter: 3500 * time.Millisecond, Patience: 10 * time.Second}) {
			t.Errorf("mode %+v\n%s", mode, diff)
		}
		w.expect(1, "info scheduler bond=wanbond0 adopted=false")
		w.expect(1, "info joined line=a bond=wanbond0 reason=up")
		w.expect(1, "info joined", "bond=wanbond0 reason=up lines=2")

		heard, echoed := s.noted("ppp-a")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		h, e := s.noted("ppp-a")
		if answers, requests := h-heard, e-echoed; answers < 9 || answers > 11 || requests < 9 || requests > 11 {
			t.Errorf("%d requests, %d answers in ten seconds", requests, answers)
		}

		w.ac.with(func(a *fakeAC) { a.deafTo = "ppp-a" })
		f.carries(t, "ppp-b")
		w.expect(1, "info left line=a bond=wanbond0 reason=echoes unanswered: 3 lines=1")
		w.ac.with(func(a *fakeAC) { a.deafTo = "" })
		f.carries(t, "ppp-a ppp-b")

		w.command("b", control.Down)
		f.carries(t, "ppp-a")
		w.command("a", control.Down)
		f.carries(t, "")
		time.Sleep(time.Second) // the worker has it leave before the supervisor knows
		synctest.Wait()
		if w.has("route default dev wanbond0 proto 108 metric 100") || !w.has("address 203.0.113.200/32 dev wanbond0") {
			t.Errorf("without a line:\n%s", w.host)
		}
		w.command("b", control.Up)
		f.carries(t, "ppp-b")

		// Another rate is told, and no line is dialled anew.
		session := w.reaches("b", "up").Session.ID
		w.write("lines.d/b.toml", lineFile("eth2", "upload = \"10mbit\"\n"+patient))
		w.hup()
		lines, _ = s.told()
		if got := w.status()["b"].Session.ID; got != session || lines[0].Rate != (10_000_000-240)*95/100 {
			t.Errorf("session %d, was %d; lines %+v", got, session, lines)
		}
	})
}

// TestWeightedDevice: what somebody does to the bond's device, and what an
// earlier process has left.
func TestWeightedDevice(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		w.host.state.Links = append(w.host.state.Links,
			netstate.Link{Name: "wanbond0", Weighted: true, Ours: true, Up: true, MTU: 1400}, netstate.Link{Name: "old", Weighted: true, Ours: true, Up: true})
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		w.expect(1, "info scheduler bond=wanbond0 adopted=true")
		if w.has("link old up weighted alias linebond") {
			t.Errorf("a bond that is no longer configured is left:\n%s", w.host)
		}
		s := f.made["wanbond0"]
		s.harm("the tc filter x of y is missing", "z is down")
		w.host.change(func(*fakeHost) {})
		time.Sleep(time.Second)
		synctest.Wait()
		if s.harmed() {
			t.Error("what somebody has undone stays so")
		}
		w.expect(1, "warn scheduler bond=wanbond0 damage=the tc filter x of y is missing, z is down")
		w.host.change(func(h *fakeHost) { h.remove("wanbond0") })
		time.Sleep(time.Second)
		f.carries(t, "ppp-a ppp-b")
		if !w.has("link wanbond0 up mtu 1500 weighted alias linebond") {
			t.Errorf("the device is not made again:\n%s", w.host)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if !f.made["wanbond0"].closed || strings.Contains(w.host.String(), "wanbond0") {
			t.Errorf("left at the end:\n%s", w.host)
		}
	})
}

// TestWeightedRefused: without eBPF the lines are up, and the trouble is told.
func TestWeightedRefused(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		f.refuse = errors.New("the bond wanbond0: loading the eBPF scheduler: not supported")
		w.bothUp()
		if got := w.trouble(); !strings.Contains(got, "loading the eBPF scheduler: not supported") {
			t.Errorf("trouble %q", got)
		}
		w.expect(0, "info joined")
		f.setRefuse(nil)
		f.carries(t, "ppp-a ppp-b")
		time.Sleep(2 * retryAfter)
		if got := w.trouble(); got != "" {
			t.Errorf("trouble %q", got)
		}
	})
}

// TestWeightedUntold: what a scheduler did not take is tried again, also where
// nothing is wanted any more.
func TestWeightedUntold(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		f.setRefuse(errors.New("no memory"))
		w.command("a", control.Down)
		w.command("b", control.Down)
		time.Sleep(5 * time.Second)
		if got := w.trouble(); !strings.Contains(got, "no memory") || f.lines("wanbond0") != "ppp-a ppp-b" {
			t.Errorf("trouble %q, lines %s", got, f.lines("wanbond0"))
		}
		f.setRefuse(nil)
		f.carries(t, "")
	})
}

// TestWeightedStatus: what the program has counted.
func TestWeightedStatus(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		w.useSchedulers()
		w.bothUp()
		time.Sleep(time.Minute)
		b := w.bond()
		about := cmpopts.EquateApprox(0.05, 0)
		counted := cmpopts.IgnoreFields(control.ScheduledLine{}, "Packets", "Bytes")
		if diff := cmp.Diff(&control.Scheduler{Disorder: 0.02}, b.Scheduler, about, cmpopts.IgnoreFields(control.Scheduler{}, "Packets", "Late")); diff != "" {
			t.Error(diff)
		}
		for i, want := range []*control.ScheduledLine{
			{Rate: 20e6, Believed: 20e6, Share: 0.8, TxBits: 152_000, WireBits: 304_000, Backlog: 0.004, Drops: 7},
			{Rate: 5e6, Believed: 5e6, Share: 0.2, TxBits: 38_000, WireBits: 76_000, Backlog: 0.004, Drops: 7},
		} {
			if diff := cmp.Diff(want, b.Members[i].Scheduled, about, counted); diff != "" {
				t.Error(diff)
			}
		}
		if b.Mode != config.ModeWeighted || math.Abs(b.Members[0].Share-0.8) > 1e-4 {
			t.Errorf("%+v", b)
		}
	})
}
