// Package concentrator is a PPPoE access concentrator (AC) for the simulated
// ISP, as a pure machine: frames and time-outs in, actions out.
//
//	PADI, PADR, PADT -> Discovery -+                  +-> SendDiscovery, SendFrame
//	session frames   -> Frame     -+-> Concentrator --+-> SetTimer
//	time-outs        -> Fired     -+                  +-> SessionUp, SessionDown: the data path
//
// It is made of the server sides of pppoe, lcp, auth, ipcp and ipv6cp: this
// file joins discovery to the sessions, session.go is one session's LCP and
// authentication, network.go its addresses.
//
// Hosts are not trusted. A session costs a few kilobytes; there are at most
// Config.MaxSessions, and one that does not come up ends within a minute. What
// is malformed, or from another host than the session's, has no effect.
package concentrator

import (
	"cmp"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"time"

	"linebond/ppp"
	"linebond/pppoe"
)

// Concentrator is one AC. It is a value: it never sends, waits or locks.
type Concentrator struct {
	cfg       Config
	now       time.Time // of the event at hand
	discovery *pppoe.Server
	sessions  map[uint16]*session
	pool      *pool

	offers     []offer // PADOs that wait, the oldest first
	rejects    bucket
	generation uint64 // of the last timer that was set
	awaited    uint64 // generation of timerOffer, or 0
	actions    []Action
}

// offer is a PADO that waits for Config.OfferDelay.
type offer struct {
	due     time.Time
	to      Host
	payload []byte
}

// maxOffers bounds the PADOs that wait, as anybody can ask for one; those
// beyond are not made. (A host asks again.)
const maxOffers = 4096

// New returns a concentrator without sessions: also after a crash, when the
// hosts still have theirs. Session ids begin at random, so that the old ones
// are not soon in use again.
func New(cfg Config) *Concentrator {
	var first [2]byte
	cfg.Random(first[:])
	return &Concentrator{
		cfg: cfg,
		discovery: pppoe.NewServer(pppoe.ServerConfig{
			AC: cfg.MAC, ACName: cfg.Name, ServiceNames: cfg.Services, MaxPayload: cfg.MaxPayload,
			FirstID: binary.BigEndian.Uint16(first[:]), MaxSessions: cfg.MaxSessions, MaxPerHost: cfg.MaxSessionsPerHost,
			Random: cfg.Random,
		}),
		sessions: map[uint16]*session{},
		pool:     newPool(cfg.Pool, cfg.Local, cfg.Users),
	}
}

// SetOfferDelay changes how long a PADO takes from now on.
func (c *Concentrator) SetOfferDelay(d time.Duration) { c.cfg.OfferDelay = d }

// SetUsers changes who may have a session from now on. Addresses that become
// fixed by it should not be of the pool.
func (c *Concentrator) SetUsers(users []User) { c.cfg.Users = users }

// Sessions lists the sessions by their ids.
func (c *Concentrator) Sessions() []Session {
	all := make([]Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		all = append(all, s.Session)
	}
	slices.SortFunc(all, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Discovery takes a frame of ethertype 0x8863, to the AC or to all.
func (c *Concentrator) Discovery(now time.Time, from Host, payload []byte) []Action {
	c.begin(now)
	p, err := pppoe.Parse(payload)
	if err != nil || p.Code == pppoe.PADT && !c.has(p.SessionID, from) {
		return nil
	}
	var opened *session
	for _, a := range c.discovery.Receive(net.HardwareAddr(from.MAC[:]), payload) {
		switch {
		case a.Kind == pppoe.Send && p.Code == pppoe.PADI && c.cfg.OfferDelay > 0:
			c.delay(offer{now.Add(c.cfg.OfferDelay), from, a.Payload})
		case a.Kind == pppoe.Send:
			c.emit(SendDiscovery{from, a.Payload})
		case a.Kind == pppoe.Open:
			opened = c.newSession(from, a.Session)
		case a.Kind == pppoe.Close:
			c.forget(c.sessions[a.Session.ID], strings.TrimSpace("PADT from the host "+a.Failure.Message))
		}
	}
	if opened != nil { // the PADS has been sent
		c.sessions[opened.ID] = opened
		opened.start()
	}
	return c.actions
}

// has says whether a session is that host's.
func (c *Concentrator) has(id uint16, from Host) bool {
	s := c.sessions[id]
	return s != nil && s.Host == from
}

// delay puts a PADO off.
func (c *Concentrator) delay(o offer) {
	if len(c.offers) == maxOffers {
		return
	}
	if c.offers = append(c.offers, o); len(c.offers) == 1 {
		c.awaitOffer()
	}
}

func (c *Concentrator) awaitOffer() {
	c.awaited = c.setTimer(0, timerOffer, c.offers[0].due.Sub(c.now))
}

// offer sends the PADOs that are due.
func (c *Concentrator) offer() {
	for len(c.offers) > 0 && !c.offers[0].due.After(c.now) {
		c.emit(SendDiscovery{c.offers[0].to, c.offers[0].payload})
		c.offers = c.offers[1:]
	}
	if len(c.offers) > 0 {
		c.awaitOffer()
	}
}

// Frame takes the PPP frame of a session frame (RFC 2516 section 4): what
// follows the PPP protocol number, Ethernet's padding cut off.
func (c *Concentrator) Frame(now time.Time, id uint16, from Host, protocol ppp.Protocol, payload []byte) []Action {
	c.begin(now)
	switch s := c.sessions[id]; {
	case s == nil && c.rejects.take(now):
		c.send(from, c.discovery.Unknown(from.MAC[:], id))
	case s != nil && s.Host == from:
		s.frame(protocol, payload)
	}
	return c.actions
}

// Fired says that the time of a SetTimer has passed.
func (c *Concentrator) Fired(now time.Time, t Timer) []Action {
	c.begin(now)
	switch s := c.sessions[t.session]; {
	case t.kind == timerOffer && t.generation == c.awaited:
		c.offer()
	case t.kind < numTimers && s != nil && t.generation == s.awaited[t.kind]:
		s.awaited[t.kind] = 0
		s.fired(t.kind)
	}
	return c.actions
}

// Terminate ends a session in good order: a Terminate-Request, and when that
// is answered a PADT with the message. A session that is not there is no error.
func (c *Concentrator) Terminate(now time.Time, id uint16, message string) []Action {
	c.begin(now)
	if s := c.sessions[id]; s != nil {
		s.close(cmp.Or(message, endedHere))
	}
	return c.actions
}

// PADT ends a session at once.
func (c *Concentrator) PADT(now time.Time, id uint16, message string) []Action {
	c.begin(now)
	if s := c.sessions[id]; s != nil {
		s.end(cmp.Or(message, endedHere))
	}
	return c.actions
}

// endedHere is the message of Terminate and PADT where they are given none.
const endedHere = "ended by the access concentrator"

// forget is the end of a session that discovery does not know any more.
func (c *Concentrator) forget(s *session, reason string) {
	delete(c.sessions, s.ID)
	c.pool.free(s.leased)
	c.emit(SessionDown{s.Session, true, reason})
}

func (c *Concentrator) begin(now time.Time) { c.now, c.actions = now, c.actions[:0] }

func (c *Concentrator) emit(a Action) { c.actions = append(c.actions, a) }

// send sends what discovery wants to be sent.
func (c *Concentrator) send(to Host, actions []pppoe.Action) {
	for _, a := range actions {
		c.emit(SendDiscovery{to, a.Payload})
	}
}

// setTimer sets a timer anew, and returns its generation.
func (c *Concentrator) setTimer(session uint16, kind timerKind, d time.Duration) uint64 {
	c.generation++
	c.emit(SetTimer{Timer{TimerID{session, kind}, c.generation}, d})
	return c.generation
}

// A bucket bounds the PADTs that answer frames of unknown sessions: hosts that
// a crash has left behind are told soon, and a flood is not answered by another.
type bucket struct {
	used  float64
	since time.Time // when used was right
}

// Of a bucket.
const (
	perSecond = 200
	burst     = 200
)

func (b *bucket) take(now time.Time) bool {
	b.used = max(0, b.used-now.Sub(b.since).Seconds()*perSecond)
	b.since = now
	if b.used > burst-1 {
		return false
	}
	b.used++
	return true
}
