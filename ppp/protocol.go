package ppp

import "fmt"

// Protocol is the PPP protocol number that begins each frame (RFC 1661 section 2).
type Protocol uint16

// Frame is a PPP frame: the packet that follows the protocol number.
type Frame struct {
	Protocol Protocol
	Payload  []byte
}

// The protocols that linebond speaks.
const (
	IPv4   Protocol = 0x0021
	IPv6   Protocol = 0x0057
	IPCP   Protocol = 0x8021 // RFC 1332
	IPv6CP Protocol = 0x8057 // RFC 5072
	LCP    Protocol = 0xc021 // RFC 1661
	PAP    Protocol = 0xc023 // RFC 1334
	CHAP   Protocol = 0xc223 // RFC 1994
)

// String gives the protocol's name, or its number in hex.
func (p Protocol) String() string {
	switch p {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	case IPCP:
		return "IPCP"
	case IPv6CP:
		return "IPv6CP"
	case LCP:
		return "LCP"
	case PAP:
		return "PAP"
	case CHAP:
		return "CHAP"
	}
	return fmt.Sprintf("protocol 0x%04x", uint16(p))
}
