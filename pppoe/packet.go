// Package pppoe is the discovery stage of PPP over Ethernet (RFC 2516 and RFC
// 4638): packets and tags, the host's side, which finds an access concentrator
// (AC) and obtains a session from it, and a small AC for the simulated ISP.
//
// A discovery packet is the payload of an Ethernet frame of type 0x8863 (RFC
// 2516 section 4):
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------+-------+---------------+-------------------------------+
//	| VER=1 | TYPE=1|     CODE      |          SESSION_ID           |
//	+-------+-------+---------------+-------------------------------+
//	|            LENGTH             |   tags ...   LENGTH counts the tags alone
//	+-------------------------------+
//
// and a tag (RFC 2516 section 5):
//
//	+-------------------------------+-------------------------------+
//	|           TAG_TYPE            |          TAG_LENGTH           |
//	+-------------------------------+-------------------------------+
//	|   TAG_VALUE ...   TAG_LENGTH counts the value alone
//	+----------------
//
// All numbers are in network byte order. A session is obtained so:
//
//	host  PADI  to everyone      which AC serves this Service-Name?
//	AC    PADO  to the host      I do: my AC-Name, an AC-Cookie
//	host  PADR  to one AC        a session, please, with your AC-Cookie
//	AC    PADS  to the host      its SESSION_ID, or an error tag
//
// and ended by a PADT of either side. The package is pure: frames and
// time-outs in, actions out.
package pppoe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// Frame is a received discovery frame: what follows the Ethernet header, the
// padding included.
type Frame struct {
	Src     net.HardwareAddr
	Payload []byte
}

// Code is the CODE field of a discovery packet (RFC 2516 section 5).
type Code uint8

// The codes of RFC 2516.
const (
	PADI Code = 0x09 // Active Discovery Initiation
	PADO Code = 0x07 // Active Discovery Offer
	PADR Code = 0x19 // Active Discovery Request
	PADS Code = 0x65 // Active Discovery Session-confirmation
	PADT Code = 0xa7 // Active Discovery Terminate
)

// String gives the RFC's name of the code, or its number.
func (c Code) String() string {
	switch c {
	case PADI:
		return "PADI"
	case PADO:
		return "PADO"
	case PADR:
		return "PADR"
	case PADS:
		return "PADS"
	case PADT:
		return "PADT"
	}
	return fmt.Sprintf("Code-0x%02x", uint8(c))
}

const (
	versionType = 0x11 // VER 1, TYPE 1 (RFC 2516 section 4)
	headerLen   = 6
	tagLen      = 4 // of a tag without its value
	// maxLen is what an Ethernet frame carries: no discovery packet of ours is
	// longer, whatever an AC wants to have copied into it.
	maxLen = 1500
)

// Packet is a discovery packet: LENGTH is implied by Tags.
type Packet struct {
	Code      Code
	SessionID uint16 // 0 but in PADS and PADT
	Tags      []Tag
}

// What Parse refuses.
var (
	ErrTruncated = errors.New("pppoe: packet is shorter than its length says")
	ErrVersion   = errors.New("pppoe: version and type are not 1")
	ErrTag       = errors.New("pppoe: tag runs past the packet")
)

// Parse reads a discovery packet, an Ethernet payload. The tags' values alias
// b. Bytes past LENGTH are Ethernet's padding and are left out, and so is all
// that follows an End-Of-List tag, and the tag itself (RFC 2516 appendix A).
// Errors: ErrTruncated, ErrVersion, ErrTag.
func Parse(b []byte) (Packet, error) {
	if len(b) < headerLen {
		return Packet{}, ErrTruncated
	}
	if b[0] != versionType {
		return Packet{}, ErrVersion
	}
	length := int(binary.BigEndian.Uint16(b[4:6]))
	if length > len(b)-headerLen {
		return Packet{}, ErrTruncated
	}
	tags, err := parseTags(b[headerLen : headerLen+length])
	if err != nil {
		return Packet{}, err
	}
	return Packet{Code: Code(b[1]), SessionID: binary.BigEndian.Uint16(b[2:4]), Tags: tags}, nil
}

// Append appends the packet's wire form to b. All tags together may be at most
// 65,535 bytes long.
func (p Packet) Append(b []byte) []byte {
	start := len(b)
	b = append(b, versionType, byte(p.Code))
	b = binary.BigEndian.AppendUint16(b, p.SessionID)
	b = append(b, 0, 0) // LENGTH, known when the tags are written
	for _, t := range p.Tags {
		b = t.append(b)
	}
	binary.BigEndian.PutUint16(b[start+4:], uint16(len(b)-start-headerLen))
	return b
}

// legal says whether id may name a session: 0 means none, and 0xffff is
// reserved (RFC 2516 section 4).
func legal(id uint16) bool { return id != 0 && id != 0xffff }
