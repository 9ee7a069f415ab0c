//go:build bench

package datapath

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// rounds of each measurement; the median counts.
const rounds = 5

// A rate is what one transfer reached.
type rate struct{ gbits, cpu float64 } // Gbit/s; processor seconds for a GB, both ends together

// TestBench compares one TCP flow over a line with one over a veth pair whose offloads are off, in the same run: the ways take turns, so
// that a busy machine slows both.
func TestBench(t *testing.T) {
	runtime.LockOSThread()
	unhurried(t)
	w := newWorld(t, 1500)
	w.pair(0, nil, 0)
	w.pair(1, []Tag{{ID: 101}}, 0)
	cable(w.home.host, "plain", w.isp.host, "plain", 1492)
	for i, e := range []*end{w.home, w.isp} {
		var m *maker
		e.in(func() {
			var err error
			m, err = newMaker()
			must(t, err)
		})
		must(t, m.generic.do(request{message: m.features(index(e.host, "plain"), append(slices.Clone(segmentation), checksums...))}))
		must(t, m.close())
		e.sh("ip addr add 10.1.0.%d/24 dev plain", i+1)
	}
	ways := []struct{ name, to, how string }{
		{"plain veth up", "10.1.0.2", ""}, {"plain veth down", "10.1.0.2", "-R"},
		{"line up", "10.0.0.2", ""}, {"line down", "10.0.0.2", "-R"},
		{"VLAN line up", "10.0.1.2", ""}, {"VLAN line down", "10.0.1.2", "-R"},
	}
	rates := map[string][]rate{}
	for range rounds {
		for _, way := range ways {
			rates[way.name] = append(rates[way.name], measure(t, w, way.to, way.how))
		}
	}
	for _, way := range ways {
		plain := median(rates["plain veth "+way.name[strings.LastIndex(way.name, " ")+1:]])
		m := median(rates[way.name])
		t.Logf("%-16s %5.2f Gbit/s  %4.2f of plain veth  %4.2f CPU-s/GB", way.name, m.gbits, m.gbits/plain.gbits, m.cpu)
	}
}

func median(all []rate) rate {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b rate) int { return int((a.gbits - b.gbits) * 1e6) })
	return all[len(all)/2]
}

// unhurried gives this process and its children precedence: others on the machine must not be measured.
func unhurried(t *testing.T) {
	t.Helper()
	must(t, unix.Setpriority(unix.PRIO_PROCESS, 0, -20)) // this thread's, which is the test's and starts all children
}

// measure makes one transfer.
func measure(t *testing.T, w *world, to, how string) rate {
	t.Helper()
	before := softirq(t)
	text := transfer(w.home.host, w.isp.host, to, "-J -t 2 "+how)
	spent := softirq(t) - before
	var report struct {
		End struct {
			Received struct {
				Bytes   float64 `json:"bytes"`
				Rate    float64 `json:"bits_per_second"`
				Seconds float64 `json:"seconds"`
			} `json:"sum_received"`
			CPU struct {
				Client float64 `json:"host_total"`
				Server float64 `json:"remote_total"`
			} `json:"cpu_utilization_percent"`
		} `json:"end"`
	}
	must(t, json.Unmarshal([]byte(text), &report))
	received := report.End.Received
	spent += (report.End.CPU.Client + report.End.CPU.Server) / 100 * received.Seconds
	return rate{received.Rate / 1e9, spent / (received.Bytes / 1e9)}
}

// softirq is the processor time of the kernel's network threads, in seconds (proc(5)). What other work does while it is interrupted for
// the network counts as its own: here, iperf3's.
func softirq(t *testing.T) (seconds float64) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(b), "(ksoftirqd/") {
			continue // it may have ended
		}
		const stime = 15 // the place of the time in kernel mode, in hundredths of a second
		ticks, err := strconv.ParseFloat(strings.Fields(string(b))[stime-1], 64)
		must(t, err)
		seconds += ticks / 100
	}
	return seconds
}
