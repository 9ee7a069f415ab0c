package pppoe

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"net"
	"slices"
)

// ServerConfig is what an AC offers.
type ServerConfig struct {
	AC           net.HardwareAddr // the address that it sends from
	ACName       string
	ServiceNames []string     // on offer; none: whatever is asked for
	MaxPayload   uint16       // above StandardPayload: the most that is granted by RFC 4638
	FirstID      uint16       // of the first session: a restarted AC that counts on from elsewhere is not taken for the old one; 0: 1
	MaxSessions  int          // all together; 0: as many as there are session ids
	MaxPerHost   int          // of one Ethernet address; 0: MaxSessions
	Random       func([]byte) // fills with random bytes
}

// Server is the AC's side of discovery. Like Client it is a value; it needs no
// timer. Before a valid PADR it remembers nothing about a host: its AC-Cookie
// proves that the host has received a PADO (RFC 2516 section 9). Frames that
// are malformed, or ask for what is not on offer, get no answer, as the RFC
// wants it.
type Server struct {
	cfg      ServerConfig
	key      [sha256.Size]byte // of the cookies
	lastID   uint16
	sessions map[uint16]serverSession
	byCookie map[string]uint16 // session ids
	perHost  map[string]int    // sessions, by the host's address
	actions  []Action
}

type serverSession struct {
	Session
	host net.HardwareAddr
}

// maxSessions is how many session ids are legal.
const maxSessions = 0xfffe

// NewServer returns a server without sessions.
func NewServer(cfg ServerConfig) *Server {
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = maxSessions
	}
	if cfg.MaxPerHost == 0 {
		cfg.MaxPerHost = cfg.MaxSessions
	}
	s := &Server{
		cfg: cfg, lastID: max(1, cfg.FirstID) - 1,
		sessions: map[uint16]serverSession{}, byCookie: map[string]uint16{}, perHost: map[string]int{},
	}
	cfg.Random(s.key[:])
	return s
}

// Receive takes a frame of type 0x8863: who sent it, and its payload.
func (s *Server) Receive(src net.HardwareAddr, payload []byte) []Action {
	s.actions = s.actions[:0]
	p, err := Parse(payload)
	if err != nil || !unicast(src) {
		return nil
	}
	switch p.Code {
	case PADI:
		s.receivePADI(src, p)
	case PADR:
		s.receivePADR(src, p)
	case PADT:
		s.receivePADT(src, p)
	}
	return s.actions
}

// Close ends a session from the AC's side; words for the host may go with it.
func (s *Server) Close(id uint16, message string) []Action {
	s.actions = s.actions[:0]
	session, ok := s.sessions[id]
	if !ok {
		return nil
	}
	s.forget(session)
	s.emit(Action{Kind: Send, Dst: session.host, Payload: session.PADT(message)})
	return s.actions
}

// Unknown answers a session frame that names a session which is not there, as
// it happens after a restart: a PADT tells the host. One that is there, though
// another host's, is left alone. The caller bounds how often.
func (s *Server) Unknown(src net.HardwareAddr, id uint16) []Action {
	s.actions = s.actions[:0]
	if s.taken(id) || !legal(id) || !unicast(src) {
		return nil
	}
	s.emit(Action{Kind: Send, Dst: slices.Clone(src), Payload: Session{ID: id}.PADT("no such session")})
	return s.actions
}

func (s *Server) receivePADI(src net.HardwareAddr, p Packet) {
	service, ok := serviceAsked(p)
	if !ok || !s.serves(service) {
		return
	}
	offer := Packet{Code: PADO, Tags: []Tag{
		{TagACName, []byte(s.cfg.ACName)},
		{TagServiceName, []byte(service)},
	}}
	for _, other := range s.cfg.ServiceNames {
		if other != service {
			offer.Tags = append(offer.Tags, Tag{TagServiceName, []byte(other)})
		}
	}
	offer.Tags = append(offer.Tags, Tag{TagACCookie, s.newCookie(src)})
	s.answer(src, p, offer)
}

// receivePADR opens a session. A repeated PADR, known by its cookie, gets the
// session that it got before: the host has missed our PADS.
func (s *Server) receivePADR(src net.HardwareAddr, p Packet) {
	service, ok := serviceAsked(p)
	cookie, _ := p.lookup(TagACCookie)
	if !ok || !s.validCookie(src, cookie) {
		return
	}
	confirmation := Packet{Code: PADS, Tags: []Tag{{TagServiceName, []byte(service)}}}
	refuse := func(t TagType, words string) {
		confirmation.Tags = append(confirmation.Tags, Tag{t, []byte(words)})
	}
	id, again := s.byCookie[string(cookie)]
	switch {
	case again:
		confirmation.SessionID = id
	case !s.serves(service):
		refuse(TagServiceNameError, "no such service")
	case len(s.sessions) >= min(s.cfg.MaxSessions, maxSessions):
		refuse(TagACSystemError, "no session is free")
	case s.perHost[string(src)] >= s.cfg.MaxPerHost:
		refuse(TagACSystemError, "this host has as many sessions as it may have")
	default:
		confirmation.SessionID = s.open(src, p)
	}
	s.answer(src, p, confirmation)
}

func (s *Server) receivePADT(src net.HardwareAddr, p Packet) {
	session, ok := s.sessions[p.SessionID]
	if !ok || !bytes.Equal(session.host, src) {
		return
	}
	s.forget(session)
	refusal, _ := p.refusal()
	s.emit(Action{Kind: Close, Host: session.host, Session: session.Session, Failure: refusal})
}

// open takes the next free session id. Ids are handed out in turn, so that one
// that was just ended is not soon taken for another.
func (s *Server) open(host net.HardwareAddr, padr Packet) uint16 {
	for s.lastID++; !legal(s.lastID) || s.taken(s.lastID); {
		s.lastID++
	}
	uniq, _ := padr.lookup(TagHostUniq)
	cookie, _ := padr.lookup(TagACCookie)
	relayID, _ := padr.lookup(TagRelaySessionID)
	session := serverSession{host: slices.Clone(host), Session: Session{
		AC:          s.cfg.AC,
		ACName:      s.cfg.ACName,
		ServiceName: padr.text(TagServiceName),
		ID:          s.lastID,
		MaxPayload:  padr.maxPayload(s.cfg.MaxPayload),
		HostUniq:    slices.Clone(uniq),
		Cookie:      slices.Clone(cookie),
		RelayID:     slices.Clone(relayID),
	}}
	s.sessions[session.ID] = session
	s.byCookie[string(cookie)] = session.ID
	s.perHost[string(host)]++
	s.emit(Action{Kind: Open, Host: session.host, Session: session.Session})
	return session.ID
}

func (s *Server) taken(id uint16) bool {
	_, ok := s.sessions[id]
	return ok
}

func (s *Server) forget(session serverSession) {
	delete(s.sessions, session.ID)
	delete(s.byCookie, string(session.Cookie))
	if s.perHost[string(session.host)]--; s.perHost[string(session.host)] == 0 {
		delete(s.perHost, string(session.host))
	}
}

// answer returns to the host what belongs to it or to its relay, and what it
// is granted of RFC 4638.
func (s *Server) answer(dst net.HardwareAddr, question, answer Packet) {
	for _, t := range []TagType{TagHostUniq, TagRelaySessionID} {
		if value, ok := question.lookup(t); ok {
			answer.Tags = append(answer.Tags, Tag{t, value})
		}
	}
	if granted := question.maxPayload(s.cfg.MaxPayload); granted > StandardPayload {
		answer.Tags = append(answer.Tags, maxPayloadTag(granted))
	}
	s.emit(Action{Kind: Send, Dst: slices.Clone(dst), Payload: answer.Append(nil)})
}

// serviceAsked returns the Service-Name of a PADI or PADR, which must have
// just one, and no session id yet (RFC 2516 sections 5.1 and 5.3).
func serviceAsked(p Packet) (string, bool) {
	name, count := "", 0
	for _, t := range p.Tags {
		if t.Type == TagServiceName {
			name = string(t.Value)
			count++
		}
	}
	return name, count == 1 && p.SessionID == 0
}

func (s *Server) serves(service string) bool {
	return service == "" || len(s.cfg.ServiceNames) == 0 || slices.Contains(s.cfg.ServiceNames, service)
}

// A cookie is a nonce, so that each PADO leads to a session of its own, and
// the proof that we made it for this host:
//
//	| nonce (8) | HMAC-SHA-256(key, nonce, the host's address), cut to 16 bytes |
const (
	nonceLen  = 8
	cookieLen = nonceLen + 16
)

func (s *Server) newCookie(host net.HardwareAddr) []byte {
	nonce := make([]byte, nonceLen)
	s.cfg.Random(nonce)
	return s.seal(nonce, host)
}

func (s *Server) seal(nonce, host []byte) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(nonce)
	mac.Write(host)
	return mac.Sum(slices.Clone(nonce))[:cookieLen]
}

func (s *Server) validCookie(host net.HardwareAddr, cookie []byte) bool {
	return len(cookie) == cookieLen && hmac.Equal(cookie, s.seal(cookie[:nonceLen], host))
}

func (s *Server) emit(a Action) { s.actions = append(s.actions, a) }
