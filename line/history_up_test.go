package line

import (
	"bytes"
	"errors"
	"net"
	"time"

	"linebond/config"
	"linebond/ppp"
	"linebond/pppoe"
)

var runningHistories = []history{
	{name: "lcp_renegotiated", play: func(w *world) {
		quiet(w)
		w.trace.note("the peer has restarted, and has another address for us")
		p := w.ac.sessions[1]
		p.ipcpPolicy.Remote = p.ipcpPolicy.Remote.Next()
		p.control(ppp.LCP, p.lcp.Down())
		p.control(ppp.LCP, p.lcp.Up())
		w.run(100 * time.Millisecond)
	}},
	{name: "ipcp_renegotiated", play: func(w *world) {
		quiet(w)
		p := w.ac.sessions[1]
		p.ipcpPolicy.Remote = p.ipcpPolicy.Remote.Next()
		p.control(ppp.IPCP, p.ipcp.Down())
		p.control(ppp.IPCP, p.ipcp.Up())
		w.run(100 * time.Millisecond)
	}},
	{name: "ipcp_rejected", brief: true, play: func(w *world) { rejects(w, ppp.IPCP) }},
	{name: "ipv6cp_rejected", brief: true, play: func(w *world) { rejects(w, ppp.IPv6CP) }},
	{name: "ipcp_silent_then_there", brief: true, play: func(w *world) { silent(w, ppp.IPCP) }},
	{name: "ipv6cp_silent_then_there", brief: true, play: func(w *world) { silent(w, ppp.IPv6CP) }},
	{name: "address_only_later", brief: true, play: func(w *world) {
		w.ac.noAddress = true
		w.start()
		w.run(70 * time.Second)
		w.trace.note("now it has one")
		w.ac.noAddress = false
		w.awaitUp(30 * time.Second)
	}},
	{name: "network_protocols_rejected", brief: true, play: func(w *world) {
		w.hold = func(toAC bool, p ppp.Protocol, payload []byte) bool {
			return p == ppp.IPCP || p == ppp.IPv6CP
		}
		w.start()
		w.run(time.Second)
		w.control(ppp.LCP, protocolReject(ppp.IPCP))
		w.control(ppp.LCP, protocolReject(ppp.IPCP))
		w.control(ppp.LCP, protocolReject(ppp.IPv6CP))
		w.run(time.Second)
	}},
	{name: "rejected_protocol_asked_for", brief: true, play: func(w *world) {
		quiet(w)
		w.control(ppp.LCP, protocolReject(ppp.IPv6CP))
		p := w.ac.sessions[1]
		p.control(ppp.IPv6CP, p.ipv6cp.Down())
		p.control(ppp.IPv6CP, p.ipv6cp.Up())
		w.run(time.Second)
	}},
	{name: "ipv6_off", cfg: func(c *config.Line) { c.IPv6 = false }, play: func(w *world) {
		w.start()
		w.run(200 * time.Millisecond)
	}},
	{name: "mtu_too_small_for_ipv6", cfg: func(c *config.Line) { c.MTU = 1279 }, play: func(w *world) {
		w.start()
		w.run(200 * time.Millisecond)
	}},
	{name: "unknown_protocols", play: func(w *world) {
		w.ac.mru = 1300
		quiet(w)
		w.event(Frame{0x80fd, bytes.Repeat([]byte{1}, 10)})
		w.event(Frame{0x80fd, bytes.Repeat([]byte{1}, 2000)})
		w.event(Frame{ppp.IPv4, nil})
	}},
	{name: "malformed", play: malformed},
	{name: "echo_lost", brief: true, play: func(w *world) {
		quiet(w)
		w.run(20 * time.Second)
		w.path = false
		w.run(6 * time.Second)
		w.path = true
		w.awaitUp(time.Second)
	}},
	{name: "carrier_flaps_while_held", brief: true, play: func(w *world) {
		quiet(w)
		w.run(20 * time.Second)
		w.carrier(false)
		w.run(time.Second)
		w.trace.note("back for a moment, without an answer")
		w.path = false
		w.carrier(true)
		w.run(2 * time.Second)
		w.carrier(false)
		w.path = true
		w.run(100 * time.Second)
		w.carrier(true)
		w.run(150 * time.Second)
	}},
	{name: "carrier_back_session_alive", play: func(w *world) {
		quiet(w)
		w.carrier(false)
		w.run(119 * time.Second)
		w.carrier(true)
		w.run(1500 * time.Millisecond)
	}},
	{name: "carrier_back_session_dead", brief: true, play: func(w *world) {
		quiet(w)
		w.run(20 * time.Second)
		w.carrier(false)
		w.run(time.Minute)
		w.ac.boot()
		w.carrier(true)
		w.awaitUp(10 * time.Second)
	}},
	{name: "carrier_back_peer_renegotiates", brief: true, play: func(w *world) {
		quiet(w)
		w.run(20 * time.Second)
		w.carrier(false)
		w.run(time.Minute)
		w.hold = drops(true, ppp.LCP, ppp.EchoRequest)
		w.carrier(true)
		p := w.ac.sessions[1]
		p.control(ppp.LCP, p.lcp.Down())
		p.control(ppp.LCP, p.lcp.Up())
		w.run(time.Second)
		w.hold = nil
		w.run(3 * time.Minute)
	}},
	{name: "carrier_back_late", brief: true, play: func(w *world) {
		quiet(w)
		w.carrier(false)
		w.run(119 * time.Second)
		w.path = false
		w.carrier(true)
		w.run(6 * time.Second)
	}},
	{name: "renegotiated_while_held", brief: true, play: func(w *world) {
		quiet(w)
		w.carrier(false)
		w.trace.note("a frame that was under way")
		w.control(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 9, Data: []byte{3, 5, 0xc2, 0x23, 5}})
		w.carrier(true)
		w.run(3 * time.Minute)
	}},
	{name: "echoes_lost_around_a_renegotiation", brief: true, play: func(w *world) {
		quiet(w)
		w.hold = drops(true, ppp.LCP, ppp.EchoRequest)
		w.run(4500 * time.Millisecond)
		p := w.ac.sessions[1]
		p.control(ppp.LCP, p.lcp.Down())
		p.control(ppp.LCP, p.lcp.Up())
		w.run(2 * time.Second)
		w.hold = nil
		w.run(10 * time.Second)
	}},
	{name: "carrier_lost_for_long", play: func(w *world) {
		quiet(w)
		w.carrier(false)
		w.run(3 * time.Minute)
		w.carrier(true)
		w.run(3 * time.Millisecond)
	}},
	{name: "carrier_lost_while_dialling", brief: true, play: func(w *world) {
		w.ac.dead = true
		w.start()
		w.run(time.Second)
		w.carrier(false)
		w.run(time.Hour)
		w.ac.dead = false
		w.carrier(true)
		w.run(time.Second)
	}},
	{name: "device_deleted", brief: true, play: func(w *world) {
		quiet(w)
		w.setLink(Link{})
		w.run(time.Minute)
		w.setLink(Link{Exists: true, MTU: 1500})
		w.run(time.Second)
		w.setLink(Link{Exists: true, Carrier: true, MTU: 1500})
		w.run(time.Second)
		w.carrier(false)
		w.setLink(Link{})
	}},
}

func protocolReject(p ppp.Protocol) ppp.Packet {
	return ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{byte(p >> 8), byte(p)}}
}

// rejects is a peer without one of the network protocols.
func rejects(w *world, protocol ppp.Protocol) {
	w.hold = func(toAC bool, p ppp.Protocol, payload []byte) bool {
		if p == protocol && toAC {
			w.after(w.delay, func() { w.control(ppp.LCP, protocolReject(protocol)) })
		}
		return p == protocol
	}
	w.start()
	w.run(2 * time.Minute)
}

// silent is a peer that does not begin with one of the network protocols for
// a while.
func silent(w *world, protocol ppp.Protocol) {
	w.hold = func(_ bool, p ppp.Protocol, _ []byte) bool { return p == protocol }
	w.start()
	w.run(2 * time.Minute)
	w.trace.note("now it is there")
	w.hold = nil
	w.awaitUp(time.Minute)
}

// malformed: counted, and answered as the RFC says or not at all.
func malformed(w *world) {
	quiet(w)
	for _, frame := range []Frame{
		{ppp.LCP, nil},
		{ppp.LCP, []byte{1, 2, 0, 3}},                 // length less than the header
		{ppp.LCP, []byte{1, 2, 0, 9, 1}},              // length past the end
		{ppp.LCP, []byte{1, 2, 0, 7, 1, 9, 9}},        // option past the end
		{ppp.LCP, []byte{9, 2, 0, 6, 1, 2}},           // echo without a magic number
		{ppp.LCP, []byte{10, 2, 0, 4}},                // reply without one
		{ppp.LCP, []byte{8, 2, 0, 5, 0x80}},           // Protocol-Reject of half a protocol
		{ppp.LCP, []byte{99, 2, 0, 4}},                // unknown code: Code-Reject
		{ppp.LCP, []byte{2, 77, 0, 4}},                // Ack of nothing
		{ppp.CHAP, []byte{1, 2, 0, 5, 200}},           // challenge that runs past its end
		{ppp.PAP, []byte{2, 1, 0, 5, 0}},              // another method's verdict
		{ppp.IPCP, []byte{1, 2, 0, 9, 3, 9, 0, 0, 0}}, // option past the end
		{ppp.IPCP, []byte{0}},
	} {
		w.event(frame)
	}
	w.event(DiscoveryFrame{acMAC, []byte{0x11, 0xa7, 0, 1, 0, 9}})
	if got, want := w.line.Status().Counters, (Counters{Malformed: 8, Unexpected: 2, Established: 1}); got != want {
		w.t.Errorf("counted %+v, want %+v", got, want)
	}
}

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
