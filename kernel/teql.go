package kernel

import (
	"os"
	"strings"

	"github.com/vishvananda/netlink"

	"linebond/netstate"
)

// isBondName says whether a device's name, or a qdisc's kind, is such as the module sch_teql gives: teql and a number.
func isBondName(name string) bool {
	number, found := strings.CutPrefix(name, "teql")
	return found && number != "" && strings.Trim(number, "0123456789") == ""
}

// isBond says whether a device is a TEQL device. The kernel gives those no kind of their own, but has no others of type void but virtual
// ones that have a kind.
func isBond(l netlink.Link) bool {
	return isBondName(l.Attrs().Name) && l.Type() == "device" && l.Attrs().EncapType == "void"
}

// join makes a device a slave.
func (k *Kernel) join(slave netlink.Link, bond string) error {
	root := netlink.QdiscAttrs{LinkIndex: slave.Attrs().Index, Parent: netlink.HANDLE_ROOT}
	return k.handle.QdiscReplace(&netlink.GenericQdisc{QdiscAttrs: root, QdiscType: bond})
}

// leave takes a slave out of this bond; it may have left already. The request has the qdisc's handle, so that no other is deleted.
func (k *Kernel) leave(slave netlink.Link, bond string) error {
	qdiscs, err := dump(func() ([]netlink.Qdisc, error) { return k.handle.QdiscList(slave) })
	if err != nil {
		return err
	}
	for _, q := range qdiscs {
		if q.Attrs().Parent == netlink.HANDLE_ROOT && q.Type() == bond {
			return k.handle.QdiscDel(q)
		}
	}
	return nil
}

// release gives a bond device back as it was born, but for the flag POINTOPOINT, which it has from its first slave. Its mark goes last: as
// long as that is there, another try will be made.
func (k *Kernel) release(bond netlink.Link) error {
	for _, step := range []func(netlink.Link) error{
		k.handle.LinkSetDown,
		k.unqueue,
		resetFilter,
		func(l netlink.Link) error { return k.handle.LinkSetMTU(l, netstate.BondMTU) },
		func(l netlink.Link) error { return k.handle.LinkSetTxQLen(l, netstate.BondTxQueue) },
		func(l netlink.Link) error { return k.handle.LinkSetAlias(l, "") },
	} {
		if err := step(bond); err != nil {
			return err
		}
	}
	return nil
}

// unqueue takes a bond device, which is down, the root qdisc that it got when it was set up. One that the kernel itself has chosen cannot be
// deleted, but can be replaced by one that can.
func (k *Kernel) unqueue(bond netlink.Link) error {
	root := netlink.QdiscAttrs{LinkIndex: bond.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)}
	ours := &netlink.GenericQdisc{QdiscAttrs: root, QdiscType: "pfifo"}
	if err := k.handle.QdiscReplace(ours); err != nil {
		return err
	}
	return k.handle.QdiscDel(ours)
}

// resetFilter has a bond device filter by reverse path as a new device does.
func resetFilter(bond netlink.Link) error {
	born, err := os.ReadFile(sysctlFile("net/ipv4/conf/default/rp_filter"))
	if err != nil {
		return err
	}
	return writeSysctl(netstate.Sysctl{Key: "net/ipv4/conf/" + bond.Attrs().Name + "/rp_filter", Value: strings.TrimSpace(string(born))})
}
