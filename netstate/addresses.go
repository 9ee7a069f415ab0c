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

// splitFirst takes Address.First out of addresses, and returns which one had it by device.
func splitFirst(addresses []Address) (plain []Address, first map[string]Address) {
	first = map[string]Address{}
	for _, a := range addresses {
		isFirst := a.First
		a.First = false
		plain = append(plain, a)
		if isFirst {
			first[a.Device] = a
		}
	}
	return unique(plain), first
}

// planAddresses adds what is missing and then deletes what is too much, with three exceptions, in which the old is deleted first.
//
// Of two IPv4 addresses with the same peer on one device, as they meet when a peer gives out a new address in a session that goes on, the
// kernel makes the later one secondary, and takes it away when the earlier one goes (unless the sysctl promote_secondaries is set). So all
// wanted addresses with that peer are added afterwards.
//
// With its last IPv4 address a device loses its IPv4 routes. Where such are wanted although no address is, they are added afterwards.
//
// The kernel puts a new IPv4 address behind those that are there. Where the wrong one is the first, those that are to stay make room for
// the right one: they are deleted, once it is there if that can be, and added again behind it.
func (d *differ) planAddresses() plan {
	p := plan{flushed: map[string]bool{}}
	wanted, old := d.sortAddresses()
	wantedIn, oldIn := map[network]bool{}, map[network]bool{}
	for _, a := range wanted {
		wantedIn[networkOf(a)] = true
	}
	for _, a := range old {
		oldIn[networkOf(a)] = true
	}
	onlyRoutes, have := d.onlyRoutes(), setOf(d.have.Addresses)
	inTheWay := func(a Address) bool {
		n := networkOf(a)
		return a.Local.Is4() && (oldIn[n] && wantedIn[n] || onlyRoutes[a.Device])
	}
	for _, a := range old {
		if inTheWay(a) {
			p.first = append(p.first, DeleteAddress{a})
			p.flushed[a.Device] = true
		} else {
			p.last = append(p.last, DeleteAddress{a})
		}
	}
	for _, a := range wanted {
		switch exists := have[a]; {
		case !exists && p.flushed[a.Device] && d.first[a.Device] == a && !inTheWay(a):
			p.first = slices.Insert(p.first, 0, Op(AddAddress{a}))
			delete(p.flushed, a.Device)
		case !exists || inTheWay(a):
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

// sortAddresses returns the addresses that are to be on the devices that exist, those that are to be the first of a device before others,
// and the addresses that must go, if only to come again.
func (d *differ) sortAddresses() (wanted, old []Address) {
	for _, first := range []bool{true, false} {
		for _, a := range d.want.Addresses {
			if _, exists := d.haveLink[a.Device]; exists && first == (d.first[a.Device] == a) {
				wanted = append(wanted, a)
			}
		}
	}
	want := setOf(wanted)
	for _, a := range d.have.Addresses {
		isWanted, isManaged, makesRoom := want[a], d.manages(a), d.makesRoom(a)
		if makesRoom && !isWanted && !isManaged {
			wanted = append(wanted, a)
		}
		if makesRoom || isManaged && !isWanted {
			old = append(old, a)
		}
	}
	return wanted, old
}

// makesRoom says whether an address that is there stands, or may stand, before the one that is to be the first of its device.
func (d *differ) makesRoom(a Address) bool {
	want, wanted := d.first[a.Device]
	have, known := d.haveFirst[a.Device]
	return wanted && known && want != have && want != a && a.Local.Is4()
}

// onlyRoutes are the devices on which of IPv4 only routes are wanted, and no address.
func (d *differ) onlyRoutes() map[string]bool {
	devices := map[string]bool{}
	for _, r := range d.want.Routes {
		if r.Destination.Addr().Is4() {
			devices[r.Device] = true
		}
	}
	for _, a := range d.want.Addresses {
		if a.Local.Is4() {
			delete(devices, a.Device)
		}
	}
	return devices
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
