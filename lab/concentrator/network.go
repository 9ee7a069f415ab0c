package concentrator

import (
	"net/netip"

	"linebond/ipcp"
	"linebond/ipv6cp"
	"linebond/lcp"
	"linebond/ppp"
)

// startNetwork begins the network phase (RFC 1661 section 3.6).
func (s *session) startNetwork() {
	s.enter(Network)
	s.assign()
	if s.ipcp == nil {
		s.ipcpPolicy = &ipcp.Server{Local: s.c.cfg.Local, DNS: s.c.cfg.DNS}
		s.ipcp = ppp.New(s.ipcpPolicy, times)
	}
	s.ipcpPolicy.Remote = s.address
	if s.ipv6cp == nil && s.c.cfg.IPv6 {
		s.ipv6Policy = ipv6cp.New(ipv6cp.Identifier{}, s.c.cfg.Random)
		s.ipv6cp = ppp.New(s.ipv6Policy, times)
	}
	for _, protocol := range []ppp.Protocol{ppp.IPCP, ppp.IPv6CP} {
		if a := s.automaton(protocol); a != nil {
			a.SetPeerMRU(s.lcp.PeerMRU())
			s.control(protocol, a.Open())
			s.control(protocol, a.Up())
		}
	}
	if s.c.cfg.EchoInterval > 0 {
		s.echo = &lcp.Keepalive{Interval: s.c.cfg.EchoInterval, Failures: s.c.cfg.EchoFailures}
		s.setTimer(timerEcho, s.c.cfg.EchoInterval)
	}
}

// assign chooses the host's address. One of the pool stays until the end of
// the session.
func (s *session) assign() {
	switch cfg := &s.c.cfg; {
	case s.User != "" && s.asked.Address.IsValid():
		s.address = s.asked.Address
	case cfg.Shared.IsValid():
		s.address = cfg.Shared
	default:
		if !s.leased.IsValid() {
			s.leased = s.c.pool.take()
		}
		s.address = s.leased
	}
}

// networkPacket takes a packet of IPCP or IPv6CP; before the network phase it
// is silently discarded (RFC 1661 section 3.5).
func (s *session) networkPacket(protocol ppp.Protocol, p ppp.Packet) {
	a := s.automaton(protocol)
	if a == nil || s.State != Network && s.State != Running {
		return
	}
	if a.State() == ppp.Starting && p.Code == ppp.ConfigureRequest { // the host has come to know it
		s.control(protocol, a.Up())
	}
	s.control(protocol, a.Receive(p))
}

// networkDown follows LCP down, and tells once if that has changed anything.
func (s *session) networkDown() {
	for _, protocol := range []ppp.Protocol{ppp.IPCP, ppp.IPv6CP} {
		if a := s.automaton(protocol); a != nil {
			a.Down()
			s.stopTimer(timerOf(protocol))
		}
	}
	s.networkChanged("LCP is down")
}

// networkChanged tells what the session carries from now on, if that is other
// than before.
func (s *session) networkChanged(reason string) {
	was := s.Session
	s.Local, s.Remote, s.LinkLocal, s.RemoteLink = netip.Addr{}, netip.Addr{}, netip.Addr{}, netip.Addr{}
	if s.ipcp != nil && s.ipcp.State() == ppp.Opened && s.address.IsValid() {
		s.Local, s.Remote = s.c.cfg.Local, s.address
	}
	if s.ipv6cp != nil && s.ipv6cp.State() == ppp.Opened {
		s.LinkLocal, s.RemoteLink = s.ipv6Policy.Ours().LinkLocal(), s.ipv6Policy.Peer().LinkLocal()
	}
	up := s.Remote.IsValid() || s.LinkLocal.IsValid()
	if up {
		s.stopTimer(timerSetup)
		s.enter(Running)
	} else if was.State == Running {
		s.enter(Network)
		if s.lcp.State() == ppp.Opened {
			s.setTimer(timerSetup, setup)
		}
		s.c.emit(SessionDown{was, false, reason})
	}
	if up && s.Session != was {
		s.c.emit(SessionUp{s.Session})
	}
}
