// Package ppptest joins negotiating machines by a wire that loses, duplicates,
// delays and reorders, in virtual time and by a seed: the same seed gives the
// same run. No goroutine, no clock.
package ppptest

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"linebond/ppp"
)

// Machine is what the wire drives: a ppp.Automaton, or what embeds one. A
// machine that has a method Reset gets it called before each redial.
type Machine interface {
	Up() []ppp.Action
	Down() []ppp.Action
	Open() []ppp.Action
	Timeout() []ppp.Action
	Receive(ppp.Packet) []ppp.Action
	State() ppp.State
}

// Wire is a link of one PPP protocol. The zero value is perfect and instant.
type Wire struct {
	Seed      uint64
	Loss      float64       // 0..1, of the packets
	Duplicate float64       // 0..1, of the packets that are not lost
	Delay     time.Duration // one way
	Jitter    time.Duration // up to this much on top of Delay, for each packet by itself: it reorders
	Start     time.Duration // the second machine starts up to this much later
	Done      func() bool   // ends the run early; may be nil

	Now     time.Duration // virtual time since the start; after Run, when all fell silent
	Started time.Duration // when the last machine had started
	Ups     [2]int        // LayerUp of each machine

	random *rand.Rand
	queue  queue
	count  int // of events: ties are broken by their order
	ends   []*end
}

// redialAfter is the least that a machine that gave up waits before it tries
// again: longer than a packet of its former session may be on its way. As much
// again is added at random, lest two machines keep missing each other.
const redialAfter = 10 * time.Second

type end struct {
	Machine
	number int
	timer  int // generation of the timer; a firing of an older one is dropped
	up     bool
}

type event struct {
	at     time.Duration
	order  int
	to     *end
	kind   kind
	timer  int
	packet []byte
}

type kind uint8

const (
	start kind = iota
	redial
	timeout
	deliver
)

// Run opens the machines (a single one hears itself) and carries their packets
// until nothing is in flight and no timer runs. It is an error if they are not
// all Opened then, if that takes longer than limit, or if a machine breaks a
// rule of its interface.
func (w *Wire) Run(limit time.Duration, machines ...Machine) error {
	w.random = rand.New(rand.NewPCG(w.Seed, 1661))
	for i, m := range machines {
		e := &end{Machine: m, number: i}
		w.ends = append(w.ends, e)
		w.schedule(event{at: w.upTo(w.Start) * time.Duration(i), to: e, kind: start})
	}
	for len(w.queue) > 0 {
		ev := heap.Pop(&w.queue).(event)
		if ev.kind == timeout && ev.timer != ev.to.timer {
			continue
		}
		if w.Now = ev.at; w.Now > limit {
			return fmt.Errorf("not settled after %v: %s", limit, w.states())
		}
		if err := w.handle(ev); err != nil {
			return fmt.Errorf("at %v, machine %d: %w", w.Now, ev.to.number, err)
		}
		if w.Done != nil && w.Done() {
			return nil
		}
	}
	for _, e := range w.ends {
		if e.State() != ppp.Opened {
			return fmt.Errorf("silent at %v, and not opened: %s", w.Now, w.states())
		}
	}
	return nil
}

func (w *Wire) states() string {
	var names []string
	for _, e := range w.ends {
		names = append(names, e.State().String())
	}
	return fmt.Sprint(names)
}

func (w *Wire) handle(ev event) error {
	switch ev.kind {
	case start:
		w.Started = w.Now
		return w.act(ev.to, slices.Concat(ev.to.Open(), ev.to.Up()))
	case redial:
		if r, ok := ev.to.Machine.(interface{ Reset() }); ok {
			r.Reset()
		}
		return w.act(ev.to, ev.to.Up())
	case timeout:
		return w.act(ev.to, ev.to.Timeout())
	}
	p, err := ppp.Parse(ev.packet)
	if err != nil {
		return err
	}
	return w.act(ev.to, ev.to.Receive(p))
}

// act carries out what a machine asks for. One that gives up is taken down at
// once, and up again later, as a line's redial does.
func (w *Wire) act(e *end, actions []ppp.Action) error {
	gaveUp := false
	for _, a := range actions {
		switch a.Kind {
		case ppp.Send:
			w.send(w.ends[(e.number+1)%len(w.ends)], a.Packet)
		case ppp.SetTimer:
			e.timer++
			w.schedule(event{at: w.Now + a.Delay, to: e, kind: timeout, timer: e.timer})
		case ppp.StopTimer:
			e.timer++
		case ppp.LayerUp, ppp.LayerDown:
			if e.up == (a.Kind == ppp.LayerUp) {
				return fmt.Errorf("layer up: %v, and told so again", e.up)
			}
			if e.up = !e.up; e.up {
				w.Ups[e.number]++
			}
		case ppp.LayerFinished:
			gaveUp = true
			w.schedule(event{at: w.Now + redialAfter + w.upTo(redialAfter), to: e, kind: redial})
		}
	}
	if gaveUp {
		return w.act(e, e.Down())
	}
	return nil
}

// send puts a copy, two or none on the wire.
func (w *Wire) send(to *end, packet []byte) {
	if w.random.Float64() < w.Loss {
		return
	}
	packet = bytes.Clone(packet)
	for {
		w.schedule(event{at: w.Now + w.Delay + w.upTo(w.Jitter), to: to, kind: deliver, packet: packet})
		if w.random.Float64() >= w.Duplicate {
			return
		}
	}
}

func (w *Wire) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

func (w *Wire) schedule(ev event) {
	w.count++
	ev.order = w.count
	heap.Push(&w.queue, ev)
}

// queue is a heap.Interface of events by time, then order.
type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
