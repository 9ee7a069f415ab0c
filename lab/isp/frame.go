package isp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"linebond/datapath"
	"linebond/lab/concentrator"
	"linebond/ppp"
)

// Lengths in bytes.
const (
	addressLen  = 6
	ethernetLen = 14
	tagLen      = 4
	pppoeLen    = 6 // RFC 2516 section 4; the PPP protocol follows
	protocolLen = 2
	leastFrame  = 60 // Ethernet's minimum, its check sequence not counted
)

const versionType = 0x11 // RFC 2516 section 4

// A frame is what a host sent.
type frame struct {
	dst       [addressLen]byte
	from      concentrator.Host
	etherType uint16
	payload   []byte // from the PPPoE header on; aliases what was received
}

// A tag is a VLAN tag as it stands in a frame: ethertype and control information.
type tag struct{ tpid, control uint16 }

const (
	vlanID   = 0x0fff // in a tag's control information (IEEE 802.1Q section 9.6)
	is8021AD = 0x1000 // in a circuit, where the priority stands on the wire
	tagBits  = 13
)

// addTag adds a tag, the outermost first, to a circuit (concentrator.Host): its id and ethertype, and how many there are. One with id 0
// gives only a priority (section 9.6 as well). It is false for a third tag.
func addTag(circuit uint32, t tag) (uint32, bool) {
	id := uint32(t.control & vlanID)
	if id == 0 {
		return circuit, true
	}
	if t.tpid == unix.ETH_P_8021AD {
		id |= is8021AD
	}
	count := circuit >> (2 * tagBits)
	return circuit&(1<<(2*tagBits)-1) | id<<(count*tagBits) | (count+1)<<(2*tagBits), count < 2
}

// tagsOf are the tags of a circuit.
func tagsOf(circuit uint32) []datapath.Tag {
	var tags []datapath.Tag
	for range circuit >> (2 * tagBits) {
		t := datapath.Tag{Protocol: unix.ETH_P_8021Q, ID: uint16(circuit & vlanID)}
		if circuit&is8021AD != 0 {
			t.Protocol = unix.ETH_P_8021AD
		}
		tags = append(tags, t)
		circuit >>= tagBits
	}
	return tags
}

// parseFrame reads a received frame. The outermost tag, if there is one, is beside it: the kernel or the hardware took it out.
func parseFrame(b []byte, beside *tag) (f frame, ok bool) {
	if len(b) < ethernetLen {
		return f, false
	}
	f.dst, f.from.MAC = [addressLen]byte(b), [addressLen]byte(b[addressLen:])
	if beside != nil {
		f.from.Circuit, _ = addTag(0, *beside)
	}
	b = b[2*addressLen:]
	for {
		f.etherType = binary.BigEndian.Uint16(b)
		if f.etherType != unix.ETH_P_8021Q && f.etherType != unix.ETH_P_8021AD {
			f.payload = b[2:]
			return f, true
		}
		if len(b) < tagLen+2 {
			return f, false
		}
		if f.from.Circuit, ok = addTag(f.from.Circuit, tag{f.etherType, binary.BigEndian.Uint16(b[2:])}); !ok {
			return f, false
		}
		b = b[tagLen:]
	}
}

// appendFrame appends the wire form of a frame to a host, padded.
func appendFrame(b []byte, to concentrator.Host, src []byte, etherType uint16, payload ...[]byte) []byte {
	start := len(b)
	b = append(append(b, to.MAC[:]...), src...)
	for _, t := range tagsOf(to.Circuit) {
		b = binary.BigEndian.AppendUint16(b, t.Protocol)
		b = binary.BigEndian.AppendUint16(b, t.ID)
	}
	b = binary.BigEndian.AppendUint16(b, etherType)
	for _, p := range payload {
		b = append(b, p...)
	}
	return append(b, make([]byte, max(0, leastFrame-(len(b)-start)))...)
}

// sessionHeader is what stands before a PPP packet of length bytes (RFC 2516 section 4).
func sessionHeader(id uint16, protocol ppp.Protocol, length int) []byte {
	b := []byte{versionType, 0}
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, uint16(protocolLen+length))
	return binary.BigEndian.AppendUint16(b, uint16(protocol))
}

// parseSession reads a session frame's payload; what follows its length is padding.
func parseSession(b []byte) (id uint16, protocol ppp.Protocol, packet []byte, ok bool) {
	if len(b) < pppoeLen+protocolLen || b[0] != versionType || b[1] != 0 {
		return 0, 0, nil, false
	}
	end := pppoeLen + int(binary.BigEndian.Uint16(b[4:]))
	if end > len(b) || end < pppoeLen+protocolLen {
		return 0, 0, nil, false
	}
	protocol = ppp.Protocol(binary.BigEndian.Uint16(b[pppoeLen:]))
	return binary.BigEndian.Uint16(b[2:]), protocol, b[pppoeLen+protocolLen : end], true
}
