//go:build bench

package bench

import (
	"fmt"
	"testing"
	"time"

	"linebond/lab"
)

// TestBenchLearned has linebond find out the rates, at first and after a line has dropped to half of its rate without notice: how long it
// takes until the flows have 90 % of the sum for three seconds.
func TestBenchLearned(t *testing.T) {
	how := cake
	how.said = auto
	w := newWorld(t, how, unequal...)
	var flows []*lab.Flow
	for range 4 { // one alone is limited by its window
		flow := lab.NewFlow(t, w.LAN, w.ISP, lab.BondServer)
		defer flow.Stop()
		flows = append(flows, flow)
	}
	fmt.Println("\nupload = \"auto\", four flows of TCP: from there to 90 % of the sum")
	fmt.Printf("| nothing is known | %.0f s |\n", w.reaches(flows).Seconds())
	w.lines[0].rate /= 2
	w.Lines[0].Modem.SetUp(t, w.lines[0].rate)
	fmt.Printf("| the faster line drops to half | %.0f s |\n", w.reaches(flows).Seconds())
}

// reaches waits until flows have 90 % of the sum.
func (w *world) reaches(flows []*lab.Flow) time.Duration {
	w.t.Helper()
	const window, limit = 3, 180 // s
	const payload = (mtu - 52.) / (mtu + overhead)
	received := func() (bytes int64) {
		for _, f := range flows {
			bytes += f.Received()
		}
		return bytes
	}
	begin, marks := time.Now(), []int64{received()}
	for range limit {
		<-time.After(time.Second)
		marks = append(marks, received())
		if n := len(marks) - 1 - window; n >= 0 && float64(8*(marks[n+window]-marks[n])) >= 0.9*window*payload*w.sum() {
			return time.Since(begin)
		}
	}
	w.t.Errorf("after %d s it has %.2f of the sum", limit, float64(8*(marks[limit]-marks[0]))/limit/payload/w.sum())
	return time.Since(begin)
}
