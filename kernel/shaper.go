package kernel

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/florianl/go-tc"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// The qdiscs that shapers are made of.
const (
	cake    = "cake"
	tbf     = "tbf"
	fqCoDel = "fq_codel"
)

// Attributes of cake, and values of them: enumerations of linux/pkt_sched.h.
const (
	cakeBaseRate = 2
	cakeDiffserv = 3
	cakeATM      = 4
	cakeFlowMode = 5
	cakeOverhead = 6
	cakeNAT      = 11

	cakeDiffserv3 = 0 // CAKE_DIFFSERV_DIFFSERV3
	cakeCells     = 1 // CAKE_ATM_ATM
	cakeDualSrc   = 5 // CAKE_FLOW_DUAL_SRC
)

// The link layers of tbf (linux/pkt_sched.h).
const (
	layerEthernet = 1
	layerATM      = 2
)

// ethernetHeader is that of the bond's device, in bytes. tbf counts it, and cake does not.
const ethernetHeader = 14

// Of tbf: how much it lets through at once, and how much may wait in it where it has no fair queues below, in milliseconds at its rate and
// in bytes at least. Packets that the LAN's GRO has joined it splits if they are longer than the first; a packet of 1500 bytes must fit.
const (
	burstTime, leastBurst = 4, 1600
	queueTime, leastQueue = 20, 10 * leastBurst
)

// shaperKinds is what this process has found the kernel to be without, so as not to ask it again for each shaper that is made: it would
// look for the module each time.
type shaperKinds struct{ noCake, noFQCoDel atomic.Bool }

// setShaper makes the root qdisc of a device a shaper of ours, or changes the one that is there. That keeps its packets, and its kind: what
// it is made of is chosen anew only when it is.
func (k *Kernel) setShaper(link netlink.Link, s netstate.Shaper) error {
	qdiscs, err := listQdiscs()
	if err != nil {
		return err
	}
	conn, err := tc.Open(&tc.Config{})
	if err != nil {
		return fmt.Errorf("opening a socket for tc: %w", err)
	}
	defer conn.Close()
	root, taken := shaperRoot(qdiscs, link.Attrs().Index)
	if taken && (root.kind == cake || root.kind == tbf) {
		object, err := shaper(link, s, root.kind)
		if err != nil {
			return err
		}
		return conn.Qdisc().Change(object)
	}
	if taken { // by somebody who has chosen our handle: the kernel replaces none by one of the same
		if err := k.deleteRoot(link); err != nil {
			return err
		}
	}
	return k.makeShaper(conn, link, s)
}

// makeShaper makes the best that the kernel has.
func (k *Kernel) makeShaper(conn *tc.Tc, link netlink.Link, s netstate.Shaper) error {
	if !k.shapers.noCake.Load() {
		object, err := shaper(link, s, cake)
		if err != nil {
			return err
		}
		if err = conn.Qdisc().Replace(object); !isLacking(err) {
			return err
		}
		k.shapers.noCake.Store(true)
	}
	object, err := shaper(link, s, tbf)
	if err != nil {
		return err
	}
	if err := conn.Qdisc().Replace(object); err != nil || k.shapers.noFQCoDel.Load() {
		return err
	}
	below := object.Msg
	below.Parent, below.Handle = netstate.ShaperHandle|1, 0
	err = conn.Qdisc().Add(&tc.Object{Msg: below, Attribute: tc.Attribute{Kind: fqCoDel, FqCodel: &tc.FqCodel{ECN: new(uint32(1))}}})
	if isLacking(err) {
		k.shapers.noFQCoDel.Store(true)
		return nil
	}
	return err
}

// isLacking says whether an answer means that the kernel does not have a qdisc, or not with these options.
func isLacking(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) }

// shaper describes one, less what is below its root.
//
// Of cake, what is not said here is as it has it by itself: a target for round trips of 100 ms; super-packets are split; no ACK is taken
// out; three tins by DSCP, so that a call marked EF is not held up by a file transfer marked CS1, and marks stay as they are. Hosts of the
// LAN get equal shares, and of each host its flows: so the addresses before NAT count.
func shaper(link netlink.Link, s netstate.Shaper, kind string) (*tc.Object, error) {
	object := &tc.Object{
		Msg:       tc.Msg{Family: unix.AF_UNSPEC, Ifindex: uint32(link.Attrs().Index), Handle: netstate.ShaperHandle, Parent: tc.HandleRoot},
		Attribute: tc.Attribute{Kind: kind},
	}
	if kind == cake {
		cells := uint32(0)
		if s.Cells {
			cells = cakeCells
		}
		object.Cake = &tc.Cake{
			BaseRate: new(s.Rate / 8), DiffServMode: new(uint32(cakeDiffserv3)), Atm: &cells, FlowMode: new(uint32(cakeDualSrc)),
			Overhead: new(uint32(s.Overhead)), Nat: new(uint32(1)),
		}
		return object, nil
	}
	rate := s.Rate / 8
	if rate > math.MaxUint32 {
		return nil, fmt.Errorf("%d bit/s is more than tbf can be told, which shapes where the kernel has no cake", s.Rate)
	}
	spec := tc.RateSpec{Linklayer: layerEthernet, Overhead: uint16(s.Overhead - ethernetHeader), Rate: uint32(rate)}
	if s.Cells {
		spec.Linklayer = layerATM
	}
	burst := max(rate*burstTime/1000, leastBurst)
	queue := max(rate*queueTime/1000, leastQueue)
	object.Tbf = &tc.Tbf{Parms: &tc.TbfQopt{Rate: spec, Limit: uint32(queue)}, Burst: new(uint32(burst))}
	return object, nil
}

// deleteShaper takes a shaper of ours away; it may be gone already.
func (k *Kernel) deleteShaper(link netlink.Link) error {
	qdiscs, err := listQdiscs()
	if err != nil {
		return err
	}
	if _, ours := shaperRoot(qdiscs, link.Attrs().Index); !ours {
		return nil
	}
	return k.deleteRoot(link)
}

// deleteRoot deletes the root qdisc that has our handle. (Package tc wants options of it even so.)
func (k *Kernel) deleteRoot(link netlink.Link) error {
	root := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netstate.ShaperHandle}
	return k.handle.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: root})
}

// shaperRoot returns the root qdisc of a device if it has our mark.
func shaperRoot(qdiscs []seenQdisc, index int) (seenQdisc, bool) {
	for _, q := range qdiscs {
		if q.index == index && q.isRoot() && q.handle == netstate.ShaperHandle {
			return q, true
		}
	}
	return seenQdisc{}, false
}

// observeShapers returns the shapers of the weighted bonds' devices.
func observeShapers(qdiscs []seenQdisc, names map[int]string, links map[string]netstate.Link) (observed []netstate.Shaper) {
	for _, q := range qdiscs {
		device := names[q.index]
		if !links[device].Weighted || !q.isRoot() || q.handle != netstate.ShaperHandle {
			continue
		}
		s := netstate.Shaper{Device: device}
		switch q.kind {
		case cake:
			s.Kind = netstate.ShaperCake
			readCake(q.options, &s)
		case tbf:
			s.Kind, _ = belowTBF(qdiscs, q.index)
			readTBF(q.options, &s)
		default:
			continue // somebody else's, with our handle
		}
		observed = append(observed, s)
	}
	return observed
}

// belowTBF returns the kind of a shaper by tbf, and its fair queues.
func belowTBF(qdiscs []seenQdisc, index int) (netstate.ShaperKind, seenQdisc) {
	for _, q := range qdiscs {
		if q.index == index && q.parent == netstate.ShaperHandle|1 && q.kind == fqCoDel {
			return netstate.ShaperTBFCoDel, q
		}
	}
	return netstate.ShaperTBF, seenQdisc{}
}

// readCake reads cake's options. If any but the rate and framing is not as we set it, the rate is left 0.
func readCake(options []byte, s *netstate.Shaper) {
	rate, ours := uint64(0), true
	for kind, value := range attributes(options) {
		switch n := number(value); kind {
		case cakeBaseRate:
			rate = n
		case cakeOverhead:
			s.Overhead = int(int32(n))
		case cakeATM:
			s.Cells, ours = n == cakeCells, ours && n <= cakeCells
		case cakeDiffserv:
			ours = ours && n == cakeDiffserv3
		case cakeFlowMode:
			ours = ours && n == cakeDualSrc
		case cakeNAT:
			ours = ours && n != 0
		}
	}
	if ours {
		s.Rate = 8 * rate
	}
}

func readTBF(options []byte, s *netstate.Shaper) {
	for kind, value := range attributes(options) {
		if kind == nl.TCA_TBF_PARMS && len(value) >= nl.SizeofTcTbfQopt {
			rate := nl.DeserializeTcTbfQopt(value).Rate
			s.Rate, s.Overhead, s.Cells = 8*uint64(rate.Rate), int(rate.Overhead)+ethernetHeader, rate.Linklayer == layerATM
		}
	}
}
