package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWeightedBadLine: a line that cannot be put in does the others no harm, and
// is tried again.
func TestWeightedBadLine(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		f.bad = "ppp-b"
		w.bothUp()
		f.carries(t, "ppp-a")
		heard, _ := f.made["wanbond0"].noted("ppp-a")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if now, _ := f.made["wanbond0"].noted("ppp-a"); now <= heard {
			t.Error("of the line that is in nothing is told")
		}
		if got := w.trouble(); !strings.Contains(got, "the line ppp-b: no such device") || !w.has("route default dev wanbond0 proto 108 metric 100") {
			t.Errorf("trouble %q\n%s", got, w.host)
		}
		w.expect(1, "info joined line=a bond=wanbond0")
		w.expect(0, "info joined line=b")
		w.command("a", "down")
		f.carries(t, "")
		w.command("a", "up")
		f.carries(t, "ppp-a")
		f.setBad("")
		f.carries(t, "ppp-a ppp-b")
		time.Sleep(2 * retryAfter)
		if got := w.trouble(); got != "" {
			t.Errorf("trouble %q", got)
		}
		w.expect(1, "info joined line=b bond=wanbond0")
	})
}

// TestWeightedUnseenRedial: a line that its worker has had leave comes back,
// though the supervisor has never seen it down.
func TestWeightedUnseenRedial(t *testing.T) {
	bonded(t, unequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		if was, err := f.made["wanbond0"].Leave("ppp-a"); !was || err != nil {
			t.Fatal(was, err)
		}
		f.carries(t, "ppp-a ppp-b")
	})
}
