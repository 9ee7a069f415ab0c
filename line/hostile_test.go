package line

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linebond/ppp"
	"linebond/pppoe"
)

// TestFlood: whatever is thrown at a line, each packet leads to a few actions
// at most, and none but a real change of state is told.
func TestFlood(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	garbage := func(n int) []byte {
		b := make([]byte, random.IntN(n))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	lcpGarbage := func(i int) Event {
		p := ppp.Packet{Code: ppp.Code(i), ID: byte(i >> 3), Data: garbage(60)}
		if p.Code == ppp.TerminateRequest {
			p.Code = ppp.DiscardRequest // which would be the end of it
		}
		return Frame{ppp.LCP, p.Append(nil)}
	}
	discovery := func(code pppoe.Code, id uint16) func(int) Event {
		return func(i int) Event {
			p := pppoe.Packet{Code: code, SessionID: id, Tags: []pppoe.Tag{{Type: pppoe.TagHostUniq, Value: garbage(9)}}}
			return DiscoveryFrame{otherMAC, p.Append(nil)}
		}
	}
	for _, flood := range []struct {
		name  string
		state State
		event func(i int) Event
		told  int // how often at most
	}{
		{"PADOs while dialling", Discovery, discovery(pppoe.PADO, 0), 0},
		{"PADTs while dialling", Discovery, discovery(pppoe.PADT, 1), 0},
		{"PADOs while up", Running, discovery(pppoe.PADO, 0), 0},
		{"PADTs while up", Running, discovery(pppoe.PADT, 1), 0},
		{"discovery garbage", Running, func(int) Event { return DiscoveryFrame{acMAC, garbage(60)} }, 0},
		{"LCP garbage while negotiating", Establish, lcpGarbage, 4},
		{"LCP garbage while up", Running, lcpGarbage, 4},
		{"unknown protocols", Running, func(i int) Event { return Frame{0x80fd, garbage(60)} }, 0},
		{"CHAP garbage", Running, func(int) Event { return Frame{ppp.CHAP, garbage(60)} }, 0},
		{"IPCP requests without end", Running, func(i int) Event {
			return Frame{ppp.IPCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: byte(i)}.Append(nil)}
		}, 2},
		{"late timers", Running, func(i int) Event { return TimerFired{Timer(i) % NumTimers, uint64(i % 8)} }, 0},
	} {
		t.Run(flood.name, func(t *testing.T) {
			w := newWorld(t, testConfig(), zeros)
			w.trace.off = true
			reach(w, flood.state)
			actions, told := 0, 0
			for i := range 1000 {
				got := w.line.Handle(epoch.Add(w.now), flood.event(i))
				actions += len(got)
				for _, a := range got {
					if _, ok := a.(StatusChanged); ok {
						told++
					}
				}
			}
			if actions > 3000 || told > flood.told {
				t.Errorf("%d actions, told %d times", actions, told)
			}
		})
	}
}

// TestRefusedForEver: a peer that refuses all that IPCP asks, while IPv6CP is
// up, is not asked at the pace of the round trip.
func TestRefusedForEver(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.trace.off = true
	requests := 0
	w.hold = func(toAC bool, protocol ppp.Protocol, payload []byte) bool {
		if !toAC || protocol != ppp.IPCP || ppp.Code(payload[0]) != ppp.ConfigureRequest {
			return false
		}
		requests++
		w.sessionToHost(w.session.ID, ppp.IPCP, ppp.Packet{Code: ppp.ConfigureNak, ID: payload[1], Data: payload[4:]}.Append(nil))
		return true
	}
	w.start()
	w.run(10 * time.Minute)
	if w.state() != Running || requests < 50 || requests > 400 {
		t.Errorf("%v after %d requests in 10 minutes", w.state(), requests)
	}
	w.hold = nil
	w.awaitUp(time.Minute)
}

func TestNoSecretShows(t *testing.T) {
	a := SendFrame{ppp.PAP, []byte(password)}
	text, err := a.MarshalText()
	for _, s := range []string{fmt.Sprint(a), fmt.Sprintf("%+v %#v %x %s %q", a, a, a, a, a), fmt.Sprint([]Action{a}), string(text)} {
		if strings.Contains(s, password) || !strings.Contains(s, "send PAP, 15 bytes") {
			t.Errorf("%s, %v", s, err)
		}
	}
}

// FuzzLine feeds a line in any state whatever comes. The first byte is the
// state, the rest are events; the world's checker holds the line to its rules.
func FuzzLine(f *testing.F) {
	for s := Stopped; s <= Terminate; s++ {
		f.Add([]byte{byte(s), 0, 7, 0, 1, 5, 1, 0, 2, 4, 0, 0, 4, 10, 5, 9})
		f.Add([]byte{byte(s), 3, 0, 3, 7, 4, 1, 5, 200, 4, 0, 2, 1, 6, 0, 1, 1, 3, 4, 1, 1, 0, 0})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 300 {
			return
		}
		w := newWorld(t, testConfig(), zeros)
		w.trace.off = true
		reach(w, State(b[0]%10))
		b = b[1:]
		events := 0
		for ; len(b) > 1; events++ {
			var e Event
			if e, b = fuzzEvent(w, b); e != nil {
				w.event(e)
			}
		}
		before := w.line.Status().Counters
		if sum := before.Malformed + before.Unexpected + before.StalePADT + before.Unknown + before.WrongMagic; sum > uint64(events+20)*30 {
			t.Errorf("%+v after %d events", before, events)
		}
		w.event(Down{Cause: Shutdown})
		if !w.runUntil(4*time.Second, func() bool { return w.state() == Stopped }) {
			t.Errorf("in %v four seconds after Down", w.state())
		}
	})
}

// fuzzEvent takes the next event from b, which has two bytes or more.
func fuzzEvent(w *world, b []byte) (Event, []byte) {
	op, arg, b := b[0], b[1], b[2:]
	take := func() []byte {
		n := min(int(arg>>3), len(b))
		taken := b[:n:n]
		b = b[n:]
		return taken
	}
	switch op % 9 {
	case 0:
		codes := []pppoe.Code{pppoe.PADO, pppoe.PADS, pppoe.PADT, pppoe.PADI}
		tags, err := pppoe.Parse(append([]byte{0x11, 0, 0, 0, 0, byte(arg >> 3)}, take()...))
		if err != nil {
			tags.Tags = nil
		}
		return DiscoveryFrame{acMAC, pppoe.Packet{Code: codes[arg%4], SessionID: uint16(arg>>2) & 1, Tags: tags.Tags}.Append(nil)}, b
	case 1:
		return DiscoveryFrame{otherMAC, take()}, b
	case 2, 3:
		if w.session == nil {
			return nil, b
		}
		protocols := []ppp.Protocol{ppp.LCP, ppp.IPCP, ppp.IPv6CP, ppp.CHAP, ppp.PAP, 0x80fd, ppp.LCP, ppp.LCP}
		payload := take()
		if op%9 == 3 && len(payload) >= 2 {
			payload = ppp.Packet{Code: ppp.Code(payload[0] % 14), ID: payload[1] % 4, Data: payload[2:]}.Append(nil)
		}
		return Frame{protocols[arg%8], payload}, b
	case 4:
		w.run(time.Duration(arg) * time.Duration(arg) * 2 * time.Millisecond)
		return nil, b
	case 5:
		w.link = Link{Exists: arg&1 == 0, Carrier: arg&3 == 0, MTU: 1500}
		return LinkChanged{w.link}, b
	case 6:
		return []Event{Up{}, Down{Cause: Operator}, Redial{}}[arg%3], b
	case 7:
		return TimerFired{Timer(arg) % NumTimers, uint64(arg >> 4)}, b
	}
	if w.session == nil {
		return DiscoveryFailed{}, b
	}
	return []Event{SessionLost{}, SessionFailed{}, SessionOpened{}, DiscoveryFailed{}}[arg%4], b
}
