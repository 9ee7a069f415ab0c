package pppoe

import (
	"cmp"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// segment is an Ethernet segment that loses, doubles and reorders frames, in a
// time of its own.
type segment struct {
	random *rand.Rand
	now    time.Duration
	flight []flying
	sent   int
}

// flying is a frame on its way, to the AC or to the host.
type flying struct {
	arrives  time.Duration
	seq      int
	toServer bool
	payload  []byte
}

// send loses 3 frames of 10, doubles 2, and delays each by up to 1.5 s, twice
// the client's patience.
func (g *segment) send(toServer bool, payload []byte) {
	copies := 1
	switch n := g.random.IntN(10); {
	case n < 3:
		copies = 0
	case n < 5:
		copies = 2
	}
	for range copies {
		g.sent++
		arrives := g.now + time.Duration(g.random.IntN(1500))*time.Millisecond
		g.flight = append(g.flight, flying{arrives, g.sent, toServer, slices.Clone(payload)})
	}
}

// next takes out the frame that arrives first, if any does by then.
func (g *segment) next(then time.Duration) (flying, bool) {
	if len(g.flight) == 0 {
		return flying{}, false
	}
	first := slices.MinFunc(g.flight, func(a, b flying) int {
		return cmp.Or(cmp.Compare(a.arrives, b.arrives), cmp.Compare(a.seq, b.seq))
	})
	if first.arrives > then {
		return flying{}, false
	}
	g.now = first.arrives
	g.flight = slices.DeleteFunc(g.flight, func(f flying) bool { return f.seq == first.seq })
	return first, true
}

// pair is a host and an AC on a segment. The host starts again whenever it
// fails, as a line does.
type pair struct {
	segment
	client   *Client
	server   *Server
	deadline time.Duration // of the client's timer; 0: stopped
	attempts int
	got      []Session // of the client
	open     map[uint16]Session
	host     net.HardwareAddr
}

func newPair(seed uint64) *pair {
	random := rand.New(rand.NewPCG(seed, 0))
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
	return &pair{
		segment: segment{random: random},
		client: NewClient(ClientConfig{
			MaxPayload: 1500, Timeout: 700 * time.Millisecond, MaxTimeout: 700 * time.Millisecond,
			Attempts: 4, Random: fill,
		}),
		server: NewServer(ServerConfig{AC: ac, ACName: "bras1", MaxPayload: 1500, Random: fill}),
		open:   map[uint16]Session{},
		host:   host,
	}
}

func (p *pair) start() {
	p.attempts++
	p.atClient(p.client.Start())
}

func (p *pair) atClient(actions []Action) {
	failed := false
	for _, a := range actions {
		switch a.Kind {
		case Send:
			p.send(true, a.Payload)
		case SetTimer:
			p.deadline = p.now + a.Delay
		case StopTimer:
			p.deadline = 0
		case Done:
			p.got = append(p.got, a.Session)
		case Fail:
			failed = true
		}
	}
	if failed {
		p.start()
	}
}

func (p *pair) atServer(actions []Action) {
	for _, a := range actions {
		switch a.Kind {
		case Send:
			p.send(false, a.Payload)
		case Open:
			p.open[a.Session.ID] = a.Session
		case Close:
			delete(p.open, a.Session.ID)
		}
	}
}

// run goes on until the segment is empty and the client's timer stopped, or
// until the limit, and says which.
func (p *pair) run(limit time.Duration) bool {
	for p.now < limit {
		until := limit
		if p.deadline != 0 {
			until = p.deadline
		}
		switch f, ok := p.next(until); {
		case ok && f.toServer:
			p.atServer(p.server.Receive(p.host, f.payload))
		case ok:
			p.atClient(p.client.Receive(ac, f.payload))
		case p.deadline == 0:
			return true
		default:
			p.now, p.deadline = p.deadline, 0
			p.atClient(p.client.Timeout())
		}
	}
	return false
}

// However bad the segment: in the end there is one session, both sides know it
// by the same numbers, and it can be ended from either side.
func TestConverge(t *testing.T) {
	restarts := 0
	for seed := range uint64(10_000) {
		p := newPair(seed)
		p.start()
		if !p.run(10 * time.Minute) {
			t.Fatalf("seed %d: no end after %d attempts", seed, p.attempts)
		}
		restarts += p.attempts - 1
		if len(p.got) != 1 {
			t.Fatalf("seed %d: %d sessions for the client", seed, len(p.got))
		}
		mine := p.got[0]
		its, ok := p.open[mine.ID]
		if !ok || describeSession(its) != describeSession(mine) || mine.MaxPayload != 1500 {
			t.Fatalf("seed %d: client %s\nserver %s", seed, describeSession(mine), describeSession(its))
		}
		// A PADS that never arrived leaves a session behind, which only an
		// attempt of its own can have made.
		if len(p.open) > p.attempts {
			t.Fatalf("seed %d: %d sessions in %d attempts", seed, len(p.open), p.attempts)
		}
		p.end(t, seed, mine)
	}
	if restarts == 0 {
		t.Error("no seed made the client start again: the segment is too good")
	}
}

// end ends the session from one side, by the seed's parity, without losses.
func (p *pair) end(t *testing.T, seed uint64, s Session) {
	t.Helper()
	if seed%2 == 0 {
		p.atServer(p.server.Receive(p.host, s.PADT("")))
		if _, ok := p.open[s.ID]; ok {
			t.Fatalf("seed %d: the server does not let go of %#04x", seed, s.ID)
		}
		return
	}
	padt := p.server.Close(s.ID, "maintenance")[0].Payload
	if message, ok := s.Terminated(ac, padt); !ok || message != "maintenance" {
		t.Fatalf("seed %d: the client does not let go: % x", seed, padt)
	}
}
