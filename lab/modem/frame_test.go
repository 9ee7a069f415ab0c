package modem

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// handed is what the kernel hands out: a virtio header and a frame.
func handed(flags, segmentation byte, start, offset uint16, frame string) []byte {
	b := make([]byte, virtioHeader)
	b[0], b[1] = flags, segmentation
	binary.NativeEndian.PutUint16(b[6:], start)
	binary.NativeEndian.PutUint16(b[8:], offset)
	return append(b, unhex(frame)...)
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// stampMessage is the control message of a time of day.
func stampMessage(seconds, nanoseconds uint64) []byte {
	b := make([]byte, unix.CmsgSpace(timespec))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(timespec)))
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_SOCKET)
	binary.NativeEndian.PutUint32(b[12:], unix.SO_TIMESTAMPNS_NEW)
	binary.NativeEndian.PutUint64(b[unix.CmsgLen(0):], seconds)
	binary.NativeEndian.PutUint64(b[unix.CmsgLen(8):], nanoseconds)
	return b
}

// message is the control message of a VLAN tag.
func message(status uint32, tci, protocol uint16) []byte {
	b := make([]byte, unix.CmsgSpace(auxdata))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(auxdata)))
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_PACKET)
	binary.NativeEndian.PutUint32(b[12:], unix.PACKET_AUXDATA)
	data := b[unix.CmsgLen(0):]
	binary.NativeEndian.PutUint32(data, status)
	binary.NativeEndian.PutUint16(data[16:], tci)
	binary.NativeEndian.PutUint16(data[18:], protocol)
	return b
}

func TestWhole(t *testing.T) {
	const macs = "ffffffffffff 020000000001 "
	const both = unix.TP_STATUS_VLAN_VALID | unix.TP_STATUS_VLAN_TPID_VALID
	for _, test := range []struct {
		name    string
		b       []byte
		control []byte
		want    string
	}{
		{"untagged", handed(0, 0, 0, 0, macs+"8863 1109"), message(0, 0, 0), macs + "8863 1109"},
		{"tagged", handed(0, 0, 0, 0, macs+"8863 1109"), message(both, 0x6065, 0x8100), macs + "8100 6065 8863 1109"},
		{"two tags", handed(0, 0, 0, 0, macs+"8100 0065 8863"), message(both, 0x0064, 0x88a8), macs + "88a8 0064 8100 0065 8863"},
		{"VLAN 0", handed(0, 0, 0, 0, macs+"8863"), message(both, 0, 0x8100), macs + "8100 0000 8863"},
		{"a tag after a stamp", handed(0, 0, 0, 0, macs+"8863"), append(stampMessage(1, 2), message(both, 7, 0x8100)...), macs + "8100 0007 8863"},
		{"no protocol", handed(0, 0, 0, 0, macs+"8863"), message(unix.TP_STATUS_VLAN_VALID, 7, 0), macs + "8100 0007 8863"},
		{"no control message", handed(0, 0, 0, 0, macs+"8863"), nil, macs + "8863"},
		{"a segment to cut", handed(1, 1, 14, 2, macs+"0800 00000000"), message(0, 0, 0), ""},
		{"a checksum", handed(1, 0, 14, 4, macs+"0800 00010203 0000 05"), message(0, 0, 0), macs + "0800 00010203 f8fb 05"},
		{"a checksum and a tag", handed(1, 0, 14, 0, macs+"0800 0000 1234"), message(both, 7, 0x8100), macs + "8100 0007 0800 edcb 1234"},
		{"a checksum of zero", handed(1, 0, 14, 0, macs+"0800 ffff"), message(0, 0, 0), macs + "0800 ffff"},
		{"a checksum outside of the frame", handed(1, 0, 14, 60, macs+"0800 0000"), message(0, 0, 0), macs + "0800 0000"},
		{"shorter than its addresses", handed(0, 0, 0, 0, "ffff"), message(both, 7, 0x8100), "ffff"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, want := hex.EncodeToString(whole(test.b, test.control)), hex.EncodeToString(unhex(test.want)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestStamp(t *testing.T) {
	for _, test := range []struct {
		name    string
		control []byte
		want    time.Time
	}{
		{"alone", stampMessage(1_700_000_000, 123_456_789), time.Unix(1_700_000_000, 123_456_789)},
		{"after a tag", append(message(0, 0, 0), stampMessage(5, 6)...), time.Unix(5, 6)},
		{"none", message(0, 0, 0), time.Time{}},
		{"no control message", nil, time.Time{}},
		{"cut off", stampMessage(5, 6)[:20], time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := stamp(test.control); !got.Equal(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
