package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/control"
	"linebond/kernel"
	"linebond/netstate"
)

// shapedUnequal is a weighted bond with a queue of its own.
func shapedUnequal() map[string]string {
	files := unequal()
	files["linebond.toml"] = "[bond]\nmode = \"weighted\"\n"
	return files
}

// TestShaped: the queue is there while lines are, in the sum of their rates, and
// put right; status and the log tell of it.
func TestShaped(t *testing.T) {
	bonded(t, shapedUnequal(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		time.Sleep(time.Second)
		const both, one = "qdisc cake dev wanbond0 root bandwidth 24775472bit overhead 30", "qdisc cake dev wanbond0 root bandwidth 19799696bit overhead 30"
		if lines, _ := f.made["wanbond0"].told(); !w.has(both) || lines[0].Rate != 20_000_000-304 || lines[1].Rate != 5_000_000-240 {
			t.Errorf("lines %+v, host\n%s", lines, w.host)
		}
		w.expect(1, "info shaper bond=wanbond0 kind=cake")
		w.host.change(func(h *fakeHost) {
			h.queue = kernel.ShaperStats{Kind: netstate.ShaperCake, Rate: 24_776_016, Backlog: 3000, Drops: 4, Marks: 5}
		})
		want := &control.Queue{Kind: "cake", Rate: 24_776_016, Backlog: 3000, Drops: 4, Marks: 5}
		if diff := cmp.Diff(want, w.bond().Scheduler.Queue); diff != "" {
			t.Error(diff)
		}

		w.command("b", control.Down)
		f.carries(t, "ppp-a")
		time.Sleep(time.Second)
		if !w.has(one) {
			t.Errorf("with one line:\n%s", w.host)
		}
		w.host.change(func(h *fakeHost) { h.state.Shapers = nil })
		time.Sleep(time.Second)
		if !w.has(one) {
			t.Errorf("after somebody has deleted it:\n%s", w.host)
		}
		w.host.change(func(h *fakeHost) { h.state.Shapers[0].Kind = netstate.ShaperTBF })
		time.Sleep(time.Second)
		w.expect(1, "warn shaper bond=wanbond0 kind=tbf lacking=cake, fq_codel: neither hosts nor connections get equal shares, and a ping waits behind other packets")

		w.write("linebond.toml", "[bond]\nmode = \"weighted\"\nshaping = \"none\"\n")
		w.hup()
		time.Sleep(time.Second)
		if len(w.host.state.Shapers) > 0 || w.bond().Scheduler.Queue != nil {
			t.Errorf("not to be shaped:\n%s", w.host)
		}
	})
}
