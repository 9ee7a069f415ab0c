package config

import (
	"net/netip"
	"slices"
)

// daemonFile is linebond.toml on its way into a Config.
type daemonFile struct {
	*Config
	bonds    []*bondTable
	forwards []*forwardTable
	doc      *document
}

// bondTable is a bond with the table that it comes from.
type bondTable struct {
	Bond
	*section
}

// forwardTable is a forward with the table that it comes from.
type forwardTable struct {
	Forward
	*section
}

// keys is the table of the file, and what makes the elements of its lists.
func (f *daemonFile) keys() ([]key, map[string]listed) {
	all := slices.Concat(daemonKeys(f.Config), bondKeys(&Bond{}), forwardKeys(&Forward{}))
	return all, map[string]listed{
		"bond": func(s *section) []key {
			b := &bondTable{defaultBond(), s}
			f.bonds = append(f.bonds, b)
			return bondKeys(&b.Bond)
		},
		"forward": func(s *section) []key {
			w := &forwardTable{defaultForward(), s}
			f.forwards = append(f.forwards, w)
			return forwardKeys(&w.Forward)
		},
	}
}

// read fills the Config. Of the bonds and forwards it gets what can be used.
func (f *daemonFile) read() {
	f.doc.others = lineKeys(&lineFile{})
	f.doc.read(f.keys())
	if d := f.doc; d.given("lan.nat") && !d.given("lan.interfaces") && !d.meant["lan.interfaces"] && !d.broken {
		d.warnKey("lan.nat", "has no effect without lan.interfaces, whose packets it is about")
	}
	f.checkBonds()
	f.checkNAT()
	for i, w := range f.forwards {
		w.check(f.Bonds)
		for _, o := range f.forwards[:i] {
			w.checkOverlap(o)
		}
		if w.Ports.First != 0 && w.To.IsValid() {
			f.Forwards = append(f.Forwards, w.Forward)
		}
	}
}

// guard sets the firewall up where the file may have asked for one, but cannot
// be read: better to keep a guest out than to let a stranger in.
func (f *daemonFile) guard() {
	wrong := slices.ContainsFunc(f.doc.problems, func(p Problem) bool { return p.Key == "host.firewall" })
	if f.doc.broken || wrong {
		f.Host.Firewall = true
	}
}

// check checks what concerns more than one key of a forward, and the bonds.
func (w *forwardTable) check(bonds []Bond) {
	w.require("forward.port", "give the port that is asked for from outside")
	w.require("forward.to", "give the IPv4 address of the host in the LAN")
	if w.ToPort != 0 && w.Ports.First != w.Ports.Last {
		w.failKey("forward.to", "has a port, but forward.port is a range; write the address alone, each port stays as it is")
		w.ToPort = 0
	}
	for _, b := range bonds {
		if slices.Contains(b.own(), w.To) {
			w.failKey("forward.to", "%s is an address of %s, so it would lead to this machine itself; give that of a host in the LAN", w.To, b.Device)
			w.To = netip.Addr{}
		}
	}
}

// checkOverlap finds a port that two forwards lead to different places.
func (w *forwardTable) checkOverlap(o *forwardTable) {
	first, last := max(w.Ports.First, o.Ports.First), min(w.Ports.Last, o.Ports.Last)
	for _, protocol := range w.Protocols {
		if first <= last && slices.Contains(o.Protocols, protocol) {
			w.failKey("forward.port", "%s port %d is forwarded in line %d already", protocol, first, o.line("forward.port"))
			return
		}
	}
}

// checkLines gives the lines their bonds and checks what concerns both files.
func (f *daemonFile) checkLines(lines []*lineFile) {
	known := slices.DeleteFunc(slices.Clone(lines), func(l *lineFile) bool { return l.doc.broken })
	for _, l := range known {
		l.join(f)
		f.checkLAN(l)
		f.checkDevices(l)
	}
	f.checkFailures(known)
	f.completeShaping(known)
	if len(known) == 0 || len(known) < len(lines) || f.doc.failed() {
		return
	}
	refuseAuto(slices.DeleteFunc(slices.Clone(known), func(l *lineFile) bool { return l.Bond != "" }))
	for _, b := range f.bonds {
		b.checkMembers(slices.DeleteFunc(slices.Clone(known), func(l *lineFile) bool { return l.Bond != b.Device }))
	}
}

// checkLAN finds a line's device among those of the LAN. The Ethernet device
// below a VLAN may be there: its untagged frames are not the line's.
func (f *daemonFile) checkLAN(l *lineFile) {
	if i := slices.Index(f.LAN.Interfaces, l.Device); i >= 0 {
		f.refuseLAN(i, "is the PPP device of line "+l.Name)
	}
	if i := slices.Index(f.LAN.Interfaces, l.Link()); i >= 0 {
		f.refuseLAN(i, "is what line "+l.Name+" dials on")
	}
}

// checkDevices finds a device of a line that is that of a bond. (Those of TEQL
// are no names for anything else.)
func (f *daemonFile) checkDevices(l *lineFile) {
	for _, b := range f.Bonds {
		if b.Mode != ModeWeighted {
			continue
		}
		if i := slices.Index(f.LAN.Interfaces, b.Device); i >= 0 {
			f.refuseLAN(i, "is the device of a bond")
		}
		if l.Device == b.Device {
			l.doc.failKey("device", "%s is the device of a bond", b.Device)
		}
		if l.Interface == b.Device {
			l.doc.failKey("interface", "%s is the device of a bond; give an Ethernet device", b.Device)
		}
	}
}

// refuseLAN takes a device off the LAN's.
func (f *daemonFile) refuseLAN(i int, why string) {
	f.doc.failKey("lan.interfaces", "%s %s; name the devices that the hosts behind this machine are connected to", f.LAN.Interfaces[i], why)
	f.LAN.Interfaces = slices.Delete(f.LAN.Interfaces, i, i+1)
}

// join gives the line its bond: the one that it names, else the first.
func (l *lineFile) join(f *daemonFile) {
	name, bonds := l.Bond, f.Bonds
	switch {
	case name == "" && len(bonds) > 0:
		l.Bond = bonds[0].Device
	case !slices.ContainsFunc(bonds, func(b Bond) bool { return b.Device == name }):
		l.Bond = ""
		if name != "" && name != noBond && !f.doc.failed() {
			what := "device " + name
			if name == ModeMultipath {
				what = "mode " + name
			}
			l.doc.failKey("bond", "linebond.toml has no [[bond]] of %s; add it there, or write bond = \"none\" here", what)
		}
	}
	if l.Bond == "" {
		if l.Fallback && !f.doc.failed() {
			l.doc.warnKey("fallback", "has no effect on a line without a bond")
		}
		return
	}
	for _, key := range []string{"default_route", "metric"} {
		if l.doc.given(key) {
			l.doc.warnKey(key, "has no effect on a line of a bond; that of the [bond] counts")
		}
	}
	i := slices.IndexFunc(bonds, func(b Bond) bool { return b.Device == l.Bond })
	if !l.IPv6 && bonds[i].hasIPv6() {
		l.doc.warnKey("ipv6", "is false, but %s has an IPv6 address, which each of its lines must carry: this one is used only when no other can be", l.Bond)
	}
}
