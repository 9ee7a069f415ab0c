package line

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"linebond/auth"
	"linebond/config"
	"linebond/ppp"
	"linebond/pppoe"
)

var (
	hostMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
	acMAC   = net.HardwareAddr{0x02, 0, 0, 0, 0, 0xac}
	epoch   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const password = "hunter2-hunter2"

func testConfig() config.Line {
	return config.Line{
		Name: "a", Enabled: true, Interface: "eth1", Device: "ppp-a",
		Username: "bob", Password: auth.NewSecret(password), Auth: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP},
		MTU: 1500, Keepalive: config.Keepalive{Interval: time.Second, Failures: 5}, IPv6: true,
	}
}

// zeros is a source of randomness without any: no jitter, and a magic number
// of 1.
func zeros(b []byte) { clear(b) }

// world is a line and an access concentrator on a wire, in a time of its own.
type world struct {
	t    *testing.T
	now  time.Duration
	line *Line
	ac   *concentrator
	link Link
	path bool // frames get through

	random          *rand.Rand
	loss, duplicate float64
	delay, jitter   time.Duration
	hold            func(toAC bool, p ppp.Protocol, payload []byte) bool // drops a session frame; nil: none

	discoveryErr, openErr, unitErr error // what the next effects lead to

	session   *pppoe.Session
	discovery bool

	queue queue
	count int
	check checker
	trace *trace
}

type entry struct {
	at    time.Duration
	order int
	run   func()
}

// queue is a heap.Interface of entries by time, then order.
type queue []entry

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q *queue) Push(x any) { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// newWorld returns a line that is not yet started, on a perfect wire.
func newWorld(t *testing.T, cfg config.Line, random func([]byte)) *world {
	w := &world{
		t: t, path: true, delay: time.Millisecond, random: rand.New(rand.NewPCG(1, 1)),
		link: Link{Exists: true, Carrier: true, MTU: 1508}, trace: &trace{},
	}
	w.line = New(cfg, random)
	w.ac = newConcentrator(w, random)
	return w
}

func (w *world) after(d time.Duration, run func()) {
	w.count++
	heap.Push(&w.queue, entry{w.now + d, w.count, run})
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	until := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= until {
		e := heap.Pop(&w.queue).(entry)
		w.now = e.at
		e.run()
	}
	w.now = until
}

// runUntil lets time pass until done, at most for limit, and says whether it
// was done.
func (w *world) runUntil(limit time.Duration, done func() bool) bool {
	until := w.now + limit
	for !done() {
		if len(w.queue) == 0 || w.queue[0].at > until {
			w.now = until
			return false
		}
		e := heap.Pop(&w.queue).(entry)
		w.now = e.at
		e.run()
	}
	return true
}

// start tells the line of its link, and starts it.
func (w *world) start() {
	w.event(LinkChanged{w.link})
	w.event(Start{})
}

// up starts the line and waits for both network protocols.
func (w *world) up() {
	w.t.Helper()
	w.start()
	w.awaitUp(time.Minute)
}

func (w *world) awaitUp(limit time.Duration) {
	w.t.Helper()
	if !w.runUntil(limit, w.agreed) {
		w.t.Fatalf("not up after %v: %v: %v\n%s", limit, w.state(), w.line.Status().Reason, w.trace)
	}
}

func (w *world) state() State { return w.line.Status().State }

// event hands the line an event and carries out what it asks for.
func (w *world) event(e Event) {
	w.trace.event(w.now, e)
	actions := w.line.Handle(epoch.Add(w.now), e)
	if err := w.check.actions(w.line, actions); err != nil {
		w.t.Fatalf("at %v, %T: %v\n%s", w.now, e, err, w.trace)
	}
	var follow []Event
	for _, a := range actions {
		w.trace.action(a)
		follow = append(follow, w.carryOut(a)...)
	}
	for _, e := range follow {
		w.event(e)
	}
}

// carryOut does what the daemon would do, and returns what it leads to.
func (w *world) carryOut(a Action) []Event {
	switch a := a.(type) {
	case OpenDiscovery:
		if w.discoveryErr != nil {
			return []Event{DiscoveryFailed{w.discoveryErr}}
		}
		w.discovery = true
	case SendDiscovery:
		payload := bytes.Clone(a.Payload)
		w.send(func() { w.ac.discoveryFrame(payload) })
	case OpenSession:
		if w.openErr != nil {
			return []Event{SessionFailed{w.openErr}}
		}
		w.session = &a.Session
		return []Event{SessionOpened{}}
	case CreateUnit:
		if w.unitErr != nil {
			return []Event{SessionFailed{w.unitErr}}
		}
	case SendFrame:
		payload, id := bytes.Clone(a.Payload), w.session.ID
		if w.hold == nil || !w.hold(true, a.Protocol, payload) {
			w.send(func() { w.ac.frame(id, a.Protocol, payload) })
		}
	case Close:
		w.session, w.discovery = nil, false
	case SetTimer:
		w.after(a.Delay, func() { w.event(TimerFired{a.Timer, a.Generation}) })
	}
	return nil
}

// send puts a copy, two or none on the wire.
func (w *world) send(arrive func()) {
	if !w.path || !w.link.Carrier || w.random.Float64() < w.loss {
		return
	}
	for {
		d := w.delay + time.Duration(w.random.Int64N(int64(w.jitter)+1))
		w.after(d, func() {
			if w.path && w.link.Carrier {
				arrive()
			}
		})
		if w.random.Float64() >= w.duplicate {
			return
		}
	}
}

// toHost sends a discovery frame to the line.
func (w *world) toHost(payload []byte) {
	payload = bytes.Clone(payload)
	w.send(func() {
		if w.discovery {
			w.event(DiscoveryFrame{acMAC, payload})
		}
	})
}

// sessionToHost sends a session frame to the line.
func (w *world) sessionToHost(id uint16, protocol ppp.Protocol, payload []byte) {
	if w.hold != nil && w.hold(false, protocol, payload) {
		return
	}
	payload = bytes.Clone(payload)
	w.send(func() {
		if w.session != nil && w.session.ID == id {
			w.event(Frame{protocol, payload})
		}
	})
}

func (w *world) setLink(l Link) {
	w.link = l
	w.event(LinkChanged{l})
}

func (w *world) carrier(up bool) {
	w.link.Carrier = up
	w.event(LinkChanged{w.link})
}

// agreed says whether the line is up, by the same numbers on both sides.
func (w *world) agreed() bool {
	s := w.line.Status()
	if s.State != Running || s.Session == nil {
		return false
	}
	p := w.ac.sessions[s.Session.ID]
	return p != nil && p.opened(ppp.IPCP) && p.opened(ppp.IPv6CP) &&
		s.IPv4.Local == p.ipcpPolicy.Remote && s.IPv4.Peer == p.ipcpPolicy.Local &&
		s.IPv6.Local == p.ipv6Policy.Peer().LinkLocal() && s.IPv6.Peer == p.ipv6Policy.Ours().LinkLocal()
}

// checker holds what must be true of every line at all times.
type checker struct {
	open, unit, saved bool
	state             State
	generation        uint64
	hasty             bool // skips what takes long
}

// edges are the transitions that the package comment draws; all states may go
// to rest.
var edges = map[State][]State{
	Waiting:      {Discovery},
	Discovery:    {Establish},
	Establish:    {Authenticate, Network, Terminate},
	Authenticate: {Network, Establish, Terminate},
	Network:      {Running, Establish, Terminate},
	Running:      {Running, Network, Held, Establish, Terminate},
	Held:         {Held, Running, Network, Establish, Terminate},
}

func (c *checker) actions(l *Line, actions []Action) error {
	if len(actions) > 24 {
		return fmt.Errorf("%d actions", len(actions))
	}
	for _, a := range actions {
		if err := c.action(a); err != nil {
			return fmt.Errorf("%w, in %v", err, actions)
		}
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if !c.hasty && strings.Contains(fmt.Sprintf(verb, a), password) {
				return fmt.Errorf("the password shows by %s of %T", verb, a)
			}
		}
	}
	s := l.Status()
	if s.State == Stopped && (c.open || c.saved) {
		return fmt.Errorf("stopped with a session open (%v) or saved (%v)", c.open, c.saved)
	}
	if s.State <= Discovery && (s.Session != nil || s.IPv4.Local.IsValid() || s.IPv6.Local.IsValid()) {
		return fmt.Errorf("%v with %+v", s.State, s)
	}
	if (s.State == Held || s.State == Running) && s.Session.UpSince.IsZero() {
		return fmt.Errorf("%v without having been up", s.State)
	}
	return nil
}

func (c *checker) action(a Action) error {
	bad := false
	switch a := a.(type) {
	case OpenSession:
		bad = c.open
		c.open, c.unit = true, false
	case SendFrame:
		bad = !c.open
	case CreateUnit:
		bad = !c.open || c.unit
		c.unit = true
	case Close:
		c.open = false
	case SaveSession:
		bad = c.saved
		c.saved = true
	case ForgetSession:
		c.saved = false
	case SetTimer:
		bad = a.Generation <= c.generation || a.Delay < 0
		c.generation = a.Generation
	case StatusChanged:
		return c.edge(a.Status)
	}
	if bad {
		return fmt.Errorf("%T out of turn", a)
	}
	return nil
}

func (c *checker) edge(s Status) error {
	from, to := c.state, s.State
	c.state = to
	if to == Stopped || to == Unplugged || to == Waiting {
		return nil
	}
	for _, next := range edges[from] {
		if next == to {
			return nil
		}
	}
	return fmt.Errorf("from %v to %v", from, to)
}
