package ppp_test

import (
	"testing"
	"time"

	"linebond/ppp"
	"linebond/ppp/ppptest"
)

type side struct {
	*ppp.Automaton
	*toy
}

func newSide(y toy, t ppp.Times) side {
	s := side{toy: &y}
	s.Reset()
	s.Automaton = ppp.New(s.toy, t)
	return s
}

// pair is two sides that name each other's option 1.
func pair() (a, b side) { return pairWith(ppp.DefaultTimes) }

func pairWith(t ppp.Times) (a, b side) {
	return newSide(toy{two: 12, assign: 21}, t), newSide(toy{two: 22, assign: 11}, t)
}

// agreed says whether each side got what it asked for last.
func agreed(a, b side) bool {
	return b.granted == [2]byte{a.one, a.two} && a.granted == [2]byte{b.one, b.two} && a.one == 11 && b.one == 21
}

func seeds() uint64 {
	if testing.Short() {
		return 1000
	}
	return 10000
}

// TestLossyWire joins two automata by a wire of every vice.
func TestLossyWire(t *testing.T) {
	for seed := range seeds() {
		a, b := pair()
		w := ppptest.Wire{
			Seed: seed, Loss: 0.2, Duplicate: 0.2,
			Delay: 5 * time.Millisecond, Jitter: 300 * time.Millisecond, Start: 5 * time.Second,
		}
		if err := w.Run(time.Hour, a, b); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !agreed(a, b) {
			t.Fatalf("seed %d: granted %v and %v", seed, a.granted, b.granted)
		}
	}
}

// TestLateStart loses nothing but what came before the second side was there: the
// first repetition, not a timer of seconds, must make up for it.
func TestLateStart(t *testing.T) {
	for seed := range uint64(100) {
		a, b := pair()
		w := ppptest.Wire{Seed: seed, Delay: 5 * time.Millisecond, Start: 2 * time.Second}
		if err := w.Run(time.Minute, a, b); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if took := w.Now - w.Started; took > 200*time.Millisecond {
			t.Errorf("seed %d: took %v", seed, took)
		}
	}
}

// TestLongRoundTrip joins two automata by a perfect wire whose round trip is
// longer than Times.First: repetitions reach a side that is Opened and take it
// down again. That must come to an end.
func TestLongRoundTrip(t *testing.T) {
	for delay := 10 * time.Millisecond; delay <= 1400*time.Millisecond; delay += 10 * time.Millisecond {
		a, b := pair()
		w := ppptest.Wire{Delay: delay}
		if err := w.Run(5*time.Minute, a, b); err != nil {
			t.Errorf("delay %v: %v", delay, err)
		}
	}
}

// TestKnownRoundTrip: with a First of four round trips no repetition overtakes
// an answer, and the layer comes up once.
func TestKnownRoundTrip(t *testing.T) {
	for delay := 10 * time.Millisecond; delay <= 350*time.Millisecond; delay += 10 * time.Millisecond {
		a, b := pairWith(ppp.DefaultTimes.For(2 * delay))
		w := ppptest.Wire{Delay: delay}
		if err := w.Run(time.Minute, a, b); err != nil || w.Ups != [2]int{1, 1} {
			t.Errorf("delay %v: up %v times, %v", delay, w.Ups, err)
		}
	}
}
