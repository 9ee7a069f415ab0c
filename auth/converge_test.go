package auth

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"linebond/ppp"
)

// side is what Client and Server have in common.
type side interface {
	Start() []Action
	Receive(ppp.Protocol, ppp.Packet) []Action
	Timeout() []Action
}

// host runs one side: it carries out its actions.
type host struct {
	side       side
	other      *host
	generation int      // of the timer that is set; 0 when none is
	verdicts   []Action // Success, Failure, NoAnswer
}

// world is a client and a server joined by a line that loses, doubles and
// reorders packets, in a time of its own.
type world struct {
	random *rand.Rand
	losses int // left; see maxLosses
	now    time.Duration
	events []event
	timers int
	err    error
}

// maxLosses is what every exchange must survive. Up to two more copies come too
// early, before the other side has started; the sixth leaves after 7.5 s, well
// within startWait.
const maxLosses = 3

type event struct {
	at  time.Duration
	run func()
}

func (w *world) after(d time.Duration, run func()) {
	w.events = append(w.events, event{w.now + d, run})
}

// run lets events happen, the earliest first, until there are no more.
func (w *world) run() {
	for steps := 0; len(w.events) > 0 && w.err == nil; steps++ {
		if steps == 1000 {
			w.err = fmt.Errorf("no end after %d events", steps)
		}
		next := 0
		for i, e := range w.events {
			if e.at < w.events[next].at {
				next = i
			}
		}
		e := w.events[next]
		w.events = append(w.events[:next], w.events[next+1:]...)
		w.now = e.at
		e.run()
	}
}

func (w *world) do(h *host, actions []Action) {
	for _, a := range actions {
		switch a.Kind {
		case Send:
			w.send(h.other, a)
		case SetTimer:
			w.timers++
			generation := w.timers
			h.generation = generation
			w.after(a.Delay, func() {
				if h.generation == generation {
					h.generation = 0
					w.do(h, h.side.Timeout())
				}
			})
		case StopTimer:
			h.generation = 0
		default:
			h.verdicts = append(h.verdicts, a)
			if h.generation != 0 {
				w.err = fmt.Errorf("%v with the timer set", a)
			}
		}
	}
}

func (w *world) send(to *host, a Action) {
	copies := 1 + w.random.IntN(5)/4 // one in five is doubled
	for range copies {
		if w.losses > 0 && w.random.IntN(2) == 0 {
			w.losses--
			continue
		}
		payload := bytes.Clone(a.Payload)
		w.after(time.Duration(w.random.IntN(500))*time.Millisecond, func() {
			p, err := ppp.Parse(payload)
			if err != nil {
				w.err = err
				return
			}
			w.do(to, to.side.Receive(a.Protocol, p))
		})
	}
}

// converse lets a client and a server talk until nothing happens any more.
func converse(seed uint64, m Method, password string) (client, server []Action, err error) {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), losses: maxLosses}
	c := &host{side: NewClient(m, testUser, NewSecret(password), seeded(seed))}
	s := &host{side: NewServer(m, "ac1", onlyUser(testUser, testPassword), seeded(^seed)), other: c}
	c.other = s
	w.after(time.Duration(w.random.IntN(500))*time.Millisecond, func() { w.do(c, c.side.Start()) })
	w.after(time.Duration(w.random.IntN(500))*time.Millisecond, func() { w.do(s, s.side.Start()) })
	w.run()
	return c.verdicts, s.verdicts, w.err
}

// TestConverge: over any line that lets something through, both sides come to
// the right verdict, and to one only.
func TestConverge(t *testing.T) {
	const seeds = 10_000
	for _, m := range methods {
		for password, verdict := range map[string]ActionKind{testPassword: Success, testPassword + "x": Failure} {
			t.Run(fmt.Sprintf("%v %q", m, password), func(t *testing.T) {
				for seed := range uint64(seeds) {
					client, server, err := converse(seed, m, password)
					if err != nil || len(client) != 1 || len(server) != 1 ||
						client[0].Kind != verdict || server[0].Kind != verdict {
						t.Fatalf("seed %d: client %v, server %v, error %v", seed, client, server, err)
					}
				}
			})
		}
	}
}

// TestVerdictMessages says what either side is left with.
func TestVerdictMessages(t *testing.T) {
	for _, c := range []struct {
		method         Method
		password       string
		client, server Action
	}{
		{PAP, testPassword, Action{Kind: Success, Message: greeting}, Action{Kind: Success, Message: greeting, Username: testUser}},
		{CHAPMD5, testPassword, Action{Kind: Success, Message: greeting}, Action{Kind: Success, Message: greeting, Username: testUser}},
		{MSCHAPv2, testPassword, Action{Kind: Success, Message: greeting}, Action{Kind: Success, Message: greeting, Username: testUser}},
		{PAP, "no", Action{Kind: Failure, Message: refusal}, Action{Kind: Failure, Message: refusal, Username: testUser}},
		{CHAPMD5, "no", Action{Kind: Failure, Message: refusal}, Action{Kind: Failure, Message: refusal, Username: testUser}},
		{MSCHAPv2, "no", Action{Kind: Failure, Message: "authentication failure: " + refusal, Code: 691},
			Action{Kind: Failure, Message: refusal, Username: testUser}},
	} {
		t.Run(fmt.Sprintf("%v %q", c.method, c.password), func(t *testing.T) {
			client, server, err := converse(0, c.method, c.password)
			if err != nil {
				t.Fatal(err)
			}
			want(t, client, c.client)
			want(t, server, c.server)
		})
	}
}
