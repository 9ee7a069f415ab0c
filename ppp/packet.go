// Package ppp holds what all PPP control protocols share: the packet and
// option layouts and the negotiation automaton of RFC 1661, which LCP, IPCP
// and IPv6CP drive with policies of their own.
//
// A control packet (RFC 1661 section 5; PAP and CHAP use the same layout):
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|     Code      |  Identifier   |            Length             |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|    Data ...   Length counts all of it, these 4 bytes included
//	+-+-+-+-+
//
// A configuration option (RFC 1661 section 6):
//
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|     Type      |    Length     |    Data ...     Length includes the 2 bytes before Data
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// The package is pure: bytes and events in, bytes and actions out.
package ppp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Code is the Code field of a control packet (RFC 1661 section 5).
type Code uint8

// Codes 1 to 7 belong to every control protocol, 8 to 12 to LCP alone.
const (
	ConfigureRequest Code = 1
	ConfigureAck     Code = 2
	ConfigureNak     Code = 3
	ConfigureReject  Code = 4
	TerminateRequest Code = 5
	TerminateAck     Code = 6
	CodeReject       Code = 7
	ProtocolReject   Code = 8
	EchoRequest      Code = 9
	EchoReply        Code = 10
	DiscardRequest   Code = 11
	Identification   Code = 12 // RFC 1570 section 2.1
	TimeRemaining    Code = 13 // RFC 1570 section 2.2
)

var codeNames = [...]string{
	ConfigureRequest: "Configure-Request",
	ConfigureAck:     "Configure-Ack",
	ConfigureNak:     "Configure-Nak",
	ConfigureReject:  "Configure-Reject",
	TerminateRequest: "Terminate-Request",
	TerminateAck:     "Terminate-Ack",
	CodeReject:       "Code-Reject",
	ProtocolReject:   "Protocol-Reject",
	EchoRequest:      "Echo-Request",
	EchoReply:        "Echo-Reply",
	DiscardRequest:   "Discard-Request",
	Identification:   "Identification",
	TimeRemaining:    "Time-Remaining",
}

// String gives the RFC's name of the code, or its number.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return fmt.Sprintf("Code-%d", uint8(c))
}

// HeaderLen is the length of a control packet with no data.
const HeaderLen = 4

// Packet is a control packet: Length is implied by Data.
type Packet struct {
	Code Code
	ID   uint8
	Data []byte
}

// What Parse and ParseOptions refuse.
var (
	ErrTruncated = errors.New("ppp: packet is shorter than its length says")
	ErrLength    = errors.New("ppp: length field is less than the header")
	ErrOption    = errors.New("ppp: option length runs past the packet")
)

// Parse reads a control packet, the payload of a PPP frame after its protocol
// number. Data aliases b. Bytes past Length are padding and are left out (RFC
// 1661 section 5). Errors: ErrTruncated, ErrLength.
func Parse(b []byte) (Packet, error) {
	if len(b) < HeaderLen {
		return Packet{}, ErrTruncated
	}
	length := int(binary.BigEndian.Uint16(b[2:4]))
	if length < HeaderLen {
		return Packet{}, ErrLength
	}
	if length > len(b) {
		return Packet{}, ErrTruncated
	}
	return Packet{Code: Code(b[0]), ID: b[1], Data: b[HeaderLen:length:length]}, nil
}

// Append appends the packet's wire form to b. Data may be at most 65,531 bytes.
func (p Packet) Append(b []byte) []byte {
	b = append(b, byte(p.Code), p.ID)
	b = binary.BigEndian.AppendUint16(b, uint16(HeaderLen+len(p.Data)))
	return append(b, p.Data...)
}
