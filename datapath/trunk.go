package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"linebond/ppp"
	"linebond/pppoe"
)

// A trunk is the control side of an Ethernet device: two packet sockets, of discovery and of sessions, that serve all lines whose frames have
// as many VLAN tags. So a frame costs the same however many lines there are: it passes two filters at most, and one map names its line.
type trunk struct {
	path      *Path
	place     place
	discovery *socket
	sessions  *socket
	users     int // guarded by path.mu

	mu     sync.Mutex
	ended  error                            // why it works no more
	open   map[*Discovery]bool              // all of them
	asking map[asker][]*Discovery           // by what answers bring back; more than one only where their users chose it so
	offers map[programsSession][]*Discovery // those that a PADS came for: PADTs for that session are theirs
	lines  map[programsSession]*Session
	early  earlyFrames
}

// A place is where a trunk is.
type place struct {
	ethernet int // index of the device
	tags     int // how many VLAN tags the frames have
}

// An asker is whoever uses a Host-Uniq (RFC 2516 appendix A) on a VLAN.
type asker struct {
	vlans vlans
	uniq  string
}

// vlans are the ids of a frame's tags, outermost first; 0: there is no such tag.
type vlans [maxTags]uint16

// join returns the trunk of a link, which has one more user until leave.
func (p *Path) join(link Link) (*trunk, error) {
	if err := link.check(); err != nil {
		return nil, err
	}
	ifi, err := p.upInterface(link.Ethernet)
	if err != nil {
		return nil, err
	}
	where := place{ifi.Index, len(link.Tags)}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.trunks[where]
	if t == nil || !bytes.Equal(t.discovery.device.HardwareAddr, ifi.HardwareAddr) { // those on one with the address of before leave it
		if t, err = p.openTrunk(where, ifi); err != nil {
			return nil, err
		}
		p.trunks[where] = t
	}
	t.users++
	return t, nil
}

func (p *Path) openTrunk(where place, ifi *net.Interface) (*trunk, error) {
	t := &trunk{
		path: p, place: where, open: map[*Discovery]bool{}, asking: map[asker][]*Discovery{}, offers: map[programsSession][]*Discovery{},
		lines: map[programsSession]*Session{},
	}
	var err error
	if t.discovery, err = openSocket(ifi, where.tags, etherTypeDiscovery, discoveryChecks(where.tags)); err != nil {
		return nil, err
	}
	if t.sessions, err = openSocket(ifi, where.tags, etherTypeSession, sessionChecks(where.tags)); err != nil {
		return nil, errors.Join(err, t.discovery.close())
	}
	t.discovery.reader.Go(func() { t.fail(t.discovery.receive(t.takeDiscovery)) })
	t.sessions.reader.Go(func() { t.fail(t.sessions.receive(t.takeSession)) })
	return t, nil
}

// leave ends what join began; the last user closes the sockets.
func (t *trunk) leave() error {
	t.path.mu.Lock()
	t.users--
	last := t.users == 0
	if last && t.path.trunks[t.place] == t {
		delete(t.path.trunks, t.place)
	}
	t.path.mu.Unlock()
	if !last {
		return nil
	}
	return errors.Join(t.discovery.close(), t.sessions.close())
}

// fail ends all users of the trunk, of which there are no new ones then: the device has gone down or away.
func (t *trunk) fail(err error) {
	t.path.mu.Lock()
	if t.path.trunks[t.place] == t {
		delete(t.path.trunks, t.place)
	}
	t.path.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.ended = err
	}
	for d := range t.open {
		d.end(t.ended)
	}
	for _, s := range t.lines {
		s.end(t.ended)
	}
}

// trouble is both sockets'.
func (t *trunk) trouble() (lost, floods uint64, err error) {
	for _, s := range []*socket{t.discovery, t.sessions} {
		l, f, err := s.trouble()
		if err != nil {
			return 0, 0, err
		}
		lost, floods = lost+l, floods+f
	}
	return lost, floods, nil
}

// key names a session on this trunk.
func (t *trunk) key(on vlans, id uint16, ac []byte) programsSession {
	return programsSession{Ethernet: uint32(t.place.ethernet), Outer: on[0], Inner: on[1], Id: htons(id), Ac: [addressLen]byte(ac)}
}

// takeDiscovery gives a discovery frame to the line that it is for. That is told by the Host-Uniq that the answer to a PADI or PADR brings
// back, and by the session of a PADT. What tells neither is for all that are dialling on that VLAN: an AC may leave the Host-Uniq out.
func (t *trunk) takeDiscovery(on vlans, src, payload []byte) {
	packet, err := pppoe.Parse(payload)
	f := pppoe.Frame{Src: src, Payload: payload}
	uniq, told := hostUniq(packet)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && packet.Code == pppoe.PADT:
		for _, d := range t.offers[t.key(on, packet.SessionID, src)] {
			d.put(copied(f))
		}
	case err == nil && told:
		for _, d := range t.asking[asker{on, uniq}] {
			t.answer(d, on, packet, f)
		}
	default:
		for d := range t.open {
			if d.vlans == on && t.dialling(d) {
				t.answer(d, on, packet, f)
			}
		}
	}
}

// answer gives an answer to a line that may have asked. A session is what the access concentrator says that was asked for one: another, which
// has heard the PADI, must not put its own in that one's place.
func (t *trunk) answer(d *Discovery, on vlans, packet pppoe.Packet, f pppoe.Frame) {
	if packet.Code == pppoe.PADS && packet.SessionID != 0 && bytes.Equal(f.Src, d.asked) {
		t.offer(d, t.key(on, packet.SessionID, f.Src))
	}
	d.put(copied(f))
}

// maxOffers is how many sessions a line's PADTs may be of: a PADR that was sent again may bring another one than the one that is in use.
const maxOffers = 4

// offer takes note of a session that a line was offered. If there are too many it forgets the oldest that is not open.
func (t *trunk) offer(d *Discovery, key programsSession) {
	if slices.Contains(d.offers, key) {
		return
	}
	if len(d.offers) == maxOffers {
		old := max(0, slices.IndexFunc(d.offers, func(o programsSession) bool { return t.lines[o] == nil }))
		drop(t.offers, d.offers[old], d)
		d.offers = slices.Delete(d.offers, old, old+1)
	}
	d.offers = append(d.offers, key)
	t.offers[key] = append(t.offers[key], d)
}

// dialling says that none of the sessions which a line was offered is open.
func (t *trunk) dialling(d *Discovery) bool {
	return !slices.ContainsFunc(d.offers, func(o programsSession) bool { return t.lines[o] != nil })
}

// copied is a frame whose bytes are its own.
func copied(f pppoe.Frame) pppoe.Frame {
	return pppoe.Frame{Src: bytes.Clone(f.Src), Payload: bytes.Clone(f.Payload)}
}

// withdraw forgets which sessions a line was offered.
func (t *trunk) withdraw(d *Discovery) {
	for _, o := range d.offers {
		drop(t.offers, o, d)
	}
	d.offers = nil
}

// drop takes a line off a list in a map.
func drop[K comparable](m map[K][]*Discovery, key K, d *Discovery) {
	if left := slices.DeleteFunc(m[key], func(o *Discovery) bool { return o == d }); len(left) > 0 {
		m[key] = left
	} else {
		delete(m, key)
	}
}

// hostUniq is the tag of that name.
func hostUniq(p pppoe.Packet) (value string, there bool) {
	for _, tag := range p.Tags {
		if tag.Type == pppoe.TagHostUniq {
			return string(tag.Value), true
		}
	}
	return "", false
}

// takeSession gives a control frame to the session that it belongs to, if it is whole (RFC 2516 section 4).
func (t *trunk) takeSession(on vlans, src, payload []byte) {
	f, id, ok := parseSession(payload)
	if !ok {
		return
	}
	key := t.key(on, id, src)
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.lines[key]; s != nil {
		s.put(clone(f))
	} else if f.Protocol == ppp.LCP {
		t.early.add(key, clone(f), time.Now())
	}
}

func clone(f ppp.Frame) ppp.Frame {
	return ppp.Frame{Protocol: f.Protocol, Payload: bytes.Clone(f.Payload)}
}

// parseSession takes the PPP frame out of a PPPoE packet, whose bytes it has. Padding is cut off.
func parseSession(b []byte) (f ppp.Frame, id uint16, ok bool) {
	if len(b) < pppoeHeaderLen+protocolLen || b[offsetVersionType] != versionType || b[offsetCode] != 0 {
		return f, 0, false
	}
	end := pppoeHeaderLen + int(binary.BigEndian.Uint16(b[4:6]))
	if end > len(b) || end < pppoeHeaderLen+protocolLen {
		return f, 0, false
	}
	return ppp.Frame{
		Protocol: ppp.Protocol(binary.BigEndian.Uint16(b[offsetProtocol:])), Payload: b[pppoeHeaderLen+protocolLen : end],
	}, binary.BigEndian.Uint16(b[offsetSession:]), true
}

// begin has a session receive its frames, those first that came before it. What came before it was asked for is of another session, which
// had the same id.
func (t *trunk) begin(key programsSession, s *Session) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return t.ended
	}
	if t.lines[key] != nil {
		return fmt.Errorf("another line has this very session open: %w", unix.EEXIST)
	}
	t.lines[key] = s
	since := time.Now().Add(-earlyLife)
	for _, d := range t.offers[key] {
		if d.askedAt.After(since) {
			since = d.askedAt
		}
	}
	for _, f := range t.early.take(key, since) {
		s.put(f)
	}
	return nil
}

// finish ends that.
func (t *trunk) finish(key programsSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.lines, key)
}

const (
	// earlyLife is how long a frame waits for its session: from when the access concentrator has sent the PADS until we have acted upon it.
	earlyLife = 10 * time.Second
	// earlyBytes bounds the frames of a trunk that wait, all that they cost included: a thousand lines may be dialled at once.
	earlyBytes = 512 << 10
	earlyCost  = 96 // bytes, of a frame besides its payload
)

// earlyFrames are LCP frames of sessions that are not open yet, or never will be, the oldest first: an access concentrator may send them
// before its PADS has been acted upon.
type earlyFrames struct {
	frames []earlyFrame
	bytes  int
}

type earlyFrame struct {
	key programsSession
	at  time.Time
	ppp.Frame
}

func (e *earlyFrames) add(key programsSession, f ppp.Frame, now time.Time) {
	e.frames = append(e.frames, earlyFrame{key, now, f})
	e.bytes += earlyCost + len(f.Payload)
	old := 0
	for ; e.bytes > earlyBytes || now.Sub(e.frames[old].at) > earlyLife; old++ {
		e.bytes -= earlyCost + len(e.frames[old].Payload)
	}
	clear(e.frames[:old])
	e.frames = e.frames[old:] // append finds new room for them now and then; to move them each time would be slow under a flood
}

// take takes out those of a session, and returns those that have come since then.
func (e *earlyFrames) take(key programsSession, since time.Time) []ppp.Frame {
	var taken []ppp.Frame
	e.frames = slices.DeleteFunc(e.frames, func(f earlyFrame) bool {
		if f.key != key {
			return false
		}
		e.bytes -= earlyCost + len(f.Payload)
		if !f.at.Before(since) {
			taken = append(taken, f.Frame)
		}
		return true
	})
	return taken
}
