package pppoe

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packets are one frame of each code, as they travel between a host that asks
// for 1500 bytes and an AC that grants them.
var packets = []struct {
	name   string
	bytes  []byte
	packet Packet
}{
	{
		name: "PADI",
		bytes: []byte{
			0x11,       // VER 1, TYPE 1
			0x09,       // CODE: PADI
			0x00, 0x00, // SESSION_ID: none yet
			0x00, 0x12, // LENGTH: 18
			0x01, 0x01, // Service-Name
			0x00, 0x00, // any
			0x01, 0x03, // Host-Uniq
			0x00, 0x04, // of 4 bytes
			0xde, 0xad, 0xbe, 0xef,
			0x01, 0x20, // PPP-Max-Payload
			0x00, 0x02, // of 2 bytes
			0x05, 0xdc, // 1500
		},
		packet: Packet{Code: PADI, Tags: []Tag{
			{TagServiceName, []byte{}},
			{TagHostUniq, []byte{0xde, 0xad, 0xbe, 0xef}},
			{TagPPPMaxPayload, []byte{0x05, 0xdc}},
		}},
	},
	{
		name: "PADO",
		bytes: []byte{
			0x11,       // VER 1, TYPE 1
			0x07,       // CODE: PADO
			0x00, 0x00, // SESSION_ID: none yet
			0x00, 0x29, // LENGTH: 41
			0x01, 0x02, // AC-Name
			0x00, 0x03, // of 3 bytes
			'b', 'r', 'a',
			0x01, 0x01, // Service-Name
			0x00, 0x00, // the one that was asked for
			0x01, 0x01, // Service-Name
			0x00, 0x02, // of 2 bytes
			't', 'v', // one more
			0x01, 0x04, // AC-Cookie
			0x00, 0x02, // of 2 bytes
			0xc0, 0x0c,
			0x01, 0x10, // Relay-Session-Id
			0x00, 0x02, // of 2 bytes
			0x1e, 0x1a,
			0x01, 0x05, // Vendor-Specific
			0x00, 0x04, // of 4 bytes
			0x00, 0x00, 0x0d, 0xe9, // vendor 3561, no data
			0x12, 0x34, // a tag that no RFC knows
			0x00, 0x00, // empty
		},
		packet: Packet{Code: PADO, Tags: []Tag{
			{TagACName, []byte("bra")},
			{TagServiceName, []byte{}},
			{TagServiceName, []byte("tv")},
			{TagACCookie, []byte{0xc0, 0x0c}},
			{TagRelaySessionID, []byte{0x1e, 0x1a}},
			{TagVendorSpecific, []byte{0x00, 0x00, 0x0d, 0xe9}},
			{0x1234, []byte{}},
		}},
	},
	{
		name: "PADR",
		bytes: []byte{
			0x11,       // VER 1, TYPE 1
			0x19,       // CODE: PADR
			0x00, 0x00, // SESSION_ID: none yet
			0x00, 0x0a, // LENGTH: 10
			0x01, 0x01, // Service-Name
			0x00, 0x00, // any
			0x01, 0x04, // AC-Cookie
			0x00, 0x02, // of 2 bytes
			0xc0, 0x0c,
		},
		packet: Packet{Code: PADR, Tags: []Tag{
			{TagServiceName, []byte{}},
			{TagACCookie, []byte{0xc0, 0x0c}},
		}},
	},
	{
		name: "PADS",
		bytes: []byte{
			0x11,       // VER 1, TYPE 1
			0x65,       // CODE: PADS
			0x12, 0x34, // SESSION_ID
			0x00, 0x04, // LENGTH: 4
			0x01, 0x01, // Service-Name
			0x00, 0x00, // any
		},
		packet: Packet{Code: PADS, SessionID: 0x1234, Tags: []Tag{{TagServiceName, []byte{}}}},
	},
	{
		name: "PADS that refuses",
		bytes: []byte{
			0x11,       // VER 1, TYPE 1
			0x65,       // CODE: PADS
			0x00, 0x00, // SESSION_ID: refused
			0x00, 0x12, // LENGTH: 18
			0x02, 0x01, // Service-Name-Error
			0x00, 0x00, // no words
			0x02, 0x02, // AC-System-Error
			0x00, 0x04, // of 4 bytes
			'f', 'u', 'l', 'l',
			0x02, 0x03, // Generic-Error
			0x00, 0x02, // of 2 bytes
			'n', 'o',
		},
		packet: Packet{Code: PADS, Tags: []Tag{
			{TagServiceNameError, []byte{}},
			{TagACSystemError, []byte("full")},
			{TagGenericError, []byte("no")},
		}},
	},
	{
		name: "PADT",
		bytes: []byte{
			0x11,       // VER 1, TYPE 1
			0xa7,       // CODE: PADT
			0x12, 0x34, // SESSION_ID
			0x00, 0x00, // LENGTH: no tags
		},
		packet: Packet{Code: PADT, SessionID: 0x1234},
	},
}

func TestPackets(t *testing.T) {
	for _, tt := range packets {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.packet, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.bytes, tt.packet.Append(nil)); diff != "" {
				t.Errorf("Append (-want +got):\n%s", diff)
			}
			padded := append(bytes.Clone(tt.bytes), make([]byte, 46)...)
			if got, err = Parse(padded); err != nil || !cmp.Equal(tt.packet, got) {
				t.Errorf("with Ethernet's padding: %v, %v", got, err)
			}
			behind := tt.packet.Append([]byte("before"))
			if !bytes.Equal(behind, append([]byte("before"), tt.bytes...)) {
				t.Errorf("Append behind other bytes: % x", behind)
			}
		})
	}
}

func TestParseEndOfList(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes []byte
	}{
		{"last", []byte{
			0x11, 0x07, 0, 0, 0, 8, // PADO
			0x01, 0x01, 0, 0, // Service-Name
			0x00, 0x00, 0, 0, // End-Of-List
		}},
		{"with rubbish behind it", []byte{
			0x11, 0x07, 0, 0, 0, 11, // PADO
			0x01, 0x01, 0, 0, // Service-Name
			0x00, 0x00, 0, 0, // End-Of-List
			0xff, 0xff, 0xff,
		}},
		{"with a length, which it must not have", []byte{
			0x11, 0x07, 0, 0, 0, 8, // PADO
			0x01, 0x01, 0, 0, // Service-Name
			0x00, 0x00, 0, 9, // End-Of-List
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Packet{Code: PADO, Tags: []Tag{{TagServiceName, []byte{}}}}
			got, err := Parse(tt.bytes)
			if err != nil || !cmp.Equal(want, got) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"nothing", nil, ErrTruncated},
		{"half a header", []byte{0x11, 0x09, 0, 0, 0}, ErrTruncated},
		{"VER 2", []byte{0x21, 0x09, 0, 0, 0, 0}, ErrVersion},
		{"TYPE 2", []byte{0x12, 0x09, 0, 0, 0, 0}, ErrVersion},
		{"LENGTH past the frame", []byte{0x11, 0x09, 0, 0, 0, 4, 1, 1, 0}, ErrTruncated},
		{"half a tag", []byte{0x11, 0x09, 0, 0, 0, 3, 1, 1, 0}, ErrTag},
		{"half an End-Of-List", []byte{0x11, 0x09, 0, 0, 0, 2, 0, 0}, ErrTag},
		{"TAG_LENGTH past LENGTH, within the frame", []byte{0x11, 0x09, 0, 0, 0, 4, 1, 1, 0, 1, 0xff}, ErrTag},
		{"largest TAG_LENGTH", []byte{0x11, 0x09, 0, 0, 0, 5, 1, 1, 0xff, 0xff, 0}, ErrTag},
		{"the second tag is cut", []byte{0x11, 0x09, 0, 0, 0, 9, 1, 1, 0, 0, 1, 3, 0, 2, 0}, ErrTag},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if p, err := Parse(tt.bytes); !errors.Is(err, tt.want) || !cmp.Equal(p, Packet{}) {
				t.Errorf("got %v, %v, want %v", p, err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		PADI.String(): "PADI", PADO.String(): "PADO", PADR.String(): "PADR",
		PADS.String(): "PADS", PADT.String(): "PADT", Code(1).String(): "Code-0x01",

		TagEndOfList.String():        "End-Of-List",
		TagServiceName.String():      "Service-Name",
		TagACName.String():           "AC-Name",
		TagHostUniq.String():         "Host-Uniq",
		TagACCookie.String():         "AC-Cookie",
		TagVendorSpecific.String():   "Vendor-Specific",
		TagRelaySessionID.String():   "Relay-Session-Id",
		TagPPPMaxPayload.String():    "PPP-Max-Payload",
		TagServiceNameError.String(): "Service-Name-Error",
		TagACSystemError.String():    "AC-System-Error",
		TagGenericError.String():     "Generic-Error",
		TagType(0x106).String():      "Tag-0x0106",

		PADOTimeout.String():      "PADO timeout",
		PADSTimeout.String():      "PADS timeout",
		ServiceNameError.String(): "Service-Name-Error",
		ACSystemError.String():    "AC-System-Error",
		GenericError.String():     "Generic-Error",
		BadSessionID.String():     "illegal session id in PADS",
		FailureKind(0).String():   "FailureKind(0)",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzParse: what Parse accepts, Append writes bit for bit, but for LENGTH
// where End-Of-List cuts the tags short.
func FuzzParse(f *testing.F) {
	for _, tt := range packets {
		f.Add(tt.bytes)
	}
	f.Add([]byte{0x11, 0x07, 0, 0, 0, 11, 1, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff})
	f.Add([]byte{0x11, 0x09, 0, 0, 0, 4, 1, 1, 0, 1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		wire := p.Append(nil)
		if !bytes.Equal(wire[:4], b[:4]) || !bytes.Equal(wire[headerLen:], b[headerLen:len(wire)]) {
			t.Fatalf("% x\nbecame % x", b, wire)
		}
		again, err := Parse(wire)
		if err != nil || !cmp.Equal(p, again) {
			t.Fatalf("got %v, %v, want %v", again, err, p)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	pado := packets[1].bytes
	b.ReportAllocs()
	b.SetBytes(int64(len(pado)))
	for b.Loop() {
		if _, err := Parse(pado); err != nil {
			b.Fatal(err)
		}
	}
}
