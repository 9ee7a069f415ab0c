package netstate

import "slices"

// removeVLANs deletes the VLAN devices of ours that must be remade, because they are wrong or because their parent is removed: the kernel
// takes a VLAN device away with its parent. It returns the deletions that can wait, of devices that are not wanted at all.
func (d *differ) removeVLANs() (unwanted []Op) {
	var remade []Op
	for _, l := range d.have.Links {
		if !l.Ours || l.Bond || l.Weighted {
			continue
		}
		w := d.wantLink[l.Name]
		w.VLAN.Egress = l.VLAN.Egress
		switch {
		case d.removed[l.VLAN.Parent] || w.Ours && w.VLAN != l.VLAN:
			d.removed[l.Name] = true
			delete(d.haveLink, l.Name)
			delete(d.up, l.Name)
			remade = append(remade, DeleteLink{l.Name})
		case !w.Ours:
			unwanted = append(unwanted, DeleteLink{l.Name})
		}
	}
	slices.Reverse(remade)
	slices.Reverse(unwanted)
	d.ops = append(d.ops, remade...)
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
			d.add(AddLink{w})
		case w.Ours && exists && h.Ours && h.VLAN.Egress != w.VLAN.Egress:
			d.add(SetEgress{Device: w.Name, From: h.VLAN.Egress, To: w.VLAN.Egress})
		}
	}
}

// setLinks sets MTUs and queues and sets links up; of bonds the queues alone. The kernel makes a VLAN device with its parent's MTU and
// lowers it with the parent's, but does not raise it: ours follow in both directions.
func (d *differ) setLinks() {
	for _, w := range d.want.Links {
		h, exists := d.haveLink[w.Name]
		if !exists {
			continue
		}
		if !w.Bond {
			d.setMTU(w, h)
		}
		if w.TxQueue != 0 && w.TxQueue != h.TxQueue {
			d.add(SetTxQueue{Device: w.Name, Packets: w.TxQueue})
		}
	}
	for _, w := range d.want.Links {
		if h, exists := d.haveLink[w.Name]; exists && w.Up && !w.Bond && !h.Up {
			d.add(SetUp{w.Name})
			d.up[w.Name] = true
		}
	}
}

func (d *differ) setMTU(w, h Link) {
	d.mtu[w.Name] = h.MTU
	switch {
	case w.MTU != 0:
		d.mtu[w.Name] = w.MTU
	case h.Ours && d.mtu[h.VLAN.Parent] != 0:
		d.mtu[w.Name] = d.mtu[h.VLAN.Parent]
	}
	if made := h.Ours && h.MTU == 0; d.mtu[w.Name] != h.MTU && !made {
		d.add(SetMTU{Device: w.Name, MTU: d.mtu[w.Name]})
	}
}
