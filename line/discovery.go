package line

import (
	"net"
	"slices"
	"strings"

	"linebond/pppoe"
)

// overhead is what PPPoE adds to a PPP payload: six bytes of header and two of
// protocol number (RFC 2516 section 4).
const overhead = 8

// dial begins a session with a broadcast PADI. Before it goes the PADT of the
// last session, whose end may not have been heard.
func (l *Line) dial() {
	l.emit(OpenDiscovery{})
	l.client = pppoe.NewClient(l.clientConfig())
	l.verdict, l.roundTrip, l.ended = Reason{}, 0, false
	l.enter(Discovery, Reason{Cause: Dialling})
	if l.stale != nil {
		l.told = true
		l.emit(SendDiscovery{l.stale.AC, l.stale.PADT("")})
	}
	l.discovery(l.client.Start())
}

func (l *Line) clientConfig() pppoe.ClientConfig {
	cfg := pppoe.ClientConfig{
		ServiceName: l.cfg.ServiceName,
		ACName:      l.cfg.ACName,
		HostUniq:    l.cfg.HostUniq,
		Timeout:     discoveryFirst,
		MaxTimeout:  discoveryMost,
		Attempts:    discoveryTries,
		Requests:    discoveryTries,
		Random:      l.random,
	}
	if l.eager() {
		cfg.Timeout, cfg.MaxTimeout, cfg.Attempts = eagerWait, eagerWait, eagerTries
	}
	if most := min(l.cfg.MTU, l.link.MTU-overhead); most > pppoe.StandardPayload {
		cfg.MaxPayload = uint16(most)
	}
	return cfg
}

// discovery carries out what the client asks for.
func (l *Line) discovery(actions []pppoe.Action) {
	for _, a := range actions {
		switch a.Kind {
		case pppoe.Send:
			l.asked = l.now
			l.emit(SendDiscovery{a.Dst, slices.Clone(a.Payload)})
		case pppoe.SetTimer:
			l.setTimer(TimerDiscovery, a.Delay)
		case pppoe.StopTimer:
			l.stopTimer(TimerDiscovery)
		case pppoe.Done:
			session := a.Session
			l.openSession(&session)
		case pppoe.Fail:
			l.end(discoveryReason(a.Failure))
		}
	}
}

// forgetStale: the last session's PADT is sent by one dial alone, since an
// access concentrator that has restarted may by then have given the same id to
// another line. Called when that dial goes on or ends, which shows that its
// socket could be opened; until then a crash leaves the session to the next process.
func (l *Line) forgetStale() {
	if l.told {
		l.stale, l.told = nil, false
		l.emit(ForgetSession{})
	}
}

// discoveryFailed: without a session there is nothing to wait for; with one,
// its device has most likely gone, and the kernel will say so too.
func (l *Line) discoveryFailed(err error) {
	switch {
	case l.session != nil:
		l.sessionLost(err)
	case l.client != nil:
		l.told = false // the PADT may not have gone out
		l.end(Reason{SocketFailed, words(err)})
	}
}

func discoveryReason(f pppoe.Failure) Reason {
	switch f.Kind {
	case pppoe.PADOTimeout:
		return Reason{PADOTimeout, f.Message} // of an access concentrator that refused
	case pppoe.PADSTimeout:
		return Reason{Cause: PADSTimeout}
	}
	detail := f.Kind.String()
	if f.Message != "" {
		detail += ": " + f.Message
	}
	return Reason{DiscoveryRefused, detail}
}

// discoveryFrame takes a frame of ethertype 0x8863: for the client, or the
// PADT of our session.
func (l *Line) discoveryFrame(src net.HardwareAddr, payload []byte) {
	if l.client != nil {
		l.forgetStale()
		actions := l.client.Receive(src, payload)
		l.measure(actions)
		l.discovery(actions)
		return
	}
	if l.session == nil {
		return
	}
	message, ok := l.session.Terminated(src, payload)
	if !ok {
		l.status.Counters.addForeign(payload)
		return
	}
	l.ended = true
	switch {
	case l.verdict.Cause != CauseNone && l.verdict.Cause != HungUp:
		l.end(l.verdict) // the peer has said more by a Terminate-Request or a refusal
	case l.status.State == Authenticate: // how some access concentrators refuse
		l.end(Reason{AuthCut, strings.TrimSpace("PADT " + message)})
	default:
		l.end(Reason{PeerPADT, message})
	}
}

// measure takes the round trip of discovery from an answer that moved it on:
// LCP's first repetition is set by it.
func (l *Line) measure(actions []pppoe.Action) {
	for _, a := range actions {
		if a.Kind != pppoe.Send && a.Kind != pppoe.Done {
			continue
		}
		if d := l.now.Sub(l.asked); l.roundTrip == 0 || d < l.roundTrip {
			l.roundTrip = d
		}
		return
	}
}

func (l *Line) openSession(s *pppoe.Session) {
	l.status.Counters.addClient(l.client)
	l.client = nil
	l.session = s
	l.status.Session = &Session{ID: s.ID, AC: s.AC, ACName: s.ACName, ServiceName: s.ServiceName}
	l.emit(SaveSession{*s})
	l.emit(OpenSession{*s})
	l.enter(Establish, Reason{Cause: SessionMade})
}
