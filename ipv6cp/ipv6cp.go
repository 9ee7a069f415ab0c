// Package ipv6cp negotiates the interface identifiers of both ends (RFC 5072),
// from which the link-local addresses of the link are made. Addresses of wider
// scope come by router advertisement or DHCPv6, above this layer. The
// negotiation itself is ppp.Automaton; both sides follow the same policy.
//
// The one option of a Configure-Request (the layout is ppp.Option's):
//
//	1 Interface-Identifier   | 01 0a | identifier (8) |   RFC 5072 section 4.1
package ipv6cp

import (
	"net/netip"

	"linebond/ppp"
)

const optIdentifier = 1

// Identifier is an interface identifier; zero means that the other side is to
// name one.
type Identifier [8]byte

// LinkLocal returns fe80::/64 with the identifier behind it; invalid for zero.
func (i Identifier) LinkLocal() netip.Addr {
	if i == (Identifier{}) {
		return netip.Addr{}
	}
	a := [16]byte{0: 0xfe, 1: 0x80}
	copy(a[8:], i[:])
	return netip.AddrFrom16(a)
}

// Policy implements ppp.Policy.
type Policy struct {
	random func([]byte)
	ours   Identifier
	peer   Identifier
	silent bool // the peer does not know the option
}

// New returns a policy that asks for the identifier given, or for a random one
// where it is zero. The same identifier at each session keeps the line's
// addresses stable.
func New(ours Identifier, random func([]byte)) *Policy {
	p := &Policy{random: random, ours: ours}
	if ours == (Identifier{}) {
		p.ours = p.fresh()
	}
	return p
}

// Ours is our identifier, Peer the peer's (zero if it named none).
func (p *Policy) Ours() Identifier { return p.ours }

// Peer is the peer's identifier; zero if it named none.
func (p *Policy) Peer() Identifier { return p.peer }

// fresh returns a random identifier that differs from both in use, its
// universal/local bit clear (RFC 5072 section 4.1: locally chosen).
func (p *Policy) fresh() Identifier {
	var i Identifier
	p.random(i[:])
	i[0] &^= 0x02
	for i == p.ours || i == p.peer || i == (Identifier{}) {
		i[7]++
	}
	return i
}

// Request implements ppp.Policy.
func (p *Policy) Request(opts []ppp.Option) []ppp.Option {
	if p.silent {
		return opts
	}
	return append(opts, identifierOption(p.ours))
}

func identifierOption(i Identifier) ppp.Option {
	return ppp.Option{Type: optIdentifier, Data: i[:]}
}

// Judge implements ppp.Policy. An identifier of zero, or our own, is answered
// with one that the peer may take (RFC 5072 section 4.1).
func (p *Policy) Judge(opts []ppp.Option) (ppp.Code, []ppp.Option) {
	var reject []ppp.Option
	var peer Identifier
	asked := false
	for _, o := range opts {
		if o.Type != optIdentifier || len(o.Data) != len(peer) {
			reject = append(reject, o)
			continue
		}
		peer, asked = Identifier(o.Data), true
	}
	switch {
	case len(reject) > 0:
		return ppp.ConfigureReject, reject
	case asked && (peer == Identifier{} || peer == p.ours):
		return ppp.ConfigureNak, []ppp.Option{identifierOption(p.fresh())}
	}
	p.peer = peer
	return ppp.ConfigureAck, nil
}

// Nak implements ppp.Policy: we take what the peer hints at, unless it is of
// no use.
func (p *Policy) Nak(opts []ppp.Option) {
	for _, o := range opts {
		if o.Type != optIdentifier || len(o.Data) != len(p.ours) {
			continue
		}
		if i := Identifier(o.Data); i != (Identifier{}) && i != p.peer {
			p.ours = i
		} else {
			p.ours = p.fresh()
		}
	}
}

// Reject implements ppp.Policy.
func (p *Policy) Reject([]ppp.Option) { p.silent = true }
