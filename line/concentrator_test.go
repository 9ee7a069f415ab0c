package line

import (
	"net/netip"
	"slices"
	"time"

	"linebond/auth"
	"linebond/ipcp"
	"linebond/ipv6cp"
	"linebond/lcp"
	"linebond/ppp"
	"linebond/pppoe"
)

// concentrator is an access concentrator made of the pure rooms' server sides.
type concentrator struct {
	w      *world
	random func([]byte)

	method     auth.Method
	password   string
	maxPayload uint16 // that it grants
	mru        uint16
	dead       bool
	mute       bool   // its sessions do nothing
	noAddress  bool   // it rejects what IPCP asks for
	bye        string // how it ends a session after a refusal: "terminate", "terminate first" or "padt"

	discovery *pppoe.Server
	sessions  map[uint16]*peer
	crashes   uint16
}

func newConcentrator(w *world, random func([]byte)) *concentrator {
	c := &concentrator{w: w, random: random, method: auth.CHAPMD5, password: password, maxPayload: 1500, mru: 1500}
	c.boot()
	return c
}

// boot begins without a memory of sessions.
func (c *concentrator) boot() {
	c.discovery = pppoe.NewServer(pppoe.ServerConfig{AC: acMAC, ACName: "bras1", MaxPayload: c.maxPayload, Random: c.random})
	c.sessions = map[uint16]*peer{}
	c.crashes++
	c.dead = false
}

func (c *concentrator) discoveryFrame(payload []byte) {
	if !c.dead {
		c.carryOut(c.discovery.Receive(hostMAC, payload))
	}
}

func (c *concentrator) carryOut(actions []pppoe.Action) {
	for _, a := range actions {
		switch a.Kind {
		case pppoe.Send:
			c.w.toHost(a.Payload)
		case pppoe.Open:
			c.sessions[a.Session.ID] = newPeer(c, a.Session.ID)
		case pppoe.Close:
			delete(c.sessions, a.Session.ID)
		}
	}
	for _, p := range c.sessions {
		p.start() // the PADS is on its way
	}
}

func (c *concentrator) frame(id uint16, protocol ppp.Protocol, payload []byte) {
	if p := c.sessions[id]; p != nil && !c.dead {
		p.frame(protocol, payload)
	}
}

// padt ends all sessions.
func (c *concentrator) padt(message string) {
	for id := range c.sessions {
		delete(c.sessions, id)
		c.carryOut(c.discovery.Close(id, message))
	}
}

// peer is the far end of one session.
type peer struct {
	ac *concentrator
	id uint16

	lcp        *lcp.Link
	auth       *auth.Server
	ipcp       *ppp.Automaton
	ipv6cp     *ppp.Automaton
	ipcpPolicy *ipcp.Server
	ipv6Policy *ipv6cp.Policy
	timers     map[ppp.Protocol]int // generations
	started    bool
}

func newPeer(c *concentrator, id uint16) *peer {
	p := &peer{ac: c, id: id, timers: map[ppp.Protocol]int{}}
	p.lcp = lcp.New(lcp.Config{MRU: c.mru, Demand: []auth.Method{c.method}, Random: func(b []byte) {
		c.random(b)
		b[0] |= 0x80 // never the line's number, even without randomness
	}}, ppp.DefaultTimes)
	p.ipcpPolicy = &ipcp.Server{
		Local: netip.MustParseAddr("10.0.0.1"), Remote: netip.AddrFrom4([4]byte{10, 1, byte(c.crashes), byte(id)}),
		DNS: []netip.Addr{netip.MustParseAddr("10.0.0.53")},
	}
	p.ipcp = ppp.New(stingy{p.ipcpPolicy, c}, ppp.DefaultTimes)
	p.ipv6Policy = ipv6cp.New(ipv6cp.Identifier{7: 0xac}, c.random)
	p.ipv6cp = ppp.New(p.ipv6Policy, ppp.DefaultTimes)
	return p
}

// stingy has no addresses to give when its concentrator has none.
type stingy struct {
	*ipcp.Server
	ac *concentrator
}

func (s stingy) Judge(opts []ppp.Option) (ppp.Code, []ppp.Option) {
	switch {
	case !s.ac.noAddress:
		return s.Server.Judge(opts)
	case len(opts) > 0:
		return ppp.ConfigureReject, opts
	}
	return ppp.ConfigureAck, nil
}

func (p *peer) start() {
	if !p.started && !p.ac.mute {
		p.started = true
		p.control(ppp.LCP, p.lcp.Open())
		p.control(ppp.LCP, p.lcp.Up())
	}
}

func (p *peer) automaton(protocol ppp.Protocol) *ppp.Automaton {
	switch protocol {
	case ppp.IPCP:
		return p.ipcp
	case ppp.IPv6CP:
		return p.ipv6cp
	}
	return p.lcp.Automaton
}

func (p *peer) opened(protocol ppp.Protocol) bool { return p.automaton(protocol).State() == ppp.Opened }

func (p *peer) frame(protocol ppp.Protocol, payload []byte) {
	packet, err := ppp.Parse(payload)
	if err != nil {
		p.ac.w.t.Errorf("the line sends % x: %v", payload, err)
		return
	}
	switch protocol {
	case ppp.LCP, ppp.IPCP, ppp.IPv6CP:
		p.control(protocol, p.automaton(protocol).Receive(packet))
	case ppp.PAP, ppp.CHAP:
		if p.auth != nil {
			p.authenticate(p.auth.Receive(protocol, packet))
		}
	}
}

func (p *peer) send(protocol ppp.Protocol, payload []byte) {
	p.ac.w.sessionToHost(p.id, protocol, payload)
}

// setTimer calls fire later, unless the timer is set anew or stopped, or the
// session is over.
func (p *peer) setTimer(protocol ppp.Protocol, d time.Duration, fire func()) {
	p.timers[protocol]++
	generation := p.timers[protocol]
	p.ac.w.after(d, func() {
		if p.timers[protocol] == generation && p.ac.sessions[p.id] == p && !p.ac.dead {
			fire()
		}
	})
}

func (p *peer) control(protocol ppp.Protocol, actions []ppp.Action) {
	for _, a := range actions {
		switch a.Kind {
		case ppp.Send:
			p.send(protocol, a.Packet)
		case ppp.SetTimer:
			p.setTimer(protocol, a.Delay, func() { p.control(protocol, p.automaton(protocol).Timeout()) })
		case ppp.StopTimer:
			p.timers[protocol]++
		case ppp.LayerUp:
			if protocol == ppp.LCP {
				p.lcpUp()
			}
		case ppp.LayerDown:
			if protocol == ppp.LCP {
				p.auth = nil
				p.timers[ppp.CHAP]++
				p.control(ppp.IPCP, p.ipcp.Down())
				p.control(ppp.IPv6CP, p.ipv6cp.Down())
			}
		case ppp.LayerFinished:
			if protocol != ppp.LCP { // it never gives up
				p.setTimer(protocol, 5*time.Second, func() {
					p.control(protocol, p.automaton(protocol).Down())
					p.control(protocol, p.automaton(protocol).Up())
				})
				return
			}
			delete(p.ac.sessions, p.id)
			p.ac.carryOut(p.ac.discovery.Close(p.id, ""))
		}
	}
}

func (p *peer) lcpUp() {
	method, demanded := p.lcp.PeerAuth()
	if !demanded {
		p.network()
		return
	}
	lookup := func(string) (auth.Secret, bool) { return auth.NewSecret(p.ac.password), true }
	p.auth = auth.NewServer(method, "bras1", lookup, p.ac.random)
	p.authenticate(p.auth.Start())
}

func (p *peer) network() {
	for _, protocol := range []ppp.Protocol{ppp.IPCP, ppp.IPv6CP} {
		p.control(protocol, p.automaton(protocol).Open())
		p.control(protocol, p.automaton(protocol).Up())
	}
}

func (p *peer) authenticate(actions []auth.Action) {
	terminate := func() { p.control(ppp.LCP, p.lcp.Close()) }
	refused := slices.ContainsFunc(actions, func(a auth.Action) bool { return a.Kind == auth.Failure })
	if refused && p.ac.bye == "terminate first" {
		terminate()
	}
	for _, a := range actions {
		switch a.Kind {
		case auth.Send:
			if !refused || p.ac.bye != "padt" {
				p.send(a.Protocol, a.Payload)
			}
		case auth.SetTimer:
			p.setTimer(ppp.CHAP, a.Delay, func() {
				if p.auth != nil {
					p.authenticate(p.auth.Timeout())
				}
			})
		case auth.StopTimer:
			p.timers[ppp.CHAP]++
		case auth.NoAnswer:
			terminate()
		}
	}
	switch {
	case slices.ContainsFunc(actions, func(a auth.Action) bool { return a.Kind == auth.Success }):
		p.network()
	case refused && p.ac.bye == "padt":
		p.ac.padt("no such subscriber")
	case refused && p.ac.bye != "terminate first":
		terminate()
	}
}
