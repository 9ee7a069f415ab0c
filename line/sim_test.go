package line

import (
	"math/rand/v2"
	"testing"
	"time"

	"linebond/auth"
	"linebond/ppp"
)

// newSim returns a world whose wire loses, doubles and reorders, by a seed.
func newSim(t *testing.T, seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 2516))
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
	w := newWorld(t, testConfig(), fill)
	w.random = random
	w.trace.off = true
	w.check.hasty = seed%16 != 0
	w.loss, w.duplicate = random.Float64()*0.15, random.Float64()*0.2
	w.delay = time.Duration(random.Int64N(int64(30 * time.Millisecond)))
	w.jitter = time.Duration(random.Int64N(int64(20 * time.Millisecond)))
	w.ac.method = []auth.Method{auth.PAP, auth.CHAPMD5, auth.MSCHAPv2}[random.IntN(3)]
	w.link.MTU = 1500 + random.IntN(20)
	return w
}

// upTo returns a random duration.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d))) }

// faults are what may happen to a line that is up; it is over when they return.
var faults = []struct {
	name string
	do   func(w *world)
}{
	{"AC crashes", func(w *world) {
		w.ac.dead = true
		w.run(w.upTo(time.Minute))
		w.ac.boot()
	}},
	{"AC is cut off", func(w *world) {
		w.path = false
		w.run(w.upTo(3 * time.Minute))
		w.path = true
	}},
	{"PADT", func(w *world) { w.ac.padt("maintenance") }},
	{"AC terminates", func(w *world) {
		for _, p := range w.ac.sessions {
			p.control(ppp.LCP, p.lcp.Close())
		}
	}},
	{"carrier flaps", func(w *world) {
		for range 1 + w.random.IntN(3) {
			w.carrier(false)
			w.run(w.upTo(3 * time.Minute))
			w.carrier(true)
			w.run(w.upTo(5 * time.Second))
		}
	}},
	{"carrier flaps, AC crashes", func(w *world) {
		w.carrier(false)
		w.run(w.upTo(2 * time.Minute))
		w.ac.boot()
		w.carrier(true)
	}},
	{"device goes and comes", func(w *world) {
		link := w.link
		w.setLink(Link{})
		w.run(w.upTo(time.Minute))
		w.setLink(link)
	}},
	{"AC renegotiates", func(w *world) {
		for _, p := range w.ac.sessions {
			p.control(ppp.LCP, p.lcp.Down())
			p.control(ppp.LCP, p.lcp.Up())
		}
	}},
	{"operator redials", func(w *world) { w.event(Redial{}) }},
	{"operator downs and ups", func(w *world) {
		w.event(Down{Cause: Operator})
		w.run(w.upTo(5 * time.Second))
		w.event(Up{})
	}},
}

// TestSimulation: however bad the wire, the line comes up with the same
// addresses on both sides, and comes back whatever happens; after Down nothing
// is left. checker watches over every step.
func TestSimulation(t *testing.T) {
	for seed := range uint64(2000) {
		w := newSim(t, seed)
		story := []string{"start"}
		await := func() {
			if !w.runUntil(15*time.Minute, w.agreed) {
				s := w.line.Status()
				t.Fatalf("seed %d: not up 15 minutes after %q: %v, %v", seed, story, s.State, s.Reason)
			}
		}
		w.start()
		await()
		for range 3 {
			w.run(w.upTo(20 * time.Second))
			fault := faults[w.random.IntN(len(faults))]
			story = append(story, fault.name)
			fault.do(w)
			await()
		}
		if w.random.IntN(2) == 0 {
			w.path = false
		}
		w.event(Down{Cause: Shutdown})
		if !w.runUntil(4*time.Second, func() bool { return w.state() == Stopped }) {
			t.Fatalf("seed %d: %v four seconds after Down", seed, w.state())
		}
		counted := w.check.generation
		w.run(time.Hour)
		if w.state() != Stopped || w.check.generation != counted || w.check.open || w.check.saved {
			t.Fatalf("seed %d: %v, and not at rest: %+v", seed, w.state(), w.check)
		}
	}
}

// TestBackWithinASecond: a line that was up looks for its access concentrator
// at least once a second for a day, and slower after that.
func TestBackWithinASecond(t *testing.T) {
	for _, away := range []time.Duration{10 * time.Second, 5 * time.Minute, 3 * time.Hour} {
		for offset := range 20 {
			w := newSim(t, uint64(offset))
			w.loss, w.duplicate, w.delay, w.jitter = 0, 0, time.Millisecond, 0
			w.start()
			w.awaitUp(time.Minute)
			w.run(time.Minute)
			w.ac.dead = true
			w.run(away + time.Duration(offset)*50*time.Millisecond)
			w.ac.boot()
			w.awaitUp(time.Second)
		}
	}
}

func TestEagerPADIs(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.up()
	w.run(time.Minute)
	w.path = false
	w.trace.off, w.check.hasty = true, true
	if !w.runUntil(10*time.Second, func() bool { return w.state() == Discovery }) {
		t.Fatal(w.state())
	}
	began := w.now
	gap := func() time.Duration {
		last := w.line.asked
		w.runUntil(time.Minute, func() bool { return w.line.asked.After(last) })
		return w.line.asked.Sub(last)
	}
	for w.now < began+24*time.Hour-time.Minute {
		if d := gap(); d > time.Second {
			t.Fatalf("%v between PADIs, %v after the session", d, w.now-began)
		}
	}
	w.run(2 * time.Minute)
	var longest time.Duration
	for range 20 {
		longest = max(longest, gap())
	}
	if longest < 5*time.Second || longest > 40*time.Second {
		t.Errorf("up to %v between PADIs after a day", longest)
	}
}

// TestEarlyStart: a session takes a few round trips, not a timer.
func TestEarlyStart(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.delay = 10 * time.Millisecond
	w.start()
	w.awaitUp(200 * time.Millisecond)
}
