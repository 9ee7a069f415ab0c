//go:build bench

package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

// The benchmarks print ratios to pppd with its kernel PPPoE plugin, measured
// side by side in one run on one kernel. `make bench` runs them.

const rounds = 5

// median of an odd number of values.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// TestBenchSetup measures the time from the start of the process to IPCP up.
// Part of it is the server's: pppoe-server starts a pppd for the session when
// it sends the PADS, and that takes its time until it answers. The second
// ratio leaves this part out on both sides.
func TestBenchSetup(t *testing.T) {
	servers := []struct {
		name string
		ac   lab.ACConfig
	}{
		{"pppoe-server, as it is", lab.ACConfig{}},
		{"pppoe-server, connect-delay 1", lab.ACConfig{Options: []string{"connect-delay 1"}}},
		{"pppoe-server, sessions in the kernel", lab.ACConfig{Kernel: true}},
	}
	for _, s := range servers {
		l := newLine(t, set{ac: s.ac, cable: lab.CableConfig{VLAN: []uint16{}}})
		var ours, theirs, server []float64
		for range rounds {
			up, waited := l.timeToUp(t)
			ours, server = append(ours, up), append(server, waited)
			r := l.dial(t, "ppp-r")
			theirs = append(theirs, r.SetupIn.Seconds())
			r.Hangup(t)
		}
		o, p, w := median(ours), median(theirs), median(server)
		fmt.Printf("start to IPCP up, %-37s linebond %.3f s, pppd %.3f s, ratio %.3f; without the %.3f s that the server starts up: ratio %.3f\n",
			s.name+":", o, p, o/p, w, (o-w)/(p-w))
	}
}

// timeToUp starts linebond, reads from its log when IPCP was up and how long
// after the PADS the server began to speak, and stops it; in seconds.
func (l *line) timeToUp(t *testing.T) (up, server float64) {
	t.Helper()
	from := len(l.linebond.Log())
	begin := time.Now()
	l.linebond.Start(t)
	at := map[string]time.Time{}
	lab.Eventually(t, limit, func() error {
		for entry := range strings.Lines(l.linebond.Log()[from:]) {
			fields := strings.Fields(entry)
			when, err := time.ParseInLocation("2006-01-02 15:04:05.000", fields[0]+" "+fields[1], time.Local)
			if err != nil {
				return err
			}
			if _, seen := at[fields[3]]; !seen {
				at[fields[3]] = when
			}
		}
		if at["up"].IsZero() {
			return errors.New("not up")
		}
		return nil
	})
	l.linebond.Stop(t)
	return at["up"].Sub(begin).Seconds(), at["authenticate"].Sub(at["establish"]).Seconds()
}

// dial has pppd dial the line.
func (l *line) dial(t *testing.T, device string) *lab.Reference {
	t.Helper()
	r, err := lab.Dial(t, lab.ReferenceConfig{Namespace: l.router, Link: "eth1", Device: device, User: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBenchMemory measures the resident memory of one linebond with n lines,
// and of n pppd.
func TestBenchMemory(t *testing.T) {
	for _, n := range []int{1, 8} {
		l := newLine(t, set{cable: lab.CableConfig{VLAN: []uint16{}}})
		for i := 1; i < n; i++ {
			l.linebond.Write(t, fmt.Sprintf("lines.d/l%d.toml", i), file(nil, password, fmt.Sprintf("metric = %d\n", 200+i)))
		}
		l.linebond.Start(t)
		lab.Eventually(t, 2*limit, func() error {
			if up := strings.Count(l.linebond.Log(), "  info  up  "); up < n {
				return fmt.Errorf("%d of %d lines are up", up, n)
			}
			return nil
		})
		l.isUp(t)
		ours := memory(t, l.linebond.PID())
		l.linebond.Stop(t)
		var theirs [2]float64
		for i := range n {
			r := l.dial(t, fmt.Sprintf("ppp-r%d", i))
			m := memory(t, r.PID)
			theirs[0], theirs[1] = theirs[0]+m[0], theirs[1]+m[1]
		}
		for i, kind := range []string{"resident", "resident, shared pages divided"} {
			fmt.Printf("memory, %d lines, %-32s linebond %.1f MB, %d pppd %.1f MB, ratio %.2f\n", n, kind+":", ours[i], n, theirs[i], ours[i]/theirs[i])
		}
	}
}

// memory returns a process's resident and proportional set size, in MB.
func memory(t *testing.T, pid int) [2]float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	var sizes [2]float64
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if i := slices.Index([]string{"Rss:", "Pss:"}, fields[0]); i >= 0 {
			kB, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sizes[i] = kB / 1000
		}
	}
	return sizes
}

// TestBenchThroughput measures one TCP flow through the session. The machine's
// speed varies by the minute, so each round has a ratio of its own.
func TestBenchThroughput(t *testing.T) {
	l := newLine(t, set{ac: lab.ACConfig{Kernel: true}, cable: lab.CableConfig{VLAN: []uint16{}}})
	for _, reverse := range []bool{false, true} {
		flow := func() float64 {
			return lab.Throughput(t, lab.ThroughputConfig{Client: l.router, Server: l.isp, Address: server, Duration: 2 * time.Second, Reverse: reverse})
		}
		var ours, theirs, ratios []float64
		for i := range 2*rounds - 1 {
			l.up(t)
			ours = append(ours, flow())
			l.linebond.Stop(t)
			r := l.dial(t, "ppp-r")
			l.router.Run(t, "ip", "route", "add", server, "dev", "ppp-r")
			theirs = append(theirs, flow())
			r.Hangup(t)
			ratios = append(ratios, ours[i]/theirs[i])
		}
		direction := map[bool]string{false: "up", true: "down"}[reverse]
		fmt.Printf("one TCP flow, %-5s linebond %.0f Mbit/s, pppd %.0f Mbit/s, ratio %.2f\n", direction+":",
			median(ours)/1e6, median(theirs)/1e6, median(ratios))
	}
}
