package bond

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"linebond/config"
	"linebond/line"
	"linebond/netstate"
)

// The lengths of transmit queues, in packets. A line's is TEQL's own queue of packets for that line, which is as good as empty, since the
// kernel's PPPoE is never busy; PPP devices are born with 3.
const (
	bondQueue = 1000
	lineQueue = 100
)

// ethernet wants what PPPoE runs on: the VLAN devices, and all below them up. PPPoE needs no IP there, and IPv6 would come by itself: then
// the neighbours on the wire could talk to us.
func (p *planner) ethernet(m Member) {
	if !m.Config.Enabled && m.Status.State == line.Stopped {
		return
	}
	p.link(netstate.Link{Name: m.Config.Interface, Up: true})
	for _, v := range m.Config.VLANDevices() {
		protocol := netstate.Dot1Q
		if v.Protocol == "802.1ad" {
			protocol = netstate.Dot1AD
		}
		p.link(netstate.Link{
			Name: v.Name,
			Up:   true,
			Ours: true,
			VLAN: netstate.VLAN{Parent: v.Parent, ID: v.ID, Protocol: protocol, Egress: netstate.Priority(m.Config.Priority)},
		})
		if !slices.Contains(p.config.LAN.Interfaces, v.Name) { // the outer VLAN of two may be
			p.sysctl("net/ipv6/conf/"+v.Name+"/disable_ipv6", "1")
		}
	}
}

// alone wants a line that stands by itself: with a metric, it has a default route of its own.
func (p *planner) alone(m Member) {
	s := m.Status
	if !p.device(m, netstate.Link{}) {
		return
	}
	if s.IPv4.Local.IsValid() {
		p.address(m, s.IPv4.Local, s.IPv4.Peer)
		if m.Config.DefaultRoute && s.Carries() {
			p.route(netstate.DefaultIPv4, s.Device, m.Config.Metric)
		}
	}
	p.ipv6(m, advertised)
	p.resolver(m)
}

// Router advertisements give a line the addresses of wider scope, and with them the default route: one by ourselves would draw packets to a
// line that has link-local addresses alone. 2 takes them on a host that forwards, too. Where the addresses are the bond's there are to be none.
const (
	advertised   = "2"
	unadvertised = "0"
)

// ipv6 wants IPv6 on a line that has it.
func (p *planner) ipv6(m Member, how string) {
	if s := m.Status; s.IPv6.Local.IsValid() {
		p.address(m, s.IPv6.Local, s.IPv6.Peer)
		p.sysctl("net/ipv6/conf/"+s.Device+"/accept_ra", how)
	}
}

// bond wants a bond device and the devices of its lines.
func (p *planner) bond(c config.Bond, view Bond, s shared, lines []slot) {
	serves := view.MTU > 0
	device := netstate.Link{Name: c.Device, Ours: true, Up: serves, MTU: view.MTU, KeepAddresses: !s.known}
	if weighted(c) {
		device.Weighted = true
		p.schedule(c, view.MTU, lines)
	} else {
		device.Bond, device.TxQueue = true, bondQueue
	}
	p.link(device)
	p.sysctl("net/ipv4/conf/"+c.Device+"/rp_filter", "2")
	for _, a := range view.Addresses {
		p.State.Addresses = append(p.State.Addresses, netstate.Address{Device: c.Device, Local: a.Addr(), Peer: a, First: a.Addr() == s.first})
	}
	if serves && c.DefaultRoute {
		p.route(netstate.DefaultIPv4, c.Device, c.Metric)
		if slices.ContainsFunc(c.Addresses, of6) {
			p.route(netstate.DefaultIPv6, c.Device, c.Metric)
		}
	}
	for _, l := range lines {
		p.slave(c, view, l)
	}
}

// slave wants the device of a line in a bond. It has no default route of its own, not even by router advertisements: it would lead packets
// to a line that is not in.
//
// Where it is not to keep its own address it has the bond's: what comes in on a device without any is dropped by the reverse path filter,
// loose as it is.
func (p *planner) slave(c config.Bond, view Bond, l slot) {
	s := l.Status
	if !p.device(l.Member, netstate.Link{TxQueue: lineQueue}) {
		return
	}
	bonds := slices.IndexFunc(view.Addresses, of4)
	switch {
	case !s.IPv4.Local.IsValid():
	case c.LineAddresses == "remove" && bonds >= 0:
		p.address(l.Member, view.Addresses[bonds].Addr(), netip.Addr{})
	default:
		p.address(l.Member, s.IPv4.Local, s.IPv4.Peer)
	}
	p.ipv6(l.Member, unadvertised)
	if l.in {
		if !weighted(c) {
			p.State.Qdiscs = append(p.State.Qdiscs, netstate.Qdisc{Device: s.Device, Kind: c.Device})
		}
		p.resolver(l.Member)
	}
}

// device wants the session's device as its negotiation has left it, and says whether there is one. In a session whose carrier is lost for
// now the addresses stay, so that connections outlive the gap; the route goes, so that another line may serve.
func (p *planner) device(m Member, l netstate.Link) bool {
	s := m.Status
	if s.Session == nil || s.Session.MTU == 0 {
		return false
	}
	l.Name, l.Line, l.Up, l.MTU = s.Device, true, s.Carries(), s.Session.MTU
	p.link(l)
	// Answers come back on whichever line the ISP chooses.
	p.sysctl("net/ipv4/conf/"+s.Device+"/rp_filter", "2")
	if p.cpus > 1 {
		mask := "0"
		if p.config.Host.SpreadCPUs {
			mask = cpuMask(p.cpus)
		}
		p.sysctl("/sys/class/net/"+s.Device+"/queues/rx-0/rps_cpus", mask)
	}
	return true
}

// cpuMask is the mask of so many CPUs as the kernel prints it: hexadecimal, a comma between each 32 bits.
func cpuMask(cpus int) string {
	groups := []string{fmt.Sprintf("%x", uint64(1)<<((cpus-1)%32+1)-1)}
	for range (cpus - 1) / 32 {
		groups = append(groups, "ffffffff")
	}
	return strings.Join(groups, ",")
}

func (p *planner) address(m Member, local, peer netip.Addr) {
	p.State.Addresses = append(p.State.Addresses, netstate.PeerAddress(m.Status.Device, local, peer))
}

// route wants a route by device: all lines may have the same peer.
func (p *planner) route(destination netip.Prefix, device string, metric int) {
	p.State.Routes = append(p.State.Routes, netstate.Route{Destination: destination, Device: device, Metric: metric})
}

func (p *planner) resolver(m Member) {
	if s := m.Status; s.Carries() && len(s.IPv4.DNS) > 0 {
		p.Resolvers = append(p.Resolvers, Resolver{s.Name, s.Device, s.IPv4.DNS})
	}
}

// host wants the machine to forward if it is to.
func (p *planner) host() {
	c := p.config
	if len(c.LAN.Interfaces) == 0 && len(c.Forwards) == 0 {
		return
	}
	p.sysctl("net/ipv4/ip_forward", "1")
	for _, b := range c.Bonds {
		if len(c.LAN.Interfaces) > 0 && slices.ContainsFunc(b.Addresses, of6) {
			p.sysctl("net/ipv6/conf/all/forwarding", "1")
		}
	}
}
