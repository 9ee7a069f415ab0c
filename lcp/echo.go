package lcp

import (
	"encoding/binary"

	"linebond/ppp"
)

// Classify implements ppp.Extension: LCP's own codes (RFC 1661 section 5.7 to
// 5.9, RFC 1570). Identification and Time-Remaining ask for nothing.
func (o *options) Classify(p ppp.Packet) ppp.Meaning {
	switch p.Code {
	case ppp.EchoRequest, ppp.EchoReply, ppp.DiscardRequest:
		if len(p.Data) < 4 {
			return ppp.Ignore
		}
		o.checkMagic(p)
		return ppp.Echo
	case ppp.ProtocolReject:
		switch protocol, ok := RejectedProtocol(p); {
		case !ok:
			return ppp.Ignore
		case protocol == ppp.LCP:
			return ppp.FatalReject
		}
		return ppp.HarmlessReject
	case ppp.Identification, ppp.TimeRemaining:
		return ppp.Ignore
	}
	return ppp.UnknownCode
}

// checkMagic counts a number that is not the peer's. Some access concentrators
// send zero, or a stale number after a renegotiation, or copy ours into their
// replies; only a request of our own, coming back to us, means harm.
func (o *options) checkMagic(p ppp.Packet) {
	magic := binary.BigEndian.Uint32(p.Data)
	switch {
	case magic == o.magic && magic != 0 && p.Code == ppp.EchoRequest:
		o.loops++
	case magic != 0 && magic != o.peerMagic:
		o.wrong++
	}
}

// Rejected implements ppp.Extension.
func (o *options) Rejected(c ppp.Code) {
	if c == ppp.EchoRequest {
		o.echoless = true
	}
}

// AppendEchoReply implements ppp.Extension: the request's data behind our
// magic number, cut to the peer's MRU (RFC 1661 section 5.8).
func (o *options) AppendEchoReply(b []byte, p ppp.Packet) []byte {
	if p.Code != ppp.EchoRequest {
		return b
	}
	data := p.Data[4:]
	if room := int(o.peerMRU) - ppp.HeaderLen - 4; len(data) > room {
		data = data[:room]
	}
	b = append(b, byte(ppp.EchoReply), p.ID)
	b = binary.BigEndian.AppendUint16(b, uint16(ppp.HeaderLen+4+len(data)))
	b = binary.BigEndian.AppendUint32(b, o.magic)
	return append(b, data...)
}

// AppendEchoRequest appends an Echo-Request with our magic number.
func (o *options) AppendEchoRequest(b []byte, id uint8) []byte {
	b = append(b, byte(ppp.EchoRequest), id, 0, ppp.HeaderLen+4)
	return binary.BigEndian.AppendUint32(b, o.magic)
}

// RejectedProtocol returns the protocol that a Protocol-Reject names; false if
// p is none, or malformed (RFC 1661 section 5.7).
func RejectedProtocol(p ppp.Packet) (ppp.Protocol, bool) {
	if p.Code != ppp.ProtocolReject || len(p.Data) < 2 {
		return 0, false
	}
	return ppp.Protocol(binary.BigEndian.Uint16(p.Data)), true
}

// AppendProtocolReject appends the Protocol-Reject of a frame whose payload
// after the protocol number is information, cut to mru (RFC 1661 section 5.7).
func AppendProtocolReject(b []byte, id uint8, protocol ppp.Protocol, information []byte, mru int) []byte {
	if room := mru - ppp.HeaderLen - 2; len(information) > room {
		information = information[:room]
	}
	b = append(b, byte(ppp.ProtocolReject), id)
	b = binary.BigEndian.AppendUint16(b, uint16(ppp.HeaderLen+2+len(information)))
	b = binary.BigEndian.AppendUint16(b, uint16(protocol))
	return append(b, information...)
}
