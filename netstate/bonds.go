package netstate

import (
	"cmp"
	"slices"
)

// isBond says whether a device is a bond that is in our use, or comes into it now.
func (d *differ) isBond(device string) bool {
	h := d.haveLink[device]
	return h.Bond && (h.Ours || d.wantLink[device].Bond) || h.Weighted
}

// leaveBonds takes every line device out of a bond that it is not to be in, and every other device out of a bond of ours.
func (d *differ) leaveBonds() {
	for _, q := range d.have.Qdiscs {
		if ours := d.wantLink[q.Device].Line || d.isBond(q.Kind); ours && !slices.Contains(d.want.Qdiscs, q) {
			d.add(Leave{q})
		}
	}
}

// takeBonds loads the wanted bonds that do not exist and adopts those without our mark.
func (d *differ) takeBonds() {
	var load []string
	var adopt []Op
	for _, w := range d.want.Links {
		h, exists := d.haveLink[w.Name]
		switch {
		case w.Bond && !exists:
			load = append(load, w.Name)
		case w.Bond && !h.Ours:
			adopt = append(adopt, Adopt{w.Name})
		}
	}
	if len(load) > 0 {
		d.add(LoadBonds{load})
	}
	d.ops = append(d.ops, adopt...)
}

// slaves returns what joins a bond, in ascending order of the MTUs that the devices will have, whether it has a slave that stays, and the
// least of the MTUs of both; 0 when there is no slave.
func (d *differ) slaves(bond string) (joining []Qdisc, staying bool, least int) {
	for _, q := range d.want.Qdiscs {
		if _, exists := d.haveLink[q.Device]; !exists || q.Kind != bond {
			continue
		}
		if least == 0 || d.mtu[q.Device] < least {
			least = d.mtu[q.Device]
		}
		if slices.Contains(d.have.Qdiscs, q) {
			staying = true
		} else {
			joining = append(joining, q)
		}
	}
	slices.SortStableFunc(joining, func(a, b Qdisc) int { return cmp.Compare(d.mtu[a.Device], d.mtu[b.Device]) })
	return joining, staying, least
}

// setBonds has the lines join, and sets the bonds' MTUs and sets them up.
func (d *differ) setBonds() {
	for _, w := range d.want.Links {
		if h, exists := d.haveLink[w.Name]; w.Bond && exists {
			d.setBond(w, h)
		}
	}
}

// setBond follows the kernel's rules (sch_teql.c), of which the first is that nothing is done to a bond that has no slave:
//
//	join           the first slave gives the bond its own MTU; the next one's must not be below the bond's while the bond is up, and lowers
//	               it otherwise. So the bond is lowered before a join, and the device with the least MTU joins first.
//	set up         gives the bond the least of its slaves' MTUs
//	set the MTU    not above a slave's; so it is raised at the end
func (d *differ) setBond(w, h Link) {
	joining, staying, least := d.slaves(w.Name)
	if !staying && len(joining) == 0 {
		return
	}
	target := least
	if w.MTU != 0 {
		target = min(w.MTU, least)
	}
	mtu := h.MTU // as it is at each step
	if staying && h.Up && mtu > target {
		d.add(SetMTU{Device: w.Name, MTU: target})
		mtu = target
	}
	for i, q := range joining {
		d.add(Join{q})
		if i == 0 && !staying {
			mtu = d.mtu[q.Device]
		}
		mtu = min(mtu, d.mtu[q.Device])
	}
	if w.Up && !h.Up {
		d.add(SetUp{w.Name})
		d.up[w.Name] = true
		mtu = least
	}
	if w.MTU != 0 && mtu != target {
		d.add(SetMTU{Device: w.Name, MTU: target})
	}
}

// releaseBonds gives back the bonds of ours that are not wanted. Their slaves, routes and addresses are gone by then.
func (d *differ) releaseBonds() (release []Op) {
	for _, l := range d.have.Links {
		if l.Bond && l.Ours && !d.wantLink[l.Name].Bond {
			release = append(release, Release{l.Name})
		}
	}
	return release
}
