package line

import (
	"errors"
	"net"
	"time"

	"linebond/config"
	"linebond/ppp"
	"linebond/pppoe"
)

var otherMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0xad}

var closeHistories = []history{
	{name: "padt", play: func(w *world) {
		w.trace.off = true
		w.start()
		for _, s := range []State{Establish, Authenticate, Network, Running} {
			w.trace.off = true
			w.event(Redial{})
			if !w.runUntil(10*time.Second, func() bool { return w.state() == s }) {
				w.t.Fatal(s)
			}
			w.trace.off = false
			w.trace.note("in " + s.String())
			w.fromAC(otherMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: w.session.ID})
			w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: w.session.ID + 1})
			w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: w.session.ID})
		}
		if got := w.line.Status().Counters.StalePADT; got != 8 {
			w.t.Errorf("%d stale PADTs counted", got)
		}
	}},
	{name: "padt_while_held", brief: true, play: func(w *world) {
		quiet(w)
		w.carrier(false)
		w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: 1})
	}},
	{name: "peer_terminates", play: func(w *world) {
		quiet(w)
		w.run(500 * time.Millisecond)
		w.control(ppp.LCP, ppp.Packet{Code: ppp.TerminateRequest, ID: 9, Data: []byte("good\nnight")})
		w.run(1010 * time.Millisecond)
	}},
	{name: "peer_terminates_before_lcp_is_open", play: func(w *world) {
		w.hold = drops(false, ppp.LCP)
		w.trace.off = true
		w.start()
		w.runUntil(time.Second, func() bool { return w.state() == Establish })
		w.trace.off = false
		w.control(ppp.LCP, ppp.Packet{Code: ppp.TerminateRequest, ID: 9})
	}},
	{name: "peer_rejects_lcp", play: func(w *world) {
		quiet(w)
		w.control(ppp.LCP, ppp.Packet{Code: ppp.CodeReject, ID: 9, Data: []byte{1, 1, 0, 4}})
		w.run(100 * time.Millisecond)
	}},
	{name: "peer_rejects_auth", brief: true, play: func(w *world) {
		w.hold = drops(false, ppp.CHAP)
		w.start()
		w.runUntil(time.Second, func() bool { return w.state() == Authenticate })
		w.control(ppp.LCP, protocolReject(ppp.CHAP))
		w.run(100 * time.Millisecond)
	}},
	{name: "hung_up_then_padt", play: func(w *world) {
		quiet(w)
		w.event(SessionLost{errors.New("hang-up")})
		w.run(20 * time.Millisecond)
		w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADT, SessionID: 1})
	}},
	{name: "hung_up", play: func(w *world) {
		quiet(w)
		w.event(SessionLost{errors.New("input/output error")})
		w.run(51 * time.Millisecond)
	}},
	{name: "frames_after_hang_up", play: func(w *world) {
		quiet(w)
		w.event(SessionLost{errors.New("hang-up")})
		w.control(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 9})
		w.control(ppp.LCP, ppp.Packet{Code: ppp.TerminateRequest, ID: 9})
	}},
	{name: "down_in_every_state", brief: true, play: func(w *world) { inEveryState(w, Down{Cause: Shutdown}, Stopped) }},
	{name: "redial_in_every_state", brief: true, play: func(w *world) { inEveryState(w, Redial{}, Discovery) }},
	{name: "up_in_every_state", brief: true, play: func(w *world) { inEveryState(w, Up{}, Running) }},
	{name: "disabled", brief: true, cfg: func(c *config.Line) { c.Enabled = false }, play: func(w *world) {
		w.start()
		w.run(time.Hour)
		w.event(Up{})
		w.awaitUp(time.Second)
		w.event(Down{Cause: Reloaded})
		w.event(Up{})
		w.run(time.Second)
	}},
}

// inEveryState does e to a line in each state, the peer being silent from then
// on, and expects it in the state given within 4 seconds.
func inEveryState(w *world, e Event, want State) {
	whole := w.trace
	for s := Stopped; s <= Terminate; s++ {
		one := newWorld(w.t, testConfig(), zeros)
		one.trace.off, one.trace.brief = true, true
		reach(one, s)
		whole.note("in " + s.String())
		one.trace = whole
		whole.off = false
		if want == Running {
			one.link, one.path, one.hold, one.ac.dead = Link{Exists: true, Carrier: true, MTU: 1508}, true, nil, false
			if s == Unplugged || s == Held {
				one.event(LinkChanged{one.link})
			}
		} else {
			one.path = false
		}
		one.event(e)
		if want == Discovery && (s == Unplugged || s == Held) {
			continue // it cannot, without carrier
		}
		if !one.runUntil(4*time.Second, func() bool { return one.state() == want }) {
			w.t.Errorf("from %v: in %v after 4 s", s, one.state())
		}
	}
}

// reach brings a new line to a state.
func reach(w *world, s State) {
	switch s {
	case Stopped:
		w.start()
		w.event(Down{Cause: Operator})
	case Unplugged:
		w.link.Carrier = false
		w.start()
	case Waiting:
		w.openErr = errors.New("no")
		w.start()
		w.run(time.Second)
		w.openErr = nil
	case Discovery:
		w.ac.dead = true
		w.start()
		w.run(time.Second)
	case Establish:
		w.hold = drops(false, ppp.LCP)
		w.start()
		w.run(20 * time.Millisecond)
	case Authenticate:
		w.hold = drops(false, ppp.CHAP)
		w.start()
		w.run(20 * time.Millisecond)
	case Network:
		w.hold = func(_ bool, p ppp.Protocol, _ []byte) bool { return p == ppp.IPCP || p == ppp.IPv6CP }
		w.start()
		w.run(20 * time.Millisecond)
	case Running:
		w.up()
	case Held:
		w.up()
		w.carrier(false)
	case Terminate:
		w.up()
		w.hold = drops(true, ppp.LCP, ppp.TerminateRequest)
		w.event(Redial{})
	}
	if w.state() != s {
		w.t.Fatalf("reached %v instead of %v", w.state(), s)
	}
}

var redialHistories = []history{
	{name: "short_sessions_back_off", brief: true, play: func(w *world) {
		w.start()
		for range 6 {
			w.awaitUp(time.Minute)
			w.run(2 * time.Second)
			w.ac.padt("flapping")
			w.run(time.Millisecond)
		}
		w.trace.note("one that lasts")
		w.awaitUp(time.Minute)
		w.run(time.Minute)
		w.ac.padt("maintenance")
		w.awaitUp(time.Second)
	}},
	{name: "pads_timeout_while_eager", brief: true, play: func(w *world) {
		quiet(w)
		w.run(time.Minute)
		w.ac.dead = true
		w.runUntil(10*time.Second, func() bool { return w.state() == Discovery })
		w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACName, Value: []byte("bras1")}}})
		w.run(5 * time.Second)
	}},
	{name: "backoff_to_30s", brief: true, play: func(w *world) {
		w.openErr = errors.New("no")
		w.start()
		w.run(150 * time.Second)
	}},
}
