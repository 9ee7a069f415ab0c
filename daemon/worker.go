package daemon

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/config"
	"linebond/line"
	"linebond/ppp"
	"linebond/pppoe"
)

// worker is the goroutine that owns one line: it turns what happens into the
// line's events and carries out its actions. Others talk to it by channel.
type worker struct {
	cfg     config.Line
	effects Effects
	log     *logger
	changed func()     // tells the supervisor that latest is new
	bond    scheduling // of the line
	rates   *rates

	// The supervisor's own.
	member config.Line // cfg, but of the bond that the line is of now
	told   line.Link   // what the line was last told of
	halted bool

	line    *line.Line
	link    line.Link // as it was last told
	events  chan line.Event
	links   newest[line.Link]
	stop    newest[line.Cause]
	queries chan chan report
	done    chan struct{}
	latest  atomic.Pointer[line.Status]

	pending   []line.Event // what carrying out actions has led to
	timers    [line.NumTimers]deadline
	clock     *time.Timer // fires at the first of them
	discovery Discovery
	early     Early
	session   Session
	ended     []zap.Field // about the session that has just ended
	last      said
}

// deadline is a line's timer; without a time it is not set.
type deadline struct {
	at         time.Time
	generation uint64
}

// newest is a channel on which what is put replaces what was not yet taken.
// Only one goroutine may put.
type newest[T any] chan T

func (n newest[T]) put(v T) {
	select {
	case <-n:
	default:
	}
	n <- v
}

func newWorker(cfg config.Line, e Effects, log *zap.Logger, changed func(), bond scheduling, rates *rates) *worker {
	w := &worker{
		cfg: cfg, member: cfg, effects: e, log: &logger{Logger: log.With(zap.String("line", cfg.Name))}, changed: changed, bond: bond, rates: rates,
		line:    line.New(cfg, randomBytes),
		events:  make(chan line.Event),
		links:   make(newest[line.Link], 1),
		stop:    make(newest[line.Cause], 1),
		queries: make(chan chan report),
		done:    make(chan struct{}),
		clock:   time.NewTimer(0),
	}
	w.keep(w.line.Status())
	return w
}

// randomBytes fills b; crypto/rand cannot fail.
func randomBytes(b []byte) { _, _ = rand.Read(b) }

// run lives as long as the line: until stop has led to Stopped, or ctx ends,
// which closes the session without ceremony.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.closeSockets()
	select {
	case link := <-w.links:
		w.linkChanged(link)
	default: // there is no such device, as the line believes already
	}
	w.handle(line.Start{Stale: w.loadSession()})
	for stopping := false; !stopping || w.line.Status().State != line.Stopped; {
		select {
		case <-ctx.Done():
			return
		case cause := <-w.stop:
			stopping = true
			w.leave()
			w.handle(line.Down{Cause: cause})
		case e := <-w.events:
			if stopping && wakes(e) {
				continue
			}
			if closes(e) {
				w.leave()
			}
			w.handle(e)
		case <-w.clock.C:
			w.fire()
		case link := <-w.links:
			w.linkChanged(link)
		case f, ok := <-discoveryFrames(w.discovery):
			w.discoveryFrame(f, ok)
		case f, ok := <-sessionFrames(w.session):
			w.sessionFrame(f, ok)
		case reply := <-w.queries:
			reply <- w.report()
		}
	}
}

// wakes says whether an event would bring a line back that is being stopped.
func wakes(e line.Event) bool {
	switch e.(type) {
	case line.Up, line.Redial:
		return true
	}
	return false
}

// closes says whether an event has a session that is up be closed, or at once
// dialled anew.
func closes(e line.Event) bool {
	switch e.(type) {
	case line.Down, line.Redial:
		return true
	}
	return false
}

func discoveryFrames(d Discovery) <-chan pppoe.Frame {
	if d == nil {
		return nil
	}
	return d.Frames()
}

func sessionFrames(s Session) <-chan ppp.Frame {
	if s == nil {
		return nil
	}
	return s.Frames()
}

// post hands an event to the worker from another goroutine.
func (w *worker) post(ctx context.Context, e line.Event) error {
	select {
	case w.events <- e:
		return nil
	case <-w.done:
		return errClosing
	case <-ctx.Done():
		return errBusy
	}
}

// halt asks the worker to close the line for the cause given, and to end. A
// later cause replaces an earlier one. For the supervisor.
func (w *worker) halt(c line.Cause) {
	w.halted = true
	w.stop.put(c)
}

// tellLink tells the line of the Ethernet device below it, if it does not know
// yet. For the supervisor.
func (w *worker) tellLink(link line.Link) {
	if link != w.told {
		w.told = link
		w.links.put(link)
	}
}

// report is what a worker tells of its line.
type report struct {
	line.Status
	dropped map[string]uint64 // by the session's data plane, by the reason; nil: it does not tell
}

func (w *worker) report() report {
	r := report{Status: w.line.Status()}
	if s, ok := w.session.(dropper); ok {
		var err error
		r.dropped, err = s.Dropped()
		w.check(err)
	}
	return r
}

// status asks the worker for the line's state of this moment; a worker that is
// busy until ctx ends has the last one that it told.
func (w *worker) status(ctx context.Context) report {
	reply := make(chan report, 1)
	select {
	case w.queries <- reply:
		return <-reply
	case <-w.done:
	case <-ctx.Done():
	}
	return report{Status: *w.latest.Load()}
}

// linkChanged tells the line of the Ethernet device. A session ends with the
// MTU that it was agreed upon for, and with the address that the access
// concentrator knows it by, as the kernel's PPPoE has it.
func (w *worker) linkChanged(link line.Link) {
	var changed error
	switch {
	case !link.Exists:
	case w.link.MTU != link.MTU:
		changed = fmt.Errorf("the MTU of %s is now %d", w.cfg.Link(), link.MTU)
	case w.link.Address != link.Address:
		changed = fmt.Errorf("the address of %s is now %s", w.cfg.Link(), link.Address)
	}
	w.link = link
	w.handle(line.LinkChanged{Link: link})
	if changed != nil && w.session != nil {
		w.leave()
		w.closeSession()
		w.handle(line.SessionLost{Err: changed})
	}
}

func (w *worker) discoveryFrame(f pppoe.Frame, ok bool) {
	if ok {
		w.handle(line.DiscoveryFrame{Src: f.Src, Payload: f.Payload})
		return
	}
	err := w.discovery.Err()
	w.closeDiscovery()
	w.handle(line.DiscoveryFailed{Err: err})
}

func (w *worker) sessionFrame(f ppp.Frame, ok bool) {
	if ok {
		before := w.line.Echo()
		w.handle(line.Frame{Protocol: f.Protocol, Payload: f.Payload})
		w.answered(before, w.line.Echo())
		w.learn(before, w.line.Echo())
		return
	}
	err := w.session.Err()
	w.closeSession()
	w.handle(line.SessionLost{Err: err})
}

// handle gives the line an event, and then those that its actions led to.
func (w *worker) handle(e line.Event) {
	w.pending = append(w.pending, e)
	for len(w.pending) > 0 {
		e := w.pending[0]
		w.pending = w.pending[1:]
		for _, a := range w.line.Handle(time.Now(), e) {
			w.carryOut(a)
		}
	}
}

func (w *worker) carryOut(a line.Action) {
	switch a := a.(type) {
	case line.OpenDiscovery:
		w.openDiscovery()
	case line.SendDiscovery:
		if w.discovery != nil {
			w.check(w.discovery.Send(a.Dst, a.Payload))
		}
	case line.OpenSession:
		w.openSession(a)
	case line.SendFrame:
		if w.session != nil {
			w.check(w.session.Send(a.Protocol, a.Payload))
		}
	case line.CreateUnit:
		if w.session == nil {
			return // it has been lost a moment ago; the line will hear of it
		}
		if err := w.session.CreateUnit(w.cfg.Device); err != nil {
			w.pending = append(w.pending, line.SessionFailed{Err: err})
		}
	case line.Close:
		w.closeSockets()
	case line.SaveSession:
		w.check(w.saveSession(a.Session))
	case line.ForgetSession:
		w.check(w.forgetSession())
	case line.SetTimer:
		w.setTimer(a)
	case line.StatusChanged:
		w.tell(a.Status)
		w.keep(a.Status)
	case line.Silence:
		w.keep(a.Status)
	}
}

// check logs an error that the line itself need not know: what was not sent
// will be missed, and repeated.
func (w *worker) check(err error) {
	if err != nil {
		w.log.write(zapcore.WarnLevel, "error", zap.Error(err))
	}
}

func (w *worker) setTimer(a line.SetTimer) {
	w.timers[a.Timer] = deadline{time.Now().Add(a.Delay), a.Generation}
	w.wind()
}

// wind sets the clock.
func (w *worker) wind() {
	var first time.Time
	for _, t := range w.timers {
		if !t.at.IsZero() && (first.IsZero() || t.at.Before(first)) {
			first = t.at
		}
	}
	if first.IsZero() {
		w.clock.Stop()
		return
	}
	w.clock.Reset(time.Until(first))
}

// fire tells the line of the timers that are due.
func (w *worker) fire() {
	now, sent := time.Now(), w.line.Echo().Sent
	for i := range w.timers {
		if t := w.timers[i]; !t.at.IsZero() && !t.at.After(now) {
			w.timers[i] = deadline{}
			w.handle(line.TimerFired{Timer: line.Timer(i), Generation: t.generation})
		}
	}
	w.wind()
	if w.line.Echo().Sent > sent {
		w.asked()
	}
}

// keep publishes the line's status to the supervisor.
func (w *worker) keep(s line.Status) {
	w.latest.Store(&s)
	w.changed()
}
