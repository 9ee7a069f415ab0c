package isp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A route is how packets go to an address: to the one session that has it, or to several in turn.
type route struct {
	members []*carrier
	spread  *spread // nil: there has never been a second session
}

// join routes a session's address to it, too. A session without one carries no IPv4.
func (n *network) join(c *carrier) error {
	a := c.session.Remote
	if !a.IsValid() {
		return nil
	}
	r := n.routes[a]
	if r == nil {
		r = &route{}
		n.routes[a] = r
	}
	r.members = append(r.members, c)
	if len(r.members) == 2 && r.spread == nil {
		var err error
		if r.spread, err = n.newSpread(); err != nil {
			return err
		}
	}
	return r.set(a)
}

// leave undoes join.
func (n *network) leave(c *carrier) error {
	a := c.session.Remote
	r := n.routes[a]
	if r == nil {
		return nil
	}
	r.members = slices.DeleteFunc(r.members, func(m *carrier) bool { return m == c })
	if len(r.members) > 0 {
		return r.set(a)
	}
	delete(n.routes, a)
	if r.spread != nil {
		return r.spread.close() // the route goes with it
	}
	err := netlink.RouteDel(&netlink.Route{LinkIndex: c.device.Attrs().Index, Dst: whole(a), Scope: netlink.SCOPE_LINK})
	if err != nil && !errors.Is(err, unix.ESRCH) { // somebody else removed it, or the device
		return fmt.Errorf("removing the route to %v: %w", a, err)
	}
	return nil
}

// set makes the route what its members say.
func (r *route) set(a netip.Addr) error {
	to := r.members[0]
	device := to.device
	if r.spread != nil {
		if err := r.spread.set(r.members); err != nil {
			return err
		}
		device = r.spread.device
	}
	way := &netlink.Route{LinkIndex: device.Attrs().Index, Dst: whole(a), Scope: netlink.SCOPE_LINK}
	if to.session.Local.IsValid() {
		way.Src = to.session.Local.AsSlice()
	}
	if err := netlink.RouteReplace(way); err != nil {
		return fmt.Errorf("routing %v to %s: %w", a, device.Attrs().Name, err)
	}
	return nil
}

// A spread is a veth pair that gives the packets which go into its one end to several devices in turn.
type spread struct {
	objects      spreadObjects
	device, port netlink.Link
}

func (n *network) newSpread() (*spread, error) {
	s := &spread{}
	name := fmt.Sprintf("spread%d", n.spreads)
	n.spreads++
	if err := loadSpreadObjects(&s.objects, nil); err != nil {
		return nil, fmt.Errorf("loading the eBPF program for a shared address: %w", err)
	}
	if err := s.open(name); err != nil {
		return nil, errors.Join(fmt.Errorf("making %s for a shared address: %w", name, err), s.close())
	}
	return s, nil
}

func (s *spread) open(name string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: name + "-port"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("adding a veth pair: %w", err)
	}
	var err error
	if s.device, err = netlink.LinkByName(name); err != nil {
		return err
	}
	if s.port, err = netlink.LinkByName(pair.PeerName); err != nil {
		return err
	}
	for _, end := range []netlink.Link{s.device, s.port} {
		const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
		if err := netlink.LinkSetIP6AddrGenMode(end, none); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return fmt.Errorf("switching IPv6 autoconfiguration off: %w", err)
		}
		if err := netlink.LinkSetARPOff(end); err != nil {
			return fmt.Errorf("switching ARP off: %w", err)
		}
	}
	// Packets that the kernel has put together are cut again before they are counted.
	if err := netlink.LinkSetGSOMaxSegs(s.device, 1); err != nil {
		return fmt.Errorf("switching segmentation off: %w", err)
	}
	if err := s.attach(); err != nil {
		return err
	}
	for _, end := range []netlink.Link{s.port, s.device} {
		if err := netlink.LinkSetUp(end); err != nil {
			return fmt.Errorf("setting %s up: %w", end.Attrs().Name, err)
		}
	}
	return nil
}

// attach makes the program run on what the port receives. It goes with the port.
func (s *spread) attach() error {
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: s.port.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(clsact); err != nil {
		return fmt.Errorf("adding the qdisc clsact (the kernel needs CONFIG_NET_SCH_INGRESS): %w", err)
	}
	err := netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: s.port.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: s.objects.Spread.FD(), Name: "spread", DirectAction: true,
	})
	if err != nil {
		return fmt.Errorf("adding the tc filter (the kernel needs CONFIG_NET_CLS_BPF): %w", err)
	}
	return nil
}

// set says which sessions take part. The MTU is the least of theirs.
func (s *spread) set(members []*carrier) error {
	var group spreadGroup
	if len(members) > len(group.Device) {
		return fmt.Errorf("%d sessions share an address: no more than %d can", len(members), len(group.Device))
	}
	mtu := members[0].device.Attrs().MTU
	for i, m := range members {
		group.Device[i] = uint32(m.device.Attrs().Index)
		mtu = min(mtu, m.device.Attrs().MTU)
	}
	group.Count = uint32(len(members))
	if err := netlink.LinkSetMTU(s.device, mtu); err != nil {
		return fmt.Errorf("setting the MTU of %s to %d: %w", s.device.Attrs().Name, mtu, err)
	}
	if err := s.objects.Members.Update(uint32(0), &group, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("telling the eBPF program of the sessions: %w", err)
	}
	return nil
}

func (s *spread) close() error {
	var err error
	if s.device != nil {
		if err = netlink.LinkDel(s.device); err != nil {
			err = fmt.Errorf("removing %s: %w", s.device.Attrs().Name, err)
		}
	}
	return errors.Join(err, s.objects.Close())
}
