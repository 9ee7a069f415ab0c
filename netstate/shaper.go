package netstate

import (
	"cmp"
	"fmt"
)

// ShaperHandle is the handle of the root qdisc that marks it as ours on the device of a weighted bond: tc(8) prints 108:.
const ShaperHandle = 0x108 << 16

// Shaper is the queue of a weighted bond's device: its root qdisc, which sends no faster than Rate. One that is observed is ours: where
// somebody has put another qdisc in its place, there is none.
type Shaper struct {
	Device   string
	Rate     uint64 // bit/s, in steps of 8, since the kernel counts bytes; 0, of one that is not as we set it
	Overhead int    // bytes that the lines add to an IP packet, 14 (the header of Ethernet) to 200; less counts as 14
	Cells    bool   // packet and overhead travel in ATM cells
	Kind     ShaperKind
}

// ShaperKind is what a Shaper is made of. It is for the kernel's side to choose, so that of what is wanted it is not said.
type ShaperKind string

// The kinds, the best first. The others are for kernels that lack something.
const (
	ShaperCake     ShaperKind = "cake"
	ShaperTBFCoDel ShaperKind = "tbf+fq_codel" // a token bucket over fair queues
	ShaperTBF      ShaperKind = "tbf"          // a token bucket over a short queue that all share
)

// shaperOverhead is the least Overhead: tbf counts the header of the bond's own device, which is Ethernet's, and can only add.
const shaperOverhead = 14

// String gives e.g. "cake dev wanbond0 root bandwidth 24750000bit overhead 34 atm". What is wanted is called cake.
func (s Shaper) String() string {
	kind := cmp.Or(s.Kind, ShaperCake)
	text := fmt.Sprintf("%s dev %s root bandwidth %dbit overhead %d", kind, s.Device, s.Rate, s.Overhead)
	if s.Cells {
		text += " atm"
	}
	return text
}

// normalShapers returns the shapers as the kernel can have them, sorted and without repetitions.
func normalShapers(shapers []Shaper) []Shaper {
	var n []Shaper
	for _, s := range shapers {
		s.Rate -= s.Rate % 8
		s.Overhead = max(s.Overhead, shaperOverhead)
		n = append(n, s)
	}
	return unique(n)
}

// shape sets the wanted shapers on the devices that exist, and deletes those of ours that are not wanted. What goes with its device needs
// no deletion.
func (d *differ) shape() {
	have := map[string]Shaper{}
	for _, h := range d.have.Shapers {
		have[h.Device] = h
	}
	wanted := map[string]bool{}
	for _, w := range d.want.Shapers {
		wanted[w.Device] = true
		h := have[w.Device]
		h.Kind = w.Kind
		if d.haveLink[w.Device].Weighted && h != w {
			d.add(SetShaper{w})
		}
	}
	for _, h := range d.have.Shapers {
		if !wanted[h.Device] && d.wantLink[h.Device].Weighted {
			d.add(DeleteShaper{h.Device})
		}
	}
}

// SetShaper makes a device's root qdisc a shaper of ours. One that is ours already keeps its queue, and its kind.
type SetShaper struct{ Shaper Shaper }

// DeleteShaper takes a device's root qdisc away, if it is ours, with the packets that wait in it.
type DeleteShaper struct{ Device string }

func (SetShaper) op()    {}
func (DeleteShaper) op() {}

func (o SetShaper) String() string { return "tc qdisc replace " + o.Shaper.command() }

func (o DeleteShaper) String() string { return "tc qdisc delete dev " + o.Device + " root" }

// command gives the arguments of tc(8) in its order.
func (s Shaper) command() string {
	cells := "noatm"
	if s.Cells {
		cells = "atm"
	}
	return fmt.Sprintf("dev %s root handle %x: cake bandwidth %dbit dual-srchost nat overhead %d %s", s.Device, ShaperHandle>>16, s.Rate, s.Overhead, cells)
}
