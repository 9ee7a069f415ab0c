package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// Apply carries the operations out in their order. It does not stop at one that fails: the error joins one error for each of those, with
// the operation, the kernel's answer (which errors.Is finds) and, where it can be told, what to do. An answer such as unix.ENODEV may
// just mean that the world has moved on since Observe; to observe and compare again is right after any error.
func (k *Kernel) Apply(ops []netstate.Op) error {
	var errs []error
	for _, op := range ops {
		if err := k.apply(op); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", op, explain(op, err)))
		}
	}
	return errors.Join(errs...)
}

func (k *Kernel) apply(op netstate.Op) error {
	switch o := op.(type) {
	case netstate.AddLink:
		return k.addVLAN(o.Link)
	case netstate.SetEgress:
		return k.setEgress(o)
	case netstate.DeleteLink:
		return k.withLink(o.Device, k.handle.LinkDel)
	case netstate.SetUp:
		return k.withLink(o.Device, k.handle.LinkSetUp)
	case netstate.SetMTU:
		return k.withLink(o.Device, func(l netlink.Link) error { return k.handle.LinkSetMTU(l, o.MTU) })
	case netstate.AddAddress:
		return k.withLink(o.Address.Device, func(l netlink.Link) error { return k.handle.AddrReplace(l, netlinkAddr(o.Address)) })
	case netstate.DeleteAddress:
		return k.withLink(o.Address.Device, func(l netlink.Link) error {
			return unlessGone(k.handle.AddrDel(l, netlinkAddr(o.Address)))
		})
	case netstate.AddRoute:
		return k.withLink(o.Route.Device, func(l netlink.Link) error { return k.addRoute(l, o.Route) })
	case netstate.DeleteRoute:
		return k.withLink(o.Route.Device, func(l netlink.Link) error {
			return k.handle.RouteDel(netlinkRoute(l, o.Route, netlink.SCOPE_NOWHERE)) // of any scope
		})
	case netstate.SetSysctl:
		return writeSysctl(o.Sysctl)
	case netstate.SetTable:
		return setTable(o.Table)
	case netstate.DeleteTable:
		return deleteTable()
	case netstate.AddMultipath, netstate.DeleteMultipath, netstate.AddRule, netstate.DeleteRule:
		return k.applySpread(op)
	}
	return k.applyBond(op)
}

// applyBond carries out the operations on bonds and their slaves.
func (k *Kernel) applyBond(op netstate.Op) error {
	switch o := op.(type) {
	case netstate.LoadBonds:
		return k.loadBonds(o)
	case netstate.Adopt:
		return k.withLink(o.Device, func(l netlink.Link) error { return k.handle.LinkSetAlias(l, netstate.Alias) })
	case netstate.Release:
		return k.withLink(o.Device, k.release)
	case netstate.SetTxQueue:
		return k.withLink(o.Device, func(l netlink.Link) error { return k.handle.LinkSetTxQLen(l, o.Packets) })
	case netstate.Join:
		return k.withLink(o.Qdisc.Device, func(l netlink.Link) error { return k.join(l, o.Qdisc.Kind) })
	case netstate.Leave:
		return k.withLink(o.Qdisc.Device, func(l netlink.Link) error { return k.leave(l, o.Qdisc.Kind) })
	case netstate.SetShaper:
		return k.withLink(o.Shaper.Device, func(l netlink.Link) error { return k.setShaper(l, o.Shaper) })
	case netstate.DeleteShaper:
		return k.withLink(o.Device, k.deleteShaper)
	}
	return fmt.Errorf("%T is not an operation of this kernel", op)
}

// withLink hands a device to the function.
func (k *Kernel) withLink(device string, do func(netlink.Link) error) error {
	link, err := k.link(device)
	if err != nil {
		return err
	}
	return do(link)
}

// addVLAN makes a VLAN device and marks it as ours. The kernel takes no alias from the request that makes a device, so it is a second
// one; should that fail, the device goes again, because without its mark it would not be recognised as ours.
func (k *Kernel) addVLAN(l netstate.Link) error {
	parent, err := k.link(l.VLAN.Parent)
	if err != nil {
		return err
	}
	vlan := &netlink.Vlan{LinkAttrs: netlink.NewLinkAttrs(), VlanId: int(l.VLAN.ID), VlanProtocol: netlink.VlanProtocol(l.VLAN.Protocol)}
	vlan.Name = l.Name
	vlan.ParentIndex = parent.Attrs().Index
	vlan.EgressQosMap = egressChanges(netstate.Egress{}, l.VLAN.Egress)
	if err := k.handle.LinkAdd(vlan); err != nil {
		return err
	}
	return k.withLink(l.Name, func(made netlink.Link) error {
		if err := k.handle.LinkSetAlias(made, netstate.Alias); err != nil {
			return errors.Join(err, k.handle.LinkDel(made))
		}
		return nil
	})
}

// setEgress changes the egress map of a VLAN device. The request names the device and does not number it: a number together with a
// name would ask for a change of name, which is refused while the device is up.
func (k *Kernel) setEgress(o netstate.SetEgress) error {
	vlan := &netlink.Vlan{LinkAttrs: netlink.NewLinkAttrs(), EgressQosMap: egressChanges(o.From, o.To)}
	vlan.Name = o.Device
	return k.handle.LinkModify(vlan)
}

// egressChanges lists the entries of a map that differ; the kernel keeps those that are not mentioned.
func egressChanges(from, to netstate.Egress) map[uint32]uint32 {
	changes := map[uint32]uint32{}
	for priority := range to {
		if from[priority] != to[priority] {
			changes[uint32(priority)] = uint32(to[priority])
		}
	}
	return changes
}

// netlinkAddr describes an address to the kernel.
func netlinkAddr(a netstate.Address) *netlink.Addr {
	if a.Peer.Addr() == a.Local {
		return &netlink.Addr{IPNet: ipNet(a.Peer)}
	}
	return &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a.Local, a.Local.BitLen())), Peer: ipNet(a.Peer)}
}

// unlessGone takes "there is no such address" for success where an address was to be deleted.
func unlessGone(err error) error {
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

// addRoute appends, because that alone leaves the routes of other devices with the same destination and metric in place. IPv4 answers
// EEXIST only when it has this very route already. IPv6 does not compare the protocol number, so there it may be someone else's.
func (k *Kernel) addRoute(link netlink.Link, r netstate.Route) error {
	err := k.handle.RouteAppend(netlinkRoute(link, r, netlink.SCOPE_LINK))
	if r.Destination.Addr().Is4() {
		return unlessThere(err)
	}
	return err
}

// unlessThere takes "there is one already" for success where a thing was to be added.
func unlessThere(err error) error {
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func netlinkRoute(link netlink.Link, r netstate.Route, scope netlink.Scope) *netlink.Route {
	return &netlink.Route{
		Dst:       ipNet(r.Destination),
		LinkIndex: link.Attrs().Index,
		Priority:  r.Metric,
		Table:     r.Table,
		Protocol:  netstate.RouteProtocol,
		Scope:     scope,
	}
}

func writeSysctl(c netstate.Sysctl) error {
	f, err := os.OpenFile(sysctlFile(c.Key), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(c.Value)
	return errors.Join(err, f.Close())
}
