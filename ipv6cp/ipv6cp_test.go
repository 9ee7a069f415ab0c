package ipv6cp_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ipv6cp"
	"linebond/ppp"
	"linebond/ppp/ppptest"
)

var (
	mine   = ipv6cp.Identifier{0x02, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55}
	theirs = ipv6cp.Identifier{0, 0, 0, 0, 0, 0, 0, 1}
	zero   = ipv6cp.Identifier{}
)

// counting returns a source of the identifiers 2000::1, 2000::2 ... whose
// universal bit is set.
func counting() func([]byte) {
	var n uint64
	return func(b []byte) {
		n++
		binary.BigEndian.PutUint64(b, 0x2200<<48|n)
	}
}

// fresh is what counting gives for n, made a local identifier.
func fresh(n byte) ipv6cp.Identifier { return ipv6cp.Identifier{0x20, 7: n} }

// option is the wire form of an Interface-Identifier.
func option(i ipv6cp.Identifier) []byte { return append([]byte{0x01, 0x0a}, i[:]...) }

func parse(t *testing.T, b []byte) []ppp.Option {
	t.Helper()
	opts, err := ppp.ParseOptions(b)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

func TestLinkLocal(t *testing.T) {
	tests := []struct {
		in   ipv6cp.Identifier
		want string
	}{
		{mine, "fe80::211:22ff:fe33:4455"},
		{theirs, "fe80::1"},
	}
	for _, tt := range tests {
		if got := tt.in.LinkLocal(); got != netip.MustParseAddr(tt.want) {
			t.Errorf("%v, want %v", got, tt.want)
		}
	}
	if zero.LinkLocal().IsValid() {
		t.Error("zero has an address")
	}
}

func TestRequest(t *testing.T) {
	tests := []struct {
		name string
		ours ipv6cp.Identifier
		want []byte
	}{
		{"configured", mine, []byte{
			0x01, 0x0a, // Interface-Identifier, Length: 10
			0x02, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55,
		}},
		{"random, its universal bit cleared", zero, []byte{
			0x01, 0x0a, // Interface-Identifier, Length: 10
			0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := ipv6cp.New(tt.ours, counting())
			if d := cmp.Diff(tt.want, ppp.AppendOptions(nil, p.Request(nil)...)); d != "" {
				t.Error(d)
			}
			p.Reject(p.Request(nil))
			if got := p.Request(nil); len(got) != 0 {
				t.Errorf("still asks for %v", got)
			}
		})
	}
}

// TestFresh: an identifier of our making is never zero, and never one in use.
func TestFresh(t *testing.T) {
	zeros := func(b []byte) { clear(b) }
	p := ipv6cp.New(zero, zeros)
	if p.Ours() != theirs { // the next after zero
		t.Errorf("ours is %v", p.Ours())
	}
	code, reply := p.Judge(parse(t, option(zero)))
	if want := (ipv6cp.Identifier{7: 2}); code != ppp.ConfigureNak || ipv6cp.Identifier(reply[0].Data) != want {
		t.Errorf("%v %v, want %v", code, reply, want)
	}
}

func TestJudge(t *testing.T) {
	unknown := []byte{
		0x02, 0x04, 0x00, 0x61, // IPv6-Compression-Protocol
		0x01, 0x04, 0xaa, 0xbb, // Interface-Identifier of two bytes
		0x63, 0x02, // unknown
	}
	tests := []struct {
		name     string
		in, want []byte
		code     ppp.Code
		peer     ipv6cp.Identifier
	}{
		{"another than ours", option(theirs), nil, ppp.ConfigureAck, theirs},
		{"no identifier", nil, nil, ppp.ConfigureAck, zero},
		{"zero: we name one", option(zero), option(fresh(1)), ppp.ConfigureNak, zero},
		{"our own: a collision", option(mine), option(fresh(1)), ppp.ConfigureNak, zero},
		{"unknown options, bit for bit", append(option(theirs), unknown...), unknown, ppp.ConfigureReject, zero},
		{"a collision, and unknown options", append(option(mine), unknown...), unknown, ppp.ConfigureReject, zero},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := ipv6cp.New(mine, counting())
			code, reply := p.Judge(parse(t, tt.in))
			if code != tt.code || p.Peer() != tt.peer {
				t.Errorf("%v, peer %v", code, p.Peer())
			}
			if d := cmp.Diff(tt.want, ppp.AppendOptions(nil, reply...)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNak(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want ipv6cp.Identifier
	}{
		{"a hint", option(ipv6cp.Identifier{9, 7: 9}), ipv6cp.Identifier{9, 7: 9}},
		{"zero is of no use", option(zero), fresh(1)},
		{"nor is the peer's own", option(theirs), fresh(1)},
		{"wrong length", []byte{0x01, 0x03, 0x09}, mine},
		{"another option", []byte{0x02, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8}, mine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := ipv6cp.New(mine, counting())
			p.Judge(parse(t, option(theirs)))
			p.Nak(parse(t, tt.in))
			if p.Ours() != tt.want {
				t.Errorf("ours is %v, want %v", p.Ours(), tt.want)
			}
		})
	}
}

type side struct {
	*ppp.Automaton
	*ipv6cp.Policy
}

func newSide(ours ipv6cp.Identifier, seed uint64) side {
	r := rand.New(rand.NewPCG(seed, 5072))
	p := ipv6cp.New(ours, func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	})
	return side{ppp.New(p, ppp.DefaultTimes), p}
}

// agreed says that both ends know both identifiers, and that they differ.
func agreed(a, b side) bool {
	return a.Peer() == b.Ours() && b.Peer() == a.Ours() && a.Ours() != b.Ours() && a.Ours() != zero && b.Ours() != zero
}

// TestLossyWire joins two sides by a wire of every vice.
func TestLossyWire(t *testing.T) {
	seeds := uint64(10000)
	if testing.Short() {
		seeds = 1000
	}
	for seed := range seeds {
		a, b := newSide(mine, 2*seed), newSide(zero, 2*seed+1)
		w := ppptest.Wire{
			Seed: seed, Loss: 0.2, Duplicate: 0.2,
			Delay: 5 * time.Millisecond, Jitter: 300 * time.Millisecond, Start: 5 * time.Second,
		}
		if err := w.Run(time.Hour, a, b); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !agreed(a, b) || a.Ours() != mine {
			t.Fatalf("seed %d: %v and %v, believed to be %v and %v", seed, a.Ours(), b.Ours(), b.Peer(), a.Peer())
		}
	}
}

// TestCollision starts both sides with one identifier. The wire keeps the
// order, as Ethernet does: a repeated request that arrives after the request
// that replaced it would be granted in its place, by RFC 1661 as by us.
func TestCollision(t *testing.T) {
	for seed := range uint64(1000) {
		a, b := newSide(mine, 2*seed), newSide(mine, 2*seed+1)
		w := ppptest.Wire{Seed: seed, Loss: 0.2, Duplicate: 0.2, Delay: 20 * time.Millisecond, Start: time.Second}
		if err := w.Run(time.Hour, a, b); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !agreed(a, b) {
			t.Fatalf("seed %d: %v and %v, believed to be %v and %v", seed, a.Ours(), b.Ours(), b.Peer(), a.Peer())
		}
	}
}

// FuzzOptions hands arbitrary options to the policy.
func FuzzOptions(f *testing.F) {
	f.Add(option(theirs))
	f.Add(option(zero))
	f.Add([]byte{1, 4, 0xaa, 0xbb, 2, 4, 0, 0x61})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := ipv6cp.New(mine, counting())
		if err := ppptest.Judge(p, b); err != nil {
			t.Error(err)
		}
		if len(b) > 0 { // a Reject has options: ppp sees to that
			if err := ppptest.Refuse(p, b); err != nil {
				t.Error(err)
			}
		}
		if p.Ours() == zero || p.Ours() == p.Peer() {
			t.Errorf("ours %v, the peer's %v", p.Ours(), p.Peer())
		}
	})
}
