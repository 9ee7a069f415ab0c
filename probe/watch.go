package probe

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"linebond/lcp"
)

// Line is a line that hosts are asked through, in one of its sessions.
type Line struct {
	Name     string
	Device   string
	Since    time.Time // of the session
	Source   netip.Addr
	Interval time.Duration // between rounds, in each of which every host is asked
}

// Order is what a Watcher is to do.
type Order struct {
	Targets  []netip.Addr
	Failures int // rounds in a row without an answer that are news
	Lines    []Line
}

// Health is what pings through a line tell. The zero value: nothing is known.
type Health struct {
	Silent int           // rounds in a row whose time is up, without any answer
	RTT    time.Duration // of the last answer; 0: none yet
	Loss   float64       // 0 to 1, of the last rounds
}

// Sender is what a Watcher asks by: a Pinger.
type Sender interface {
	Send(device string, source, target netip.Addr, sequence uint16) error
	Replies() <-chan Reply // closed when the Sender is of no more use
	Close() error
}

// Watcher asks hosts again and again whether lines lead to them, on a goroutine of its own: sending may take a moment.
type Watcher struct {
	open    func() (Sender, error)
	changed func()
	report  func(error)
	orders  chan Order

	order  Order
	sender Sender            // nil: not open
	rounds map[uint8]*rounds // by the upper byte of their sequence numbers
	free   uint8             // where to look for the next

	mu     sync.Mutex
	health map[string]Health // by name of line
}

// rounds are those of one line. They are told by the rules for LCP echoes; a round is one request there, and its number the lower byte of
// the sequence.
type rounds struct {
	Line
	watch lcp.Keepalive
	due   time.Time
}

// idle is how often a Watcher without a line looks around, for no reason.
const idle = time.Hour

// NewWatcher returns a Watcher that has nothing to do yet. It opens what it asks by when it needs it. On its goroutine it calls changed
// when a line begins to fail or does no more, and report after each round with the errors in it, or nil.
func NewWatcher(open func() (Sender, error), changed func(), report func(error)) *Watcher {
	return &Watcher{
		open: open, changed: changed, report: report, orders: make(chan Order, 1),
		rounds: map[uint8]*rounds{}, health: map[string]Health{},
	}
}

// Set replaces the order. What is known of a line that is the same in both stays. It never waits; it is for one goroutine.
func (w *Watcher) Set(o Order) {
	select {
	case <-w.orders:
	default:
	}
	w.orders <- o
}

// Of returns what is known of a line.
func (w *Watcher) Of(line string) Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health[line]
}

// Run does what is ordered until the context ends.
func (w *Watcher) Run(ctx context.Context) {
	defer w.close()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		var replies <-chan Reply
		if w.sender != nil {
			replies = w.sender.Replies()
		}
		select {
		case <-ctx.Done():
			return
		case w.order = <-w.orders:
			w.take(time.Now())
		case r, ok := <-replies:
			w.reply(r, ok)
		case <-timer.C:
		}
		timer.Reset(w.ask(time.Now()))
	}
}

// take begins with lines that are new in the order, and ends with those that are gone from it.
func (w *Watcher) take(now time.Time) {
	had, wanted := map[Line]bool{}, map[Line]bool{}
	if len(w.order.Targets) > 0 {
		for _, l := range w.order.Lines {
			wanted[l] = true
		}
	}
	for slot, r := range w.rounds {
		if had[r.Line] = true; !wanted[r.Line] {
			delete(w.rounds, slot)
			w.publish(r.Name, Health{})
		}
	}
	for _, l := range w.order.Lines {
		if wanted[l] && !had[l] {
			w.add(&rounds{Line: l, watch: lcp.Keepalive{Failures: math.MaxInt}, due: now})
		}
	}
	if len(w.rounds) == 0 {
		w.close()
	}
}

// add finds a number for a line's rounds. It is not one of late, whose replies may still be on their way.
func (w *Watcher) add(r *rounds) {
	for range math.MaxUint8 + 1 {
		slot := w.free
		w.free++
		if w.rounds[slot] == nil {
			w.rounds[slot] = r
			return
		}
	}
}

// ask begins the rounds that are due, and returns how long it is to the next.
func (w *Watcher) ask(now time.Time) time.Duration {
	var errs []error
	due, wait := false, idle
	for slot, r := range w.rounds {
		if !r.due.After(now) {
			due = true
			errs = append(errs, w.round(now, slot, r))
		}
		wait = min(wait, r.due.Sub(now))
	}
	if due {
		w.report(errors.Join(errs...))
	}
	return wait
}

// round begins a round. One whose requests cannot be sent counts like one that nobody answers, but nothing is known if there is no socket
// at all.
func (w *Watcher) round(now time.Time, slot uint8, r *rounds) error {
	r.due = now.Add(r.Interval) // and not sooner, to make up for a delay
	if w.sender == nil {
		sender, err := w.open()
		if err != nil {
			return err
		}
		w.sender = sender
	}
	number, _ := r.watch.Tick(now) // never dead
	var errs []error
	for _, target := range w.order.Targets {
		errs = append(errs, w.sender.Send(r.Device, r.Source, target, uint16(slot)<<8|uint16(number)))
	}
	w.tell(r)
	return errors.Join(errs...)
}

// reply takes an answer, which any of the hosts may have given first.
func (w *Watcher) reply(reply Reply, ok bool) {
	if !ok {
		w.close() // and open another when the next round is due
		return
	}
	if r := w.rounds[uint8(reply.Sequence>>8)]; r != nil {
		r.watch.Reply(reply.At, uint8(reply.Sequence))
		w.tell(r)
	}
}

// tell publishes what is known of a line.
func (w *Watcher) tell(r *rounds) {
	s := r.watch.Stats()
	w.publish(r.Name, Health{Silent: max(0, s.Silent-1), RTT: s.RTT, Loss: s.Loss}) // the newest round may yet be answered
}

// publish has Of answer. That a line fails, or does no more, is news; the rest can wait until someone asks.
func (w *Watcher) publish(line string, health Health) {
	w.mu.Lock()
	before := w.health[line]
	if w.health[line] = health; health == (Health{}) {
		delete(w.health, line)
	}
	w.mu.Unlock()
	if (before.Silent >= w.order.Failures) != (health.Silent >= w.order.Failures) {
		w.changed()
	}
}

func (w *Watcher) close() {
	if w.sender != nil {
		_ = w.sender.Close() // nothing was kept in it
		w.sender = nil
	}
}
