package load

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"linebond/control"
	"linebond/lab/internet"
)

// shape has the daemon read another shaping.
func (w *unequal) shape(shaping string) {
	w.t.Helper()
	file := filepath.Join(w.dir, "linebond.toml")
	text, err := os.ReadFile(file)
	must(w.t, err)
	var rest []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "shaping") {
			rest = append(rest, line)
		}
	}
	changed := strings.Replace(strings.Join(rest, ""), "[bond]\n", "[bond]\nshaping = \""+shaping+"\"\n", 1)
	must(w.t, os.WriteFile(file, []byte(changed), 0o600))
	must(w.t, w.process.Process.Signal(syscall.SIGHUP))
	w.wait("shaping "+shaping, func(b control.Bond) bool { return (queueOf(b) != nil) == (shaping == "cake") })
}

func queueOf(b control.Bond) *control.Queue {
	if b.Scheduler == nil {
		return nil
	}
	return b.Scheduler.Queue
}

// dropped is how many frames have found no room in the modems on their way up.
func (w *unequal) dropped() (frames uint64) {
	for _, m := range w.modems {
		frames += m.Counters().Up.Dropped
	}
	return frames
}

// With shaping it is the bond's own queue that is full, and no more those of the modems; it is counted, and put right. (How long packets
// wait is not measured here: modems of user space that get no processor for a while have queues that a line has not.)
func TestShaping(t *testing.T) {
	usual := uploads
	uploads = []float64{4e6, 1e6} // little enough for a busy machine to fill
	t.Cleanup(func() { uploads = usual })
	w := newUnequal(t)
	w.wait("both lines", w.in(true, true))
	var upload *internet.Transfer // one of several, which fill modems that nothing protects
	for range 4 {
		upload = internet.StartUpload(w.dial, webServer)
		defer upload.Close()
	}
	w.shape("none")
	before := w.dropped()
	w.wait("the modems to drop", func(control.Bond) bool { return w.dropped() > before })

	w.shape("cake")
	const enough = 20
	var from uint64
	begun := false
	w.wait("the bond's queue to drop packets, and the modems none meanwhile", func(b control.Bond) bool {
		q := queueOf(b)
		if q == nil {
			return false
		}
		if dropped := w.dropped(); !begun || dropped > before {
			begun, before, from = true, dropped, q.Drops
		}
		return q.Drops >= from+enough
	})
	w.goesOn(upload, 1e6)

	must(t, w.process.Process.Kill())
	<-w.end
	w.start()
	shaped := func(b control.Bond) bool {
		return w.in(true, true)(b) && queueOf(b) != nil && queueOf(b).Rate > 4e6 && queueOf(b).Rate < 4.95e6 // less the echoes, and what a slow modem is doubted
	}
	w.wait("the queue after the daemon was killed", shaped)
	w.sh(w.home, "tc qdisc delete dev wanbond0 root")
	w.wait("the queue after somebody has deleted it", shaped)
	w.goesOn(upload, 1e6)

	must(t, w.process.Process.Signal(syscall.SIGTERM))
	must(t, <-w.end)
	w.nothingLeft("the daemon has ended")
}
