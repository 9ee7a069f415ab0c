package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// isBlock says whether an entry of Addresses is a block, given by its network
// address. One with another mask is that address alone: 203.0.113.9/29 the .9.
func isBlock(p netip.Prefix) bool { return !p.IsSingleIP() && p == p.Masked() }

// own returns the addresses of the bond's device.
func (b Bond) own() (all []netip.Addr) {
	for _, p := range b.Addresses {
		if !isBlock(p) {
			all = append(all, p.Addr())
		}
	}
	return all
}

// has says whether the bond has an address, by itself or as one of a block.
func (b Bond) has(a netip.Addr) bool {
	return slices.Contains(b.own(), a) ||
		slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return isBlock(p) && p.Contains(a) })
}

// hasIPv6 says whether the bond is to carry IPv6.
func (b Bond) hasIPv6() bool {
	return slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// checkBonds checks each bond and finds those that cannot be beside each other.
func (f *daemonFile) checkBonds() {
	devices := map[string]*bondTable{}
	addresses := map[netip.Prefix]*bondTable{}
	routes := map[int]*bondTable{} // default routes by metric
	for _, b := range f.bonds {
		b.require("bond.mode", "write mode = "+bondModes)
		if b.Mode != ModeWeighted {
			b.refuseShaping()
		}
		switch b.Mode {
		case ModeMultipath:
			b.checkMultipath()
		case ModeWeighted:
			b.checkWeighted()
		default:
			b.checkTEQL()
		}
		if first, taken := devices[b.Device]; taken && b.Mode == ModeMultipath {
			b.failKey("bond.mode", "the bond in line %d is of mode \"multipath\" already; lines that are to be used only while the others "+
				"are not say fallback = true", first.line("bond"))
			continue
		} else if taken {
			b.failKey("bond.device", "%s is the device of the bond in line %d already", b.Device, first.line("bond"))
			continue
		}
		if i := slices.IndexFunc(f.Bonds, func(o Bond) bool { return isPair(o.Device, b.Device) }); i >= 0 {
			b.failKey("bond.device", "of %s and %s one is what is made beside the other; give one of the two another name", f.Bonds[i].Device, b.Device)
			continue
		}
		devices[b.Device] = b
		for _, p := range b.Addresses {
			if !isBlock(p) {
				p = netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
			}
			if first, taken := addresses[p]; taken {
				b.failKey("bond.addresses", "%s belongs to %s already", p, first.Device)
			}
			addresses[p] = b
		}
		if first, taken := routes[b.Metric]; taken && b.DefaultRoute {
			b.warnKey("bond.metric", "the default route of %s has %d too, and one of the two will not be used; "+
				"give each a metric of its own, or write default_route = false", first.Device, b.Metric)
		} else if b.DefaultRoute {
			routes[b.Metric] = b
		}
		f.Bonds = append(f.Bonds, b.Bond)
	}
}

// checkMultipath checks what goes not together with the mode, of which the bond has its name.
func (b *bondTable) checkMultipath() {
	if b.given("bond.device") {
		b.failKey("bond.device", `a bond of mode "multipath" has no device; leave it out. A line's file names such a bond as bond = "multipath"`)
	}
	b.Device = ModeMultipath
	if b.LineAddresses != "keep" {
		b.failKey("bond.line_addresses", `must be "keep" with mode "multipath": a connection goes out with the address of its line`)
		b.LineAddresses = "keep"
	}
	b.Addresses = slices.DeleteFunc(b.Addresses, func(p netip.Prefix) bool {
		switch {
		case p.Addr().Is6():
			b.failKey("bond.addresses", `%s is of IPv6, of which a bond of mode "multipath" carries none: each line has its own, by router advertisements`, p)
		case !isBlock(p):
			b.failKey("bond.addresses", `a bond of mode "multipath" has no device to put %s on; if it is routed down all lines, `+
				`write nat = "%[1]s" in [lan], and the packets of the LAN go out with it`, p.Addr())
		default:
			return false
		}
		return true
	})
}

// checkNAT warns of a source address that may be nobody's here. Lines of a bond
// without a device have no other way to say that one is routed down all of them.
func (f *daemonFile) checkNAT() {
	d, source := f.doc, f.LAN.Source
	if f.LAN.NAT != NATSource || len(f.LAN.Interfaces) == 0 || d.failed() ||
		slices.ContainsFunc(f.Bonds, func(b Bond) bool { return b.Mode == ModeMultipath || b.has(source) }) {
		return
	}
	d.warnKey("lan.nat", "no bond has it: answers to %s come back only if the provider gives it to a line; "+
		"if it is routed to you, write it into addresses of the [bond]", source)
}

// checkFailures warns of a health.failures that does not come to bear, because
// the session of a line ends first. Pings it counts all the same.
func (f *daemonFile) checkFailures(lines []*lineFile) {
	var names []string
	for _, l := range lines {
		if l.Bond == "" || l.Keepalive.Failures > f.Health.Failures || len(f.Health.Ping) > 0 {
			continue
		}
		names = append(names, l.Name)
		if l.doc.given("keepalive.failures") && !f.doc.given("health.failures") {
			l.doc.warnKey("keepalive.failures", "is not more than health.failures, %d, which has no effect on this line then: "+
				"the session is given up first", f.Health.Failures)
		}
	}
	if len(names) > 0 && f.doc.given("health.failures") {
		f.doc.warnKey("health.failures", "has no effect on these lines, whose keepalive.failures is not more: %s; "+
			"the session is given up first", strings.Join(names, ", "))
	}
}

// checkMembers warns of a bond that its lines make of no use.
func (b *bondTable) checkMembers(lines []*lineFile) {
	own := slices.DeleteFunc(slices.Clone(lines), func(l *lineFile) bool { return l.Fallback })
	switch {
	case len(lines) == 0:
		b.warnKey("bond", `%s has no line; write bond = "%s" in the file of each that belongs to it`, b.Device, b.Device)
	case len(own) == 0:
		b.warnKey("bond", "every line of %s says fallback = true, which has no effect then", b.Device)
	}
	if b.Mode != ModeWeighted {
		refuseAuto(lines)
	}
	switch b.Mode {
	case ModeMultipath:
		b.checkSpread(lines, own)
	case ModeWeighted:
		b.checkShares(lines, own)
	default:
		b.checkDataplanes(lines)
		b.checkRates(own)
	}
}

// checkSpread finds too many lines, and warns of rates that do not count: those
// of all lines are needed.
func (b *bondTable) checkSpread(lines, own []*lineFile) {
	if len(lines) > MaxMultipath {
		b.failKey("bond.mode", `a bond of mode "multipath" may have up to %d lines, and this has %d`, MaxMultipath, len(lines))
	}
	partly := ""
	for _, rate := range []struct {
		key string
		of  func(*lineFile) Rate
	}{
		{"download", func(l *lineFile) Rate { return l.Download }},
		{"upload", func(l *lineFile) Rate { return l.Upload }},
	} {
		unknown := slices.IndexFunc(own, func(l *lineFile) bool { return rate.of(l) == 0 })
		if unknown < 0 {
			return
		}
		if partly == "" && slices.ContainsFunc(own, func(l *lineFile) bool { return rate.of(l) > 0 }) {
			partly = fmt.Sprintf("%s is given for some lines of %s but not for %s", rate.key, b.Device, own[unknown].Name)
		}
	}
	if partly != "" {
		b.warnKey("bond", "%s, so all get as many connections; give it for all of them", partly)
	}
}

// checkRates warns of lines that TEQL makes as slow as the slowest.
func (b *bondTable) checkRates(own []*lineFile) {
	rated := slices.DeleteFunc(own, func(l *lineFile) bool { return l.Upload == 0 || !l.Enabled })
	if len(rated) < 2 {
		return
	}
	slices.SortStableFunc(rated, func(a, b *lineFile) int { return cmp.Compare(a.Upload, b.Upload) })
	slow, fast := rated[0], rated[len(rated)-1]
	if 10*fast.Upload <= 13*slow.Upload {
		return
	}
	total, sum := slow.Upload*Rate(len(rated)), Rate(0)
	for _, l := range rated {
		sum += l.Upload
	}
	hint := ""
	switch part := total * 100 / fast.Upload; {
	case part == 50:
		hint = ", half of what " + fast.Name + " carries alone"
	case part < 100:
		hint = fmt.Sprintf(", %d%% of what %s carries alone", part, fast.Name)
	case total == fast.Upload:
		hint = ", no more than " + fast.Name + " alone"
	}
	b.warnKey("bond", "TEQL gives each line of %s as many packets as the others: "+
		`with upload %s of %s and %s of %s the %d lines carry %s together%s; mode = "weighted" carries %s`,
		b.Device, fast.Upload, fast.Name, slow.Upload, slow.Name, len(rated), total, hint, sum)
}

// checkDataplanes warns of lines that TEQL takes not together: a device of the
// kernel's PPP is point-to-point, one of eBPF is not.
func (b *bondTable) checkDataplanes(lines []*lineFile) {
	planes := map[string]string{} // a line's name by its data plane
	for _, l := range lines {
		if l.Enabled {
			planes[l.Dataplane] = l.Name
		}
	}
	if ebpf := planes[DataplaneEBPF]; ebpf != "" && len(planes) > 1 {
		other := cmp.Or(planes[DataplaneKernel], planes[DataplaneAuto])
		b.warnKey("bond", `TEQL takes no lines of two data planes into one bond: dataplane is "ebpf" for line %s of %s, but not for %s; give both the same`,
			ebpf, b.Device, other)
	}
}
