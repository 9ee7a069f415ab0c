package rate

import (
	"math"
	"time"
)

// trial is a measurement that is much lower than what was believed, and is believed only if the round trips get short by it.
type trial struct {
	rate           float64 // bit/s; the line is told a little less
	began          time.Time
	rise           time.Duration // of the round trip
	calm           time.Duration // for how long the line was given less than the rate, with no effect
	answered, lost int           // echoes
}

// measured takes a rate that a standing queue shows, from n measurements.
func (e *Estimator) measured(f finding, n int, x echo) {
	now, rate := x.answered(), clamp(f.rate)
	switch {
	case e.trial != nil:
		e.retry(f)
		return
	case !e.settled:
		e.settled = true
		e.drain(now)
		e.fix(rate)
	case rate >= near*e.proven:
		e.approach(rate)
		e.drain(now)
	case n < results && !f.lossy || now.Before(e.paused) && x.trip < 2*e.alibi:
		return
	default:
		e.trial = &trial{rate: rate, began: now, rise: x.trip - e.base.least()}
		e.rate = clamp(onTrial * rate)
	}
	e.note(Measured, x.trip)
	e.rest(now, e.hold)
}

// retry takes another measurement during a trial. It gets more exact: the line is given less, so that nothing is dropped.
func (e *Estimator) retry(f finding) {
	t := e.trial
	if f.rate < t.rate && (f.lossy || f.at.Sub(t.began) < trialStart) {
		t.rate, t.calm, t.answered, t.lost = math.Max(f.rate, t.rate/2), 0, 0, 0
		e.rate = clamp(onTrial * t.rate)
	}
}

// drain takes that the queue stands.
func (e *Estimator) drain(now time.Time) {
	if e.stood.IsZero() {
		e.stood = now
	}
}

// fix makes a rate the one from which others are judged.
func (e *Estimator) fix(rate float64) {
	e.rate, e.proven, e.probe, e.found = clamp(rate), clamp(rate), 0, nil
}

// approach moves to a rate that is close, and not a little higher than what is proven: a queue that is full hides what it has
// dropped.
func (e *Estimator) approach(rate float64) {
	e.probe = 0
	if rate > far*e.proven {
		e.proven = rate
	}
	rate = math.Min(rate, e.proven)
	if math.Abs(rate-e.rate) < e.rate/10 {
		rate = e.rate + 0.3*(rate-e.rate)
	}
	e.rate = clamp(rate)
}

// hear goes on with a trial. step is the time since the echo before.
func (e *Estimator) hear(v view, step time.Duration) {
	t, now := e.trial, v.last.answered()
	under := v.load <= (1+onTrial)/2*t.rate && now.Sub(t.began) >= trialStart
	if under {
		t.calm += step
	}
	// The queue gets shorter by a twentieth of a second each second, at least.
	enough := 3*time.Second + min(20*t.rise, 15*time.Second)
	switch {
	case v.clear:
		e.convict(now)
	case under && t.calm >= enough && !isLossy(t.answered, t.lost):
		e.acquit()
		e.note(Acquitted, v.last.trip)
		e.paused, e.alibi = now.Add(e.pause), v.last.trip
		e.pause = min(2*e.pause, longPause)
	case now.Sub(t.began) >= trialTime: // the line was given no less, so that nothing was shown
		e.convict(now)
	}
}

// convict ends a trial: the rate has fallen.
func (e *Estimator) convict(now time.Time) {
	e.once = math.Max(e.once, e.proven)
	e.fix(e.trial.rate)
	e.trial, e.pause = nil, leastPause
	e.rest(now, leastHold)
}

// acquit ends a trial: the rate is what it was.
func (e *Estimator) acquit() {
	if e.trial != nil {
		e.fix(e.proven)
		e.trial = nil
	}
}
