// Package netstate describes the host's networking as plain data and works out how to get from what is to what should be.
//
//	want ----+
//	         +-> Diff -> []Op, in an order in which they can be carried out
//	have ----+
//
// Nothing here touches a kernel: package kernel observes `have` and carries the operations out. Nothing here remembers either: what is
// ours is told from what is not by marks in the kernel itself, so that a fresh process can repair or remove what an earlier one left.
//
//	what                                       mark of ownership
//	VLAN device                                its alias is "linebond" (Alias)
//	bond device (teql0, ...)                   likewise; a kernel module makes it: we adopt and release it
//	weighted bond's device (wanbond0, ...)     its alias is "linebond: a bond" (SchedulerAlias)
//	route, in any routing table                its protocol number is 108 (RouteProtocol)
//	routing rule of IPv4                       likewise
//	IPv4 and IPv6 link-local address           it is on a line device (Link.Line); other IPv6 addresses there belong to SLAAC
//	other address                              it is on a bond device of ours, and not IPv6 link-local
//	root qdisc                                 its kind is the name of a bond device of ours, or it is on a line device, or it is on a
//	                                           weighted bond's device and its handle is 108: (ShaperHandle)
//	nftables table                             it is called `inet linebond` (TableName)
//	sysctl                                     none: only ever set. Those of a line or a VLAN device of ours go with it, and Release
//	                                           resets a bond's rp_filter; ip_forward and IPv6's forwarding stay as we set them, and so does
//	                                           fib_multipath_hash_policy
//
// Everything else is left alone.
package netstate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Alias is the interface alias that marks a VLAN device as made by linebond, and a bond device as in its use.
const Alias = "linebond"

// RouteProtocol is the routing protocol number (rtm_protocol, FRA_PROTOCOL) that marks a route or a routing rule as linebond's.
const RouteProtocol = 108

// State is the part of the host's networking that concerns linebond. As something wanted it says what must be there; as something
// observed it says what is. The order within a list means nothing, and a repetition is the same as a single entry.
type State struct {
	Links      []Link
	Addresses  []Address
	Routes     []Route
	Multipaths []Multipath
	Rules      []RoutingRule
	Sysctls    []Sysctl
	Qdiscs     []Qdisc
	Schedulers []Scheduler
	Shapers    []Shaper
	Table      *Table // nil: none
}

// Link is a network device.
//
// Of a wanted link, Up, MTU and TxQueue are demands only when set: no device in use is ever taken down. A wanted device that does not
// exist is made if it is a VLAN of ours whose parent exists, a bond, or has a Scheduler, and otherwise passed over until it appears.
type Link struct {
	Name     string
	VLAN     VLAN // zero when this is no VLAN device
	Ours     bool // a VLAN device or weighted bond's device of our own making, or a bond device in our use
	Bond     bool // a device of the kernel's TEQL (teql0, ...), whose slaves have a root qdisc of its name; wanted, it is to be in our use
	Weighted bool // the device of a weighted bond, which has a Scheduler
	Line     bool // a line's PPP device, whose addresses are ours; it lives as long as a file descriptor and is not made here
	Up       bool // administratively up. The kernel refuses it to a bond that has no slave yet: that is passed over until it has one.
	MTU      int  // in bytes; 0 in a wanted link: as it is, and for a VLAN of ours as its parent's. A bond's is never above its slaves'.
	TxQueue  int  // length of the transmission queue (txqueuelen), in packets; 0 in a wanted link: as it is

	// KeepAddresses, of a wanted bond device: addresses that it has beyond the wanted ones stay. So connections outlive a time when no
	// line is there to tell the address, also across a restart: the kernel is the memory.
	KeepAddresses bool
}

// VLAN says how an IEEE 802.1Q VLAN device sits on its parent. A wanted VLAN's parent is to be wanted too.
type VLAN struct {
	Parent   string // name of the device below
	ID       uint16 // VLAN identifier, 1 to 4094
	Protocol VLANProtocol
	Egress   Egress
}

// VLANProtocol is the ethertype of a VLAN tag (the TPID of IEEE 802.1Q, section 9.6).
type VLANProtocol uint16

const (
	Dot1Q  VLANProtocol = 0x8100 // customer tag: the usual one
	Dot1AD VLANProtocol = 0x88a8 // service tag: the outer one of QinQ
)

// String gives the name that ip(8) uses.
func (p VLANProtocol) String() string {
	switch p {
	case Dot1Q:
		return "802.1Q"
	case Dot1AD:
		return "802.1ad"
	}
	return fmt.Sprintf("%#04x", uint16(p))
}

// Egress maps a packet's priority in the kernel (SO_PRIORITY, 0 to 7) to the priority code point of its tag.
type Egress [8]uint8

// Priority is the map by which packets sent with SO_PRIORITY p leave with priority code point p, and all others with 0.
func Priority(p uint8) Egress {
	var e Egress
	e[p&7] = p & 7
	return e
}

// String lists the priorities that are not mapped to 0, as in "3:3 6:6".
func (e Egress) String() string {
	var fields []string
	for from, to := range e {
		if to != 0 {
			fields = append(fields, fmt.Sprintf("%d:%d", from, to))
		}
	}
	return strings.Join(fields, " ")
}

// Address is an IP address on a device.
type Address struct {
	Device string
	Local  netip.Addr
	Peer   netip.Prefix // of a point-to-point address the other end; otherwise Local with its prefix length

	// First, of a bond device: among its IPv4 addresses this one comes first in the kernel's list, so that packets go out with it: those of
	// MASQUERADE, and our own. Wanted of none, the order is as it is.
	First bool
}

// PeerAddress is an address on a point-to-point device. A peer that is not valid, or is local itself, stands for "not known".
func PeerAddress(device string, local, peer netip.Addr) Address {
	if !peer.IsValid() {
		peer = local
	}
	return Address{Device: device, Local: local, Peer: netip.PrefixFrom(peer, peer.BitLen())}
}

// Route is a route out of a device, without a gateway. The protocol number is not part of it: a State holds routes of RouteProtocol only.
type Route struct {
	Destination netip.Prefix // masked; 0.0.0.0/0 or ::/0 for a default route
	Device      string
	Metric      int // the lowest wins. IPv6 has no metric 0: it means 1024 there.
	Table       int // number of the routing table; 0: the main one
}

// DefaultIPv4 and DefaultIPv6 are the destinations of default routes.
var (
	DefaultIPv4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	DefaultIPv6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// Sysctl is a kernel setting: a file below /proc/sys, or of sysfs when its key begins with a slash. The key is written with slashes,
// because names of VLAN devices have dots.
type Sysctl struct {
	Key   string // e.g. net/ipv6/conf/ppp-a/accept_ra or /sys/class/net/ppp-a/queues/rx-0/rps_cpus
	Value string // e.g. 2
}

// Qdisc is the root queueing discipline of a line device, where it is a bond's: with the kind teql0 the device is a slave of teql0. A
// wanted one is passed over until both devices exist.
type Qdisc struct {
	Device string
	Kind   string // the name of a bond device
}

// String gives one line per entry, sorted, in the words of ip(8), sysctl(8) and tc(8), and then the table in those of nft(8).
func (s State) String() string {
	s = s.normal()
	var lines []string
	for _, l := range s.Links {
		lines = append(lines, "link "+l.String())
	}
	for _, a := range s.Addresses {
		lines = append(lines, "address "+a.String())
	}
	for _, r := range s.Routes {
		lines = append(lines, "route "+r.String())
	}
	for _, m := range s.Multipaths {
		lines = append(lines, "route "+m.String())
	}
	for _, r := range s.Rules {
		lines = append(lines, "rule "+r.String())
	}
	for _, c := range s.Sysctls {
		lines = append(lines, "sysctl "+c.String())
	}
	for _, q := range s.Qdiscs {
		lines = append(lines, "qdisc "+q.String())
	}
	for _, c := range s.Schedulers {
		lines = append(lines, "scheduler "+c.String())
	}
	for _, c := range s.Shapers {
		lines = append(lines, "qdisc "+c.String())
	}
	if s.Table != nil {
		lines = append(lines, s.Table.String())
	}
	return strings.Join(lines, "\n")
}

// String gives e.g. "eth1.101@eth1 up mtu 1500 vlan protocol 802.1Q id 101 egress-qos-map 6:6 alias linebond", or
// "teql0 up mtu 1492 txqueuelen 1000 bond keep-addresses alias linebond".
func (l Link) String() string {
	var b strings.Builder
	b.WriteString(l.Name)
	if l.VLAN.Parent != "" {
		b.WriteString("@" + l.VLAN.Parent)
	}
	if l.Up {
		b.WriteString(" up")
	}
	if l.MTU != 0 {
		fmt.Fprintf(&b, " mtu %d", l.MTU)
	}
	if l.TxQueue != 0 {
		fmt.Fprintf(&b, " txqueuelen %d", l.TxQueue)
	}
	if l.Line {
		b.WriteString(" line")
	}
	if l.Bond {
		b.WriteString(" bond")
	}
	if l.Weighted {
		b.WriteString(" weighted")
	}
	if l.KeepAddresses {
		b.WriteString(" keep-addresses")
	}
	if l.VLAN.Parent != "" {
		b.WriteString(" " + l.VLAN.String())
	}
	if l.Ours {
		b.WriteString(" alias " + Alias)
	}
	return b.String()
}

// String gives the arguments that ip(8) takes after "type", e.g. "vlan protocol 802.1Q id 101 egress-qos-map 6:6".
func (v VLAN) String() string {
	s := fmt.Sprintf("vlan protocol %s id %d", v.Protocol, v.ID)
	if v.Egress != (Egress{}) {
		s += " egress-qos-map " + v.Egress.String()
	}
	return s
}

// String gives e.g. "203.0.113.10 peer 198.51.100.1/32 dev ppp-a", or "203.0.113.10/32 dev teql0 first".
func (a Address) String() string {
	text := a.Local.String() + " peer " + a.Peer.String()
	if a.Peer.Addr() == a.Local {
		text = a.Peer.String()
	}
	text += " dev " + a.Device
	if a.First {
		text += " first"
	}
	return text
}

// String gives e.g. "default dev ppp-a proto 108 metric 200", with "-6" in front for IPv6, and "table 10801" behind.
func (r Route) String() string {
	text := fmt.Sprintf("%s dev %s proto %d metric %d", destination(r.Destination), r.Device, RouteProtocol, r.Metric)
	if r.Destination.Addr().Is6() {
		text = "-6 " + text
	}
	if r.Table != 0 {
		text += fmt.Sprintf(" table %d", r.Table)
	}
	return text
}

// destination is what ip(8) calls it.
func destination(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "default"
	}
	return p.String()
}

// String gives e.g. "net/ipv6/conf/ppp-a/accept_ra=2".
func (c Sysctl) String() string { return c.Key + "=" + c.Value }

// String gives e.g. "teql0 dev ppp-a root".
func (q Qdisc) String() string { return fmt.Sprintf("%s dev %s root", q.Kind, q.Device) }

// normal returns the same state sorted and without repetitions, links with parents before children. Links of one name, as they come
// about when two lines share a device, become one that meets the demands of both.
func (s State) normal() State {
	var n State
	byName := map[string]Link{}
	for _, l := range s.Links {
		if other, ok := byName[l.Name]; ok {
			l = merge(other, l)
		}
		byName[l.Name] = l
	}
	for _, l := range byName {
		n.Links = append(n.Links, l)
	}
	slices.SortFunc(n.Links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(depth(byName, a), depth(byName, b)), cmp.Compare(a.Name, b.Name))
	})
	n.Addresses = unique(s.Addresses)
	for _, r := range s.Routes {
		if r.Metric == 0 && r.Destination.Addr().Is6() {
			r.Metric = 1024 // IP6_RT_PRIO_USER of the kernel
		}
		n.Routes = append(n.Routes, r)
	}
	n.Routes = unique(n.Routes)
	n.Multipaths = normalMultipaths(s.Multipaths)
	n.Rules = unique(s.Rules)
	n.Sysctls = unique(s.Sysctls)
	n.Qdiscs = unique(s.Qdiscs)
	n.Schedulers = normalSchedulers(s.Schedulers)
	n.Shapers = normalShapers(s.Shapers)
	if s.Table != nil {
		table := s.Table.normal()
		n.Table = &table
	}
	return n
}

// merge joins two descriptions of one device.
func merge(a, b Link) Link {
	if a.VLAN.Parent == "" {
		a.VLAN = b.VLAN
	}
	for from, to := range b.VLAN.Egress {
		a.VLAN.Egress[from] = max(a.VLAN.Egress[from], to)
	}
	a.Ours = a.Ours || b.Ours
	a.Bond = a.Bond || b.Bond
	a.Weighted = a.Weighted || b.Weighted
	a.Line = a.Line || b.Line
	a.Up = a.Up || b.Up
	a.MTU = max(a.MTU, b.MTU)
	a.TxQueue = max(a.TxQueue, b.TxQueue)
	a.KeepAddresses = a.KeepAddresses || b.KeepAddresses
	return a
}

// depth counts the VLAN devices below a link. Tags do not nest deeper than a few, so a circle of parents ends too.
func depth(byName map[string]Link, l Link) int {
	const deepest = 8
	n := 0
	for n < deepest && l.VLAN.Parent != "" {
		l = byName[l.VLAN.Parent]
		n++
	}
	return n
}

// unique returns the items sorted by their text and without repetitions.
func unique[T interface {
	comparable
	fmt.Stringer
}](items []T) []T {
	type keyed struct {
		text string // which takes longer to make than to compare
		item T
	}
	sorted := make([]keyed, len(items))
	for i, item := range items {
		sorted[i] = keyed{item.String(), item}
	}
	slices.SortFunc(sorted, func(a, b keyed) int { return cmp.Compare(a.text, b.text) })
	items = make([]T, len(items))
	for i, k := range sorted {
		items[i] = k.item
	}
	return slices.Compact(items)
}
