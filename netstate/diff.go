package netstate

import (
	"net/netip"
	"slices"
)

// Diff returns the operations that turn have into want, to be carried out one after the other:
//
//	delete VLAN devices that must be remade    children first; their names are needed again
//	make VLAN devices, change egress maps      parents first
//	set sysctls                                before a device comes up, because some act at that moment
//	set MTUs, set links up                     parents first
//	delete addresses that stand in the way     see planAddresses
//	add addresses, add routes
//	delete routes, delete addresses            what is no longer wanted
//	delete VLAN devices                        children first
//
// What have does not mention does not exist: a wanted line device that is not there gets no operation, nor does anything on it, and
// neither does a VLAN without its parent. Once the operations have succeeded, the Diff of the new state is empty.
func Diff(want, have State) []Op {
	d := &differ{want: want.normal(), have: have.normal(), wantLink: map[string]Link{}, haveLink: map[string]Link{}, removed: map[string]bool{}}
	for _, l := range d.want.Links {
		d.wantLink[l.Name] = l
	}
	for _, l := range d.have.Links {
		d.haveLink[l.Name] = l
	}
	unwanted := d.removeVLANs()
	d.makeVLANs()
	d.setSysctls()
	d.setLinks()
	addresses := d.planAddresses()
	routes := d.planRoutes(addresses.flushed)
	return slices.Concat(d.ops, routes.first, addresses.first, addresses.add, routes.add, routes.last, addresses.last, unwanted)
}

// differ is the work of one Diff.
type differ struct {
	want, have         State           // normal
	wantLink, haveLink map[string]Link // by name; deleting and making VLAN devices changes haveLink
	removed            map[string]bool // names of VLAN devices that are deleted first of all
	ops                []Op
}

// removeVLANs deletes the VLAN devices of ours that must be remade, because they are wrong or because their parent is removed: the kernel
// takes a VLAN device away with its parent. It returns the deletions that can wait, of devices that are not wanted at all.
func (d *differ) removeVLANs() (unwanted []Op) {
	for _, l := range d.have.Links {
		if !l.Ours {
			continue
		}
		w := d.wantLink[l.Name]
		w.VLAN.Egress = l.VLAN.Egress
		switch {
		case d.removed[l.VLAN.Parent] || w.Ours && w.VLAN != l.VLAN:
			d.removed[l.Name] = true
			delete(d.haveLink, l.Name)
			d.ops = append(d.ops, DeleteLink{l.Name})
		case !w.Ours:
			unwanted = append(unwanted, DeleteLink{l.Name})
		}
	}
	slices.Reverse(d.ops)
	slices.Reverse(unwanted)
	return unwanted
}

// makeVLANs makes the wanted VLAN devices whose parents exist, and corrects the egress maps of ours.
func (d *differ) makeVLANs() {
	for _, w := range d.want.Links {
		h, exists := d.haveLink[w.Name]
		_, grounded := d.haveLink[w.VLAN.Parent]
		switch {
		case w.Ours && !exists && grounded:
			d.haveLink[w.Name] = Link{Name: w.Name, VLAN: w.VLAN, Ours: true}
			d.ops = append(d.ops, AddLink{w})
		case w.Ours && exists && h.Ours && h.VLAN.Egress != w.VLAN.Egress:
			d.ops = append(d.ops, SetEgress{Device: w.Name, From: h.VLAN.Egress, To: w.VLAN.Egress})
		}
	}
}

// setSysctls sets the settings that exist and differ. One that does not exist belongs to a device, or a protocol, that is not there.
func (d *differ) setSysctls() {
	for _, w := range d.want.Sysctls {
		i := slices.IndexFunc(d.have.Sysctls, func(h Sysctl) bool { return h.Key == w.Key })
		if i >= 0 && d.have.Sysctls[i] != w {
			d.ops = append(d.ops, SetSysctl{w})
		}
	}
}

// setLinks sets MTUs and sets links up. The kernel makes a VLAN device with its parent's MTU and lowers it with the parent's, but does not
// raise it: ours follow in both directions.
func (d *differ) setLinks() {
	mtu := map[string]int{} // as it will be
	for _, w := range d.want.Links {
		h, ok := d.haveLink[w.Name]
		if !ok {
			continue
		}
		mtu[w.Name] = h.MTU
		switch {
		case w.MTU != 0:
			mtu[w.Name] = w.MTU
		case h.Ours && mtu[h.VLAN.Parent] != 0:
			mtu[w.Name] = mtu[h.VLAN.Parent]
		}
		if made := h.Ours && h.MTU == 0; mtu[w.Name] != h.MTU && !made {
			d.ops = append(d.ops, SetMTU{Device: w.Name, MTU: mtu[w.Name]})
		}
	}
	for _, w := range d.want.Links {
		if h, ok := d.haveLink[w.Name]; ok && w.Up && !h.Up {
			d.ops = append(d.ops, SetUp{w.Name})
		}
	}
}

// plan is what is to be done to addresses, or to routes.
type plan struct {
	first   []Op // deletions that cannot wait
	add     []Op
	last    []Op            // all other deletions
	flushed map[string]bool // devices that may have no IPv4 address for a moment: the kernel then drops their IPv4 routes
}

// network is what makes one IPv4 address secondary to another: the device, and the prefix of the peer.
type network struct {
	device string
	prefix netip.Prefix
}

func networkOf(a Address) network { return network{device: a.Device, prefix: a.Peer.Masked()} }

// planAddresses adds what is missing and then deletes what is too much, with one exception. Of two IPv4 addresses with the same peer on
// one device, as they meet when a peer gives out a new address in a session that goes on, the kernel makes the later one secondary, and
// takes it away when the earlier one goes (unless the sysctl promote_secondaries is set). So there the old one is deleted first, and all
// wanted addresses with that peer are added afterwards.
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
		return a.Local.Is4() && wantedIn[n] && extraIn[n]
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

// manages says whether an observed address is ours to delete.
func (d *differ) manages(a Address) bool {
	return d.wantLink[a.Device].Line && (a.Local.Is4() || a.Local.IsLinkLocalUnicast())
}

// planRoutes adds what is missing and then deletes what is too much. On a device whose IPv4 routes may be flushed on the way it is the
// other way round, and all wanted ones are added.
func (d *differ) planRoutes(flushed map[string]bool) plan {
	var p plan
	var have []Route
	for _, r := range d.have.Routes {
		wanted := slices.Contains(d.want.Routes, r)
		switch {
		case d.removed[r.Device]: // gone with it
		case flushed[r.Device] && r.Destination.Addr().Is4():
			if !wanted {
				p.first = append(p.first, DeleteRoute{r})
			}
		case wanted:
			have = append(have, r)
		default:
			p.last = append(p.last, DeleteRoute{r})
		}
	}
	for _, r := range d.want.Routes {
		if _, exists := d.haveLink[r.Device]; exists && !slices.Contains(have, r) {
			p.add = append(p.add, AddRoute{r})
		}
	}
	return p
}
