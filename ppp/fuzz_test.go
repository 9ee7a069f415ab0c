package ppp_test

import (
	"testing"

	"linebond/ppp"
)

// watcher drives an automaton by a program of bytes, and holds what it does
// against the rules that whoever carries out the actions counts on.
type watcher struct {
	t       *testing.T
	a       *ppp.Automaton
	program []byte
	request ppp.Packet // our last Configure-Request
	timer   bool
	up      bool
}

// next takes one byte of the program; zero at its end.
func (w *watcher) next() byte {
	if len(w.program) == 0 {
		return 0
	}
	b := w.program[0]
	w.program = w.program[1:]
	return b
}

// step carries out one instruction.
func (w *watcher) step() []ppp.Action {
	switch op := w.next() % 12; op {
	case 0:
		return w.a.Up()
	case 1:
		return w.a.Down()
	case 2:
		return w.a.Open()
	case 3:
		return w.a.Close()
	case 4:
		w.timer = false
		return w.a.Timeout()
	case 5, 6, 7: // an answer that fits our request
		codes := [...]ppp.Code{ppp.ConfigureAck, ppp.ConfigureNak, ppp.ConfigureReject}
		return w.a.Receive(ppp.Packet{Code: codes[op-5], ID: w.request.ID, Data: w.request.Data})
	case 8: // a request that is granted
		return w.a.Receive(packet(ppp.ConfigureRequest, w.next(), 1, 3, 21))
	}
	code, id := ppp.Code(w.next()%16), w.next()
	n := min(int(w.next()%16), len(w.program))
	data := w.program[:n:n]
	w.program = w.program[n:]
	return w.a.Receive(ppp.Packet{Code: code, ID: id, Data: data})
}

func (w *watcher) check(actions []ppp.Action) {
	for _, x := range actions {
		switch x.Kind {
		case ppp.Send:
			p, err := ppp.Parse(x.Packet)
			if err != nil || len(p.Data)+ppp.HeaderLen != len(x.Packet) {
				w.t.Fatalf("sent % x: %v", x.Packet, err)
			}
			if p.Code == ppp.ConfigureReject && len(p.Data) == 0 {
				w.t.Fatal("rejected nothing")
			}
			if p.Code == ppp.ConfigureRequest {
				w.request = ppp.Packet{Code: p.Code, ID: p.ID, Data: append([]byte(nil), p.Data...)}
			}
		case ppp.SetTimer:
			w.timer = true
			if x.Delay <= 0 {
				w.t.Fatalf("a timer of %v", x.Delay)
			}
		case ppp.StopTimer:
			w.timer = false
		case ppp.LayerUp, ppp.LayerDown:
			if w.up == (x.Kind == ppp.LayerUp) {
				w.t.Fatalf("layer up: %v, and told so again", w.up)
			}
			w.up = !w.up
		}
	}
	s := w.a.State()
	if needs := s >= ppp.Closing && s <= ppp.AckSent; w.timer != needs {
		w.t.Fatalf("%v: timer running: %v", s, w.timer)
	}
	if w.up != (s == ppp.Opened) {
		w.t.Fatalf("%v: layer up: %v", s, w.up)
	}
}

func FuzzAutomaton(f *testing.F) {
	f.Add([]byte{2, 0, 5, 8, 1, 3, 4, 4, 4})              // up, then closed by Max-Terminate
	f.Add([]byte{2, 0, 8, 1, 5, 9, 5, 1, 0, 4, 4, 4})     // up, then a Terminate-Request
	f.Add([]byte{2, 0, 6, 7, 5, 8, 1, 8, 2, 5})           // Nak, Reject, up, renegotiated
	f.Add([]byte{2, 0, 4, 4, 4, 4, 4, 8, 1, 5})           // Max-Configure, then the peer is there
	f.Add([]byte{2, 0, 9, 7, 1, 4, 9, 1, 0, 4, 9, 15, 1}) // Code-Rejects and unknown codes
	f.Fuzz(func(t *testing.T, program []byte) {
		w := &watcher{t: t, program: program}
		y := &toy{two: 12, assign: 21}
		w.a = ppp.New(y, times)
		for len(w.program) > 0 {
			w.check(w.step())
		}
	})
}
