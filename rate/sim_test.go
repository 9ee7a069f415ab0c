package rate

import (
	"fmt"
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

// pair are two lines of 8 and 2 Mbit/s, different from seed to seed.
func pair(seed uint64) (a, b *line) {
	make := func(rate float64, n uint64) *line {
		return &line{
			rate: rate, buffer: 100*ms + time.Duration(n*7%5)*100*ms, way: time.Duration(8+n*11%40) * ms, jitter: 3 * ms,
			interval: []time.Duration{time.Second, 200 * ms, 500 * ms}[seed%3], loseEcho: float64(n%3) / 100,
		}
	}
	return make(8e6, seed), make(2e6, seed+1)
}

// eachWay runs a simulation with and without a shaper, with several seeds.
func eachWay(t *testing.T, test func(t *testing.T, seed uint64, shaped bool)) {
	t.Helper()
	for _, shaped := range []bool{false, true} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("shaped %v, seed %d", shaped, seed), func(t *testing.T) {
				t.Parallel()
				test(t, seed, shaped)
			})
		}
	}
}

// believed is what is believed of a line, as a part of the truth.
func (l *line) believed() float64 { return float64(l.estimator.Estimate().Rate) / l.rate }

// expect wants all lines to be known as well as that. Without a shaper only their ratios matter, and show in the share.
func (w *world) expect(off float64) {
	w.Helper()
	if !w.shaped {
		off = 0.7
	}
	for i, l := range w.lines {
		cause, trip := l.estimator.Why()
		if math.Abs(l.believed()-1) > off || !l.estimator.Estimate().Settled {
			w.Errorf("line %d: %.3f of its rate is believed; settled: %v; cause %v, round trip %v", i, l.believed(), l.estimator.Estimate().Settled, cause, trip)
		}
	}
}

// From far too low and far too high, rates are found, by one flow and by several.
func TestConverges(t *testing.T) {
	for _, start := range []struct {
		name string
		a, b float64
	}{
		{"unknown", 0, 0}, {"a third and three times", 0.33, 3}, {"three times and a third", 3, 0.33},
		{"a fifth", 0.2, 0.2}, {"five times", 5, 5}, {"a tenth and ten times", 0.1, 10}, {"ten times and a tenth", 10, 0.1},
		{"a tenth", 0.1, 0.1}, {"ten times", 10, 10},
	} {
		for _, flows := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, %d flows", start.name, flows), func(t *testing.T) {
				eachWay(t, func(t *testing.T, seed uint64, shaped bool) {
					a, b := pair(seed)
					a.estimator = New(Estimate{Rate: uint64(start.a * a.rate), Settled: true})
					b.estimator = New(Estimate{Rate: uint64(start.b * b.rate), Settled: true})
					w := newWorld(t, seed, shaped, a, b)
					w.run(5 * time.Second)
					w.tcp(flows, 0)
					w.run(100 * time.Second)
					if share := w.share(30 * time.Second); share < 0.93 {
						t.Errorf("share %.3f", share)
					}
					w.expect(0.12)
				})
			})
		}
	}
}

// What the bench measures: one flow, lines of 20 and 5 Mbit/s, an echo every 100 ms.
func TestBench(t *testing.T) {
	eachWay(t, func(t *testing.T, seed uint64, shaped bool) {
		a := &line{rate: 20e6, buffer: 100 * ms, way: 20 * ms, interval: 100 * ms}
		b := &line{rate: 5e6, buffer: 100 * ms, way: 20 * ms, interval: 100 * ms}
		w := newWorld(t, seed, shaped, a, b)
		w.run(5 * time.Second)
		w.tcp(1, 0)
		known := w.reaches(time.Minute)
		w.run(30 * time.Second)
		a.set(w.now, a.rate/2)
		t.Logf("%v from nothing, %v after the fall", known, w.reaches(30*time.Second))
	})
}

// reaches waits until there is 0.9 of the sum for three seconds.
func (w *world) reaches(limit time.Duration) time.Duration {
	w.Helper()
	var d time.Duration
	last := [3]float64{}
	for d < limit {
		last = [3]float64{last[1], last[2], w.share(time.Second)}
		if d += time.Second; last[0]+last[1]+last[2] >= 2.7 {
			return d
		}
	}
	w.Errorf("after %v there is %.3f of the sum", d, last)
	w.expect(0.12)
	return d
}

// A line falls to half of its rate, and is twice as fast later.
func TestFollows(t *testing.T) {
	eachWay(t, func(t *testing.T, seed uint64, shaped bool) {
		a, b := pair(seed)
		a.estimator, b.estimator = New(Estimate{Rate: uint64(a.rate), Settled: true}), New(Estimate{Rate: uint64(b.rate), Settled: true})
		w := newWorld(t, seed, shaped, a, b)
		w.tcp(4, 0)
		w.run(3 * time.Minute)
		a.set(w.now, a.rate/2)
		first := w.share(30 * time.Second)
		then := w.share(30 * time.Second)
		if then < 0.9 {
			t.Errorf("half a minute after the fall the share is %.3f", then)
		}
		w.run(4 * time.Minute)
		w.expect(0.12)
		a.set(w.now, 2*a.rate)
		rise := w.share(6 * time.Minute)
		later := w.share(30 * time.Second)
		if later < 0.93 {
			t.Errorf("six minutes after the rise the share is %.3f", later)
		}
		w.expect(0.12)
		t.Logf("share: %.3f in the first 30 s after the fall, %.3f then; %.3f in six minutes after the rise, %.3f then", first, then, rise, later)
	})
}

// A download that makes answers late does not ruin what is believed, whether we upload as much as we can, or some.
func TestDownload(t *testing.T) {
	eachWay(t, func(t *testing.T, seed uint64, shaped bool) {
		a, b := pair(seed)
		a.estimator, b.estimator = New(Estimate{Rate: uint64(a.rate), Settled: true}), New(Estimate{Rate: uint64(b.rate), Settled: true})
		w := newWorld(t, seed, shaped, a, b)
		w.tcp(4, 0)
		w.run(time.Minute)
		a.down = func(int64) time.Duration { return 30*ms + time.Duration(w.random.Int64N(int64(50*ms))) }
		if share := w.share(5 * time.Minute); share < 0.8 {
			t.Errorf("as much as we can: share %.3f", share)
		}
		w.stopFlows()
		w.udp(0.4*(a.rate+b.rate), 5*time.Minute)
		worst := 0
		for range 60 {
			w.run(5 * time.Second)
			if a.believed() < 0.8 {
				worst++
			}
		}
		if shaped && worst > 30 { // half of the time, on trial
			t.Errorf("some: of 60 times %d too low", worst)
		}
		a.down = nil
		w.tcp(4, 0)
		w.run(time.Minute)
		w.expect(0.15)
	})
}

// With no load to speak of nothing is learned or forgotten, however echoes behave.
func TestIdle(t *testing.T) {
	eachWay(t, func(t *testing.T, seed uint64, shaped bool) {
		a, b := pair(seed)
		a.estimator, b.estimator = New(Estimate{Rate: uint64(a.rate), Settled: true}), New(Estimate{Rate: uint64(b.rate), Settled: true})
		w := newWorld(t, seed, shaped, a, b)
		w.udp(0.02*a.rate, 20*time.Minute)
		w.run(10 * time.Minute)
		a.down = func(now int64) time.Duration { return time.Duration(now / 1e10 % 7 * int64(40*ms)) }
		w.run(10 * time.Minute)
		for i, l := range w.lines {
			if l.believed() != 1 {
				t.Errorf("line %d: %.3f", i, l.believed())
			}
		}
	})
}
