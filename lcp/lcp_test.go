package lcp_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/auth"
	"linebond/lcp"
	"linebond/ppp"
	"linebond/ppp/ppptest"
)

// random returns a source of bytes that is the same for the same seed.
func random(seed uint64) func([]byte) {
	r := rand.New(rand.NewPCG(seed, 2516))
	return func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
}

// counting returns a source of the 32-bit numbers 1, 2, 3 ...
func counting() func([]byte) {
	var n uint32
	return func(b []byte) {
		n++
		binary.BigEndian.PutUint32(b, n)
	}
}

func newLink(cfg lcp.Config) *lcp.Link {
	if cfg.Random == nil {
		cfg.Random = counting()
	}
	return lcp.New(cfg, ppp.DefaultTimes)
}

// clone copies the one packet that actions send.
func clone(t *testing.T, actions []ppp.Action) ppp.Packet {
	t.Helper()
	var sent []ppp.Packet
	for _, a := range actions {
		if a.Kind == ppp.Send {
			p, err := ppp.Parse(slices.Clone(a.Packet))
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, p)
		}
	}
	if len(sent) != 1 {
		t.Fatalf("sent %v, want one packet", sent)
	}
	return sent[0]
}

// request opens a link and returns its first Configure-Request.
func request(t *testing.T, l *lcp.Link) ppp.Packet {
	t.Helper()
	l.Open()
	return clone(t, l.Up())
}

// opened opens a link against a peer that takes everything, and asks for opts.
func opened(t *testing.T, cfg lcp.Config, opts ...byte) *lcp.Link {
	t.Helper()
	l := newLink(cfg)
	p := request(t, l)
	p.Code = ppp.ConfigureAck
	l.Receive(p)
	l.Receive(ppp.Packet{Code: ppp.ConfigureRequest, ID: 1, Data: opts})
	if l.State() != ppp.Opened {
		t.Fatalf("in state %v", l.State())
	}
	return l
}

func TestRequest(t *testing.T) {
	tests := []struct {
		name string
		cfg  lcp.Config
		want []byte
	}{
		{"client", lcp.Config{MRU: 1492, Allowed: []auth.Method{auth.PAP}}, []byte{
			0x01, 0x04, 0x05, 0xd4, // MRU 1492
			0x05, 0x06, 0x00, 0x00, 0x00, 0x01, // Magic-Number 1
		}},
		{"the default MRU goes without saying", lcp.Config{MRU: 1500}, []byte{
			0x05, 0x06, 0x00, 0x00, 0x00, 0x01, // Magic-Number 1
		}},
		{"server", lcp.Config{MRU: 1492, Demand: []auth.Method{auth.CHAPMD5, auth.PAP}}, []byte{
			0x01, 0x04, 0x05, 0xd4, // MRU 1492
			0x03, 0x05, 0xc2, 0x23, 0x05, // Authentication-Protocol CHAP with MD5
			0x05, 0x06, 0x00, 0x00, 0x00, 0x01, // Magic-Number 1
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, request(t, newLink(tt.cfg)).Data); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	chap := []auth.Method{auth.MSCHAPv2, auth.CHAPMD5}
	tests := []struct {
		name     string
		allowed  []auth.Method
		in, want []byte
		code     ppp.Code
	}{
		{"all that we know", chap, []byte{
			0x01, 0x04, 0x05, 0xdc, // MRU 1500
			0x03, 0x05, 0xc2, 0x23, 0x81, // MS-CHAPv2
			0x05, 0x06, 0x11, 0x22, 0x33, 0x44, // Magic-Number
		}, nil, ppp.ConfigureAck},
		{"what RFC 2516 section 7 forbids, and the unknown", chap, []byte{
			0x01, 0x04, 0x05, 0xd4, // MRU 1492
			0x02, 0x06, 0x00, 0x0a, 0x00, 0x00, // Async-Control-Character-Map
			0x05, 0x06, 0x11, 0x22, 0x33, 0x44, // Magic-Number
			0x07, 0x02, // Protocol-Field-Compression
			0x08, 0x02, // Address-and-Control-Field-Compression
			0x09, 0x03, 0x02, // FCS-Alternatives
			0x11, 0x04, 0x06, 0x4e, // Multilink MRRU
			0x00, 0x06, 0x00, 0x00, 0x5e, 0x01, // vendor
		}, []byte{
			0x02, 0x06, 0x00, 0x0a, 0x00, 0x00, // Async-Control-Character-Map
			0x07, 0x02, // Protocol-Field-Compression
			0x08, 0x02, // Address-and-Control-Field-Compression
			0x09, 0x03, 0x02, // FCS-Alternatives
			0x11, 0x04, 0x06, 0x4e, // Multilink MRRU
			0x00, 0x06, 0x00, 0x00, 0x5e, 0x01, // vendor
		}, ppp.ConfigureReject},
		{"known types of the wrong length", chap, []byte{
			0x01, 0x03, 0x05, // MRU of one byte
			0x03, 0x03, 0xc2, // Authentication-Protocol of one byte
			0x05, 0x05, 0x11, 0x22, 0x33, // Magic-Number of three bytes
		}, []byte{
			0x01, 0x03, 0x05, // MRU
			0x03, 0x03, 0xc2, // Authentication-Protocol
			0x05, 0x05, 0x11, 0x22, 0x33, // Magic-Number
		}, ppp.ConfigureReject},
		{"authentication by one who has no password", nil, []byte{
			0x03, 0x04, 0xc0, 0x23, // PAP
		}, []byte{
			0x03, 0x04, 0xc0, 0x23, // PAP
		}, ppp.ConfigureReject},
		{"MRU too small", chap, []byte{
			0x01, 0x04, 0x00, 0x7f, // MRU 127
		}, []byte{
			0x01, 0x04, 0x00, 0x80, // MRU 128
		}, ppp.ConfigureNak},
		{"method that is not allowed", chap, []byte{
			0x03, 0x04, 0xc0, 0x23, // PAP
		}, []byte{
			0x03, 0x05, 0xc2, 0x23, 0x81, // MS-CHAPv2
		}, ppp.ConfigureNak},
		{"MS-CHAPv1", chap, []byte{
			0x03, 0x05, 0xc2, 0x23, 0x80, // algorithm 128
		}, []byte{
			0x03, 0x05, 0xc2, 0x23, 0x81, // MS-CHAPv2
		}, ppp.ConfigureNak},
		{"CHAP without an algorithm", chap, []byte{
			0x03, 0x04, 0xc2, 0x23, // CHAP
		}, []byte{
			0x03, 0x05, 0xc2, 0x23, 0x81, // MS-CHAPv2
		}, ppp.ConfigureNak},
		{"magic number zero", chap, []byte{ // RFC 1661 section 6.4: must be Nak'd
			0x05, 0x06, 0x00, 0x00, 0x00, 0x00, // Magic-Number 0
		}, []byte{
			0x05, 0x06, 0x00, 0x00, 0x00, 0x02, // the next random number
		}, ppp.ConfigureNak},
		{"our own magic number", chap, []byte{
			0x05, 0x06, 0x00, 0x00, 0x00, 0x01, // Magic-Number 1
		}, []byte{
			0x05, 0x06, 0x00, 0x00, 0x00, 0x02, // the next random number
		}, ppp.ConfigureNak},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLink(lcp.Config{MRU: 1492, Allowed: tt.allowed})
			request(t, l)
			got := clone(t, l.Receive(ppp.Packet{Code: ppp.ConfigureRequest, ID: 9, Data: tt.in}))
			want := ppp.Packet{Code: tt.code, ID: 9, Data: tt.want}
			if tt.code == ppp.ConfigureAck {
				want.Data = tt.in
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGranted(t *testing.T) {
	l := opened(t, lcp.Config{MRU: 1492, Allowed: []auth.Method{auth.PAP}},
		0x01, 0x04, 0x04, 0xb0, // MRU 1200
		0x03, 0x04, 0xc0, 0x23, // PAP
	)
	if m, ok := l.Auth(); !ok || m != auth.PAP || l.MRU() != 1492 || l.PeerMRU() != 1200 {
		t.Errorf("auth %v %v, MRU %d and %d", m, ok, l.MRU(), l.PeerMRU())
	}
	// What the peer does not ask for again is at its default.
	l.Receive(ppp.Packet{Code: ppp.ConfigureRequest, ID: 2})
	if _, ok := l.Auth(); ok || l.PeerMRU() != 1500 {
		t.Errorf("auth %v, MRU %d after a renegotiation", ok, l.PeerMRU())
	}
	l.Reset()
	if _, ok := l.PeerAuth(); ok || l.MRU() != 1492 {
		t.Error("Reset did not forget")
	}
}

// TestAuthHints: each Nak names the next of our methods (RFC 1661 section 6.2),
// and the last method refused is known.
func TestAuthHints(t *testing.T) {
	l := newLink(lcp.Config{MRU: 1500, Allowed: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5}})
	request(t, l)
	for i, want := range []byte{0x81, 0x05, 0x81} {
		got := clone(t, l.Receive(ppp.Packet{Code: ppp.ConfigureRequest, ID: byte(i), Data: []byte{0x03, 0x04, 0xc0, 0x23}}))
		if d := cmp.Diff([]byte{0x03, 0x05, 0xc2, 0x23, want}, got.Data); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff([]byte{0xc0, 0x23}, l.RefusedAuth()); d != "" {
		t.Error(d)
	}
	l.Receive(ppp.Packet{Code: ppp.ConfigureRequest, ID: 9, Data: []byte{0x03, 0x05, 0xc2, 0x23, 0x05}})
	if m, ok := l.Auth(); !ok || m != auth.CHAPMD5 || l.RefusedAuth() != nil {
		t.Errorf("auth %v %v, refused % x", m, ok, l.RefusedAuth())
	}
}

// TestAnswers: what the peer's Naks and Rejects change in our next request.
func TestAnswers(t *testing.T) {
	nak, reject := ppp.ConfigureNak, ppp.ConfigureReject
	type answer struct {
		code ppp.Code
		data []byte
	}
	mru := []byte{0x01, 0x04, 0x05, 0xd4}
	magic := []byte{0x05, 0x06, 0, 0, 0, 1}
	pap, md5 := []byte{0x03, 0x04, 0xc0, 0x23}, []byte{0x03, 0x05, 0xc2, 0x23, 0x05}
	ms := []byte{0x03, 0x05, 0xc2, 0x23, 0x81}
	tests := []struct {
		name    string
		answers []answer
		want    []byte
	}{
		{"MRU lowered", []answer{{nak, []byte{0x01, 0x04, 0x04, 0xb0}}}, slices.Concat([]byte{0x01, 0x04, 0x04, 0xb0}, ms, magic)},
		{"MRU not raised", []answer{{nak, []byte{0x01, 0x04, 0x05, 0xdc}}}, slices.Concat(mru, ms, magic)},
		{"MRU absurd", []answer{{nak, []byte{0x01, 0x04, 0x00, 0x01}}}, slices.Concat(mru, ms, magic)},
		{"MRU rejected", []answer{{reject, mru}}, slices.Concat(ms, magic)},
		{"magic number", []answer{{nak, magic}}, slices.Concat(mru, ms, []byte{0x05, 0x06, 0, 0, 0, 2})},
		{"magic number rejected", []answer{{reject, magic}}, slices.Concat(mru, ms)},
		{"hint that we demand", []answer{{nak, pap}}, slices.Concat(mru, pap, magic)},
		{"hint that we do not", []answer{{nak, []byte{0x03, 0x05, 0xc2, 0x23, 0x80}}}, slices.Concat(mru, md5, magic)},
		{"hints to the end", []answer{{nak, pap}, {nak, md5}, {nak, ms}}, slices.Concat(mru, pap, magic)},
		{"authentication rejected", []answer{{reject, ms}}, slices.Concat(mru, magic)},
		{"unknown hint", []answer{{nak, []byte{0x09, 0x03, 0x01}}}, slices.Concat(mru, ms, magic)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLink(lcp.Config{MRU: 1492, Demand: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}})
			p := request(t, l)
			for _, a := range tt.answers {
				p = clone(t, l.Receive(ppp.Packet{Code: a.code, ID: p.ID, Data: a.data}))
			}
			if d := cmp.Diff(tt.want, p.Data); d != "" {
				t.Error(d)
			}
			_, demanded := l.PeerAuth()
			if rejected := tt.name == "authentication rejected"; demanded == rejected {
				t.Errorf("authentication demanded: %v", demanded)
			}
		})
	}
}

// TestNakAfterReject: what the peer rejected does not come back by a Nak that
// appends it. RFC 1661 section 6.4: a magic number that has not been
// negotiated is zero in echoes.
func TestNakAfterReject(t *testing.T) {
	l := newLink(lcp.Config{MRU: 1492})
	p := request(t, l)
	p = clone(t, l.Receive(ppp.Packet{Code: ppp.ConfigureReject, ID: p.ID, Data: p.Data}))
	p = clone(t, l.Receive(ppp.Packet{Code: ppp.ConfigureNak, ID: p.ID, Data: []byte{
		0x01, 0x04, 0x04, 0xb0, // MRU 1200
		0x05, 0x06, 0x11, 0x22, 0x33, 0x44, // Magic-Number
	}}))
	if len(p.Data) != 0 || l.MRU() != 1500 {
		t.Errorf("asked for % x, MRU %d", p.Data, l.MRU())
	}
	want := []byte{
		0x09, 0x05, // Echo-Request 5
		0x00, 0x08, // Length: 8
		0x00, 0x00, 0x00, 0x00, // Magic-Number: none
	}
	if d := cmp.Diff(want, l.AppendEchoRequest(nil, 5)); d != "" {
		t.Error(d)
	}
}

// TestLossyWire joins client and server by a wire of every vice.
func TestLossyWire(t *testing.T) {
	seeds := uint64(10000)
	if testing.Short() {
		seeds = 1000
	}
	for seed := range seeds {
		cfg := lcp.Config{MRU: 1492, Allowed: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5}, Random: random(2 * seed)}
		client := newLink(cfg)
		server := newLink(lcp.Config{MRU: 1500, Demand: []auth.Method{auth.PAP, auth.CHAPMD5}, Random: random(2*seed + 1)})
		w := ppptest.Wire{
			Seed: seed, Loss: 0.2, Duplicate: 0.2,
			Delay: 5 * time.Millisecond, Jitter: 300 * time.Millisecond, Start: 5 * time.Second,
		}
		if err := w.Run(time.Hour, client, server); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		mine, ok := client.Auth()
		theirs, demanded := server.PeerAuth()
		if !ok || !demanded || mine != auth.CHAPMD5 || theirs != auth.CHAPMD5 {
			t.Fatalf("seed %d: client proves itself by %v (%v), server expects %v (%v)", seed, mine, ok, theirs, demanded)
		}
		if client.PeerMRU() != server.MRU() || server.PeerMRU() != client.MRU() || client.MRU() != 1492 {
			t.Fatalf("seed %d: MRU %d for %d, %d for %d", seed, client.PeerMRU(), server.MRU(), server.PeerMRU(), client.MRU())
		}
		echo(t, client, server)
		echo(t, server, client)
	}
}

// echo sends an Echo-Request from a to b and its reply back: each must know the
// other's magic number.
func echo(t *testing.T, a, b *lcp.Link) {
	t.Helper()
	p, err := ppp.Parse(a.AppendEchoRequest(nil, 1))
	if err != nil {
		t.Fatal(err)
	}
	a.Receive(clone(t, b.Receive(p)))
	if a.WrongMagic()+b.WrongMagic() != 0 || a.Looped() || b.Looped() {
		t.Fatal("the magic numbers are not those that were granted")
	}
}

// TestLoop: a link that hears itself is found to be looped, however long the
// loop is and whatever it loses (RFC 1661 section 6.4).
func TestLoop(t *testing.T) {
	for ms := range 600 {
		for _, loss := range []float64{0, 0.1} {
			l := newLink(lcp.Config{MRU: 1492, Allowed: []auth.Method{auth.PAP}, Random: random(uint64(ms))})
			w := ppptest.Wire{Seed: uint64(ms), Loss: loss, Delay: time.Duration(ms) * time.Millisecond, Done: l.Looped}
			if err := w.Run(2*time.Minute, l); err != nil || !l.Looped() {
				t.Errorf("%d ms, loss %v: looped: %v, %v", ms, loss, l.Looped(), err)
			}
			if w.Ups[0] != 0 {
				t.Errorf("%d ms: the link came up with itself", ms)
			}
		}
	}
}
