package line

import (
	"bytes"
	"time"

	"linebond/config"
	"linebond/ppp"
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
	{name: "silence", play: func(w *world) {
		quiet(w)
		answered := func() { w.run(time.Second) }
		w.trace.off = true
		answered()
		w.trace.off = false
		w.path = false
		w.run(3500 * time.Millisecond)
		w.trace.note("the peer is there again")
		w.path = true
		answered()
		answered()
		w.trace.note("one that knows no echoes")
		w.path = false
		w.run(2 * time.Second)
		w.path, w.hold = true, rejectsEchoes(w)
		w.run(3 * time.Second)
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
	{name: "carrier_back_keepalive_slow", brief: true, cfg: func(c *config.Line) {
		c.Keepalive = config.Keepalive{Interval: time.Minute, Failures: 100}
	}, play: func(w *world) {
		quiet(w)
		w.run(20 * time.Second)
		w.carrier(false)
		w.run(time.Minute)
		w.ac.boot()
		w.carrier(true)
		w.awaitUp(10 * time.Second)
		w.run(61 * time.Second)
		if n := w.line.Status().Echo.Sent; n != 1 {
			w.t.Errorf("%d echoes in the first minute", n)
		}
	}},
	{name: "carrier_back_echo_unknown", brief: true, play: func(w *world) {
		quiet(w)
		w.run(20 * time.Second)
		w.hold = rejectsEchoes(w)
		for range 2 {
			w.carrier(false)
			w.run(time.Minute)
			w.carrier(true)
			w.run(10 * time.Second)
		}
		w.trace.note("now it is gone")
		w.carrier(false)
		w.run(time.Minute)
		w.path = false
		w.carrier(true)
		w.run(6 * time.Second)
	}},
	{name: "auth_rejected_while_up", play: func(w *world) {
		quiet(w)
		w.control(ppp.LCP, protocolReject(ppp.CHAP))
		w.control(ppp.LCP, protocolReject(ppp.PAP))
		w.run(10 * time.Millisecond)
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

// rejectsEchoes makes a world.hold of a peer that does not know Echo-Request.
func rejectsEchoes(w *world) func(bool, ppp.Protocol, []byte) bool {
	return func(toAC bool, protocol ppp.Protocol, payload []byte) bool {
		if !toAC || protocol != ppp.LCP || ppp.Code(payload[0]) != ppp.EchoRequest {
			return false
		}
		w.sessionToHost(w.session.ID, ppp.LCP, ppp.Packet{Code: ppp.CodeReject, ID: 1, Data: payload}.Append(nil))
		return true
	}
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
