package concentrator

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"linebond/auth"
	"linebond/config"
	"linebond/line"
	"linebond/ppp"
	"linebond/pppoe"
)

var (
	acMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0xac}
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const password = "hunter2-hunter2"

// testConfig is an AC with the user bob.
func testConfig(random func([]byte)) Config {
	return Config{
		Name: "bras1", MAC: acMAC, MaxPayload: 1500, Auth: []auth.Method{auth.CHAPMD5},
		Users: []User{{Name: "bob", Password: auth.NewSecret(password)}},
		Local: netip.MustParseAddr("198.51.100.1"), Pool: netip.MustParsePrefix("203.0.113.0/24"),
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, IPv6: true, Random: random,
	}
}

// world is an AC and lines of linebond's own on a wire that loses, doubles and
// reorders frames, in a time of its own.
type world struct {
	t     *testing.T
	now   time.Duration
	ac    *Concentrator
	lines []*host
	up    map[uint16]Session // by the AC's SessionUp and SessionDown
	ended []SessionDown
	dead  bool // the AC hears nothing

	random          *rand.Rand
	loss, duplicate float64
	delay, jitter   time.Duration
	drop            func(toAC bool, p ppp.Protocol, payload []byte) bool // session frames; nil: none

	queue queue
	count int
}

// host is a line, and what its daemon would hold for it.
type host struct {
	*line.Line
	name      Host
	session   *pppoe.Session
	discovery bool
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

func fill(random *rand.Rand) func([]byte) {
	return func(b []byte) {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
}

// newWorld has no lines yet, and a perfect wire.
func newWorld(t *testing.T, seed uint64, change func(*Config)) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 2516)), delay: time.Millisecond}
	w.boot(change)
	return w
}

// boot begins without a memory of sessions.
func (w *world) boot(change func(*Config)) {
	cfg := testConfig(fill(w.random))
	if change != nil {
		change(&cfg)
	}
	w.ac, w.up, w.dead = New(cfg), map[uint16]Session{}, false
}

// addLine starts a line of the user bob, on a circuit of its own: all have the
// same Ethernet address, as lines on one device's VLANs do.
func (w *world) addLine(change func(*config.Line)) *host {
	cfg := config.Line{
		Name: "a", Enabled: true, Interface: "eth1", Device: "ppp-a",
		Username: "bob", Password: auth.NewSecret(password), Auth: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP},
		MTU: 1500, Keepalive: config.Keepalive{Interval: time.Second, Failures: 5}, IPv6: true,
	}
	if change != nil {
		change(&cfg)
	}
	h := &host{Line: line.New(cfg, fill(w.random)), name: Host{[6]byte{2, 0, 0, 0, 0, 1}, uint32(len(w.lines))}}
	w.lines = append(w.lines, h)
	w.atHost(h, line.LinkChanged{Link: line.Link{Exists: true, Carrier: true, MTU: 1508}})
	w.atHost(h, line.Start{})
	return h
}

func (w *world) after(d time.Duration, run func()) {
	w.count++
	heap.Push(&w.queue, entry{w.now + d, w.count, run})
}

// run lets time pass until done, at most for limit, and says whether it was done.
func (w *world) run(limit time.Duration, done func() bool) bool {
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

func never() bool { return false }

// await wants something to be done within a limit.
func (w *world) await(limit time.Duration, what string, done func() bool) {
	w.t.Helper()
	if !w.run(limit, done) {
		for i, h := range w.lines {
			w.t.Logf("line %d is %v: %v", i, h.Status().State, h.Status().Reason)
		}
		w.t.Fatalf("not within %v: %s; the AC has %+v", limit, what, w.ac.Sessions())
	}
}

func (w *world) time() time.Time { return epoch.Add(w.now) }

// atHost hands a line an event and carries out what it asks for.
func (w *world) atHost(h *host, e line.Event) {
	for _, a := range slices.Clone(h.Handle(w.time(), e)) {
		switch a := a.(type) {
		case line.OpenDiscovery:
			h.discovery = true
		case line.SendDiscovery:
			payload := slices.Clone(a.Payload)
			w.toAC(func() []Action { return w.ac.Discovery(w.time(), h.name, payload) })
		case line.OpenSession:
			h.session = &a.Session
			w.after(0, func() { w.atHost(h, line.SessionOpened{}) })
		case line.SendFrame:
			payload, id := slices.Clone(a.Payload), h.session.ID
			if w.drop == nil || !w.drop(true, a.Protocol, payload) {
				w.toAC(func() []Action { return w.ac.Frame(w.time(), id, h.name, a.Protocol, payload) })
			}
		case line.Close:
			h.session, h.discovery = nil, false
		case line.SetTimer:
			w.after(a.Delay, func() { w.atHost(h, line.TimerFired{Timer: a.Timer, Generation: a.Generation}) })
		}
	}
}

func (w *world) toAC(arrive func() []Action) {
	ac := w.ac
	w.send(func() {
		if !w.dead && w.ac == ac {
			w.atAC(arrive())
		}
	})
}

// atAC carries out what the AC asks for.
func (w *world) atAC(actions []Action) {
	for _, a := range slices.Clone(actions) {
		switch a := a.(type) {
		case SendDiscovery:
			h := w.lines[a.To.Circuit]
			w.send(func() {
				if h.discovery {
					w.atHost(h, line.DiscoveryFrame{Src: acMAC, Payload: a.Payload})
				}
			})
		case SendFrame:
			h := w.lines[a.To.Circuit]
			if w.drop != nil && w.drop(false, a.Protocol, a.Payload) {
				continue
			}
			w.send(func() {
				if h.session != nil && h.session.ID == a.Session {
					w.atHost(h, line.Frame{Protocol: a.Protocol, Payload: a.Payload})
				}
			})
		case SetTimer:
			ac := w.ac
			w.after(a.Delay, func() {
				if w.ac == ac {
					w.atAC(w.ac.Fired(w.time(), a.Timer))
				}
			})
		case SessionUp:
			w.up[a.Session.ID] = a.Session
		case SessionDown:
			delete(w.up, a.Session.ID)
			w.ended = append(w.ended, a)
		}
	}
}

// send puts a copy, two or none on the wire.
func (w *world) send(arrive func()) {
	if w.random.Float64() < w.loss {
		return
	}
	for {
		w.after(w.delay+time.Duration(w.random.Int64N(int64(w.jitter)+1)), arrive)
		if w.random.Float64() >= w.duplicate {
			return
		}
	}
}

// agreed says whether a line is up, by the same numbers on both sides.
func (w *world) agreed(h *host) bool {
	s := h.Status()
	if s.State != line.Running || s.Session == nil {
		return false
	}
	up, ok := w.up[s.Session.ID]
	return ok && up.Host == h.name && up.State == Running && up.User == "bob" && up.Auth == s.Session.Auth && up.MTU <= s.Session.MTU &&
		up.Local == s.IPv4.Peer && up.Remote == s.IPv4.Local && up.LinkLocal == s.IPv6.Peer && up.RemoteLink == s.IPv6.Local
}

func (w *world) allAgreed() bool {
	return !slices.ContainsFunc(w.lines, func(h *host) bool { return !w.agreed(h) })
}
