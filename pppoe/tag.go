package pppoe

import (
	"encoding/binary"
	"fmt"
	"slices"

	"linebond/ppp"
)

// TagType is the TAG_TYPE field of a tag.
type TagType uint16

// The tags of RFC 2516 appendix A and of RFC 4638.
const (
	TagEndOfList        TagType = 0x0000 // nothing follows
	TagServiceName      TagType = 0x0101 // UTF-8; empty: any service
	TagACName           TagType = 0x0102 // UTF-8
	TagHostUniq         TagType = 0x0103 // the host's; the AC returns it as it is
	TagACCookie         TagType = 0x0104 // the AC's; the host returns it as it is
	TagVendorSpecific   TagType = 0x0105 // 0, vendor (3 bytes), data
	TagRelaySessionID   TagType = 0x0110 // a relay's; both return it as it is
	TagPPPMaxPayload    TagType = 0x0120 // RFC 4638: largest PPP payload (2 bytes)
	TagServiceNameError TagType = 0x0201 // UTF-8; why the service is not to be had
	TagACSystemError    TagType = 0x0202 // UTF-8; what the AC could not do
	TagGenericError     TagType = 0x0203 // UTF-8; any other reason
)

// String gives the RFC's name of the tag, or its number.
func (t TagType) String() string {
	switch t {
	case TagEndOfList:
		return "End-Of-List"
	case TagServiceName:
		return "Service-Name"
	case TagACName:
		return "AC-Name"
	case TagHostUniq:
		return "Host-Uniq"
	case TagACCookie:
		return "AC-Cookie"
	case TagVendorSpecific:
		return "Vendor-Specific"
	case TagRelaySessionID:
		return "Relay-Session-Id"
	case TagPPPMaxPayload:
		return "PPP-Max-Payload"
	case TagServiceNameError:
		return "Service-Name-Error"
	case TagACSystemError:
		return "AC-System-Error"
	case TagGenericError:
		return "Generic-Error"
	}
	return fmt.Sprintf("Tag-0x%04x", uint16(t))
}

// Tag is one tag, known or unknown, its value kept as it was on the wire.
type Tag struct {
	Type  TagType
	Value []byte
}

func (t Tag) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(t.Type))
	b = binary.BigEndian.AppendUint16(b, uint16(len(t.Value)))
	return append(b, t.Value...)
}

// parseTags reads the tags up to the end of b or to End-Of-List: it counts
// first, so that one allocation does.
func parseTags(b []byte) ([]Tag, error) {
	count := 0
	for rest := b; len(rest) > 0; count++ {
		t, tail, err := cutTag(rest)
		if err != nil {
			return nil, err
		}
		if t.Type == TagEndOfList {
			break
		}
		rest = tail
	}
	if count == 0 {
		return nil, nil
	}
	tags := make([]Tag, count)
	for i := range tags {
		tags[i], b, _ = cutTag(b) // has just been checked
	}
	return tags, nil
}

// cutTag reads the first tag of b. The TAG_LENGTH of an End-Of-List is not
// looked at: it must be zero, and nothing is to be had behind it.
func cutTag(b []byte) (t Tag, rest []byte, err error) {
	if len(b) < tagLen {
		return Tag{}, nil, ErrTag
	}
	t.Type = TagType(binary.BigEndian.Uint16(b))
	if t.Type == TagEndOfList {
		return t, nil, nil
	}
	end := tagLen + int(binary.BigEndian.Uint16(b[2:4]))
	if end > len(b) {
		return Tag{}, nil, ErrTag
	}
	t.Value = b[tagLen:end:end]
	return t, b[end:], nil
}

// lookup returns the value of the first tag of a type; nil and false if there
// is none.
func (p Packet) lookup(t TagType) ([]byte, bool) {
	i := slices.IndexFunc(p.Tags, func(tag Tag) bool { return tag.Type == t })
	if i < 0 {
		return nil, false
	}
	return p.Tags[i].Value, true
}

// has says whether a tag of this very value is among the packet's.
func (p Packet) has(t TagType, value string) bool {
	return slices.ContainsFunc(p.Tags, func(tag Tag) bool {
		return tag.Type == t && string(tag.Value) == value
	})
}

// text returns a tag's value as words for people; "" if there is none.
func (p Packet) text(t TagType) string {
	value, _ := p.lookup(t)
	return ppp.Printable(value, maxWords)
}

// maxPayload returns the larger payload that the packet asks for or grants,
// but no more than limit; StandardPayload if it has no such tag (RFC 4638). The
// RFC lets an AC only echo the number; one that answers with less is believed.
func (p Packet) maxPayload(limit uint16) uint16 {
	value, _ := p.lookup(TagPPPMaxPayload)
	if len(value) != 2 {
		return StandardPayload
	}
	return max(StandardPayload, min(limit, binary.BigEndian.Uint16(value)))
}

func maxPayloadTag(payload uint16) Tag {
	return Tag{TagPPPMaxPayload, binary.BigEndian.AppendUint16(nil, payload)}
}

// maxWords bounds what is kept of the words of a peer, in runes.
const maxWords = 200
