package datapath

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// Ethertypes of PPPoE (RFC 2516 section 4).
const (
	etherTypeDiscovery = unix.ETH_P_PPP_DISC
	etherTypeSession   = unix.ETH_P_PPP_SES
)

// Lengths in bytes; see the package comment.
const (
	addressLen        = 6
	ethernetHeaderLen = 14
	tagLen            = 4
	pppoeHeaderLen    = 6
	protocolLen       = 2
)

const (
	maxTags   = 2
	maxVLAN   = 0xffe // IEEE 802.1Q section 9.6: 0xfff is reserved, and 0 is no VLAN
	maxPacket = 1500  // RFC 4638
)

// A Tag is a VLAN tag.
type Tag struct {
	Protocol uint16 // 0x8100 (802.1Q) or 0x88a8 (802.1ad); 0 means 0x8100
	ID       uint16 // 1 to 4094
}

// tpid is the tag's ethertype.
func (t Tag) tpid() uint16 {
	if t.Protocol == 0 {
		return unix.ETH_P_8021Q
	}
	return t.Protocol
}

// A Link is where a line's frames go: an Ethernet device and a VLAN on it.
type Link struct {
	Ethernet string // e.g. eth1
	Tags     []Tag  // outermost first: none, one, or two for QinQ
}

// String gives e.g. "eth1", "eth1 VLAN 100.101".
func (l Link) String() string {
	if len(l.Tags) == 0 {
		return l.Ethernet
	}
	var ids []string
	for _, t := range l.Tags {
		ids = append(ids, fmt.Sprint(t.ID))
	}
	return l.Ethernet + " VLAN " + strings.Join(ids, ".")
}

// check says what is wrong with the tags.
func (l Link) check() error {
	if len(l.Tags) > maxTags {
		return fmt.Errorf("%d VLAN tags: at most %d are possible", len(l.Tags), maxTags)
	}
	for _, t := range l.Tags {
		if t.ID == 0 || t.ID > maxVLAN {
			return fmt.Errorf("VLAN %d: the id must be from 1 to %d", t.ID, maxVLAN)
		}
		if p := t.tpid(); p != unix.ETH_P_8021Q && p != unix.ETH_P_8021AD {
			return fmt.Errorf("VLAN %d: the protocol %#04x is neither 0x8100 (802.1Q) nor 0x88a8 (802.1ad)", t.ID, p)
		}
	}
	return nil
}

// id is the VLAN id of the tag at this place, or 0.
func (l Link) id(place int) uint16 {
	if place < len(l.Tags) {
		return l.Tags[place].ID
	}
	return 0
}

// vlans are the ids of the tags.
func (l Link) vlans() vlans { return vlans{l.id(0), l.id(1)} }

// head is what a frame begins with: the Ethernet header, tags in band. The outermost tag, which switches see, has the 802.1p priority,
// and so has the inner one.
func (l Link) head(dst, src net.HardwareAddr, etherType uint16, priority uint8) []byte {
	b := append(append(make([]byte, 0, ethernetHeaderLen+maxTags*tagLen), dst...), src...)
	for _, t := range l.Tags {
		b = binary.BigEndian.AppendUint16(b, t.tpid())
		b = binary.BigEndian.AppendUint16(b, uint16(priority)<<13|t.ID)
	}
	return binary.BigEndian.AppendUint16(b, etherType)
}
