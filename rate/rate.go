// Package rate learns from a line's LCP echoes what it carries in the direction from us.
//
// An echo waits in the modem behind what was handed to the line before it. So its round trip rises above the least one when more is handed
// to the line than it carries, and each echo gives a sample: when it was sent, how long it took, and how many bytes had been handed to the
// line until then.
//
//	late   While answers are late one after another the modem's queue is not empty. Then the line has carried exactly what was handed to
//	       it between two echoes, in the time between their answers: that is its rate, whatever the senders do. Such times are added
//	       up to a second at least, a flow's pauses left out. Where many echoes are lost the same part of the rest was dropped, too.
//	clear  While no round trip is long the line has carried all that it was given: its rate is no less. If that is nearly what is
//	       believed, or its bond has enough to do and prefers other lines, it may carry more: the belief grows until round trips do.
//	       After a measurement that is a probe, faster and faster, for which the line waits ever longer, from ten seconds to five
//	       minutes, as long as there is nothing to be gained.
//
// Something else may have made the round trips long: a download, or an access concentrator that is busy. So a rate that is much lower than
// what was believed is on trial: for a few seconds a good deal less still is believed, so that the line is given less. If the round trips
// get short the queue was ours. If they do not, the rate is what it was, and the next trial has to wait, from one minute to three. Rates
// that are a little lower are believed at once, but count as proven only after a trial: so many downloads do not wear a belief down.
//
// # When it is wrong
//
//   - A modem that lets echoes overtake data, a line whose rate is policed instead of queued, and a queue shorter than about 30 ms show
//     nothing: the belief grows to what senders hand to the line before they notice their losses.
//   - Drops look like carried bytes, as far as no echo is among them. Where a shaper goes by the belief it gets less until nothing is
//     dropped. Without one the belief may be a fifth too high, on all lines alike: only their ratios matter then.
//   - With few echoes a queue may have been empty between two late answers: the rate is too low until the belief has grown again.
//   - What goes to the line past our counters is missing, as is overhead that the configuration does not tell.
//   - A line that is never loaded is not learned, nor is one whose senders stay below what is believed followed when it gets faster.
//   - Round trips that are long for another reason put off probes, and cost the line a part of its share for each trial. If they happen to
//     end during one the rate is too low until the next load, which soon has it back.
//
// It is pure: times are handed in. An Estimator is not safe for concurrent use.
package rate

import (
	"math"
	"slices"
	"time"
)

// No line is slower or faster than that, in bit/s, whatever its answers say.
const (
	Least = 64_000
	Most  = 100_000_000_000
)

// Start is what is believed of a line of which nothing is known, in bit/s: it grows fast.
const Start = 1_000_000

const (
	window    = time.Second      // the least that a judgement is made of
	intervals = 2                // and so many intervals between echoes
	results   = 3                // measurements of which the middle one counts
	recent    = 30 * time.Second // others count no more

	rise     = 10 * time.Millisecond // of the round trip that can be told from noise, on a quiet line
	unsteady = 3                     // times the mean deviation of its round trips, in addition

	loaded = 0.75 // of the belief: a line that carries that much may carry more
	idle   = 0.05 // of the belief: with less load a rise is not ours, and the line is quiet

	ahead       = 1.4             // times what is carried, before the first measurement
	more        = 1.02            // times what was carried before: the load grows
	stays       = 3 * time.Second // as long as the load does not grow
	mostGrowth  = 0.5             // a second
	knownGrowth = 0.25            // a second, up to what it once was
	probeGrowth = 0.03            // beyond
	faster      = 0.1             // in addition, for each time that it has grown by as much as it was
	leastHold   = 10 * time.Second
	longestHold = 5 * time.Minute

	near       = 0.75             // of the proven rate: a measurement that needs no trial
	far        = 1.15             // times the proven rate: a measurement that counts as a higher rate
	onTrial    = 0.7              // of the new rate
	drainTime  = 20 * time.Second // so long at most: what does not get empty is not ours
	drain      = 0.97             // of the rate is told while the queue stands, so that it gets empty
	trialTime  = 30 * time.Second
	trialStart = 4 * time.Second // in which the load follows what is told
	leastPause = time.Minute
	longPause  = 3 * time.Minute
	quietPause = 20 * time.Second // after the round trips have become short
)

// Estimate is what is believed of a line.
type Estimate struct {
	Rate    uint64 // bit/s on the wire, between Least and Most
	Settled bool   // it has been measured once: else it is a guess that grows
	Trial   bool   // a lower rate is on trial
	Probe   bool   // a higher one is tried
}

// Cause is why an estimate has changed last.
type Cause uint8

// The causes.
const (
	Guessed   Cause = iota // nothing is known
	Kept                   // handed in
	Carried                // it has carried that much, and its echoes took no longer
	Measured               // by a queue that stood
	Acquitted              // a lower rate was on trial, and was not to blame
)

// Estimator learns the rate of one line.
type Estimator struct {
	echoes []echo // the last ones, the oldest first
	newest uint64 // number of the last one that was answered
	base   base
	run    int       // answers in a row that came late
	busy   meter     // since the last measurement
	found  []finding // the last measurements, the oldest first

	rate    float64 // bit/s
	settled bool
	proven  float64 // the highest rate since it fell last, without doubts
	once    float64 // the rate from which it fell
	probe   float64 // what is known without the probe that is going on; 0: none is
	from    float64 // what was known when it began
	hold    time.Duration
	held    time.Time // no probe before
	trial   *trial
	pause   time.Duration // after a trial in vain
	paused  time.Time     // no trial before
	alibi   time.Duration // unless round trips are much longer than this
	stood   time.Time     // since when the queue has stood, and is not known to be gone; zero: it is
	latest  time.Time     // the last answer
	cause   Cause
	trip    time.Duration // the round trip then
}

// echo is a request, and its answer.
type echo struct {
	number uint64
	sent   time.Time
	bytes  uint64        // handed to the line before it
	trip   time.Duration // 0: not answered
	busy   bool
}

func (e echo) answered() time.Time { return e.sent.Add(e.trip) }

// remembered is how many echoes are kept.
const remembered = 32

// New returns the estimator of a line of which this was believed; the zero Estimate if nothing was.
func New(was Estimate) *Estimator {
	e := &Estimator{rate: Start, hold: leastHold, pause: leastPause}
	if was.Rate != 0 {
		e.rate, e.settled, e.cause = clamp(float64(was.Rate)), was.Settled, Kept
	}
	e.proven = e.rate
	return e
}

func clamp(rate float64) float64 {
	if !(rate > Least) { // also what is not a number
		return Least
	}
	return math.Min(rate, Most)
}

// Estimate returns what is believed now.
func (e *Estimator) Estimate() Estimate {
	rate := e.rate
	if !e.stood.IsZero() && e.latest.Sub(e.stood) < drainTime {
		rate *= drain
	}
	return Estimate{uint64(clamp(rate)), e.settled, e.trial != nil, e.probe != 0}
}

// Why returns why the estimate has changed last, and what round trips were then.
func (e *Estimator) Why() (Cause, time.Duration) { return e.cause, e.trip }

// Sent takes that an echo was sent: its number, which grows by one from echo to echo and begins anew with a session, and the bytes that the
// line was given before, as they are on the wire. The line is busy if it and those beside it have since the echo before been given nearly what
// is believed of all: then this one may carry more, though others were preferred.
func (e *Estimator) Sent(now time.Time, number, bytes uint64, busy bool) {
	if n := len(e.echoes); n > 0 {
		last := e.echoes[n-1]
		switch {
		case number <= last.number:
			e.begin()
		case bytes < last.bytes || now.Before(last.sent): // the counter is another
			e.echoes, e.run, e.busy, e.found = nil, 0, meter{}, nil
		case n == remembered:
			e.echoes = slices.Delete(e.echoes, 0, 1)
		}
	}
	e.echoes = append(e.echoes, echo{number: number, sent: now, bytes: bytes, busy: busy})
	if e.held.IsZero() {
		e.held = now.Add(e.hold)
	}
}

// begin starts a new session: the line may have been trained anew, and its echoes may go another way. The estimate
// stays, or is again what it was before it fell.
func (e *Estimator) begin() {
	e.acquit()
	*e = Estimator{
		rate: math.Max(e.rate, e.once), settled: e.settled, hold: leastHold, pause: leastPause, cause: e.cause, trip: e.trip,
	}
	e.proven = e.rate
}

// Answered takes that an echo was answered. An echo that is overtaken by a later one's answer is lost.
func (e *Estimator) Answered(number uint64, trip time.Duration) {
	i := slices.IndexFunc(e.echoes, func(x echo) bool { return x.number == number })
	if i < 0 || trip <= 0 || e.echoes[i].trip != 0 || number < e.newest {
		return
	}
	e.echoes[i].trip, e.newest, e.latest = trip, number, e.echoes[i].sent.Add(trip)
	e.base.take(e.echoes[i].sent, trip)
	e.read(i)
	v, ok := e.window(i)
	if e.run >= 2 && (!ok || v.load >= loaded*e.probe) { // one alone may be by chance, with less load they are not ours
		e.endProbe(e.latest)
	}
	if ok {
		if v.load < idle*e.rate {
			e.base.quiet(trip)
		}
		e.judge(v, e.echoes[i].sent.Sub(e.echoes[i-1].sent))
	}
}

func (e *Estimator) isLong(trip time.Duration) bool { return trip > e.base.least()+e.base.noise() }

// view is what the last echoes show together.
type view struct {
	last  echo
	load  float64 // bit/s
	clear bool    // no round trip was long
}

// window looks at the last echoes up to the one at i. It is false if they are too few, or one of them was lost.
func (e *Estimator) window(i int) (view, bool) {
	v := view{last: e.echoes[i], clear: true}
	for j := i; j >= 0 && e.echoes[j].trip != 0; j-- {
		x := e.echoes[j]
		v.clear = v.clear && !e.isLong(x.trip)
		if span := v.last.sent.Sub(x.sent); span >= window && i-j >= intervals {
			v.load = bits(x, v.last, span)
			return v, true
		}
	}
	return view{}, false
}

// bits is what was given to the line between two echoes, a second.
func bits(a, b echo, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return 8 * float64(b.bytes-a.bytes) / d.Seconds()
}

// judge draws the conclusions from a window. step is the time since the last echo before.
func (e *Estimator) judge(v view, step time.Duration) {
	now := v.last.answered()
	if e.trial != nil {
		e.hear(v, step)
	} else if v.clear {
		e.carried(v, step)
	}
	if v.clear {
		e.stood = time.Time{}
		if now.Add(quietPause).Before(e.paused) { // what has made round trips long is gone, too
			e.paused = now.Add(quietPause)
		}
	}
}

// carried takes that the line has carried a load without delay.
func (e *Estimator) carried(v view, step time.Duration) {
	now := v.last.answered()
	if !e.settled {
		e.guess(v, step)
		return
	}
	before, isLoaded := e.rate, v.load >= loaded*e.rate || v.last.busy
	e.rate = math.Max(e.rate, clamp(v.load))
	growth, most := probeGrowth, float64(Most)
	if e.rate < e.once {
		growth, most = knownGrowth, e.once
	}
	if isLoaded && (growth > probeGrowth || !now.Before(e.held)) {
		if e.probe == 0 {
			e.probe, e.from = before, before
		}
		growth = math.Min(mostGrowth, growth+faster*(e.rate/e.from-1))
		e.rate = clamp(math.Min(most, e.rate*(1+growth*math.Min(step.Seconds(), 2))))
	}
	if e.probe != 0 {
		e.probe = math.Max(e.probe, v.load)
		if !isLoaded && v.load < idle*e.probe { // what it has carried is all that is known
			e.rate, e.probe = clamp(e.probe), 0
		}
	}
	if e.rate > before {
		e.proven = math.Max(e.proven, math.Max(e.probe, v.load))
		e.note(Carried, v.last.trip)
	}
}

// guess takes the same before the first measurement. As long as the line carries more and more, more than that is believed, so that its part
// of the load grows. Then no more than it has carried is: or a flow that does not fill the line would leave nothing to others.
func (e *Estimator) guess(v view, step time.Duration) {
	now := v.last.answered()
	if v.last.busy && v.load < loaded*e.proven { // others are preferred
		e.proven = clamp(e.proven * (1 + knownGrowth*math.Min(step.Seconds(), 2)))
	}
	if v.load > more*e.proven {
		e.proven, e.held = clamp(v.load), now.Add(stays)
		e.note(Carried, v.last.trip)
	}
	e.rate = e.proven
	if now.Before(e.held) && e.cause == Carried {
		e.rate = clamp(ahead * e.proven)
	}
}

// endProbe takes the first long round trip: the line carries no more than what it had before.
func (e *Estimator) endProbe(now time.Time) {
	if e.probe == 0 {
		return
	}
	e.rate = clamp(e.probe)
	if e.probe > 1.05*e.from { // there was something to be gained
		e.hold = 0
	}
	e.probe, e.once = 0, 0
	e.rest(now, 2*e.hold)
}

// rest puts the next probe off.
func (e *Estimator) rest(now time.Time, hold time.Duration) {
	e.hold = min(max(hold, leastHold), longestHold)
	e.held = now.Add(e.hold)
}

func (e *Estimator) note(c Cause, trip time.Duration) { e.cause, e.trip = c, trip }
