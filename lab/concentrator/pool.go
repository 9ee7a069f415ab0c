package concentrator

import "net/netip"

// pool hands out the addresses of a prefix in turn, so that one that was just
// freed is not soon given to another host.
type pool struct {
	prefix   netip.Prefix
	last     netip.Addr          // handed out
	reserved map[netip.Addr]bool // not to be handed out
	taken    map[netip.Addr]bool
}

func newPool(prefix netip.Prefix, local netip.Addr, users []User) *pool {
	p := &pool{prefix: prefix.Masked(), reserved: map[netip.Addr]bool{local: true}, taken: map[netip.Addr]bool{}}
	for _, u := range users {
		p.reserved[u.Address] = true
	}
	if p.prefix.IsValid() && p.prefix.Bits() < 31 { // the network's own address, and that for broadcasts (RFC 3021 for the exception)
		p.reserved[p.prefix.Addr()] = true
		p.reserved[lastOf(p.prefix)] = true
	}
	return p
}

// lastOf is the last address of an IPv4 prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	a := prefix.Addr().As4()
	for bit := prefix.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// take returns an address that nobody has; invalid if there is none.
func (p *pool) take() netip.Addr {
	if !p.prefix.IsValid() {
		return netip.Addr{}
	}
	// One round at most: as many steps as there are addresses to be passed over, and one.
	for range len(p.taken) + len(p.reserved) + 1 {
		p.last = p.last.Next()
		if !p.prefix.Contains(p.last) {
			p.last = p.prefix.Addr()
		}
		if !p.taken[p.last] && !p.reserved[p.last] {
			p.taken[p.last] = true
			return p.last
		}
	}
	return netip.Addr{}
}

func (p *pool) free(a netip.Addr) { delete(p.taken, a) }
