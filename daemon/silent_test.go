package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"linebond/bond"
	"linebond/config"
	"linebond/control"
)

// TestSilent: that the program passes a line over is told, in the log and in the
// status, and how many packets that has sent elsewhere.
func TestSilent(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		s := f.made["wanbond0"]
		after := func(device string, silent bool, passed uint64) {
			s.hush(device, silent, passed)
			time.Sleep(2 * listenEvery)
			synctest.Wait()
		}
		reasons := func(a, b string) {
			t.Helper()
			if m := w.bond().Members; m[0].Reason != a || m[1].Reason != b {
				t.Errorf("the reasons are %q and %q, not %q and %q", m[0].Reason, m[1].Reason, a, b)
			}
		}
		reasons("up", "up")
		after("ppp-a", true, 5)
		w.expect(1, "info silent line=a bond=wanbond0")
		w.expect(0, "info heard")
		reasons("silent: passed over", "up")
		after("ppp-b", true, 0)
		w.expect(1, "info silent line=b bond=wanbond0")
		reasons("silent", "silent")
		after("ppp-a", false, 9)
		after("ppp-b", false, 4)
		w.expect(1, "info heard line=a bond=wanbond0 passed=9")
		w.expect(1, "info heard line=b bond=wanbond0 passed=4")
		reasons("up", "up")
		after("ppp-a", false, 10) // there was a silence between two readings
		w.expect(1, "info heard line=a bond=wanbond0 passed=1")

		// The daemon takes it out, and reads once more before.
		w.logs.TakeAll()
		w.ac.with(func(a *fakeAC) { a.deafTo = "ppp-a" })
		time.Sleep(time.Second)
		s.hush("ppp-a", true, 40)
		f.carries(t, "ppp-b")
		w.expect(1, "info silent line=a bond=wanbond0")
		w.expect(1, "info left line=a bond=wanbond0 reason=echoes unanswered: 3 lines=1 passed=30")

		// It is another line when it is in again.
		s.hush("ppp-a", false, 0)
		w.ac.with(func(a *fakeAC) { a.deafTo = "" })
		f.carries(t, "ppp-a ppp-b")
		time.Sleep(2 * listenEvery)
		synctest.Wait()
		w.expect(0, "info heard")
		w.command("a", control.Down)
		f.carries(t, "ppp-b")
		time.Sleep(time.Second)
		synctest.Wait()
		w.expect(1, "info left line=a bond=wanbond0 reason=line ", ": by the operator lines=1")
		w.expect(1, "passed=")
	})
}

func TestWaits(t *testing.T) {
	known, learned := bond.Membership{In: true, Upload: 1e6}, bond.Membership{In: true, Auto: true, Learned: true}
	learns, out, unknown := bond.Membership{In: true, Auto: true}, bond.Membership{Auto: true}, bond.Membership{In: true}
	for name, c := range map[string]struct {
		shaping string
		members []bond.Membership
		want    bool
	}{
		"none is in":             {config.ShapingCake, []bond.Membership{out}, false},
		"one is to be learned":   {config.ShapingCake, []bond.Membership{known, learns, out}, true},
		"all are known":          {config.ShapingCake, []bond.Membership{known, learned, out}, false},
		"one will never be":      {config.ShapingCake, []bond.Membership{learns, unknown}, false},
		"no queue is configured": {config.ShapingNone, []bond.Membership{known, learns}, false},
	} {
		if got := waits(config.Bond{Shaping: c.shaping}, bond.Bond{Members: c.members}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
