package line

import (
	"encoding/hex"
	"slices"
	"strings"

	"linebond/auth"
	"linebond/ipcp"
	"linebond/ipv6cp"
	"linebond/lcp"
	"linebond/ppp"
)

// sessionOpened starts LCP: frames can flow.
func (l *Line) sessionOpened() {
	if l.status.State != Establish || l.lcp != nil {
		return
	}
	times := ppp.DefaultTimes.For(l.roundTrip)
	l.lcp = lcp.New(lcp.Config{
		MRU:     uint16(min(l.cfg.MTU, l.link.MTU-overhead, int(l.session.MaxPayload))),
		Allowed: l.cfg.Auth,
		Random:  l.random,
	}, times)
	l.ipcpPolicy = ipcp.NewClient()
	l.ipv6Policy = ipv6cp.New(l.identifier, l.random)
	l.ipcp = network{Automaton: ppp.New(l.ipcpPolicy, times)}
	l.ipv6cp = network{Automaton: ppp.New(l.ipv6Policy, times), off: !l.cfg.IPv6}
	l.keepalive.Reset()
	l.requests = allowance{} // how often there is a new session is our own affair
	l.control(ppp.LCP, l.lcp.Open())
	l.control(ppp.LCP, l.lcp.Up())
}

// frame takes a PPP frame of the session.
func (l *Line) frame(protocol ppp.Protocol, payload []byte) {
	if l.lcp == nil || l.verdict.Cause == HungUp {
		l.status.Counters.Unexpected++
		return
	}
	switch protocol {
	case ppp.LCP, ppp.PAP, ppp.CHAP, ppp.IPCP, ppp.IPv6CP:
	default:
		l.unknownProtocol(protocol, payload)
		return
	}
	p, err := ppp.Parse(payload)
	if err != nil {
		l.status.Counters.Malformed++
		return
	}
	if request(protocol, p.Code) && !l.requests.take(l.now) {
		l.status.Counters.Excess++
		return
	}
	switch protocol {
	case ppp.LCP:
		l.lcpPacket(p)
	case ppp.PAP, ppp.CHAP:
		l.authPacket(protocol, p)
	default:
		l.networkPacket(protocol, p, payload)
	}
}

// unknownProtocol answers what we do not speak (RFC 1661 section 5.7); before
// the network phase it is silently discarded (section 3.5).
func (l *Line) unknownProtocol(protocol ppp.Protocol, payload []byte) {
	if !l.inNetwork() {
		l.status.Counters.Unexpected++
		return
	}
	l.status.Counters.Unknown++
	if !l.requests.take(l.now) {
		l.status.Counters.Excess++
		return
	}
	l.rejectID++
	l.emit(SendFrame{ppp.LCP, lcp.AppendProtocolReject(nil, l.rejectID, protocol, payload, l.lcp.PeerMRU())})
}

func (l *Line) lcpPacket(p ppp.Packet) {
	state := l.lcp.State()
	switch p.Code {
	case ppp.EchoReply:
		if state == ppp.Opened && len(p.Data) >= 4 {
			l.echoReply(p.ID)
		}
	case ppp.CodeReject:
		if state == ppp.Opened && len(p.Data) > 0 && ppp.Code(p.Data[0]) == ppp.EchoRequest {
			l.echoRejected()
		}
	case ppp.TerminateRequest:
		l.peerTerminates(state, p)
		if l.lcp == nil {
			return
		}
	case ppp.ProtocolReject:
		if protocol, ok := lcp.RejectedProtocol(p); ok && state == ppp.Opened {
			l.protocolRejected(protocol)
			if l.lcp == nil {
				return
			}
		}
	}
	l.control(ppp.LCP, l.lcp.Receive(p))
	if l.lcp != nil && l.lcp.Looped() {
		l.end(Reason{Cause: Looped})
	}
}

// peerTerminates notes why the session is about to close. In the middle of
// authentication it most likely means a refusal, even if the words for it come
// later or have been lost.
func (l *Line) peerTerminates(state ppp.State, p ppp.Packet) {
	reason := Reason{PeerTerminated, ppp.Printable(p.Data, maxDetail)}
	switch {
	case l.verdict.Cause != CauseNone:
		return // known already
	case l.status.State == Authenticate:
		l.verdict = Reason{AuthCut, strings.TrimSpace("terminated by peer " + reason.Detail)}
	case l.status.State == Establish && state != ppp.Opened:
		reason = l.notEstablished(reason)
		l.control(ppp.LCP, l.lcp.Receive(p)) // acknowledged all the same
		l.end(reason)
	default:
		l.verdict = reason
	}
}

// control carries out what an automaton asks for.
func (l *Line) control(protocol ppp.Protocol, actions []ppp.Action) {
	timer := timerOf(protocol)
	for _, a := range slices.Clone(actions) { // what follows may use the automaton again
		switch a.Kind {
		case ppp.Send:
			l.emit(SendFrame{protocol, slices.Clone(a.Packet)})
		case ppp.SetTimer:
			l.setTimer(timer, a.Delay)
		case ppp.StopTimer:
			l.stopTimer(timer)
		case ppp.LayerUp:
			l.layerUp(protocol)
		case ppp.LayerDown:
			l.layerDown(protocol)
		case ppp.LayerFinished:
			l.layerFinished(protocol)
		}
	}
}

func timerOf(protocol ppp.Protocol) Timer {
	switch protocol {
	case ppp.IPCP:
		return TimerIPCP
	case ppp.IPv6CP:
		return TimerIPv6CP
	}
	return TimerLCP
}

func (l *Line) layerUp(protocol ppp.Protocol) {
	if protocol != ppp.LCP {
		l.networkUp(protocol)
		return
	}
	for _, a := range l.automata() {
		a.SetPeerMRU(l.lcp.PeerMRU())
	}
	method, asked := l.lcp.Auth()
	if !asked {
		l.status.Session.Auth = 0
		l.startNetwork()
		return
	}
	l.status.Session.Auth = method
	l.auth = auth.NewClient(method, l.cfg.Username, l.cfg.Password, l.random)
	l.enter(Authenticate, Reason{AuthDemanded, method.String()})
	l.authenticate(l.auth.Start())
}

func (l *Line) layerDown(protocol ppp.Protocol) {
	if protocol != ppp.LCP {
		l.networkDown(protocol)
		return
	}
	l.stopTimer(TimerKeepalive)
	l.stopTimer(TimerAuth)
	l.control(ppp.IPCP, l.ipcp.Down())
	l.control(ppp.IPv6CP, l.ipv6cp.Down())
	if l.lcp.State() == ppp.Stopping && l.verdict.Cause == CauseNone {
		l.verdict = Reason{Cause: LCPRefused} // a fatal Code- or Protocol-Reject
	}
	if l.verdict.Cause != CauseNone {
		l.enter(Terminate, l.verdict)
		return
	}
	l.status.Counters.addAuth(l.auth)
	l.auth = nil
	l.enter(Establish, Reason{Cause: Renegotiated})
}

// lcpTimeout repeats LCP's last request, or ends a session whose peer has not
// agreed to any.
func (l *Line) lcpTimeout() {
	actions := l.lcp.Timeout()
	if l.lcp.State() == ppp.Stopped && l.verdict.Cause == CauseNone {
		l.verdict = l.notEstablished(Reason{Cause: LCPTimeout})
	}
	l.control(ppp.LCP, actions)
}

// setupTimeout ends a session that has not come up.
func (l *Line) setupTimeout() {
	switch l.status.State {
	case Establish:
		l.close(l.notEstablished(Reason{Cause: LCPTimeout}))
	case Authenticate:
		l.close(Reason{Cause: AuthSilent})
	case Network:
		l.close(Reason{Cause: NetworkFailed})
	}
}

// notEstablished is why LCP did not open: the peer wants to be shown who we
// are in a way that we may not use, or else r.
func (l *Line) notEstablished(r Reason) Reason {
	if option := l.lcp.RefusedAuth(); option != nil {
		return l.unsupported(option)
	}
	return r
}

func (l *Line) layerFinished(protocol ppp.Protocol) {
	switch {
	case protocol != ppp.LCP:
		l.networkFailed(protocol, NetworkFailed)
	case l.verdict.Cause != CauseNone:
		l.end(l.verdict)
	default:
		l.end(l.notEstablished(Reason{Cause: LCPRefused}))
	}
}

// unsupported names the method that the peer wants and those that we may use.
func (l *Line) unsupported(option []byte) Reason {
	wants := "option " + hex.EncodeToString(option)
	if m, ok := auth.ParseOption(option); ok {
		wants = m.String()
	} else if len(option) == 2 && option[0] == 0xc2 && option[1] == 0x27 {
		wants = "eap"
	}
	var allowed []string
	for _, m := range l.cfg.Auth {
		allowed = append(allowed, m.String())
	}
	return Reason{AuthUnsupported, "the peer wants " + wants + "; allowed here: " + strings.Join(allowed, ", ")}
}

func (l *Line) authPacket(protocol ppp.Protocol, p ppp.Packet) {
	if l.auth == nil {
		l.status.Counters.Unexpected++
		return
	}
	l.authenticate(l.auth.Receive(protocol, p))
}

// authenticate carries out what the authentication client asks for. Once the
// session is closing, a refusal alone is of interest.
func (l *Line) authenticate(actions []auth.Action) {
	for _, a := range actions {
		if l.status.State == Terminate && a.Kind != auth.Failure {
			continue
		}
		switch a.Kind {
		case auth.Send:
			l.emit(SendFrame{a.Protocol, slices.Clone(a.Payload)})
		case auth.SetTimer:
			l.setTimer(TimerAuth, a.Delay)
		case auth.StopTimer:
			l.stopTimer(TimerAuth)
		case auth.Success:
			if l.status.State == Authenticate {
				l.authFailures, l.proven = 0, true
				l.startNetwork()
			}
		case auth.Failure:
			l.authFailed(a)
		case auth.NoAnswer:
			l.close(Reason{Cause: AuthSilent})
		}
	}
}

// authFailed is the verdict even if the peer's Terminate-Request came first.
func (l *Line) authFailed(a auth.Action) {
	reason := Reason{AuthRefused, a.Message}
	if a.Ours {
		reason.Cause = AuthAborted
	}
	switch c := l.verdict.Cause; {
	case l.status.State != Terminate:
		l.close(reason)
	case c == AuthCut, c == PeerTerminated:
		l.verdict = reason
	}
}

// automata are those of the session.
func (l *Line) automata() []*ppp.Automaton {
	return []*ppp.Automaton{l.lcp.Automaton, l.ipcp.Automaton, l.ipv6cp.Automaton}
}

// close ends the session in an orderly way: Terminate-Request, its Ack, PADT
// (TR-124 WAN.CONNECT.7).
func (l *Line) close(r Reason) {
	l.verdict = r
	if l.lcp == nil || l.lcp.State() < ppp.ReqSent {
		l.end(r)
		return
	}
	l.control(ppp.LCP, l.lcp.Close())
	if l.status.State != Terminate { // LCP was not open, and so has not told
		l.enter(Terminate, r)
	}
}

// hangUp ends whatever is under way, by the operator's wish.
func (l *Line) hangUp(r Reason) {
	switch l.status.State {
	case Stopped:
		l.enter(Stopped, r)
	case Terminate:
		l.verdict = r
	case Waiting, Unplugged, Held:
		l.end(r)
	default:
		l.close(r)
	}
}

// sessionLost: the kernel hung up. It may have been for a PADT, which is on
// its way to us as well and says more.
func (l *Line) sessionLost(err error) {
	if l.session == nil {
		return
	}
	if l.verdict.Cause == CauseNone {
		l.verdict = Reason{HungUp, words(err)}
	}
	l.setTimer(TimerVerdict, awaitVerdict)
}

// sessionFailed: it could not be opened, or its device could not be created.
func (l *Line) sessionFailed(err error) {
	if l.session == nil {
		return
	}
	if l.lcp == nil && !l.session.Unique {
		// The PADS may have been for another line on this wire, which has the
		// session open: our PADT would end it.
		l.ended = true
	}
	l.close(Reason{SessionBroken, words(err)})
}

// end is the end of a session, or of the attempt to have one.
func (l *Line) end(r Reason) {
	l.forgetStale()
	if l.session != nil {
		if !l.ended {
			l.emit(SendDiscovery{l.session.AC, l.session.PADT("")})
			l.stale = l.session // it is not sure to get there
		}
		l.emit(ForgetSession{})
	}
	l.emit(Close{})
	if s := l.status.Session; s != nil && !s.UpSince.IsZero() {
		l.status.Ended = r
	}
	pause := l.pauseAfter(r.Cause)
	if l.refused(r.Cause) {
		l.notBefore = l.now.Add(pause) // whatever the carrier does in the meantime
	}
	l.status.Counters = l.counters()
	l.client, l.session, l.lcp, l.auth, l.hasUnit = nil, nil, nil, nil, false
	l.verdict, l.redial = Reason{}, false
	l.status.Session, l.status.IPv4, l.status.IPv6 = nil, IPv4{}, IPv6{}
	for t := range NumTimers {
		l.stopTimer(t)
	}
	l.rest(r, pause)
}
