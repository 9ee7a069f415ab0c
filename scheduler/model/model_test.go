package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const ms = uint64(time.Millisecond)

// at is a line of a rate in Mbit/s and a delay in ms.
func at(t *testing.T, mbit, delay uint64) Line {
	t.Helper()
	pace, err := Pace(mbit * 1e6)
	if err != nil {
		t.Fatal(err)
	}
	return Line{Device: 1, Pace: pace, Delay: delay * ms}
}

func bond(limit uint64, lines ...Line) *Config {
	c := &Config{Cap: limit * ms, DeadAfter: 300 * ms, Count: uint64(len(lines))}
	copy(c.Lines[:], lines)
	return c
}

// A step is one packet of 1000 bytes: 8 ms at 1 Mbit/s.
type step struct {
	at   uint64 // ms
	then string // lines that are heard of just after it, e.g. "a"
}

func TestChoose(t *testing.T) {
	slow, slower, far := at(t, 1, 0), at(t, 1, 0), at(t, 1, 20)
	slower.Pace *= 4
	out := Line{}
	busy := func(n int) (steps []step) { return make([]step, n) }
	for _, test := range []struct {
		name   string
		config *Config
		steps  []step
		want   string // the lines taken
	}{
		{"no line", bond(1000), busy(2), "--"},
		{"none is in", bond(1000, out, out), busy(2), "--"},
		{"one", bond(1000, slow), busy(3), "aaa"},
		{"equal ones take turns", bond(1000, slow, slow), busy(6), "ababab"},
		{"4:1", bond(1000, slow, slower), busy(10), "aaaabaaaab"},
		{"4:1, the other way round", bond(1000, slower, slow), busy(10), "bbbabbbbab"},
		{"a place is empty", bond(1000, slow, out, slow), busy(4), "acac"},
		{"the near one until its backlog is as long as the way", bond(1000, slow, far), busy(8), "aaababab"},
		{"idle: the near one", bond(1000, far, slow), []step{{at: 0}, {at: 8}, {at: 16}}, "bbb"},
		{"over the cap, by the rates", bond(1, slow, slower), busy(10), "aaaabaaaab"},
		{"sent at 0 and silent at 300", bond(1000, slow, far), []step{{at: 1}, {at: 300}, {at: 301}, {at: 302}}, "aabb"},
		{"heard of again", bond(1000, slow, far), []step{{at: 1}, {at: 301, then: "a"}, {at: 302, then: "b"}, {at: 603}, {at: 604}}, "ababb"},
		{"heard of in time", bond(1000, slow, far), []step{{at: 1}, {at: 299, then: "a"}, {at: 300}, {at: 599}, {at: 600}}, "aaaab"},
		{"long idle is not silent", bond(1000, slow, far), []step{{at: 1, then: "a"}, {at: 9000}, {at: 9299}, {at: 9300}}, "aaab"},
		{"all silent: all are used", bond(1000, slow, slow), []step{{at: 1}, {at: 1}, {at: 400}, {at: 400}}, "abab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s State
			var seen Stamps
			var got strings.Builder
			for _, step := range test.steps {
				for i := range seen.Echoed {
					seen.Echoed[i] = step.at * ms
				}
				place, ok := s.Choose(test.config, &seen, step.at*ms, 1000)
				if !ok {
					place = '-' - 'a'
				}
				got.WriteByte(byte('a' + place))
				for _, name := range step.then {
					seen.Heard[name-'a'] = step.at*ms + 1
				}
			}
			if got.String() != test.want {
				t.Errorf("lines %s; want %s", got.String(), test.want)
			}
		})
	}
}

// Silence tells nothing while the daemon sends no echoes, nor as long as the answers may wait behind what we have sent.
func TestSilent(t *testing.T) {
	for _, test := range []struct {
		name             string
		patience         uint64 // ms
		packets          int    // of 8 ms, at 1000 ms
		heard, echoed    uint64 // ms
		speaking, silent uint64 // ms: it is not silent yet, and is
	}{
		{"sent one packet", 0, 1, 0, 2000, 1299, 1300},
		{"heard of since", 0, 1, 1000, 2000, 9999, 0},
		{"no echo was sent", 0, 1, 0, 0, 9999, 0},
		{"no echo was sent for long enough", 0, 1, 0, 1149, 9999, 0},
		{"enough echoes were sent", 0, 1, 0, 1150, 1299, 1300},
		// 100 packets take 800 ms, and count 7/8: so half of the time that goes by after 1300 ms is what is left of 400 ms.
		{"loaded", 5000, 100, 0, 2000, 1499, 1500},
		{"loaded, with some patience", 300, 100, 0, 2000, 1299, 1300},
		{"overloaded", 5000, 500, 0, 2000, 2899, 2900},
		{"overloaded beyond patience", 2000, 500, 0, 2000, 2149, 2150},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := bond(10, at(t, 1, 0))
			c.Patience = test.patience * ms
			var s State
			for range test.packets {
				s.Choose(c, &Stamps{}, 1000*ms, 1000)
			}
			var seen Stamps
			seen.Heard[0], seen.Echoed[0] = test.heard*ms, test.echoed*ms
			if s.Silent(0, c, &seen, test.speaking*ms) {
				t.Errorf("silent at %d ms: %+v", test.speaking, s.Lines[0])
			}
			if test.silent != 0 && !s.Silent(0, c, &seen, test.silent*ms) {
				t.Errorf("not silent at %d ms: %+v", test.silent, s.Lines[0])
			}
		})
	}
}

// The excess over the cap is taken off all lines alike.
func TestCap(t *testing.T) {
	c := bond(10, at(t, 1, 0), at(t, 1, 5))
	var s State
	for range 10 {
		s.Choose(c, &Stamps{}, 0, 1000)
	}
	// Backlogs of 40 and 40 ms but for the cap; each packet finds at most 10 ms on the line that has less.
	if a, b := s.Lines[0].Busy, s.Lines[1].Busy; min(a, b) > 10*ms+8*ms || max(a, b) > 10*ms+5*ms+2*8*ms {
		t.Errorf("backlogs of %d and %d ns", a, b)
	}
	if s.Packets != 10 || s.Lines[0].Packets != 5 || s.Late != 0 {
		t.Errorf("%+v", s)
	}
}

// A line that is new, or new again, begins with no backlog and is counted from 0.
func TestEpoch(t *testing.T) {
	c := bond(1000, at(t, 1, 0))
	var s State
	for range 5 {
		s.Choose(c, &Stamps{}, ms, 1000)
	}
	c.Lines[0].Epoch++
	s.Choose(c, &Stamps{}, 2*ms, 1000)
	if want := (LineState{Busy: 10 * ms, Asked: 2 * ms, Deep: 2 * ms, Packets: 1, Bytes: 1000, Wire: 1000, Epoch: 1}); s.Lines[0] != want {
		t.Errorf("%+v; want %+v", s.Lines[0], want)
	}
}

// A small packet may arrive before a big one that was sent earlier, on a line that was idle.
func TestLate(t *testing.T) {
	c := bond(1000, at(t, 8, 0), at(t, 1, 0))
	var s State
	for _, length := range []uint64{8000, 100} {
		s.Choose(c, &Stamps{}, 0, length)
	}
	if s.Late != 1 || s.Latest != 8*ms || s.Lines[1].Packets != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTime(t *testing.T) {
	for _, test := range []struct {
		line   Line
		length uint64
		want   uint64 // bytes
	}{
		{Line{}, 100, 100},
		{Line{Overhead: 30}, 100, 130},
		{Line{Cells: 1}, 48, 53},
		{Line{Cells: 1}, 49, 106},
		{Line{Cells: 1, Overhead: 32}, 1492, 32 * 53},
	} {
		test.line.Pace = 1 << paceShift
		if got := test.line.time(test.line.wire(test.length)); got != test.want {
			t.Errorf("%d bytes on %+v take the time of %d; want %d", test.length, test.line, got, test.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{fmt.Sprint(Pace(1_000_000)), "8388608000 <nil>"},
		{fmt.Sprint(Pace(MaxRate)), "8389 <nil>"},
		{fmt.Sprint(Pace(0)), "0 the rate of 0 bit/s is out of range: it must be from 1 kbit/s to 1 Tbit/s"},
		{fmt.Sprint(Pace(math.MaxUint64)), "0 the rate of 18446744073709551615 bit/s is out of range: it must be from 1 kbit/s to 1 Tbit/s"},
		{fmt.Sprint(Nanoseconds("delay", time.Second, 0, MaxDelay)), "1000000000 <nil>"},
		{fmt.Sprint(Nanoseconds("delay", -1, 0, MaxDelay)), "0 the delay of -1ns is out of range: it must be from 0s to 10s"},
		{fmt.Sprint(Nanoseconds("cap", 0, MinCap, MaxCap)), "0 the cap of 0s is out of range: it must be from 1ms to 10s"},
		{fmt.Sprint(Overhead(44)), "44 <nil>"},
		{fmt.Sprint(Overhead(-1)), "0 the overhead of -1 bytes is out of range: it must be from 0 to 1000"},
	} {
		if test.got != test.want {
			t.Errorf("got  %s\nwant %s", test.got, test.want)
		}
	}
}

// Nothing overflows in the ranges: the longest packets on the slowest and farthest lines leave a backlog that the package comment gives.
func TestNoOverflow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	slowest, err := Pace(MinRate)
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{Cap: uint64(MaxCap), DeadAfter: uint64(MaxDeadAfter), Patience: uint64(MaxPatience), Count: MaxLines}
	for i := range c.Lines {
		c.Lines[i] = Line{
			Device: 1, Pace: slowest >> random.IntN(30), Delay: uint64(random.Int64N(int64(MaxDelay))), Overhead: MaxOverhead, Cells: 1,
		}
	}
	var s State
	now := uint64(math.MaxUint64) / 4 // 146 years after the start
	const longest = 1<<19 - 1
	line := Line{Pace: slowest, Overhead: MaxOverhead, Cells: 1}
	packet := line.time(line.wire(longest))
	if packet > 1<<43 {
		t.Fatalf("a packet takes %d ns", packet)
	}
	for range 100_000 {
		place, ok := s.Choose(c, &Stamps{}, now, longest)
		if backlog := s.Lines[place].Busy - now; !ok || backlog > uint64(MaxCap+MaxDelay)+packet {
			t.Fatalf("a backlog of %d ns", backlog)
		}
		now += uint64(random.Int64N(100))
	}
}
