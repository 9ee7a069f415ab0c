package daemon

import (
	"bytes"
	"cmp"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"linebond/auth"
	"linebond/config"
	"linebond/ipcp"
	"linebond/ipv6cp"
	"linebond/lcp"
	"linebond/netstate"
	"linebond/ppp"
	"linebond/pppoe"
)

const (
	user     = "user@isp"
	password = "correct horse"
)

var acMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0xac}

// fakeAC is an access concentrator made of the protocol rooms' server sides,
// and the cable to it: nothing is lost or late, so it needs no timers. It
// answers within Send.
type fakeAC struct {
	mu       sync.Mutex
	host     *fakeHost
	silent   bool       // answers nothing
	deaf     bool       // sessions get no answer, discovery does
	deafTo   string     // likewise, the session of this device alone
	address  netip.Addr // of all sessions; not valid: each has its own
	padts    []uint16
	cleanups int // of what an earlier process left behind
	server   *pppoe.Server
	peers    map[uint16]*peer
	sockets  []*fakeDiscovery
	sessions map[uint16]*fakeSession
	early    map[uint16][]ppp.Frame
	block    chan struct{} // OpenSession waits for it to be closed
	refuse   struct{ early, session, unit, plane, cleanup error }
	dropped  map[string]uint64 // what sessions tell
}

// peer is the AC's end of a session.
type peer struct {
	id     uint16
	lcp    *lcp.Link
	auth   *auth.Server
	ipcp   *ppp.Automaton
	ipv6cp *ppp.Automaton
}

func newAC(host *fakeHost) *fakeAC {
	return &fakeAC{
		host: host, peers: map[uint16]*peer{}, sessions: map[uint16]*fakeSession{}, early: map[uint16][]ppp.Frame{},
		server: pppoe.NewServer(pppoe.ServerConfig{AC: acMAC, ACName: "ac1", MaxPayload: 1500, Random: randomBytes}),
	}
}

// with lets f alter the AC.
func (a *fakeAC) with(f func(*fakeAC)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}

// hangUp sends a PADT for every session; the kernel acts on it, too.
func (a *fakeAC) hangUp(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, s := range a.sessions {
		delete(a.sessions, id)
		s.err = errors.New("the kernel has hung up")
		close(s.frames)
		delete(a.peers, id)
		a.discovery(a.server.Close(id, message))
	}
}

// breakSockets has all discovery sockets die.
func (a *fakeAC) breakSockets() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sockets {
		s.err = errors.New("the socket has died")
		close(s.frames)
	}
	a.sockets = nil
}

func (a *fakeAC) discovery(actions []pppoe.Action) {
	for _, x := range actions {
		switch x.Kind {
		case pppoe.Send:
			for _, s := range a.sockets {
				if bytes.Equal(s.mac, x.Dst) {
					s.frames <- pppoe.Frame{Src: acMAC, Payload: slices.Clone(x.Payload)}
				}
			}
		case pppoe.Open:
			a.open(x.Session.ID)
		case pppoe.Close:
			delete(a.peers, x.Session.ID)
		}
	}
}

func (a *fakeAC) open(id uint16) {
	p := &peer{id: id, lcp: lcp.New(lcp.Config{MRU: 1500, Demand: []auth.Method{auth.CHAPMD5}, Random: randomBytes}, ppp.DefaultTimes)}
	p.auth = auth.NewServer(auth.CHAPMD5, "ac1", func(name string) (auth.Secret, bool) { return auth.NewSecret(password), name == user }, randomBytes)
	remote := a.address
	if !remote.IsValid() {
		remote = netip.AddrFrom4([4]byte{203, 0, 113, byte(id)})
	}
	p.ipcp = ppp.New(&ipcp.Server{
		Local: netip.MustParseAddr("198.51.100.1"), Remote: remote,
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
	}, ppp.DefaultTimes)
	p.ipv6cp = ppp.New(ipv6cp.New(ipv6cp.Identifier{7: 1}, randomBytes), ppp.DefaultTimes)
	a.peers[id] = p
	a.control(p, ppp.LCP, p.lcp.Open())
	a.control(p, ppp.LCP, p.lcp.Up())
}

// control carries out what an automaton wants; its timers are not needed.
func (a *fakeAC) control(p *peer, protocol ppp.Protocol, actions []ppp.Action) {
	for _, x := range slices.Clone(actions) {
		switch {
		case x.Kind == ppp.Send:
			a.send(p, protocol, x.Packet)
		case x.Kind == ppp.LayerUp && protocol == ppp.LCP:
			a.authenticate(p, p.auth.Start())
		}
	}
}

func (a *fakeAC) authenticate(p *peer, actions []auth.Action) {
	actions = slices.Clone(actions)
	slices.SortStableFunc(actions, func(x, y auth.Action) int { return cmp.Compare(x.Kind, y.Kind) }) // the verdict goes out before what follows from it
	for _, x := range actions {
		switch x.Kind {
		case auth.Send:
			a.send(p, x.Protocol, x.Payload)
		case auth.Success:
			a.control(p, ppp.IPCP, p.ipcp.Open())
			a.control(p, ppp.IPCP, p.ipcp.Up())
			a.control(p, ppp.IPv6CP, p.ipv6cp.Open())
			a.control(p, ppp.IPv6CP, p.ipv6cp.Up())
		case auth.Failure:
			a.control(p, ppp.LCP, p.lcp.Close())
		}
	}
}

func (a *fakeAC) send(p *peer, protocol ppp.Protocol, packet []byte) {
	frame := ppp.Frame{Protocol: protocol, Payload: slices.Clone(packet)}
	if s := a.sessions[p.id]; s != nil {
		s.frames <- frame
	} else {
		a.early[p.id] = append(a.early[p.id], frame)
	}
}

func (a *fakeAC) receive(p *peer, protocol ppp.Protocol, payload []byte) {
	packet, err := ppp.Parse(slices.Clone(payload))
	if err != nil {
		panic(err) // linebond has sent it
	}
	switch protocol {
	case ppp.LCP:
		a.control(p, protocol, p.lcp.Receive(packet))
	case ppp.CHAP:
		a.authenticate(p, p.auth.Receive(protocol, packet))
	case ppp.IPCP:
		a.control(p, protocol, p.ipcp.Receive(packet))
	case ppp.IPv6CP:
		a.control(p, protocol, p.ipv6cp.Receive(packet))
	}
}

// queue is more frames than ever wait in a test.
const queue = 256

type fakeDiscovery struct {
	ac     *fakeAC
	mac    net.HardwareAddr
	frames chan pppoe.Frame
	err    error
}

func (a *fakeAC) OpenDiscovery(l config.Line) (Discovery, error) {
	device := l.Link()
	a.mu.Lock()
	defer a.mu.Unlock()
	if info, err := a.host.Link(device); err != nil || !info.Carrier {
		return nil, errors.New("opening a socket on " + device + ": network is down")
	}
	d := &fakeDiscovery{ac: a, mac: net.HardwareAddr{2, 0, 0, 0, 0, device[len(device)-1]}, frames: make(chan pppoe.Frame, queue)}
	a.sockets = append(a.sockets, d)
	return d, nil
}

func (d *fakeDiscovery) Send(_ net.HardwareAddr, payload []byte) error {
	d.ac.mu.Lock()
	defer d.ac.mu.Unlock()
	if p, err := pppoe.Parse(payload); err == nil && p.Code == pppoe.PADT {
		d.ac.padts = append(d.ac.padts, p.SessionID)
	}
	if !d.ac.silent {
		d.ac.discovery(d.ac.server.Receive(d.mac, payload))
	}
	return nil
}

func (d *fakeDiscovery) Frames() <-chan pppoe.Frame { return d.frames }
func (d *fakeDiscovery) Err() error                 { return d.err }

func (d *fakeDiscovery) Close() error {
	d.ac.mu.Lock()
	defer d.ac.mu.Unlock()
	d.ac.sockets = slices.DeleteFunc(d.ac.sockets, func(o *fakeDiscovery) bool { return o == d })
	return nil
}

type fakeEarly struct{}

func (fakeEarly) Close() error { return nil }

// Choose gives eBPF to a line that asks for it.
func (a *fakeAC) Choose(l config.Line) (dataplane, reason string, lack error) {
	if l.Dataplane == config.DataplaneAuto {
		return config.DataplaneKernel, "for a test", a.refuse.plane
	}
	return l.Dataplane, "as configured", a.refuse.plane
}

func (a *fakeAC) Cleanup() error {
	a.cleanups++
	return a.refuse.cleanup
}

func (a *fakeAC) OpenEarly(config.Line) (Early, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fakeEarly{}, a.refuse.early
}

type fakeSession struct {
	ac     *fakeAC
	id     uint16
	unit   string
	frames chan ppp.Frame
	err    error
}

func (a *fakeAC) OpenSession(_ config.Line, cfg pppoe.Session, _ Early) (Session, error) {
	a.mu.Lock()
	block := a.block
	a.mu.Unlock()
	if block != nil {
		<-block
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse.session != nil {
		return nil, a.refuse.session
	}
	s := &fakeSession{ac: a, id: cfg.ID, frames: make(chan ppp.Frame, queue)}
	a.sessions[cfg.ID] = s
	for _, f := range a.early[cfg.ID] {
		s.frames <- f
	}
	delete(a.early, cfg.ID)
	return s, nil
}

func (s *fakeSession) Send(protocol ppp.Protocol, packet []byte) error {
	s.ac.mu.Lock()
	defer s.ac.mu.Unlock()
	if p := s.ac.peers[s.id]; p != nil && !s.ac.silent && !s.ac.deaf && (s.unit == "" || s.unit != s.ac.deafTo) {
		s.ac.receive(p, protocol, packet)
	}
	return nil
}

func (s *fakeSession) CreateUnit(name string) error {
	s.ac.mu.Lock()
	refused := s.ac.refuse.unit
	s.ac.mu.Unlock()
	if refused != nil {
		return refused
	}
	s.unit = name
	s.ac.host.change(func(h *fakeHost) {
		h.state.Links = append(h.state.Links, lineDevice(name))
		h.state.Sysctls = append(h.state.Sysctls, netstate.Sysctl{Key: "net/ipv6/conf/" + name + "/accept_ra", Value: "1"})
	})
	return nil
}

func (s *fakeSession) Dropped() (map[string]uint64, error) { return s.ac.dropped, nil }

func (s *fakeSession) Frames() <-chan ppp.Frame { return s.frames }
func (s *fakeSession) Err() error               { return s.err }

func (s *fakeSession) Close() error {
	s.ac.mu.Lock()
	delete(s.ac.sessions, s.id)
	s.ac.mu.Unlock()
	if s.unit != "" {
		s.ac.host.change(func(h *fakeHost) { h.remove(s.unit) })
	}
	return nil
}
