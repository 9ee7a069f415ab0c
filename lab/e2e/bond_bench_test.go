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

// benchLines are equal lines with a modem each.
func benchLines(lines int) lab.BondConfig {
	c := lab.BondConfig{Lines: make([]lab.ModemConfig, lines)}
	for i := range c.Lines {
		c.Lines[i] = lab.ModemConfig{Up: benchRate, Down: benchRate, Delay: 5 * time.Millisecond}
	}
	return c
}

const benchRate = 5 // Mbit/s: little enough for the guest on a busy machine

// benchShare is the share of the sum of two lines' rates that TCP payload had, with the headers that it needs: of 1514 bytes of a frame,
// whose tag the modem does not see, 1440 are payload.
func benchShare(bytes int64, d time.Duration) float64 {
	return float64(bytes) * 8 * 1514 / 1440 / d.Seconds() / (2 * benchRate * 1e6)
}

// TestBenchBond measures one TCP flow over two equal lines, bonded by linebond and by hand, in turns.
func TestBenchBond(t *testing.T) {
	ours, theirs := newBonded(t, bondSet{lab: benchLines(2)}), &bonded{Bond: lab.NewBond(t, benchLines(2))}
	ours.up(t)
	theirs.ReferenceBond(t)
	theirs.reaches(t)
	var shares [2][]float64
	for range rounds {
		for i, b := range []*bonded{ours, theirs} {
			shares[i] = append(shares[i], b.flowShare(t))
		}
	}
	var ratios []float64
	for i := range shares[0] {
		ratios = append(ratios, shares[0][i]/shares[1][i])
	}
	fmt.Printf("bond of two equal lines, one TCP flow: linebond %.3f of the sum, pppd + tc + ip %.3f, ratio %.3f\n",
		median(shares[0]), median(shares[1]), median(ratios))
}

// flowShare measures after slow start, for five seconds.
func (b *bonded) flowShare(t *testing.T) float64 {
	t.Helper()
	flow := lab.NewFlow(t, b.LAN, b.ISP, lab.BondServer)
	defer flow.Stop()
	flow.GoesOn(t, 2<<20)
	from, begin := flow.Received(), time.Now()
	<-time.After(5 * time.Second)
	return benchShare(flow.Received()-from, time.Since(begin))
}

// TestBenchBlackHole measures for how long after a line has become a black hole packets are still sent into it.
func TestBenchBlackHole(t *testing.T) {
	for _, keepalive := range []string{"", "[keepalive]\ninterval = \"250ms\"\n"} {
		b := newBonded(t, bondSet{lab: benchLines(2), line: map[string]string{"a": keepalive, "b": keepalive}})
		b.up(t)
		last, packets := b.intoBlackHole(t)
		fmt.Printf("black-holed line, %-32s last packet into it after %.2f s, %d packets in 10 s\n",
			"linebond, interval "+map[bool]string{true: "1s:", false: "250ms:"}[keepalive == ""], last.Seconds(), packets)
		b.linebond.Stop(t)
	}
	b := &bonded{Bond: lab.NewBond(t, benchLines(2))}
	b.ReferenceBond(t, "lcp-echo-interval", "0") // as tc and pppd are without more: the echo is off by default
	b.reaches(t)
	last, packets := b.intoBlackHole(t)
	fmt.Printf("black-holed line, %-32s last packet into it after %.2f s (and never ends), %d packets in 10 s\n", "pppd + tc + ip:", last.Seconds(), packets)
}

// intoBlackHole makes line a a black hole while packets are sent over the bond, and watches for 10 s what is sent into it.
func (b *bonded) intoBlackHole(t *testing.T) (last time.Duration, packets uint64) {
	t.Helper()
	ping := b.LAN.Command("ping", "-n", "-q", "-f", "-i", "0.01", "-w", "60", lab.BondServer) // 100 a second, whatever comes back
	if err := ping.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = ping.Process.Kill()
		_ = ping.Wait()
	}()
	_, before, err := b.Router.Packets("ppp-a")
	if err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, limit, func() error {
		if _, now, err := b.Router.Packets("ppp-a"); err != nil || now < before+50 {
			return errors.New("no packets")
		}
		return nil
	})
	_, from, err := b.Router.Packets("ppp-a")
	if err != nil {
		t.Fatal(err)
	}
	begin, sent := time.Now(), from
	b.Lines[0].Modem.BlackHole(t)
	for time.Since(begin) < 10*time.Second {
		<-time.After(10 * time.Millisecond)
		_, now, err := b.Router.Packets("ppp-a")
		if err != nil {
			break // the session is lost, and its device gone
		}
		if now > sent {
			last, sent = time.Since(begin), now
		}
	}
	return last, sent - from
}

// TestBenchReconcile measures the CPU time that linebond needs for one change of one line, of four: it leaves the bond and is back.
func TestBenchReconcile(t *testing.T) {
	b := newBonded(t, bondSet{lab: benchLines(4)})
	b.up(t)
	idle := b.cpu(t)
	<-time.After(10 * time.Second)
	background := (b.cpu(t) - idle) / 10 // of echoes and counters, per second
	var costs []float64
	for range rounds {
		begin, from := time.Now(), b.cpu(t)
		b.Lines[0].Cable.Unplug(t) // held: no session is made or lost
		b.in(t, "b", "c", "d")
		b.Lines[0].Cable.Plug(t)
		b.in(t, "a", "b", "c", "d")
		costs = append(costs, 1000*((b.cpu(t)-from)-background*time.Since(begin).Seconds())/2)
	}
	fmt.Printf("all that one line's change leads to, 4 lines, on the emulated processor: %.0f ms of CPU (%.0f to %.0f); background %.0f ms a second\n",
		median(costs), slices.Min(costs), slices.Max(costs), 1000*background)
}

// cpu is what the daemon has used, in seconds: utime and stime of /proc/PID/schedstat, which counts nanoseconds.
func (b *bonded) cpu(t *testing.T) float64 {
	t.Helper()
	var sum float64
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", b.linebond.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", b.linebond.PID(), task.Name()))
		if err != nil {
			continue // it has ended
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += ns / 1e9
	}
	return sum
}
