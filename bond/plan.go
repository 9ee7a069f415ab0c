// Package bond decides, from the configuration and the states of all lines,
// what the host's networking must look like. It is pure; package netstate
// compares the result with what is there.
package bond

import (
	"net/netip"

	"linebond/config"
	"linebond/line"
	"linebond/netstate"
)

// Plan is what the host should look like.
type Plan struct {
	State     netstate.State
	Resolvers []Resolver
}

// Resolver are the DNS servers that one line's provider named.
type Resolver struct {
	Line    string
	Device  string
	Servers []netip.Addr
}

// Member is a line's configuration and where it stands.
type Member struct {
	Config config.Line
	Status line.Status
}

// New returns the plan for all lines. Each line stands by itself: its devices,
// addresses and, with a metric, a default route of its own.
func New(members []Member) Plan {
	var p Plan
	for _, m := range members {
		p.ethernet(m)
		p.device(m)
		p.resolver(m)
	}
	return p
}

// ethernet wants what PPPoE runs on: the VLAN devices, and all below them up.
func (p *Plan) ethernet(m Member) {
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
	}
}

func (p *Plan) link(l netstate.Link) { p.State.Links = append(p.State.Links, l) }

// device wants the session's device as its negotiation has left it. In a
// session whose carrier is lost for now the addresses stay, so that
// connections outlive the gap; the route goes, so that another line may serve.
func (p *Plan) device(m Member) {
	s := m.Status
	if s.Session == nil || s.Session.MTU == 0 {
		return
	}
	p.link(netstate.Link{Name: s.Device, Line: true, Up: s.Carries(), MTU: s.Session.MTU})
	if s.IPv4.Local.IsValid() {
		p.address(s.Device, s.IPv4.Local, s.IPv4.Peer)
		p.route(m)
	}
	if s.IPv6.Local.IsValid() {
		p.address(s.Device, s.IPv6.Local, s.IPv6.Peer)
		// Router advertisements give the addresses of wider scope, and with them
		// the default route: one by ourselves would draw packets to a line that
		// has link-local addresses alone. 2 takes them on a host that forwards, too.
		p.State.Sysctls = append(p.State.Sysctls, netstate.Sysctl{Key: "net/ipv6/conf/" + s.Device + "/accept_ra", Value: "2"})
	}
}

func (p *Plan) address(device string, local, peer netip.Addr) {
	p.State.Addresses = append(p.State.Addresses, netstate.PeerAddress(device, local, peer))
}

// route wants an IPv4 default route by device: all lines may have the same peer.
func (p *Plan) route(m Member) {
	if !m.Config.DefaultRoute || !m.Status.Carries() {
		return
	}
	p.State.Routes = append(p.State.Routes, netstate.Route{
		Destination: netstate.DefaultIPv4, Device: m.Status.Device, Metric: m.Config.Metric,
	})
}

func (p *Plan) resolver(m Member) {
	if s := m.Status; s.Carries() && len(s.IPv4.DNS) > 0 {
		p.Resolvers = append(p.Resolvers, Resolver{s.Name, s.Device, s.IPv4.DNS})
	}
}
