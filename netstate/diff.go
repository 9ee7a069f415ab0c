package netstate

import "slices"

// Diff returns the operations that turn have into want, to be carried out one after the other:
//
//	leave bonds                                a line that is dead must get no packet more
//	load and adopt bonds, make or take over those with a scheduler
//	delete VLAN devices that must be remade    children first; their names are needed again
//	make VLAN devices, change egress maps      parents first
//	set the table                              before anything can come in or go out
//	set sysctls                                before a device comes up, because some act at that moment
//	set MTUs and queues, set links up          parents first
//	join bonds, set them up                    see setBond; and have the schedulers send to lines
//	set shapers, delete them                   before routes lead packets to their devices
//	delete addresses that stand in the way     see planAddresses
//	add addresses, add routes, add rules       a rule after the table that it leads to
//	delete rules, routes, addresses            what is no longer wanted
//	delete VLAN devices                        children first
//	release bonds, delete those with a scheduler, delete the table
//
// What have does not mention does not exist: a wanted line device that is not there gets no operation, nor does anything on it, and
// neither does a VLAN without its parent. A route out of a device that is not up waits until it is. Once the operations have succeeded,
// the Diff of the new state is empty; after LoadBonds, TakeScheduler and AddLink it takes one more round, for what is on the new bonds and the settings of
// the new VLAN devices.
//
// Diff(State{}, have) takes away all that is ours in have.
func Diff(want, have State) []Op {
	d := newDiffer(want.normal(), have.normal())
	d.unschedule()
	d.leaveBonds()
	d.takeBonds()
	d.takeSchedulers()
	unwanted := d.removeVLANs()
	d.makeVLANs()
	d.setTable()
	d.setSysctls()
	d.setLinks()
	d.setBonds()
	d.schedule()
	d.shape()
	d.spread()
	addresses := d.planAddresses()
	routes, multipaths, rules := d.planRoutes(addresses.flushed), d.planMultipaths(addresses.flushed), d.planRules()
	return slices.Concat(d.ops, routes.first, multipaths.first, addresses.first, addresses.add, routes.add, multipaths.add, rules.add,
		rules.last, multipaths.last, routes.last, addresses.last, unwanted, d.releaseBonds(), d.deleteSchedulers(), d.deleteTable())
}

// differ is the work of one Diff.
type differ struct {
	want, have         State              // normal
	wantLink, haveLink map[string]Link    // by name; deleting and making VLAN devices changes haveLink
	mtu                map[string]int     // by name of a device that exists: as it will be
	up                 map[string]bool    // likewise
	removed            map[string]bool    // names of VLAN devices that are deleted early
	first, haveFirst   map[string]Address // by name of bond device: the address that is to come first, and the one that does
	ops                []Op
}

// newDiffer begins with what is. A device with the name of a wanted bond that is not of TEQL, or not of package scheduler's making, is none:
// LoadBonds or TakeScheduler will tell.
func newDiffer(want, have State) *differ {
	d := &differ{
		want: want, have: have,
		wantLink: map[string]Link{}, haveLink: map[string]Link{},
		mtu: map[string]int{}, up: map[string]bool{}, removed: map[string]bool{},
	}
	d.want.Addresses, d.first = splitFirst(want.Addresses)
	d.have.Addresses, d.haveFirst = splitFirst(have.Addresses)
	for _, l := range want.Links {
		d.wantLink[l.Name] = l
	}
	for _, l := range have.Links {
		if w := d.wantLink[l.Name]; w.Bond && !l.Bond || w.Weighted && !l.Weighted {
			continue
		}
		d.haveLink[l.Name] = l
		d.mtu[l.Name], d.up[l.Name] = l.MTU, l.Up
	}
	return d
}

func (d *differ) add(op Op) { d.ops = append(d.ops, op) }

// setSysctls sets the settings that exist and differ. One that does not exist belongs to a device, or a protocol, that is not there.
func (d *differ) setSysctls() {
	values := map[string]string{}
	for _, h := range d.have.Sysctls {
		values[h.Key] = h.Value
	}
	for _, w := range d.want.Sysctls {
		if value, exists := values[w.Key]; exists && value != w.Value {
			d.add(SetSysctl{w})
		}
	}
}

func (d *differ) setTable() {
	if d.want.Table != nil && (d.have.Table == nil || !d.have.Table.Equal(*d.want.Table)) {
		d.add(SetTable{*d.want.Table})
	}
}

func (d *differ) deleteTable() []Op {
	if d.want.Table == nil && d.have.Table != nil {
		return []Op{DeleteTable{}}
	}
	return nil
}

// setOf is for asking often what is in a list.
func setOf[T comparable](items []T) map[T]bool {
	set := make(map[T]bool, len(items))
	for _, item := range items {
		set[item] = true
	}
	return set
}

// plan is what is to be done to addresses, or to routes.
type plan struct {
	first   []Op // deletions that cannot wait
	add     []Op
	last    []Op            // all other deletions
	flushed map[string]bool // devices that may have no IPv4 address for a moment: the kernel then drops their IPv4 routes
}
