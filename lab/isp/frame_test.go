package isp

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/datapath"
	"linebond/lab/concentrator"
)

var (
	dst = []byte{0x02, 0, 0, 0, 0, 0xac}
	src = []byte{0x02, 0, 0, 0, 0, 0x01}
)

// TestFrame: what a host with these tags sends is understood, and what it is sent has the same ones.
func TestFrame(t *testing.T) {
	padi := []byte{0x11, 0x09, 0, 0, 0, 0}
	for _, tt := range []struct {
		name   string
		beside *tag   // of the received frame
		inside []byte // tags in it
		want   []datapath.Tag
		sent   []byte // tags of the frame to the host
	}{
		{"untagged", nil, nil, nil, nil},
		{"a priority alone", &tag{0x8100, 0x6000}, nil, nil, nil},
		{"VLAN", &tag{0x8100, 0x6065}, nil, []datapath.Tag{{Protocol: 0x8100, ID: 101}}, []byte{0x81, 0, 0, 101}},
		{"802.1ad", &tag{0x88a8, 0x0ffe}, nil, []datapath.Tag{{Protocol: 0x88a8, ID: 4094}}, []byte{0x88, 0xa8, 0x0f, 0xfe}},
		{"QinQ", &tag{0x88a8, 100}, []byte{0x81, 0, 0, 101}, []datapath.Tag{{Protocol: 0x88a8, ID: 100}, {Protocol: 0x8100, ID: 101}},
			[]byte{0x88, 0xa8, 0, 100, 0x81, 0, 0, 101}},
		{"QinQ of 802.1Q", &tag{0x8100, 100}, []byte{0x81, 0, 0x20, 101}, []datapath.Tag{{Protocol: 0x8100, ID: 100}, {Protocol: 0x8100, ID: 101}},
			[]byte{0x81, 0, 0, 100, 0x81, 0, 0, 101}},
		{"all in the frame", nil, []byte{0x88, 0xa8, 0, 1, 0x88, 0xa8, 0, 2}, []datapath.Tag{{Protocol: 0x88a8, ID: 1}, {Protocol: 0x88a8, ID: 2}},
			[]byte{0x88, 0xa8, 0, 1, 0x88, 0xa8, 0, 2}},
	} {
		f, ok := parseFrame(slices.Concat(dst, src, tt.inside, []byte{0x88, 0x63}, padi), tt.beside)
		if !ok || f.etherType != 0x8863 || string(f.dst[:]) != string(dst) || string(f.from.MAC[:]) != string(src) || string(f.payload) != string(padi) {
			t.Errorf("%s: %+v, %v", tt.name, f, ok)
		}
		if diff := cmp.Diff(tt.want, tagsOf(f.from.Circuit)); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", tt.name, diff)
		}
		want := slices.Concat(src, dst, tt.sent, []byte{0x88, 0x63}, padi)
		want = append(want, make([]byte, 60-len(want))...)
		if diff := cmp.Diff(want, appendFrame(nil, f.from, dst, 0x8863, padi[:4], padi[4:])); diff != "" {
			t.Errorf("%s: sent (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestBadFrames are nobody's.
func TestBadFrames(t *testing.T) {
	addresses := slices.Concat(dst, src)
	for _, tt := range []struct {
		name   string
		frame  []byte
		beside *tag
	}{
		{"nothing", nil, nil},
		{"no ethertype", append(addresses, 0x88), nil},
		{"half a tag", append(addresses, 0x81, 0, 0, 1), nil},
		{"three tags", append(addresses, 0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x88, 0x63), &tag{0x8100, 3}},
	} {
		if f, ok := parseFrame(tt.frame, tt.beside); ok {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}

// TestCircuits: hosts with different tags are different hosts.
func TestCircuits(t *testing.T) {
	seen := map[uint32]string{}
	for _, tags := range [][]tag{
		{}, {{0x8100, 1}}, {{0x88a8, 1}}, {{0x8100, 2}}, {{0x8100, 1}, {0x8100, 1}}, {{0x8100, 1}, {0x8100, 2}}, {{0x8100, 2}, {0x8100, 1}},
		{{0x88a8, 1}, {0x8100, 2}}, {{0x8100, 1}, {0x88a8, 2}}, {{0x88a8, 4094}, {0x88a8, 4094}},
	} {
		circuit := uint32(0)
		for _, x := range tags {
			var ok bool
			if circuit, ok = addTag(circuit, x); !ok {
				t.Errorf("%v is refused", tags)
			}
		}
		if other, there := seen[circuit]; there {
			t.Errorf("%v and %s are both %#x", tags, other, circuit)
		}
		seen[circuit] = fmt.Sprint(tags)
	}
}

// TestParseSession is RFC 2516 section 4.
func TestParseSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"LCP, padded", []byte{0x11, 0, 0x12, 0x34, 0, 6, 0xc0, 0x21, 9, 1, 0, 4, 0, 0}, "4660 LCP 09010004 true"},
		{"no packet", []byte{0x11, 0, 0, 1, 0, 2, 0, 0x21}, "1 IPv4  true"},
		{"half a protocol", []byte{0x11, 0, 0, 1, 0, 1, 0xc0, 0}, "0 protocol 0x0000  false"},
		{"cut off", []byte{0x11, 0, 0, 1, 0, 7, 0xc0, 0x21, 9, 1, 0, 4}, "0 protocol 0x0000  false"},
		{"header alone", []byte{0x11, 0, 0, 1, 0, 0}, "0 protocol 0x0000  false"},
		{"version 2", []byte{0x21, 0, 0, 1, 0, 2, 0, 0x21}, "0 protocol 0x0000  false"},
		{"code of a PADT", []byte{0x11, 0xa7, 0, 1, 0, 2, 0, 0x21}, "0 protocol 0x0000  false"},
	} {
		id, protocol, packet, ok := parseSession(tt.bytes)
		if got := fmt.Sprintf("%d %v %x %v", id, protocol, packet, ok); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	header := sessionHeader(0x1234, 0xc021, 4)
	if want := []byte{0x11, 0, 0x12, 0x34, 0, 6, 0xc0, 0x21}; string(header) != string(want) {
		t.Errorf("% x", header)
	}
}

// TestNonsense: garbage fits a frame, and none of it is a PADT or PADS of the session.
func TestNonsense(t *testing.T) {
	const session, foreign = 5, 7
	for range 20000 {
		etherType, payload := nonsense(session, foreign)
		if frame := appendFrame(nil, concentrator.Host{}, dst, etherType, payload); len(frame) > 1514 {
			t.Fatalf("%d bytes", len(frame))
		}
		if etherType == 0x8863 && len(payload) > 3 && payload[0] == versionType && payload[3] == session {
			t.Fatalf("% x", payload)
		}
	}
}
