package line

import (
	"fmt"

	"linebond/ppp"
	"linebond/pppoe"
)

// minIPv6MTU is the least MTU that IPv6 works with (RFC 8200 section 5); the
// kernel takes it off a device with a smaller one.
const minIPv6MTU = 1280

// network is one of the network protocols on a session.
type network struct {
	*ppp.Automaton
	off      bool // not configured
	rejected bool // the peer does not know it
	finished bool // given up for the time being
}

func (l *Line) startNetwork() {
	if !l.hasUnit {
		l.hasUnit = true
		l.emit(CreateUnit{})
	}
	l.status.Session.MTU, l.status.Session.MTULimit = l.mtu()
	l.ipv6cp.off = !l.cfg.IPv6 || l.status.Session.MTU < minIPv6MTU
	l.enter(Network, Reason{Cause: NetworkStarted})
	l.keepalive.Alive()
	l.setTimer(TimerKeepalive, l.cfg.Keepalive.Interval)
	for _, protocol := range []ppp.Protocol{ppp.IPCP, ppp.IPv6CP} {
		if n := l.network(protocol); !n.off {
			n.rejected, n.finished = false, false
			l.control(protocol, n.Open())
			l.control(protocol, n.Up())
		}
	}
}

// inNetwork says whether packets of network protocols may flow (RFC 1661
// section 3.5).
func (l *Line) inNetwork() bool {
	s := l.status.State
	return s == Network || s == Running || s == Held
}

func (l *Line) network(protocol ppp.Protocol) *network {
	if protocol == ppp.IPCP {
		return &l.ipcp
	}
	return &l.ipv6cp
}

// mtu returns the device's MTU, and what keeps it below the configured one.
func (l *Line) mtu() (int, string) {
	mtu, limit := l.cfg.MTU, ""
	lower := func(most int, why string) {
		if most < mtu {
			mtu, limit = most, why
		}
	}
	lower(l.link.MTU-overhead, fmt.Sprintf("%s has MTU %d; %d are needed for %d", l.status.Link, l.link.MTU, l.cfg.MTU+overhead, l.cfg.MTU))
	granted := int(l.session.MaxPayload)
	if granted > pppoe.StandardPayload {
		lower(granted, fmt.Sprintf("the access concentrator grants a PPP-Max-Payload of %d", granted))
	}
	lower(granted, "the access concentrator does not know PPP-Max-Payload (RFC 4638)")
	lower(l.lcp.PeerMRU(), fmt.Sprintf("the peer receives no more than %d bytes", l.lcp.PeerMRU()))
	return mtu, limit
}

func (l *Line) networkPacket(protocol ppp.Protocol, p ppp.Packet, payload []byte) {
	n := l.network(protocol)
	switch {
	case n.off:
		l.unknownProtocol(protocol, payload)
	case !l.inNetwork():
		l.status.Counters.Unexpected++
	default:
		if n.rejected && p.Code == ppp.ConfigureRequest { // the peer has come to know it
			n.rejected, n.finished = false, false
			l.control(protocol, n.Up())
		}
		l.control(protocol, n.Receive(p))
	}
}

func (l *Line) networkUp(protocol ppp.Protocol) {
	l.network(protocol).finished = false
	kind := "IPv4"
	switch {
	case protocol == ppp.IPv6CP:
		kind = "IPv6"
		l.status.IPv6 = IPv6{l.ipv6Policy.Ours().LinkLocal(), l.ipv6Policy.Peer().LinkLocal()}
	case !l.ipcpPolicy.Address().IsValid():
		l.networkFailed(protocol, NoAddress)
		return
	default:
		l.status.IPv4 = IPv4{l.ipcpPolicy.Address(), l.ipcpPolicy.Peer(), l.ipcpPolicy.DNS()}
	}
	l.networkChanged(Reason{Negotiated, kind})
}

func (l *Line) networkDown(protocol ppp.Protocol) {
	had := l.status.IPv6.Local.IsValid()
	if protocol == ppp.IPCP {
		had = l.status.IPv4.Local.IsValid()
		l.status.IPv4 = IPv4{}
	} else {
		l.status.IPv6 = IPv6{}
	}
	if had && l.lcp.State() == ppp.Opened { // else LCP's own end will be told
		l.networkChanged(Reason{Renegotiated, protocol.String()})
	}
}

// networkChanged tells of addresses that came or went.
func (l *Line) networkChanged(r Reason) {
	if l.status.State == Held {
		l.enter(Held, l.status.Reason)
		return
	}
	l.proceed(r)
}

// proceed: the first network protocol makes the line carry packets, a second
// adds to it.
func (l *Line) proceed(r Reason) {
	if !l.status.IPv4.Local.IsValid() && !l.status.IPv6.Local.IsValid() {
		l.enter(Network, r)
		return
	}
	if s := l.status.Session; s.UpSince.IsZero() {
		s.UpSince = l.now
		l.status.Counters.Established++
		l.failures = 0
	}
	l.enter(Running, r)
}

// networkFailed: one protocol that fails does not take the other with it, and
// is tried again later.
func (l *Line) networkFailed(protocol ppp.Protocol, c Cause) {
	n := l.network(protocol)
	n.finished = true
	switch {
	case l.status.State == Terminate:
	case (l.ipcp.off || l.ipcp.finished) && (l.ipv6cp.off || l.ipv6cp.finished):
		l.close(Reason{c, protocol.String()})
	case !n.rejected:
		l.setTimer(timerOf(protocol), retryNetwork)
	}
}

// networkTimeout is the automaton's, or our own where that has come to rest.
func (l *Line) networkTimeout(protocol ppp.Protocol) {
	n := l.network(protocol)
	if s := n.State(); s != ppp.Stopped && s != ppp.Opened {
		l.control(protocol, n.Timeout())
		return
	}
	l.control(protocol, n.Down())
	if protocol == ppp.IPCP {
		l.ipcpPolicy.Reset()
	}
	l.control(protocol, n.Up())
}

// protocolRejected: the peer does not speak a protocol of ours.
func (l *Line) protocolRejected(protocol ppp.Protocol) {
	switch protocol {
	case ppp.IPCP, ppp.IPv6CP:
		n := l.network(protocol)
		if n.off || n.rejected || !l.inNetwork() {
			return
		}
		n.rejected = true
		l.control(protocol, n.Down())
		l.stopTimer(timerOf(protocol))
		l.networkFailed(protocol, NetworkFailed)
	case ppp.PAP, ppp.CHAP:
		if l.status.State != Authenticate {
			return // of a late frame: there is nothing left to prove
		}
		l.close(Reason{AuthUnsupported, "the peer asks for " + protocol.String() + " and rejects it"})
	}
}
