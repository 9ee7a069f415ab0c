package netstate

import (
	"net/netip"
	"slices"
)

// network is what makes one IPv4 address secondary to another: the device, and the prefix of the peer.
type network struct {
	device string
	prefix netip.Prefix
}

func networkOf(a Address) network { return network{device: a.Device, prefix: a.Peer.Masked()} }

// planAddresses adds what is missing and then deletes what is too much, with two exceptions, in which the old is deleted first.
//
// Of two IPv4 addresses with the same peer on one device, as they meet when a peer gives out a new address in a session that goes on, the
// kernel makes the later one secondary, and takes it away when the earlier one goes (unless the sysctl promote_secondaries is set). So all
// wanted addresses with that peer are added afterwards.
//
// With its last IPv4 address a device loses its IPv4 routes. Where such are wanted although no address is, they are added afterwards.
func (d *differ) planAddresses() plan {
	p := plan{flushed: map[string]bool{}}
	var wanted, extra []Address
	wantedIn, extraIn := map[network]bool{}, map[network]bool{}
	for _, a := range d.want.Addresses {
		if _, exists := d.haveLink[a.Device]; exists {
			wanted = append(wanted, a)
			wantedIn[networkOf(a)] = true
		}
	}
	for _, a := range d.have.Addresses {
		if d.manages(a) && !slices.Contains(wanted, a) {
			extra = append(extra, a)
			extraIn[networkOf(a)] = true
		}
	}
	inTheWay := func(a Address) bool {
		n := networkOf(a)
		return a.Local.Is4() && (extraIn[n] && wantedIn[n] || d.onlyRoutes(a.Device))
	}
	for _, a := range extra {
		if inTheWay(a) {
			p.first = append(p.first, DeleteAddress{a})
			p.flushed[a.Device] = true
		} else {
			p.last = append(p.last, DeleteAddress{a})
		}
	}
	for _, a := range wanted {
		if inTheWay(a) || !slices.Contains(d.have.Addresses, a) {
			p.add = append(p.add, AddAddress{a})
		}
	}
	for _, a := range d.have.Addresses {
		if a.Local.Is4() && !inTheWay(a) {
			delete(p.flushed, a.Device)
		}
	}
	return p
}

// onlyRoutes says whether of IPv4 only routes are wanted on a device, and no address.
func (d *differ) onlyRoutes(device string) bool {
	return slices.ContainsFunc(d.want.Routes, func(r Route) bool { return r.Device == device && r.Destination.Addr().Is4() }) &&
		!slices.ContainsFunc(d.want.Addresses, func(a Address) bool { return a.Device == device && a.Local.Is4() })
}

// manages says whether an observed address is ours to delete when it is not wanted.
func (d *differ) manages(a Address) bool {
	w := d.wantLink[a.Device]
	switch {
	case w.Line:
		return a.Local.Is4() || a.Local.IsLinkLocalUnicast()
	case d.isBond(a.Device):
		return !w.KeepAddresses && (a.Local.Is4() || !a.Local.IsLinkLocalUnicast())
	}
	return false
}
