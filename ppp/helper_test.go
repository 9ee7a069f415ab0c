package ppp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
)

// times are easy to tell apart in what the tests print.
var times = ppp.Times{
	First: 200 * time.Millisecond, Restart: 3 * time.Second, Terminate: time.Second,
	MaxConfigure: 4, MaxTerminate: 2, MaxFailure: 3,
}

// script is a policy that says what it is told to, and notes what it hears.
type script struct {
	ask    []ppp.Option
	answer ppp.Code // to the peer's request; zero: Configure-Ack
	reply  []ppp.Option

	judged, naks, rejects int
}

func (s *script) Request(opts []ppp.Option) []ppp.Option { return append(opts, s.ask...) }

func (s *script) Judge([]ppp.Option) (ppp.Code, []ppp.Option) {
	s.judged++
	if s.answer == 0 {
		return ppp.ConfigureAck, nil
	}
	return s.answer, s.reply
}

func (s *script) Nak([]ppp.Option)    { s.naks++ }
func (s *script) Reject([]ppp.Option) { s.rejects++ }

// extended is a script with the codes of LCP.
type extended struct {
	script
	meaning  ppp.Meaning // of a code above Code-Reject
	rejected []ppp.Code
}

func (e *extended) Classify(ppp.Packet) ppp.Meaning { return e.meaning }
func (e *extended) Rejected(c ppp.Code)             { e.rejected = append(e.rejected, c) }
func (e *extended) AppendEchoReply(b []byte, p ppp.Packet) []byte {
	if p.Code != ppp.EchoRequest {
		return b
	}
	return ppp.Packet{Code: ppp.EchoReply, ID: p.ID, Data: p.Data}.Append(b)
}

// packet builds a packet of the peer's.
func packet(c ppp.Code, id uint8, data ...byte) ppp.Packet {
	return ppp.Packet{Code: c, ID: id, Data: data}
}

// asking is a policy that asks for option 1 with the value 05.
func asking() *script { return &script{ask: []ppp.Option{{Type: 1, Data: []byte{5}}}} }

// our is the wire form of what asking asks for.
var our = []byte{1, 3, 5}

// reach returns an automaton in the state given. It has sent one
// Configure-Request, #1, and in Closing and Stopping a Terminate-Request, #2.
func reach(t *testing.T, p ppp.Policy, s ppp.State) *ppp.Automaton {
	t.Helper()
	a := ppp.New(p, times)
	ack := packet(ppp.ConfigureAck, 1, our...)
	request := packet(ppp.ConfigureRequest, 9)
	switch s {
	case ppp.Starting:
		a.Open()
	case ppp.Closed:
		a.Up()
	default:
		a.Open()
		a.Up()
	}
	switch s {
	case ppp.Stopped:
		for a.State() == ppp.ReqSent {
			a.Timeout()
		}
	case ppp.Closing:
		a.Close()
	case ppp.Stopping:
		a.Close()
		a.Open()
	case ppp.AckRcvd:
		a.Receive(ack)
	case ppp.AckSent:
		a.Receive(request)
	case ppp.Opened:
		a.Receive(ack)
		a.Receive(request)
	}
	if s == ppp.Initial {
		return ppp.New(p, times)
	}
	if a.State() != s {
		t.Fatalf("reached %v instead of %v", a.State(), s)
	}
	return a
}

// show prints actions: packets as "Configure-Request #1 01 03 05".
func show(t *testing.T, actions []ppp.Action) []string {
	t.Helper()
	var lines []string
	names := [...]string{
		ppp.StopTimer: "stop timer", ppp.LayerUp: "layer up", ppp.LayerDown: "layer down",
		ppp.LayerStarted: "layer started", ppp.LayerFinished: "layer finished",
	}
	for _, a := range actions {
		switch a.Kind {
		case ppp.Send:
			p, err := ppp.Parse(a.Packet)
			if err != nil {
				t.Fatalf("sent % x: %v", a.Packet, err)
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%v #%d % x", p.Code, p.ID, p.Data)))
		case ppp.SetTimer:
			lines = append(lines, "timer "+a.Delay.String())
		default:
			lines = append(lines, names[a.Kind])
		}
	}
	return lines
}

// expect compares what an event did.
func expect(t *testing.T, a *ppp.Automaton, actions []ppp.Action, s ppp.State, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, show(t, actions)); d != "" {
		t.Error(d)
	}
	if a.State() != s {
		t.Errorf("in state %v, want %v", a.State(), s)
	}
}

// toy is a policy of every kind of haggling: option 1 is named by the other
// side (as IPCP's address), option 2 is granted as it is (as LCP's MRU), all
// others are rejected.
type toy struct {
	one, two byte    // what we ask for; one 0: the peer is to name it
	assign   byte    // what the peer must take for option 1
	refused  [4]bool // by type: options that the peer does not know
	granted  [2]byte // option 1 and 2 of the peer
}

func (y *toy) Reset() { y.one, y.refused, y.granted = 0, [4]bool{}, [2]byte{} }

func (y *toy) Request(opts []ppp.Option) []ppp.Option {
	for t, data := range [][]byte{1: {y.one}, 2: {y.two}, 3: []byte("extra")} {
		if data != nil && !y.refused[t] {
			opts = append(opts, ppp.Option{Type: uint8(t), Data: data})
		}
	}
	return opts
}

func (y *toy) Judge(opts []ppp.Option) (ppp.Code, []ppp.Option) {
	var reject, nak []ppp.Option
	var granted [2]byte
	for _, o := range opts {
		switch {
		case len(o.Data) != 1 || o.Type < 1 || o.Type > 2:
			reject = append(reject, o)
		case o.Type == 1 && o.Data[0] != y.assign:
			nak = append(nak, ppp.Option{Type: 1, Data: []byte{y.assign}})
		default:
			granted[o.Type-1] = o.Data[0]
		}
	}
	switch {
	case len(reject) > 0:
		return ppp.ConfigureReject, reject
	case len(nak) > 0:
		return ppp.ConfigureNak, nak
	}
	y.granted = granted
	return ppp.ConfigureAck, nil
}

func (y *toy) Nak(opts []ppp.Option) {
	for _, o := range opts {
		if o.Type == 1 && len(o.Data) == 1 {
			y.one = o.Data[0]
		}
	}
}

func (y *toy) Reject(opts []ppp.Option) {
	for _, o := range opts {
		y.refused[o.Type] = true
	}
}
