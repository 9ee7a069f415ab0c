package lcp_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/lcp"
	"linebond/ppp"
)

// peerMagic is the magic number of the peer in these tests; ours is 1.
var peerMagic = []byte{0x11, 0x22, 0x33, 0x44}

// withMagic opens a link whose peer has a magic number and asks for opts.
func withMagic(t *testing.T, opts ...byte) *lcp.Link {
	t.Helper()
	return opened(t, lcp.Config{MRU: 1492}, append(append([]byte{0x05, 0x06}, peerMagic...), opts...)...)
}

func TestEchoRequest(t *testing.T) {
	want := []byte{
		0x09,       // Code: Echo-Request
		0xfe,       // Identifier
		0x00, 0x08, // Length: 8
		0x00, 0x00, 0x00, 0x01, // our Magic-Number
	}
	if d := cmp.Diff(want, withMagic(t).AppendEchoRequest(nil, 0xfe)); d != "" {
		t.Error(d)
	}
}

// TestEchoReply: the data come back behind our magic number (RFC 1661 section
// 5.8), cut to what the peer can receive.
func TestEchoReply(t *testing.T) {
	l := withMagic(t, 0x01, 0x04, 0x00, 0x80) // MRU 128
	long := bytes.Repeat([]byte{0xab}, 300)
	for _, tt := range []struct {
		name       string
		data, want []byte
	}{
		{"no data", nil, nil},
		{"data", []byte("abc"), []byte("abc")},
		{"as long as the MRU", long[:120], long[:120]},
		{"one too long", long[:121], long[:120]},
		{"much too long", long, long[:120]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := clone(t, l.Receive(ppp.Packet{Code: ppp.EchoRequest, ID: 7, Data: append(bytes.Clone(peerMagic), tt.data...)}))
			want := ppp.Packet{Code: ppp.EchoReply, ID: 7, Data: append([]byte{0, 0, 0, 1}, tt.want...)}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMagic: what echoes with one number or another are taken for. All are
// answered.
func TestMagic(t *testing.T) {
	tests := []struct {
		name  string
		magic []byte
		wrong uint64
		own   bool
	}{
		{"the peer's", peerMagic, 0, false},
		{"none", []byte{0, 0, 0, 0}, 0, false},
		{"a stranger's", []byte{9, 9, 9, 9}, 1, false},
		{"our own", []byte{0, 0, 0, 1}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := withMagic(t)
			p := ppp.Packet{Code: ppp.EchoRequest, ID: 1, Data: tt.magic}
			clone(t, l.Receive(p))
			if l.WrongMagic() != tt.wrong {
				t.Errorf("wrong %d", l.WrongMagic())
			}
			for range 10 {
				l.Receive(p)
			}
			if l.Looped() != tt.own || l.State() != ppp.Opened {
				t.Errorf("looped: %v, %v", l.Looped(), l.State())
			}
			reply := withMagic(t)
			for range 10 {
				reply.Receive(ppp.Packet{Code: ppp.EchoReply, ID: 1, Data: tt.magic})
			}
			if reply.Looped() {
				t.Error("a reply is taken for a loop")
			}
		})
	}
}

// TestQuiet: packets that ask for nothing, or are malformed, change nothing.
func TestQuiet(t *testing.T) {
	tests := []struct {
		name string
		p    ppp.Packet
	}{
		{"Echo-Reply", ppp.Packet{Code: ppp.EchoReply, Data: peerMagic}},
		{"Discard-Request", ppp.Packet{Code: ppp.DiscardRequest, Data: append(bytes.Clone(peerMagic), 1, 2, 3)}},
		{"Identification", ppp.Packet{Code: ppp.Identification, Data: append(bytes.Clone(peerMagic), "MPD"...)}},
		{"Time-Remaining", ppp.Packet{Code: ppp.TimeRemaining, Data: append(bytes.Clone(peerMagic), 0, 0, 0, 60)}},
		{"Identification without a magic number", ppp.Packet{Code: ppp.Identification}},
		{"Echo-Request cut short", ppp.Packet{Code: ppp.EchoRequest, Data: peerMagic[:3]}},
		{"Echo-Reply cut short", ppp.Packet{Code: ppp.EchoReply}},
		{"Protocol-Reject cut short", ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{0x80}}},
		{"Protocol-Reject of CCP", ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{0x80, 0xfd, 1, 1, 0, 4}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := withMagic(t)
			if actions := l.Receive(tt.p); len(actions) != 0 || l.State() != ppp.Opened || l.WrongMagic() != 0 {
				t.Errorf("%v, %v, %d wrong numbers", actions, l.State(), l.WrongMagic())
			}
			// Identification may come before the link is open (RFC 1570 section
			// 2.1), the others are discarded then.
			l = newLink(lcp.Config{MRU: 1492})
			request(t, l)
			if actions := l.Receive(tt.p); len(actions) != 0 || l.State() != ppp.ReqSent {
				t.Errorf("before: %v, %v", actions, l.State())
			}
		})
	}
}

func TestProtocolRejectOfLCP(t *testing.T) {
	l := withMagic(t)
	l.Receive(ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{0xc0, 0x21, 9, 1, 0, 4}})
	if l.State() != ppp.Stopping {
		t.Errorf("in state %v", l.State())
	}
}

func TestEchoUnsupported(t *testing.T) {
	l := withMagic(t)
	l.Receive(ppp.Packet{Code: ppp.CodeReject, Data: []byte{byte(ppp.Identification), 1, 0, 4}})
	if l.EchoUnsupported() {
		t.Error("it was not the Echo-Request that was rejected")
	}
	l.Receive(ppp.Packet{Code: ppp.CodeReject, Data: l.AppendEchoRequest(nil, 1)})
	if !l.EchoUnsupported() || l.State() != ppp.Opened {
		t.Errorf("unsupported: %v, %v", l.EchoUnsupported(), l.State())
	}
}

func TestUnknownCode(t *testing.T) {
	got := clone(t, withMagic(t).Receive(ppp.Packet{Code: 14, ID: 3, Data: []byte{0xaa}}))
	want := []byte{
		0x0e,       // rejected Code: 14
		0x03,       // Identifier
		0x00, 0x05, // Length: 5
		0xaa, // Data
	}
	if d := cmp.Diff(ppp.Packet{Code: ppp.CodeReject, ID: 2, Data: want}, got); d != "" {
		t.Error(d)
	}
}

func TestRejectedProtocol(t *testing.T) {
	tests := []struct {
		p    ppp.Packet
		want ppp.Protocol
		ok   bool
	}{
		{ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{0x80, 0x57}}, ppp.IPv6CP, true},
		{ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{0x80, 0x21, 1, 1, 0, 4}}, ppp.IPCP, true},
		{ppp.Packet{Code: ppp.ProtocolReject, Data: []byte{0x80}}, 0, false},
		{ppp.Packet{Code: ppp.ProtocolReject}, 0, false},
		{ppp.Packet{Code: ppp.CodeReject, Data: []byte{0x80, 0x57}}, 0, false},
	}
	for _, tt := range tests {
		if got, ok := lcp.RejectedProtocol(tt.p); got != tt.want || ok != tt.ok {
			t.Errorf("%v: %v %v", tt.p, got, ok)
		}
	}
}

// TestAppendProtocolReject: the information is quoted, cut to the peer's MRU
// (RFC 1661 section 5.7).
func TestAppendProtocolReject(t *testing.T) {
	information := bytes.Repeat([]byte{0xcc}, 300)
	for _, tt := range []struct{ mru, quoted int }{{1500, 300}, {306, 300}, {305, 299}, {128, 122}} {
		want := []byte{
			0x08,       // Code: Protocol-Reject
			0x05,       // Identifier
			0x00, 0x00, // Length, below
			0x80, 0xfd, // rejected protocol: CCP
		}
		want = append(want, information[:tt.quoted]...)
		binary.BigEndian.PutUint16(want[2:], uint16(len(want)))
		if d := cmp.Diff(want, lcp.AppendProtocolReject(nil, 5, 0x80fd, information, tt.mru)); d != "" {
			t.Errorf("MRU %d: %s", tt.mru, d)
		}
	}
}

// benchEcho is an opened link and an Echo-Request to it.
func benchEcho() (*lcp.Link, ppp.Packet) {
	l := newLink(lcp.Config{MRU: 1492})
	l.Open()
	p, _ := ppp.Parse(bytes.Clone(l.Up()[0].Packet))
	l.Receive(ppp.Packet{Code: ppp.ConfigureAck, ID: p.ID, Data: p.Data})
	l.Receive(ppp.Packet{Code: ppp.ConfigureRequest, Data: append([]byte{0x05, 0x06}, peerMagic...)})
	return l, ppp.Packet{Code: ppp.EchoRequest, ID: 1, Data: append(bytes.Clone(peerMagic), make([]byte, 60)...)}
}

func TestEchoAllocations(t *testing.T) {
	l, p := benchEcho()
	replies := 0
	if n := testing.AllocsPerRun(1000, func() { replies += len(l.Receive(p)) }); n != 0 || replies != 1001 {
		t.Errorf("%v allocations for each of %d replies", n, replies)
	}
}

func BenchmarkEchoReply(b *testing.B) {
	l, p := benchEcho()
	wire := p.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		p, err := ppp.Parse(wire)
		if err != nil {
			b.Fatal(err)
		}
		l.Receive(p)
	}
}
