package line

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"linebond/ppp"
	"linebond/pppoe"
)

func TestReason(t *testing.T) {
	for _, c := range []struct {
		reason Reason
		want   string
	}{
		{Reason{Cause: PADOTimeout}, "PADO timeout"},
		{Reason{AuthRefused, "E=691"}, "authentication refused: E=691"},
		{Reason{AuthAborted, "the server does not know the password"}, "authentication aborted: the server does not know the password"},
		{Reason{EchoLost, "5 of 5"}, "echo lost 5 of 5"},
		{Reason{CarrierLost, "on eth1"}, "carrier lost on eth1"},
		{Reason{}, ""},
	} {
		if got := c.reason.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	for c := Starting; c <= HungUp; c++ {
		if c.String() == "" {
			t.Errorf("cause %d has no words", c)
		}
	}
}

// TestStatusIsACopy: what is done to a status does not reach the line.
func TestStatusIsACopy(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.up()
	s := w.line.Status()
	s.Session.ID, s.Session.AC[0], s.IPv4.DNS[0] = 99, 0xff, netip.Addr{}
	s = w.line.Status()
	if s.Session.ID != 1 || s.Session.AC.String() != acMAC.String() || !s.IPv4.DNS[0].IsValid() {
		t.Errorf("%+v, %+v", s, s.Session)
	}
	w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: 1})
	if w.state() != Waiting {
		t.Errorf("%v after the PADT", w.state())
	}
}

// TestCountersNeverFall: what the machines of a session counted outlives it.
func TestCountersNeverFall(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	want := Counters{Malformed: 3, Unexpected: 3, WrongMagic: 1, StalePADT: 1, Unknown: 1, Established: 1}
	w.start()
	w.run(0)
	w.event(DiscoveryFrame{acMAC, []byte{1}})                                     // malformed
	w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADS, SessionID: 1})                 // unexpected
	w.awaitUp(time.Second)                                                        //
	w.event(Frame{0x80fd, nil})                                                   // unknown
	w.control(ppp.LCP, ppp.Packet{Code: ppp.EchoReply, Data: []byte{9, 9, 9, 9}}) // wrong magic
	w.control(ppp.IPCP, ppp.Packet{Code: ppp.ConfigureAck, ID: 200})              // unexpected
	w.control(ppp.IPCP, ppp.Packet{Code: ppp.ConfigureRequest, Data: []byte{1}})  // malformed
	w.control(ppp.CHAP, ppp.Packet{Code: 1, Data: []byte{9}})                     // malformed
	w.control(ppp.PAP, ppp.Packet{Code: 2})                                       // unexpected
	w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: 2})                 // stale
	if got := w.line.Status().Counters; got != want {
		t.Errorf("in the session: %+v, want %+v", got, want)
	}
	w.control(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 9}) // the authentication client goes
	if got := w.line.Status().Counters; got != want {
		t.Errorf("after the peer's restart: %+v, want %+v", got, want)
	}
	w.event(Down{Cause: Operator})
	w.run(5 * time.Second)
	if got := w.line.Status().Counters; got != want {
		t.Errorf("after the session: %+v, want %+v", got, want)
	}
}

// TestFailures: they are counted up to the next success.
func TestFailures(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.openErr = errors.New("no")
	w.start()
	w.run(10 * time.Second)
	if got := w.line.Status().Failures; got != 4 {
		t.Errorf("%d failures", got)
	}
	w.openErr = nil
	w.awaitUp(time.Minute)
	if got := w.line.Status().Failures; got != 0 {
		t.Errorf("%d failures of a line that is up", got)
	}
}

// TestLateTimer: a timer that was set anew, stopped, or has fired already.
func TestLateTimer(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.event(LinkChanged{w.link})
	fire := func(generation uint64) int {
		return len(w.line.Handle(epoch, TimerFired{TimerDial, generation}))
	}
	w.event(Up{}) // sets generation 1
	w.event(Up{}) // and 2
	for _, c := range []struct {
		generation uint64
		acts       bool
	}{{0, false}, {1, false}, {3, false}, {2, true}, {2, false}, {0, false}} {
		if n := fire(c.generation); n > 0 != c.acts {
			t.Errorf("generation %d: %d actions", c.generation, n)
		}
	}
}

// TestOddEvents: answers to what was not asked, and errors without words.
func TestOddEvents(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.event(LinkChanged{w.link})
	w.event(Start{Stale: &pppoe.Session{ID: 1}}) // nobody to be told
	for _, e := range []Event{SessionOpened{}, SessionFailed{}, SessionLost{}, DiscoveryFailed{}, Frame{}, DiscoveryFrame{}} {
		if got := w.line.Handle(epoch, e); len(got) != 0 || w.state() != Waiting {
			t.Errorf("%T: %v, %v", e, got, w.state())
		}
	}
	for _, e := range []Event{SessionFailed{}, SessionLost{}, DiscoveryFailed{}} {
		w := newWorld(t, testConfig(), zeros)
		w.trace.off = true
		w.up()
		w.event(e)
		if !w.runUntil(time.Second, func() bool { return w.state() == Waiting }) {
			t.Errorf("%T: %v", e, w.state())
		}
	}
}

// TestEnded: the end of the last session that was up is remembered over dials that fail, until that of the next.
func TestEnded(t *testing.T) {
	w := newWorld(t, testConfig(), zeros)
	w.trace.off = true
	ended := func(want Reason) {
		t.Helper()
		if got := w.line.Status().Ended; got != want {
			t.Errorf("ended: %q, want %q", got, want)
		}
	}
	w.up()
	ended(Reason{})
	w.path = false
	w.run(6 * time.Second)
	ended(Reason{EchoLost, "5 of 5"})
	w.run(10 * time.Minute)
	ended(Reason{EchoLost, "5 of 5"})
	w.path = true
	w.awaitUp(time.Minute)
	w.event(Redial{})
	w.awaitUp(time.Minute)
	ended(Reason{Cause: Operator})
}
