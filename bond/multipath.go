package bond

import (
	"cmp"
	"hash/fnv"
	"math"
	"net/netip"
	"slices"

	"linebond/config"
	"linebond/netstate"
)

// A multipath bond has no device. The kernel's default route has a next hop for each line that is in, and a connection's first packet goes
// where that leads. Its line's number is then in the connection's mark, and by that in the mark of each later packet from inside; and
// routing rules lead these to the line's own table, whatever becomes of the route in the meantime:
//
//	30800      packets that came by line n         main, but for its default route: see below
//	30800 + n  packets with the mark of line n     table 10800 + n: default dev ppp-NAME
//	30928      main, but for its default route     what is near, or has a route of its own
//	30928 + n  packets from line n's own address   table 10800 + n: a socket has its address before it has a connection
//	32766      main, with the default route        first packets, and what belongs to a line that is not in
//
// What is marked goes outside in any case, unless that is where it came from: our rules give no mark to such packets, but those of others may,
// which copy the marks of connections (ct mark) whole. From a line's address may also go what is for the LAN.
const (
	markMask     = config.MaxMultipath << markShift
	markShift    = 24
	markRule     = 30800
	specificRule = markRule + config.MaxMultipath + 1
	lineTable    = 10800
)

// mostWeight is the greatest weight that a line gets; the kernel's is 256.
const mostWeight = 100

// spreads says whether a bond has no device.
func spreads(b config.Bond) bool { return b.Mode == config.ModeMultipath || byNumgen(b) }

// linesOf returns the lines of the bonds that are of a kind.
func linesOf(c *config.Config, kind func(config.Bond) bool) []config.Line {
	var lines []config.Line
	for _, l := range c.Lines {
		if slices.ContainsFunc(c.Bonds, func(b config.Bond) bool { return kind(b) && b.Device == l.Bond }) {
			lines = append(lines, l)
		}
	}
	return lines
}

// numbers gives each line of a multipath bond a number from 1 to config.MaxMultipath, by its name. It makes no memory, and yet connections
// must know their lines again after a restart, or when a line is added: so the name's hash is the number, or the next one that is free. A
// line thus depends on those before it in the alphabet whose numbers are the same or run up to its own: with few lines that is rare.
//
// The lines of a bond by numgen have what these leave, and after them each such bond has one. Those for whom none is left have 0.
func numbers(c *config.Config) map[string]uint32 {
	numbers, taken := map[string]uint32{}, map[uint32]bool{}
	give := func(name string) {
		h := fnv.New32a()
		h.Write([]byte(name))
		n := h.Sum32() % config.MaxMultipath
		for range config.MaxMultipath {
			if !taken[n] {
				taken[n], numbers[name] = true, n+1
				break
			}
			n = (n + 1) % config.MaxMultipath
		}
	}
	for _, kind := range []func(config.Bond) bool{func(b config.Bond) bool { return !byNumgen(b) && spreads(b) }, byNumgen} {
		for _, l := range linesOf(c, kind) {
			give(l.Name)
		}
	}
	for _, b := range c.Bonds {
		if byNumgen(b) {
			give(bondKey(b))
		}
	}
	return numbers
}

// bondKey is what a bond is called among the numbers of lines, whose names have no spaces.
func bondKey(b config.Bond) string { return "bond " + b.Device }

// markOf is the mark of the line with this number, and with 0 that of no line.
func markOf(number uint32) netstate.Mark {
	return netstate.Mark{Value: number << markShift, Mask: markMask}
}

// weigh returns how many of a bond's connections each of its lines gets, in proportion to what they can carry. That is what comes in, or if
// it is not known of all of them, what goes out.
func weigh(lines []slot) []uint64 {
	rates := []func(config.Line) config.Rate{
		func(l config.Line) config.Rate { return l.Download },
		func(l config.Line) config.Rate { return l.Upload },
		func(config.Line) config.Rate { return 1 },
	}
	known := slices.IndexFunc(rates, func(rate func(config.Line) config.Rate) bool {
		return !slices.ContainsFunc(lines, func(l slot) bool { return rate(l.Config) == 0 })
	})
	var most config.Rate
	for _, l := range lines {
		most = max(most, rates[known](l.Config))
	}
	weights, divisor := make([]uint64, len(lines)), uint64(0)
	for i, l := range lines {
		weights[i] = max(1, uint64(math.Round(mostWeight*float64(rates[known](l.Config))/float64(most))))
		divisor = commonDivisor(weights[i], divisor)
	}
	for i := range weights {
		weights[i] /= divisor
	}
	return weights
}

func commonDivisor(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// share gives the members of a bond that are in their shares.
func (v *Bond) share(serving []slot, weights []uint64) {
	var sum uint64
	for _, w := range weights {
		sum += w
	}
	for i, l := range serving {
		m := slices.IndexFunc(v.Members, func(m Membership) bool { return m.Line == l.Config.Name })
		v.Members[m].Share = float64(weights[i]) / float64(sum)
	}
}

// planSpread adds a bond without a device to the plan.
func (b *Bonds) planSpread(p *planner, c config.Bond, view *Bond, s shared, lines []slot) {
	in := filter(lines, func(l slot) bool { return l.in })
	b.learn(c.Device, s)
	view.Addresses = serving(lines)
	view.share(in, shares(c, in))
	p.spreads[c.Device] = b.spreading(c)
	p.spread(c, lines)
	if byNumgen(c) {
		view.Addresses = append(view.Addresses, p.onOneLine(c, lines)...)
		view.believe(in)
		s.warning = b.stay(s, lines)
		p.Events = append(p.Events, b.warn(c.Device, s)...)
		p.Events = append(p.Events, b.unequal(c.Device, view.MTU, in)...)
	}
}

// spread wants the lines of a bond without a device, and that connections, or packets, are spread over those that are in.
//
// The kernel takes a route with several next hops away as soon as one of their devices is gone. So there is another default route by each
// line, behind it, until it has been made anew.
func (p *planner) spread(c config.Bond, lines []slot) {
	numbers := numbers(p.config)
	p.sysctl("net/ipv4/fib_multipath_hash_policy", "1") // ports count
	p.State.Rules = append(p.State.Rules, netstate.RoutingRule{Priority: specificRule, Specific: true})
	var serving []slot
	for _, l := range lines {
		if p.spreadLine(c, l) && l.in && l.Status.IPv4.Local.IsValid() {
			serving = append(serving, l)
			p.ownTable(l, numbers[l.Config.Name], lines)
		}
	}
	weights := shares(c, serving)
	p.takeTurns(c, numbers, serving, weights)
	if len(serving) == 0 || !c.DefaultRoute {
		return
	}
	route := netstate.Multipath{Destination: netstate.DefaultIPv4, Metric: c.Metric}
	for i, weight := range weights {
		device := serving[i].Status.Device
		route.Hops = append(route.Hops, netstate.Hop{Device: device, Weight: int(weight)})
		if len(serving) > 1 {
			p.route(netstate.DefaultIPv4, device, c.Metric+1)
		}
	}
	p.State.Multipaths = append(p.State.Multipaths, route)
}

// spreadLine wants a line of a bond without a device as if it stood by itself, without its default route, and says whether it has a device.
// It has the bond's addresses, too: there is no other place for them. Not so a fallback line, which is another ISP's.
func (p *planner) spreadLine(c config.Bond, l slot) bool {
	s := l.Status
	if !p.device(l.Member, netstate.Link{}) {
		return false
	}
	var bonds []netip.Prefix
	if !l.Config.Fallback && s.IPv4.Local.IsValid() {
		bonds = filter(own(c), of4)
	}
	for _, a := range bonds {
		if a.Addr() != s.IPv4.Local {
			p.address(l.Member, a.Addr(), netip.Addr{})
		}
	}
	if s.IPv4.Local.IsValid() && (c.LineAddresses != "remove" || len(bonds) == 0) {
		p.address(l.Member, s.IPv4.Local, s.IPv4.Peer)
	}
	if ownIPv6(c, l) {
		p.ipv6(l.Member, unadvertised)
	} else {
		p.ipv6(l.Member, advertised)
	}
	if l.in {
		p.resolver(l.Member)
	}
	return true
}

// ownTable wants a line's table, and the rules that lead there. An address that several lines have is no line's own.
func (p *planner) ownTable(l slot, number uint32, lines []slot) {
	if number == 0 {
		return
	}
	table := lineTable + int(number)
	p.State.Routes = append(p.State.Routes, netstate.Route{Destination: netstate.DefaultIPv4, Device: l.Status.Device, Metric: 1, Table: table})
	p.State.Rules = append(p.State.Rules, netstate.RoutingRule{Priority: markRule, In: l.Status.Device, Specific: true},
		netstate.RoutingRule{Priority: markRule + int(number), Mark: markOf(number), Table: table})
	address := l.Status.IPv4.Local
	if len(filter(lines, func(o slot) bool { return o.Status.IPv4.Local == address })) == 1 {
		p.State.Rules = append(p.State.Rules, netstate.RoutingRule{Priority: specificRule + int(number), From: single(address), Table: table})
	}
}

// learn takes note of the one address that all lines of a bond without a device have, once two of them have told it: with it go out all
// connections of the LAN, so that they can go on over other lines. Fallback lines are apart: theirs is another ISP's.
func (b *Bonds) learn(bond string, s shared) {
	switch {
	case !s.known || s.fallback:
	case s.agreed:
		b.common[bond] = s.lines
	case s.warning != "" || s.lines != b.common[bond]:
		delete(b.common, bond)
	}
}

// alikeDevices are those of the lines of a bond without a device that may have one address.
func alikeDevices(c *config.Config, bond string) []string {
	var devices []string
	for _, l := range c.Lines {
		if l.Bond == bond && !l.Fallback {
			devices = append(devices, l.Device)
		}
	}
	return devices
}

// serving returns the addresses of the lines that are in.
func serving(lines []slot) []netip.Prefix {
	var addresses []netip.Prefix
	for _, l := range lines {
		if a := l.Status.IPv4.Local; l.in && a.IsValid() && !slices.Contains(addresses, single(a)) {
			addresses = append(addresses, single(a))
		}
	}
	return addresses
}

// markChains are the chains that keep connections of IPv4 on their lines, or have their packets take turns. Those of IPv6 have no choice:
// their lines' addresses differ.
func markChains(c *config.Config, spread map[string]spreading) []netstate.Chain {
	lines := linesOf(c, spreads)
	if len(lines) == 0 {
		return nil
	}
	numbers := numbers(c)
	slices.SortFunc(lines, func(x, y config.Line) int { return cmp.Compare(x.Name, y.Name) })
	var came, went []netstate.Rule
	follows := []netstate.Rule{{Marked: markOf(0), Verdict: netstate.Accept, Comment: "goes by no line yet"}}
	for _, b := range c.Bonds {
		follows = append(follows, spread[b.Device].turnRules()...)
	}
	for _, l := range lines {
		number := numbers[l.Name]
		if number == 0 {
			continue
		}
		in, out := beginnings(l, spread[l.Bond], number)
		came, went = append(came, in), append(went, out...)
		mark := markOf(number)
		follows = append(follows, netstate.Rule{Family: 4, Marked: mark, Verdict: netstate.MarkPacket, Mark: mark, Comment: "line " + l.Name})
	}
	came = append(came, netstate.Rule{In: outside, Verdict: netstate.Accept, Comment: "goes where it is addressed to"})
	return []netstate.Chain{
		{Name: "line-in", Type: "filter", Hook: "prerouting", Priority: -150, Rules: append(came, follows...)},
		{Name: "line-local", Type: "route", Hook: "output", Priority: -150, Rules: follows},
		{Name: "line-out", Type: "filter", Hook: "postrouting", Priority: -150, Rules: went},
	}
}

// beginnings give connections that begin on a line their marks: its own, or that of the bond.
func beginnings(l config.Line, s spreading, number uint32) (came netstate.Rule, went []netstate.Rule) {
	first := netstate.Rule{Family: 4, Marked: markOf(0), Verdict: netstate.MarkConnection, Mark: markOf(number), Comment: "line " + l.Name}
	takesTurns := s.number != 0 && !l.Fallback
	if takesTurns && s.local {
		first.Mark, first.Comment = markOf(s.number), "bond "+l.Bond
	}
	came, out := first, first
	came.InDevice, out.OutDevice = l.Device, l.Device
	if takesTurns && !s.local {
		routed := out
		routed.In, routed.Mark, routed.Comment = lan, markOf(s.number), "bond "+l.Bond
		went = append(went, routed)
	}
	return came, append(went, out)
}
