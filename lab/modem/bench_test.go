//go:build bench

package modem

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// passage is a frame's way through a line, by the kernel's clock.
type passage struct {
	line, size        int
	came, ideal, left time.Duration
}

// TestBenchPunctuality compares when frames leave two modems with when they ought to, as reckoned from when they came in, and counts those
// that one of the other line has overtaken. The frames are those of a scheduler that fills 90 % of both lines and hands each to the line
// that would deliver it first.
func TestBenchPunctuality(t *testing.T) {
	for _, test := range []struct {
		name string
		busy int // processes that do nothing but that
	}{{"idle", 0}, {"busy", runtime.NumCPU()}} {
		t.Run(test.name, func(t *testing.T) {
			for range test.busy {
				busy := exec.Command("/bin/sh", "-c", "while :; do :; done")
				must(t, busy.Start())
				t.Cleanup(func() {
					must(t, busy.Process.Kill())
					_ = busy.Wait() // it was killed
				})
			}
			rates := []int64{20_000_000, 5_000_000}
			all := pass(t, rates)
			for i, rate := range rates {
				var late []time.Duration
				for _, p := range all {
					if p.line == i {
						late = append(late, p.left-p.ideal)
					}
				}
				slices.Sort(late)
				n := len(late)
				t.Logf("%2d Mbit/s: %4d frames, late by %v (least), %v (p50), %v (p99), %v (most)",
					rate/1e6, n, late[0], late[n/2], late[n*99/100], late[n-1])
			}
			t.Logf("overtaken: %.2f %%", 100*overtaken(all))
		})
	}
}

// overtaken is the share of the frames that left after one that ought to have left later. All are in order of when they ought to.
func overtaken(all []passage) float64 {
	var latest time.Duration
	n := 0
	for _, p := range all {
		if p.left < latest {
			n++
		}
		latest = max(latest, p.left)
	}
	return float64(n) / float64(len(all))
}

// pass sends for a while through a modem of each rate.
func pass(t *testing.T, rates []int64) []passage {
	t.Helper()
	var near, before, after []*port
	const delay = 10 * time.Millisecond
	for _, rate := range rates {
		b := newBench(t, Direction{Rate: rate, Delay: delay, Queue: 8 << 20}, Direction{})
		near = append(near, far(t, b.router, "eth1"))
		before = append(before, far(t, b.wire, "customer"))
		after = append(after, far(t, b.isp, "ac1"))
	}
	eventually(t, func() error {
		must(t, near[0].send(testFrame(0, "", trial)))
		asked := time.Now()
		if _, came, _ := before[0].receive(); !came.Before(asked) {
			return errors.New("the kernel puts its stamps on frames only when they are read") // it is yet to be told otherwise
		}
		return nil
	})
	must(t, onThread(func() error { return spread(near, rates) }))
	var all []passage
	for i, rate := range rates {
		var busy time.Duration
		for {
			name, size, came, ok := stamped(before[i])
			if !ok {
				break
			}
			busy = max(busy, came) + time.Duration(int64(size+Overhead)*8*int64(time.Second)/rate)
			var left time.Duration
			eventually(t, func() error {
				got, _, at, ok := stamped(after[i])
				if !ok || got != name {
					return fmt.Errorf("frame %d has not come", name)
				}
				left = at
				return nil
			})
			all = append(all, passage{i, size, came, busy + delay, left})
		}
	}
	slices.SortFunc(all, func(a, b passage) int { return cmp.Compare(a.ideal, b.ideal) })
	return all
}

// spread sends frames of two sizes to the lines.
func spread(lines []*port, rates []int64) error {
	var busy = make([]time.Duration, len(lines))
	var sum int64
	for _, rate := range rates {
		sum += rate
	}
	begun, due := time.Now(), time.Duration(0)
	for i := range 3000 {
		size := 1506
		if i%10 == 0 {
			size = 100
		}
		bits := int64(size+Overhead) * 8 * int64(time.Second)
		due += time.Duration(bits * 10 / 9 / sum)
		if wait := due - time.Since(begun); wait > 0 {
			limit := unix.NsecToTimespec(int64(wait))
			_, _ = unix.Ppoll(nil, &limit, nil) // a signal may end it early
		}
		now, best := time.Since(begun), 0
		ends := func(line int) time.Duration { return max(now, busy[line]) + time.Duration(bits/rates[line]) }
		for line := range lines {
			if ends(line) < ends(best) {
				best = line
			}
		}
		busy[best] = ends(best)
		frame := testFrame(0, "", size)
		binary.BigEndian.PutUint16(frame[20:], uint16(i))
		if err := lines[best].send(frame); err != nil {
			return err
		}
	}
	return nil
}

// trial is the size of a frame that is not one of those.
const trial = 60

// stamped is the next of the frames that spread has sent, and when the kernel had it.
func stamped(p *port) (name uint16, size int, at time.Duration, ok bool) {
	for {
		frame, came, ok := p.receive()
		if !ok {
			return 0, 0, 0, false
		}
		if isTest(frame) && len(frame) != trial {
			return binary.BigEndian.Uint16(frame[20:]), len(frame), time.Duration(came.UnixNano()), true
		}
	}
}
