package netstate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Multipath is an IPv4 route with several next hops in the main table, without gateways. The kernel chooses one of them for each packet,
// by a hash of its addresses (or also ports: net/ipv4/fib_multipath_hash_policy).
//
// It is gone as soon as one of its devices is; that of a device that is down is passed over.
type Multipath struct {
	Destination netip.Prefix // masked
	Metric      int          // the lowest wins
	Hops        []Hop        // two or more, in any order. Wanted, those whose devices are not up are left out.
}

// Hop is one of the next hops of a Multipath.
type Hop struct {
	Device string
	Weight int // 1 to 256: its part of the sum
}

// RoutingRule is a rule of IPv4 that says which packets look for their route in which table. It is comparable. The protocol number is not
// part of it: a State holds rules of RouteProtocol only.
type RoutingRule struct {
	Priority int          // the lowest is asked first; that of the main table is 32766
	From     netip.Prefix // packets from there alone; not valid: from anywhere
	In       string       // packets that came in by this device alone, which need not exist; "": by any
	Mark     Mark         // packets with these bits in their mark alone; without a mask: with any
	Table    int          // 0: the main one
	Specific bool         // its default route is passed over
}

// String gives e.g. "default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1".
func (m Multipath) String() string {
	text := fmt.Sprintf("%s proto %d metric %d", destination(m.Destination), RouteProtocol, m.Metric)
	for _, h := range m.Hops {
		text += fmt.Sprintf(" nexthop dev %s weight %d", h.Device, h.Weight)
	}
	return text
}

// String gives e.g. "pref 30801 from all fwmark 0x1000000/0x7f000000 lookup 10801 proto 108".
func (r RoutingRule) String() string {
	words := []string{fmt.Sprintf("pref %d from", r.Priority)}
	switch {
	case !r.From.IsValid():
		words = append(words, "all")
	case r.From.IsSingleIP():
		words = append(words, r.From.Addr().String())
	default:
		words = append(words, r.From.String())
	}
	if r.In != "" {
		words = append(words, "iif "+r.In)
	}
	if r.Mark.Mask != 0 {
		words = append(words, fmt.Sprintf("fwmark %#x/%#x", r.Mark.Value, r.Mark.Mask))
	}
	if r.Table == 0 {
		words = append(words, "lookup main")
	} else {
		words = append(words, fmt.Sprintf("lookup %d", r.Table))
	}
	if r.Specific {
		words = append(words, "suppress_prefixlength 0")
	}
	return strings.Join(append(words, fmt.Sprintf("proto %d", RouteProtocol)), " ")
}

// equal says whether two routes are the same. Their hops are sorted.
func (m Multipath) equal(o Multipath) bool {
	return m.Destination == o.Destination && m.Metric == o.Metric && slices.Equal(m.Hops, o.Hops)
}

// normalMultipaths returns the routes sorted and without repetitions, each with its hops sorted.
func normalMultipaths(routes []Multipath) []Multipath {
	routes = slices.Clone(routes)
	for i, m := range routes {
		routes[i].Hops = slices.SortedFunc(slices.Values(m.Hops), func(a, b Hop) int { return cmp.Compare(a.Device, b.Device) })
	}
	slices.SortFunc(routes, func(a, b Multipath) int { return cmp.Compare(a.String(), b.String()) })
	return slices.CompactFunc(routes, Multipath.equal)
}

// spread leaves in the wanted routes the hops out of devices that will be up: the kernel takes no others. With a single one it is a Route.
func (d *differ) spread() {
	var several []Multipath
	for _, m := range d.want.Multipaths {
		m.Hops = slices.DeleteFunc(slices.Clone(m.Hops), func(h Hop) bool { return !d.up[h.Device] })
		switch len(m.Hops) {
		case 0:
		case 1:
			d.want.Routes = append(d.want.Routes, Route{Destination: m.Destination, Device: m.Hops[0].Device, Metric: m.Metric})
		default:
			several = append(several, m)
		}
	}
	d.want.Routes = unique(d.want.Routes)
	d.want.Multipaths = normalMultipaths(several)
}

// planMultipaths does for these what planRoutes does for those of one device. The kernel cannot tell two that differ by weights alone when one
// is to be deleted, and takes the older: so where an unwanted one may be the younger, both are deleted first.
func (d *differ) planMultipaths(flushed map[string]bool) plan {
	var p plan
	var have []Multipath
	for _, m := range d.have.Multipaths {
		wanted := slices.ContainsFunc(d.want.Multipaths, m.equal)
		meets := func(devices map[string]bool) bool {
			return slices.ContainsFunc(m.Hops, func(h Hop) bool { return devices[h.Device] })
		}
		switch {
		case meets(d.removed): // gone with it
		case d.confused(m):
			p.first = append(p.first, DeleteMultipath{m})
		case meets(flushed):
			if !wanted {
				p.first = append(p.first, DeleteMultipath{m})
			}
		case wanted:
			have = append(have, m)
		default:
			p.last = append(p.last, DeleteMultipath{m})
		}
	}
	for _, m := range d.want.Multipaths {
		if !slices.ContainsFunc(have, m.equal) {
			p.add = append(p.add, AddMultipath{m})
		}
	}
	return p
}

// confused says whether among the routes that are there a wanted and an unwanted one go the same ways as m.
func (d *differ) confused(m Multipath) bool {
	var wanted, unwanted bool
	for _, o := range d.have.Multipaths {
		if o.sameWays(m) {
			isWanted := slices.ContainsFunc(d.want.Multipaths, o.equal)
			wanted, unwanted = wanted || isWanted, unwanted || !isWanted
		}
	}
	return wanted && unwanted
}

// sameWays says whether two routes are the same but for their weights. Their hops are sorted.
func (m Multipath) sameWays(o Multipath) bool {
	return m.Destination == o.Destination && m.Metric == o.Metric &&
		slices.EqualFunc(m.Hops, o.Hops, func(a, b Hop) bool { return a.Device == b.Device })
}

// planRules adds what is missing, and then deletes what is too much.
func (d *differ) planRules() plan {
	var p plan
	for _, r := range d.want.Rules {
		if !slices.Contains(d.have.Rules, r) {
			p.add = append(p.add, AddRule{r})
		}
	}
	for _, r := range d.have.Rules {
		if !slices.Contains(d.want.Rules, r) {
			p.last = append(p.last, DeleteRule{r})
		}
	}
	return p
}
