// Package ipcp obtains an IPv4 address, and the addresses of DNS servers, from
// the peer (RFC 1332, RFC 1877), or hands them out. The negotiation itself is
// ppp.Automaton.
//
// The options of a Configure-Request (the layout is ppp.Option's):
//
//	  3 IP-Address              | 03 06 | address (4) |   RFC 1332 section 3.3
//	129 Primary DNS address     | 81 06 | address (4) |   RFC 1877 section 1.1
//	131 Secondary DNS address   | 83 06 | address (4) |   RFC 1877 section 1.3
//
// 0.0.0.0 asks the other side to name one, which it does by a Configure-Nak.
package ipcp

import (
	"net/netip"

	"linebond/ppp"
)

const (
	optAddress      = 3
	optPrimaryDNS   = 129
	optSecondaryDNS = 131
)

// Client obtains an address: the policy of a subscriber's side.
type Client struct {
	address  netip.Addr
	peer     netip.Addr
	dns      [2]netip.Addr
	rejected map[uint8]bool
}

// NewClient returns a policy that asks for an address and two DNS servers.
func NewClient() *Client {
	c := &Client{}
	c.Reset()
	return c
}

// Reset forgets what was obtained; for a new session.
func (c *Client) Reset() {
	zero := netip.IPv4Unspecified()
	*c = Client{address: zero, peer: zero, dns: [2]netip.Addr{zero, zero}, rejected: map[uint8]bool{}}
}

// Address is the address that the peer assigned to us; invalid if none, or
// none that a host can have.
func (c *Client) Address() netip.Addr { return valid(c.address) }

// Peer is the peer's own address; invalid if it keeps that to itself, or names
// one that it cannot have: ours, or none that a host can have.
func (c *Client) Peer() netip.Addr {
	if c.peer == c.address {
		return netip.Addr{}
	}
	return valid(c.peer)
}

// DNS are the servers that the peer named, none to two.
func (c *Client) DNS() []netip.Addr {
	var servers []netip.Addr
	for _, a := range c.dns {
		if valid(a).IsValid() {
			servers = append(servers, a)
		}
	}
	return servers
}

// valid turns an address that no host on a network can have into the invalid
// one: 0.0.0.0/8, of which 0.0.0.0 is "not known yet", 127.0.0.0/8, 224.0.0.0/4,
// and 240.0.0.0/4 with 255.255.255.255 (RFC 6890 section 2.2.2).
func valid(a netip.Addr) netip.Addr {
	if first := a.As4()[0]; first == 0 || first == 127 || first >= 224 {
		return netip.Addr{}
	}
	return a
}

// Request implements ppp.Policy.
func (c *Client) Request(opts []ppp.Option) []ppp.Option {
	ask := func(t uint8, a netip.Addr) {
		if !c.rejected[t] {
			opts = append(opts, addressOption(t, a))
		}
	}
	ask(optAddress, c.address)
	ask(optPrimaryDNS, c.dns[0])
	ask(optSecondaryDNS, c.dns[1])
	return opts
}

func addressOption(t uint8, a netip.Addr) ppp.Option {
	return ppp.Option{Type: t, Data: a.AsSlice()}
}

// parseAddress reads the four bytes of an address option.
func parseAddress(o ppp.Option) (netip.Addr, bool) {
	if len(o.Data) != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(o.Data)), true
}

// Judge implements ppp.Policy. The peer may have any address of its own; we
// cannot name one for it, and know nothing of compression.
func (c *Client) Judge(opts []ppp.Option) (ppp.Code, []ppp.Option) {
	var reject []ppp.Option
	peer := netip.IPv4Unspecified()
	for _, o := range opts {
		a, ok := parseAddress(o)
		if o.Type != optAddress || !ok || a.IsUnspecified() {
			reject = append(reject, o)
			continue
		}
		peer = a
	}
	if len(reject) > 0 {
		return ppp.ConfigureReject, reject
	}
	c.peer = peer
	return ppp.ConfigureAck, nil
}

// Nak implements ppp.Policy: the peer's hints are what it assigns, unless it
// rejected the option before.
func (c *Client) Nak(opts []ppp.Option) {
	for _, o := range opts {
		if a, ok := parseAddress(o); ok && !c.rejected[o.Type] {
			c.set(o.Type, a)
		}
	}
}

// Reject implements ppp.Policy. What the peer hinted at before, it does not
// grant.
func (c *Client) Reject(opts []ppp.Option) {
	for _, o := range opts {
		c.rejected[o.Type] = true
		c.set(o.Type, netip.IPv4Unspecified())
	}
}

// set notes the value of an option of ours.
func (c *Client) set(t uint8, a netip.Addr) {
	switch t {
	case optAddress:
		c.address = a
	case optPrimaryDNS:
		c.dns[0] = a
	case optSecondaryDNS:
		c.dns[1] = a
	}
}

// Server hands out one address: the policy of an access concentrator's side.
type Server struct {
	Local  netip.Addr // our own address, told to the peer; invalid: it is not
	Remote netip.Addr // the address that the peer is to take; invalid: there is none, and its option is rejected
	DNS    []netip.Addr
	silent bool // the peer does not care for our address
}

// Request implements ppp.Policy.
func (s *Server) Request(opts []ppp.Option) []ppp.Option {
	if s.silent || !s.Local.IsValid() {
		return opts
	}
	return append(opts, addressOption(optAddress, s.Local))
}

// Judge implements ppp.Policy.
func (s *Server) Judge(opts []ppp.Option) (ppp.Code, []ppp.Option) {
	var reject, nak []ppp.Option
	asked := false
	for _, o := range opts {
		want, known := s.assigned(o.Type)
		a, ok := parseAddress(o)
		switch {
		case !known || !ok:
			reject = append(reject, o)
		case a != want:
			nak = append(nak, addressOption(o.Type, want))
		}
		asked = asked || o.Type == optAddress
	}
	switch {
	case len(reject) > 0:
		return ppp.ConfigureReject, reject
	case !asked && s.Remote.IsValid(): // RFC 1661 section 5.3: a Nak may name an option that the peer left out
		return ppp.ConfigureNak, append(nak, addressOption(optAddress, s.Remote))
	case len(nak) > 0:
		return ppp.ConfigureNak, nak
	}
	return ppp.ConfigureAck, nil
}

// assigned returns the value that the peer must take for an option.
func (s *Server) assigned(t uint8) (netip.Addr, bool) {
	switch {
	case t == optAddress:
		return s.Remote, s.Remote.IsValid()
	case t == optPrimaryDNS && len(s.DNS) > 0:
		return s.DNS[0], true
	case t == optSecondaryDNS && len(s.DNS) > 1:
		return s.DNS[1], true
	}
	return netip.Addr{}, false
}

// Nak implements ppp.Policy: our own address is not the peer's to choose.
func (s *Server) Nak([]ppp.Option) {}

// Reject implements ppp.Policy.
func (s *Server) Reject([]ppp.Option) { s.silent = true }
