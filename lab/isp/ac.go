package isp

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"linebond/lab/concentrator"
)

// An ac is one access concentrator. Its goroutine alone touches what is below events; others post.
type ac struct {
	isp    *ISP
	name   string
	mac    [addressLen]byte
	index  int
	port   *port
	events chan func()

	cfg     concentrator.Config
	machine *concentrator.Concentrator // nil: it has crashed
	timers  map[concentrator.TimerID]*time.Timer
	carried map[uint16]bool // sessions that the network knows
}

// run carries out what is posted, until the ISP is closed.
func (a *ac) run() {
	for {
		select {
		case f := <-a.events:
			f()
		case <-a.isp.closing:
			return
		}
	}
}

// post has f run in the AC's goroutine. It waits while the AC has much to do; frames then wait in the socket, which loses what is too much.
func (a *ac) post(f func()) {
	select {
	case a.events <- f:
	case <-a.isp.closing:
	}
}

// boot begins without a memory of sessions.
func (a *ac) boot() {
	a.crash()
	a.machine = concentrator.New(a.cfg)
}

// crash ends everything without a word.
func (a *ac) crash() {
	a.machine = nil
	for _, t := range a.timers {
		t.Stop()
	}
	clear(a.timers)
	for id := range a.carried {
		a.down(id)
	}
}

func (a *ac) receive(f frame) {
	if a.machine == nil {
		return
	}
	now := time.Now()
	switch f.etherType {
	case unix.ETH_P_PPP_DISC:
		a.carryOut(a.machine.Discovery(now, f.from, f.payload))
	case unix.ETH_P_PPP_SES:
		if id, protocol, packet, ok := parseSession(f.payload); ok {
			a.carryOut(a.machine.Frame(now, id, f.from, protocol, packet))
		}
	}
}

// carryOut does what the machine asks for.
func (a *ac) carryOut(actions []concentrator.Action) {
	for _, action := range actions {
		switch x := action.(type) {
		case concentrator.SendDiscovery:
			a.send(x.To, unix.ETH_P_PPP_DISC, x.Payload)
		case concentrator.SendFrame:
			a.send(x.To, unix.ETH_P_PPP_SES, sessionHeader(x.Session, x.Protocol, len(x.Payload)), x.Payload)
		case concentrator.SetTimer:
			a.setTimer(x)
		case concentrator.SessionUp:
			a.up(x.Session)
		case concentrator.SessionDown:
			a.down(x.Session.ID)
			a.isp.log(a.name, "session %d of %s: %s", x.Session.ID, who(x.Session), x.Reason)
		}
	}
}

// setTimer keeps one timer for each TimerID: hosts must not make more of them.
func (a *ac) setTimer(x concentrator.SetTimer) {
	if last := a.timers[x.Timer.TimerID]; last != nil {
		last.Stop()
	}
	machine := a.machine
	a.timers[x.Timer.TimerID] = time.AfterFunc(x.Delay, func() {
		a.post(func() {
			if a.machine == machine {
				delete(a.timers, x.Timer.TimerID)
				a.carryOut(machine.Fired(time.Now(), x.Timer))
			}
		})
	})
}

// who names a session's user, or else its host.
func who(s concentrator.Session) string {
	if s.User != "" {
		return s.User
	}
	return net.HardwareAddr(s.Host.MAC[:]).String()
}

// addresses are those of the session's host, each behind a space.
func addresses(s concentrator.Session) (text string) {
	for _, a := range []netip.Addr{s.Remote, s.RemoteLink} {
		if a.IsValid() {
			text += " " + a.String()
		}
	}
	return text
}

func (a *ac) send(to concentrator.Host, etherType uint16, payload ...[]byte) {
	a.port.send(appendFrame(nil, to, a.mac[:], etherType, payload...))
}

// up has the network carry a session's packets. A session that it cannot carry is ended.
func (a *ac) up(s concentrator.Session) {
	a.isp.log(a.name, "session %d of %s is up:%s", s.ID, who(s), addresses(s))
	if a.isp.network == nil {
		return
	}
	a.carried[s.ID] = true
	machine := a.machine
	a.isp.network.post(func(n *network) {
		err := n.up(carrierID{a.index, s.ID}, a, s)
		if err == nil {
			return
		}
		a.isp.log(a.name, "session %d: %v", s.ID, err)
		go a.post(func() { // the AC may be waiting for the network
			if a.machine == machine {
				a.carryOut(machine.PADT(time.Now(), s.ID, "the ISP cannot carry its packets"))
			}
		})
	})
}

func (a *ac) down(session uint16) {
	if !a.carried[session] {
		return
	}
	delete(a.carried, session)
	a.isp.network.post(func(n *network) {
		if err := n.down(carrierID{a.index, session}); err != nil {
			a.isp.log(a.name, "session %d: %v", session, err)
		}
	})
}

// settle waits until the network has done what the AC asked for.
func (a *ac) settle() {
	if a.isp.network == nil {
		return
	}
	done := make(chan struct{})
	a.isp.network.post(func(*network) { close(done) })
	<-done
}

// each does something to every session of the machine.
func (a *ac) each(do func(id uint16) []concentrator.Action) {
	if a.machine == nil {
		return
	}
	for _, s := range a.machine.Sessions() {
		a.carryOut(do(s.ID))
	}
}

// garbage sends n frames of nonsense to the hosts that have sessions, and to all.
func (a *ac) garbage(n int) {
	targets, taken := []concentrator.Session{{Host: concentrator.Host{MAC: broadcast}}}, map[uint16]bool{}
	if a.machine != nil {
		targets = append(targets, a.machine.Sessions()...)
	}
	for _, s := range targets {
		taken[s.ID] = true
	}
	for range n {
		foreign := uint16(rand.Uint32())
		for taken[foreign] {
			foreign++
		}
		target := targets[rand.IntN(len(targets))]
		etherType, payload := nonsense(target.ID, foreign)
		a.send(target.Host, etherType, payload)
	}
}
