package pppoe

import (
	"bytes"
	"net"

	"linebond/ppp"
)

// StandardPayload is the largest PPP payload of a session without RFC 4638:
// Ethernet's 1500 bytes less the headers of PPPoE and PPP (RFC 2516 section 7).
const StandardPayload = 1492

// Session is what discovery is for. AC and ID name it; the rest is how it was
// obtained. Its bytes are its own.
type Session struct {
	AC          net.HardwareAddr
	ACName      string // as the AC's PADO says, printable
	ServiceName string // as the AC's PADS says, printable
	ID          uint16
	MaxPayload  uint16 // the largest PPP payload, in bytes: StandardPayload or, by RFC 4638, more

	Unique   bool   // the PADS returned our HostUniq: it was for no other program on this host
	HostUniq []byte // nil: there was none
	Cookie   []byte // nil: there was none
	RelayID  []byte // nil: there was none
}

// PADT returns the payload of the packet that ends the session; to be sent to
// the other side. The RFC asks for no tags (section 5.5), but a relay finds
// its session by Relay-Session-Id, and some ACs theirs by the other two. The
// message, if any, goes in a Generic-Error.
func (s Session) PADT(message string) []byte {
	p := Packet{Code: PADT, SessionID: s.ID}
	length := headerLen
	add := func(t TagType, value []byte) {
		if value != nil && length+tagLen+len(value) <= maxLen {
			length += tagLen + len(value)
			p.Tags = append(p.Tags, Tag{t, value})
		}
	}
	add(TagHostUniq, s.HostUniq)
	add(TagACCookie, s.Cookie)
	add(TagRelaySessionID, s.RelayID)
	if message != "" {
		add(TagGenericError, []byte(ppp.Printable([]byte(message), maxWords)))
	}
	return p.Append(make([]byte, 0, length))
}

// Terminated says whether a frame is the AC's PADT for this very session, and
// with what words. One with another sender, session id or, if it has any,
// Host-Uniq is not: it is late, or meant for someone else.
func (s Session) Terminated(src net.HardwareAddr, payload []byte) (message string, ok bool) {
	p, err := Parse(payload)
	if err != nil || p.Code != PADT || p.SessionID != s.ID || !bytes.Equal(src, s.AC) {
		return "", false
	}
	if uniq, there := p.lookup(TagHostUniq); there && s.HostUniq != nil && !bytes.Equal(uniq, s.HostUniq) {
		return "", false
	}
	refusal, _ := p.refusal()
	return refusal.Message, true
}
