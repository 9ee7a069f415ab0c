package rate

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"linebond/scheduler/model"
)

// world is a weighted bond in a simulation, packet by packet: senders, a shaper or none, the scheduler's model, and for each line a modem with
// a drop-tail queue. Times are in nanoseconds.
type world struct {
	*testing.T
	random *rand.Rand
	now    int64
	events events

	lines  []*line
	config model.Config
	state  model.State
	shaped bool  // at 0.99 of the sum
	shaper int64 // when the last packet that waits will have left it
	flows  []*flow
}

// line is a modem, its way, and what is believed of it.
type line struct {
	rate      float64                       // bit/s
	buffer    time.Duration                 // of the modem, at the rate that it began with
	way       time.Duration                 // there and back
	jitter    time.Duration                 // of answers
	interval  time.Duration                 // of echoes
	down      func(now int64) time.Duration // delay of answers by what else comes down
	loseEcho  float64
	limit     float64 // bytes
	busy      int64
	handed    uint64 // bytes
	seen      uint64 // by all lines, at the last echo
	delivered float64
	drops     int
	number    uint64
	estimator *Estimator
	told      float64
	longest   time.Duration // queue
}

const (
	packet   = 1500
	overhead = 30
)

func newWorld(t *testing.T, seed uint64, shaped bool, lines ...*line) *world {
	w := &world{T: t, random: rand.New(rand.NewPCG(seed, 7)), shaped: shaped, lines: lines, now: int64(time.Hour)}
	w.config.Cap, w.config.Count = uint64(20*time.Millisecond), uint64(len(lines))
	for i, l := range lines {
		l.limit = l.rate / 8 * l.buffer.Seconds()
		if l.estimator == nil {
			l.estimator = New(Estimate{})
		}
		w.config.Lines[i] = model.Line{Device: uint32(i + 1), Overhead: overhead, Delay: uint64(l.way / 2)}
		w.tell(i)
		w.after(time.Duration(w.random.Int64N(int64(l.interval))), func() { w.echo(i) })
	}
	return w
}

type event struct {
	at int64
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now+int64(d), do) }
func (w *world) at(t int64, do func())            { heap.Push(&w.events, event{t, do}) }

func (w *world) run(d time.Duration) {
	end := w.now + int64(d)
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// tell tells the scheduler of a line's rate, as the daemon does: when it has moved by 2 %.
func (w *world) tell(i int) {
	l := w.lines[i]
	rate := float64(l.estimator.Estimate().Rate)
	if math.Abs(rate-l.told) < 0.02*l.told {
		return
	}
	l.told = rate
	if !w.isShaped() {
		rate *= 0.95
	}
	pace, err := model.Pace(uint64(rate))
	if err != nil {
		w.Fatal(err)
	}
	w.config.Lines[i].Pace = pace
}

func (l *line) set(now int64, rate float64) {
	waits := math.Max(0, float64(l.busy-now)) * l.rate
	l.rate = rate
	l.busy = now + int64(waits/rate)
}

// put has a packet wait in the modem. It returns when it has left, or false if it is dropped.
func (l *line) put(now int64, bytes float64) (int64, bool) {
	start := max(now, l.busy)
	if float64(start-now)/1e9*l.rate/8+packet > l.limit {
		l.drops++
		return 0, false
	}
	l.longest = max(l.longest, time.Duration(start-now))
	l.busy = start + int64(bytes*8e9/l.rate)
	return l.busy, true
}

func (w *world) echo(i int) {
	l := w.lines[i]
	l.number++
	number, sent := l.number, w.now
	l.estimator.Sent(time.Unix(0, sent), number, l.handed, w.busy(l))
	w.after(l.interval, func() { w.echo(i) })
	left, ok := l.put(w.now, 70)
	if !ok || w.random.Float64() < l.loseEcho {
		return
	}
	back := left + int64(l.way) + w.random.Int64N(int64(l.jitter)+1)
	if l.down != nil {
		back += int64(l.down(left))
	}
	w.at(back, func() {
		l.estimator.Answered(number, time.Duration(w.now-sent))
		w.tell(i)
	})
}

// isShaped says whether there is a shaper: as soon as all rates are known.
func (w *world) isShaped() bool {
	unknown := func(l *line) bool { return !l.estimator.Estimate().Settled }
	return w.shaped && !slices.ContainsFunc(w.lines, unknown)
}

// busy says whether the bond has had enough to do since a line's last echo.
func (w *world) busy(l *line) bool {
	var handed uint64
	var sum float64
	for _, o := range w.lines {
		handed += o.handed
		sum += o.told
	}
	bits := 8 * float64(handed-l.seen)
	l.seen = handed
	return bits > 0.9*sum*l.interval.Seconds()
}

// send hands a packet to the bond, and calls done when it is acknowledged, or missed.
func (w *world) send(done func(arrived bool)) {
	if !w.isShaped() {
		w.choose(done)
		return
	}
	var sum float64
	for _, l := range w.lines {
		sum += 0.99 * l.told
	}
	start := max(w.now, w.shaper)
	if start-w.now > int64(30*time.Millisecond) {
		w.after(50*time.Millisecond, func() { done(false) })
		return
	}
	w.shaper = start + int64((packet+overhead)*8e9/sum)
	w.at(start, func() { w.choose(done) })
}

func (w *world) choose(done func(bool)) {
	i, ok := w.state.Choose(&w.config, &model.Stamps{}, uint64(w.now), packet)
	if !ok {
		w.Fatal("no line")
	}
	l := w.lines[i]
	l.handed += packet + overhead
	left, ok := l.put(w.now, packet+overhead)
	if !ok {
		w.after(l.way+time.Duration(max(0, l.busy-w.now)), func() { done(false) })
		return
	}
	w.at(left+int64(l.way), func() {
		l.delivered += 8 * (packet + overhead)
		done(true)
	})
}

// flow is a TCP connection, roughly: its window grows by a packet each round trip, and shrinks by 0.7 at most once in one.
type flow struct {
	window, threshold float64
	flying            int
	limit             float64 // packets; 0: none
	shrunk            int64
	stopped           bool
}

func (w *world) tcp(n int, limit float64) {
	for range n {
		f := &flow{window: 10, threshold: math.Inf(1), limit: limit}
		w.flows = append(w.flows, f)
		w.after(time.Duration(w.random.Int64N(int64(time.Second))), func() { w.fill(f) })
	}
}

func (w *world) stopFlows() {
	for _, f := range w.flows {
		f.stopped = true
	}
	w.flows = nil
}

func (w *world) fill(f *flow) {
	limit := f.window
	if f.limit > 0 {
		limit = math.Min(limit, f.limit)
	}
	for float64(f.flying) < limit && !f.stopped {
		f.flying++
		began := w.now
		w.send(func(arrived bool) {
			f.flying--
			switch {
			case !arrived && began > f.shrunk:
				f.window = math.Max(4, 0.7*f.window)
				f.threshold, f.shrunk = f.window, w.now
			case arrived && f.window < f.threshold:
				f.window++
			case arrived:
				f.window += 1 / f.window
			}
			w.fill(f)
		})
	}
}

// udp sends at a rate of its own, for a while, unevenly.
func (w *world) udp(rate float64, d time.Duration) {
	end := w.now + int64(d)
	var next func()
	next = func() {
		if w.now > end {
			return
		}
		w.send(func(bool) {})
		w.after(time.Duration(w.random.ExpFloat64()*(packet+overhead)*8e9/rate), next)
	}
	next()
}

// share is what part of the lines' rates has arrived in a time to come.
func (w *world) share(d time.Duration) float64 {
	var before, after, sum float64
	for _, l := range w.lines {
		before += l.delivered
		sum += l.rate
	}
	w.run(d)
	for _, l := range w.lines {
		after += l.delivered
	}
	return (after - before) / sum / d.Seconds()
}
