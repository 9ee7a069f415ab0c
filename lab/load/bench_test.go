//go:build bench

package load

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"linebond/lab/concentrator"
	"linebond/lab/netns"
)

const (
	thousand = 1000
	steady   = 20 * time.Second // how long the lines are left alone
)

// TestBenchThousand has a thousand lines in one daemon, with an echo a second each.
func TestBenchThousand(t *testing.T) {
	binary := build(t)
	idle := newWorld(t, binary, 0, false)
	idle.wait("the daemon", time.Now(), idle.answers)
	none := idle.memory("VmRSS")
	idle.stop()

	w := newWorld(t, binary, thousand, false)
	start := time.Now()
	sessions := w.wait("all sessions", start, func() bool { return w.established() == thousand })
	up := w.wait("all lines", start, func() bool { return w.up() == thousand })
	spent := w.cpu()
	t.Logf("set-up: %d sessions in %.1f s: %.0f/s; with their devices, addresses and routes %.1f s: %.0f/s; CPU %.1f s",
		thousand, sessions.Seconds(), thousand/sessions.Seconds(), up.Seconds(), thousand/up.Seconds(), spent.Seconds())
	<-time.After(steady)
	share := (w.cpu() - spent).Seconds() / steady.Seconds()
	rss := w.memory("VmRSS")
	t.Logf("memory: %.1f MB, %.1f kB a line; %.1f kB a line more than with none (%.1f MB); at most %.1f MB",
		rss/1000, rss/thousand, (rss-none)/thousand, none/1000, w.memory("VmHWM")/1000)
	t.Logf("steady, an echo a second each: %.1f%% of a processor", 100*share)
	w.check(thousand)
	t.Logf("closed in %.1f s", w.stop().Seconds())
	w.finished()
}

// TestBenchTransfer shows what the daemon does while its line carries as much as it can: nothing, as no packet goes through it.
func TestBenchTransfer(t *testing.T) {
	w := newWorld(t, build(t), 1, true)
	w.wait("the line", time.Now(), func() bool { return w.up() == 1 })
	for _, way := range []struct{ name, port, option string }{{"up", "5201", ""}, {"down", "5202", "-R"}} {
		server := exec.Command("iperf3", "-s", "-p", way.port, "-B", ac.String())
		ended, err := netns.Start(w.far, server)
		must(t, err)
		var text []byte
		before := w.cpu()
		w.wait("iperf3", time.Now(), func() bool { // until its server listens
			client := exec.Command("iperf3", strings.Fields("-J -t 5 --connect-timeout 1000 -c "+ac.String()+" -p "+way.port+" "+way.option)...)
			err := netns.Do(w.home, func() (err error) {
				text, err = client.Output()
				return err
			})
			return err == nil && !bytes.Contains(text, []byte(`"error"`)) // which it tells so, and ends well
		})
		spent := w.cpu() - before
		must(t, server.Process.Kill())
		<-ended // killed
		var report struct {
			End struct {
				Received struct {
					Bytes float64 `json:"bytes"`
					Rate  float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			} `json:"end"`
		}
		must(t, json.Unmarshal(text, &report))
		received := report.End.Received
		t.Logf("one line %-4s %5.2f Gbit/s; the daemon's CPU time for %.1f GB: %v", way.name, received.Rate/1e9, received.Bytes/1e9, spent)
	}
}

// established counts the sessions that the access concentrator has up.
func (w *world) established() (up int) {
	for _, s := range w.isp.Sessions() {
		if s.State == concentrator.Running {
			up++
		}
	}
	return up
}
