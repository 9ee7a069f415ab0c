package concentrator

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"linebond/auth"
	"linebond/ipcp"
	"linebond/ipv6cp"
	"linebond/lcp"
	"linebond/ppp"
	"linebond/pppoe"
)

// session is the AC's end of one session.
type session struct {
	Session // as seen from outside
	c       *Concentrator

	maxPayload int // as discovery has agreed, in bytes
	lcp        *lcp.Link
	auth       *auth.Server
	asked      User           // whose password auth looked up last
	reason     string         // why the session is closing
	echo       *lcp.Keepalive // nil before the network phase, and where there is none
	rejectID   uint8

	address    netip.Addr // that the host is to take
	leased     netip.Addr // if it is of the pool
	ipcp       *ppp.Automaton
	ipv6cp     *ppp.Automaton
	ipcpPolicy *ipcp.Server
	ipv6Policy *ipv6cp.Policy

	awaited [numTimers]uint64 // generation of each timer that runs, or 0
}

// setup bounds the time until a session is up.
const setup = time.Minute

// times are those of all automata. An AC does not know its hosts' round trip;
// so the first repetition waits for a slow one.
var times = func() ppp.Times {
	t := ppp.DefaultTimes
	t.First = 300 * time.Millisecond
	return t
}()

func (c *Concentrator) newSession(host Host, p pppoe.Session) *session {
	s := &session{c: c, maxPayload: int(p.MaxPayload)}
	s.Session = Session{ID: p.ID, Host: host, Since: c.now}
	s.lcp = lcp.New(lcp.Config{MRU: p.MaxPayload, Demand: c.cfg.Auth, Random: c.cfg.Random}, times)
	return s
}

// start begins LCP.
func (s *session) start() {
	s.setTimer(timerSetup, setup)
	s.control(ppp.LCP, s.lcp.Open())
	s.control(ppp.LCP, s.lcp.Up())
}

func (s *session) enter(state State) {
	if state != s.State {
		s.State, s.Since = state, s.c.now
	}
}

func (s *session) over() bool { return s.c.sessions[s.ID] != s }

// frame takes a PPP frame from the host.
func (s *session) frame(protocol ppp.Protocol, payload []byte) {
	switch protocol {
	case ppp.IPv4, ppp.IPv6:
		return // the data path's
	case ppp.LCP, ppp.PAP, ppp.CHAP, ppp.IPCP:
	case ppp.IPv6CP:
		if !s.c.cfg.IPv6 {
			s.reject(protocol, payload)
			return
		}
	default:
		s.reject(protocol, payload)
		return
	}
	p, err := ppp.Parse(payload)
	if err != nil {
		return
	}
	switch protocol {
	case ppp.LCP:
		s.lcpPacket(p)
	case ppp.PAP, ppp.CHAP:
		if s.auth != nil {
			s.authenticate(s.auth.Receive(protocol, p))
		}
	default:
		s.networkPacket(protocol, p)
	}
}

// reject answers a protocol that we do not speak (RFC 1661 section 5.7).
func (s *session) reject(protocol ppp.Protocol, payload []byte) {
	if s.lcp.State() == ppp.Opened {
		s.rejectID++
		s.send(ppp.LCP, lcp.AppendProtocolReject(nil, s.rejectID, protocol, payload, s.lcp.PeerMRU()))
	}
}

func (s *session) lcpPacket(p ppp.Packet) {
	if s.lcp.State() == ppp.Opened {
		switch p.Code {
		case ppp.EchoReply:
			if s.echo != nil {
				s.echo.Reply(s.c.now, p.ID)
			}
		case ppp.TerminateRequest:
			s.reason = strings.TrimSpace("terminated by the host " + ppp.Printable(p.Data, maxWords))
		case ppp.ProtocolReject:
			if protocol, ok := lcp.RejectedProtocol(p); ok {
				s.rejected(protocol)
			}
		}
	}
	s.control(ppp.LCP, s.lcp.Receive(p))
	if s.lcp.Looped() && !s.over() {
		s.end("the line is looped")
	}
}

// maxWords bounds what is kept of a host's words, in runes.
const maxWords = 128

// rejected: the host does not speak a protocol of ours.
func (s *session) rejected(protocol ppp.Protocol) {
	switch protocol {
	case ppp.IPCP, ppp.IPv6CP:
		if a := s.automaton(protocol); a != nil {
			s.control(protocol, a.Down()) // until the host asks for it
			s.stopTimer(timerOf(protocol))
		}
	case ppp.PAP, ppp.CHAP:
		if s.State == Authenticate {
			s.close("the host rejects " + protocol.String())
		}
	}
}

// automaton is the protocol's; nil if it has none yet.
func (s *session) automaton(protocol ppp.Protocol) *ppp.Automaton {
	switch protocol {
	case ppp.IPCP:
		return s.ipcp
	case ppp.IPv6CP:
		return s.ipv6cp
	}
	return s.lcp.Automaton
}

func timerOf(protocol ppp.Protocol) timerKind {
	switch protocol {
	case ppp.IPCP:
		return timerIPCP
	case ppp.IPv6CP:
		return timerIPv6CP
	}
	return timerLCP
}

// control carries out what an automaton asks for.
func (s *session) control(protocol ppp.Protocol, actions []ppp.Action) {
	for _, a := range slices.Clone(actions) { // what follows may use the automaton again
		switch a.Kind {
		case ppp.Send:
			s.send(protocol, slices.Clone(a.Packet))
		case ppp.SetTimer:
			s.setTimer(timerOf(protocol), a.Delay)
		case ppp.StopTimer:
			s.stopTimer(timerOf(protocol))
		case ppp.LayerUp:
			s.layerUp(protocol)
		case ppp.LayerDown:
			s.layerDown(protocol)
		case ppp.LayerFinished:
			if protocol == ppp.LCP { // another one waits for the host to ask
				s.finished()
			}
		}
	}
}

// layerUp: after LCP the host proves who it is.
func (s *session) layerUp(protocol ppp.Protocol) {
	if protocol != ppp.LCP {
		s.networkChanged(protocol.String())
		return
	}
	s.lcp.SetPeerMRU(s.lcp.PeerMRU())
	s.MTU = min(s.maxPayload, s.lcp.PeerMRU())
	method, agreed := s.lcp.PeerAuth()
	switch {
	case agreed:
		s.Auth = method
		s.auth = auth.NewServer(method, s.c.cfg.Name, s.lookup, s.c.cfg.Random)
		s.enter(Authenticate)
		s.authenticate(s.auth.Start())
	case len(s.c.cfg.Auth) > 0:
		s.close("the host does not want to prove who it is")
	default:
		s.startNetwork()
	}
}

// layerDown: without LCP there is nothing else.
func (s *session) layerDown(protocol ppp.Protocol) {
	if protocol != ppp.LCP {
		s.networkChanged(protocol.String() + " is down")
		return
	}
	s.stopTimer(timerAuth)
	s.stopTimer(timerEcho)
	s.networkDown()
	s.auth = nil
	if s.reason != "" {
		s.enter(Terminate)
		return
	}
	s.enter(Establish) // it begins anew
	s.User, s.Auth, s.MTU = "", 0, 0
	s.setTimer(timerSetup, setup)
}

// lookup is auth's.
func (s *session) lookup(name string) (auth.Secret, bool) {
	i := slices.IndexFunc(s.c.cfg.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return auth.Secret{}, false
	}
	s.asked = s.c.cfg.Users[i]
	return s.asked.Password, true
}

// authenticate carries out what the authentication asks for. The verdict is
// sent before what follows from it.
func (s *session) authenticate(actions []auth.Action) {
	var verdict auth.Action
	for _, a := range actions {
		switch a.Kind {
		case auth.Send:
			s.send(a.Protocol, slices.Clone(a.Payload))
		case auth.SetTimer:
			s.setTimer(timerAuth, a.Delay)
		case auth.StopTimer:
			s.stopTimer(timerAuth)
		default:
			verdict = a
		}
	}
	switch verdict.Kind {
	case auth.Success:
		s.User = s.asked.Name
		s.startNetwork()
	case auth.Failure:
		s.close("wrong user name or password: " + verdict.Username)
	case auth.NoAnswer:
		s.close("the host does not prove who it is")
	}
}

func (s *session) fired(t timerKind) {
	switch t {
	case timerLCP:
		s.control(ppp.LCP, s.lcp.Timeout())
	case timerAuth:
		s.authenticate(s.auth.Timeout())
	case timerIPCP:
		s.control(ppp.IPCP, s.ipcp.Timeout())
	case timerIPv6CP:
		s.control(ppp.IPv6CP, s.ipv6cp.Timeout())
	case timerEcho:
		s.tick()
	case timerSetup:
		s.close("not up within " + setup.String())
	}
}

// tick sends an Echo-Request, or ends a session whose host is silent.
func (s *session) tick() {
	id, dead := s.echo.Tick(s.c.now)
	if s.lcp.EchoUnsupported() {
		s.echo.Alive()
	}
	if dead {
		s.end("echoes unanswered")
		return
	}
	s.send(ppp.LCP, s.lcp.AppendEchoRequest(nil, id))
	s.setTimer(timerEcho, s.c.cfg.EchoInterval)
}

// close ends the session in good order (RFC 1661 section 3.7): it is over when
// LCP has finished.
func (s *session) close(reason string) {
	s.reason = reason
	s.control(ppp.LCP, s.lcp.Close())
	if !s.over() {
		s.enter(Terminate)
	}
}

// finished: LCP has come to rest.
func (s *session) finished() {
	if s.reason == "" {
		s.reason = "LCP was not agreed on"
	}
	s.end(s.reason)
}

// end ends the session at once.
func (s *session) end(reason string) {
	s.c.send(s.Host, s.c.discovery.Close(s.ID, reason))
	s.c.forget(s, reason)
}

func (s *session) send(protocol ppp.Protocol, payload []byte) {
	s.c.emit(SendFrame{s.Host, s.ID, protocol, payload})
}

// setTimer sets a timer anew; stopTimer makes its firing late.
func (s *session) setTimer(t timerKind, d time.Duration) { s.awaited[t] = s.c.setTimer(s.ID, t, d) }

func (s *session) stopTimer(t timerKind) { s.awaited[t] = 0 }
