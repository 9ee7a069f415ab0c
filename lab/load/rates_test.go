package load

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"linebond/control"
	"linebond/lab/internet"
	"linebond/lab/modem"
)

var uploadLine = regexp.MustCompile(`(?m)^upload = .*$`)

// learn has the daemon start anew with lines whose rates are to be learned, by echoes as often as they are by default.
func (w *unequal) learn(shaping string) {
	w.t.Helper()
	w.shape(shaping)
	for _, name := range []string{"l0", "l1"} {
		file := filepath.Join(w.dir, "lines.d", name+".toml")
		text, err := os.ReadFile(file)
		must(w.t, err)
		text = uploadLine.ReplaceAll(text, []byte(`upload = "auto"`))
		text = regexp.MustCompile(`(?m)^keepalive.interval = .*$`).ReplaceAll(text, []byte(`keepalive.interval = "1s"`))
		must(w.t, os.WriteFile(file, text, 0o600))
	}
	w.again()
}

// tellRates logs what the daemon has said of rates.
func (w *unequal) tellRates() {
	text, _ := os.ReadFile(filepath.Join(w.dir, "log"))
	for entry := range strings.Lines(string(text)) {
		if strings.Contains(entry, "  info  rate  ") || strings.Contains(entry, "  warn  ") {
			w.t.Log(strings.TrimSpace(entry))
		}
	}
	if s, ok := w.status(); ok {
		for _, m := range s.Bonds[0].Members {
			w.t.Logf("%s: %+v", m.Line, m.Scheduled)
		}
	}
}

// again ends the daemon, and starts it.
func (w *unequal) again() {
	w.t.Helper()
	must(w.t, w.process.Process.Signal(syscall.SIGTERM))
	must(w.t, <-w.end)
	w.start()
	w.wait("both lines", w.in(true, true))
}

// believes says whether rates are learned, to a third: a busy machine makes modems slower than they are told to be.
func believes(rates ...float64) func(control.Bond) bool {
	return func(b control.Bond) bool {
		for i, m := range b.Members {
			if m.Scheduled == nil || !m.Scheduled.Learned || math.Abs(m.Scheduled.Believed-rates[i]) > 0.35*rates[i] {
				return false
			}
		}
		return true
	}
}

// carried is what some uploads get through while the first gets so many bytes through, as a part of what lines carry.
func (w *unequal) carried(transfers []*internet.Transfer, bytes int64, rates ...float64) float64 {
	w.t.Helper()
	var before, after int64
	for _, x := range transfers {
		before += x.Bytes()
	}
	took := w.goesOn(transfers[0], bytes)
	for _, x := range transfers {
		after += x.Bytes()
	}
	var all float64
	for _, r := range rates {
		all += r
	}
	return 8 * float64(after-before) / took.Seconds() / all
}

// enough is what uploads must get through of what lines carry, on a machine that has other things to do.
const enough = 0.6

// fill waits until uploads get enough through.
func (w *unequal) fill(transfers []*internet.Transfer, rates ...float64) {
	w.t.Helper()
	start, share := time.Now(), 0.0
	for share < enough {
		if time.Since(start) > patience {
			w.t.Fatalf("TCP carries %.3f of what the lines do", share)
		}
		share = w.carried(transfers, 2e6, rates...)
	}
	w.t.Logf("TCP carries %.3f of what the lines do after %v", share, time.Since(start).Round(time.Second))
}

// With upload = "auto" the rates are found while there is load, kept over a restart, and followed when a line gets slower.
func TestRates(t *testing.T) {
	w := newUnequal(t)
	w.wait("both lines", w.in(true, true))
	w.learn("cake")
	t.Cleanup(w.tellRates)

	var up []*internet.Transfer
	for range 4 {
		up = append(up, internet.StartUpload(w.dial, webServer))
		defer up[len(up)-1].Close()
	}
	start := time.Now()
	w.wait("both rates", believes(uploads...))
	t.Logf("rates found in %v", time.Since(start).Round(time.Second))
	w.fill(up, uploads...)

	must(t, w.modems[0].Set(modem.Direction{Rate: int64(uploads[0] / 2), Delay: lags[0]}, modem.Direction{Rate: 20e6, Delay: lags[0]}))
	start = time.Now()
	w.wait("half of the rate of one", believes(uploads[0]/2, uploads[1]))
	t.Logf("half of a rate found in %v", time.Since(start).Round(time.Second))
	w.fill(up, uploads[0]/2, uploads[1])

	for _, x := range up {
		must(t, x.Close())
	}
	w.again()
	w.wait("what was learned", believes(uploads[0]/2, uploads[1]))
}
