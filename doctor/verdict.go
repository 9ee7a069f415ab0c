package doctor

import (
	"errors"
	"fmt"
	"slices"

	"linebond/config"
)

const cannotDial = "cannot be dialled: "

// verdict says what linebond can do here: the data plane of each line, the modes of bonds, and what keeps it from its configuration.
func (e *examination) verdict(r *Report) Group {
	g := Group{ID: "verdict", Title: "Verdict"}
	if e.found["files"].Level != OK && e.found["files"].Level != Warning {
		f := e.found["files"]
		f.Name, f.needed = "configuration", true
		g.add(f)
	}
	if f := e.found["capabilities"]; f.Level == Missing {
		f.needed = true
		g.add(f)
	}
	for _, l := range e.subject.Config.Lines {
		if !l.Enabled {
			continue
		}
		line, f := e.plane(l)
		if device := e.found[l.Name+".device"]; device.Level == Missing && line.Lack == "" {
			line.Lack = device.Detail
			f.Level, f.Detail, f.Remedy = Missing, cannotDial+device.Detail, device.Remedy
		}
		r.Lines = append(r.Lines, line)
		g.add(f)
	}
	if r.Lines == nil {
		r.Lines = []Line{}
		_, plain := e.plane(config.Line{Dataplane: config.DataplaneAuto})
		plain.ID, plain.Name = "lines", "lines"
		_, tagged := e.plane(config.Line{Dataplane: config.DataplaneAuto, VLAN: []uint16{1}})
		tagged.ID, tagged.Name = "lines.vlan", "lines with VLAN"
		g.add(plain, tagged)
	}
	r.Modes = e.modes()
	for _, m := range r.Modes {
		g.add(e.mode(m))
	}
	mode, _ := e.weighted()
	r.Modes = append(r.Modes, mode)
	g.add(e.weightedMode(), e.shaping(mode), e.pins(mode))
	g.add(e.router())
	return g
}

// plane says which data plane a line has.
func (e *examination) plane(l config.Line) (Line, Finding) {
	ebpf := e.first("ebpf", "ebpf_attach", "veth")
	dataplane, reason, lack := e.subject.Choose(e.first("pppoe", "dev_ppp"), e.lack("vlan"), ebpf, l)
	unsure := e.unsure(dataplane, l)
	if lack == nil && unsure && ebpf == nil && dataplane == config.DataplaneKernel && l.Dataplane == config.DataplaneAuto && !e.unsure(config.DataplaneEBPF, l) {
		dataplane, reason, unsure = config.DataplaneAuto, "the kernel's where its modules can be loaded, else eBPF", false
	}
	line := Line{Name: l.Name, Dataplane: dataplane, Reason: reason}
	f := Finding{ID: "line." + l.Name, Name: "line " + l.Name, Level: OK, Detail: fmt.Sprintf("data plane %s: %s", dataplane, reason), needed: true}
	switch {
	case lack != nil:
		line.Lack = oneLine(lack)
		f.Level, f.Detail, f.Remedy = Missing, cannotDial+line.Lack, e.remedy(lack)
	case !e.system.root():
		f.Level, f.Detail, f.Remedy = Unknown, f.Detail+", as far as this user may look", e.privileged()
	case unsure:
		f.Level, f.Detail, f.Remedy = Unknown, f.Detail+", or so it seems: not all of what it needs could be looked at", e.allowed()
	}
	return line, f
}

// unsure says whether something that a data plane needs for a line could not be looked at.
func (e *examination) unsure(dataplane string, l config.Line) bool {
	parts := []string{"ebpf", "ebpf_attach", "veth"}
	if dataplane == config.DataplaneKernel {
		parts = []string{"pppoe", "dev_ppp"}
		if len(l.VLAN) > 0 {
			parts = append(parts, "vlan")
		}
	}
	return slices.ContainsFunc(parts, func(id string) bool { return e.found[id].Level == Unknown })
}

// first gives what the first of some parts lacks that lacks anything.
func (e *examination) first(ids ...string) error {
	for _, id := range ids {
		if err := e.lack(id); err != nil {
			return err
		}
	}
	return nil
}

// remedy gives that of the part that an error is about.
func (e *examination) remedy(err error) string {
	if l, ok := errors.AsType[lacking](err); ok {
		return l.Remedy
	}
	return ""
}

// modes says which modes of bonds can be had, but for weighted. Each is a part of the kernel, by the same name.
func (e *examination) modes() []Mode {
	var all []Mode
	for _, name := range []string{teql.id, "multipath"} {
		f := e.found[name]
		mode := Mode{Mode: name, Usable: f.Level == OK}
		switch {
		case !mode.Usable:
			mode.Lack = lacking{f}.Error()
		case name == teql.id && e.elsewhere():
			mode = Mode{Mode: name, Lack: "TEQL devices are born in the first network namespace, which is not this one"}
		}
		all = append(all, mode)
	}
	return all
}

// elsewhere says whether this is not the first network namespace, which alone has a certain setting, and nobody has given it a TEQL device.
func (e *examination) elsewhere() bool {
	return !exists(e.Files, "proc/sys/net/core/netdev_budget") && !exists(e.Files, sys("teql0", "ifindex"))
}

// mode is the finding on a mode: something is missing only if a bond has it.
func (e *examination) mode(m Mode) Finding {
	uses := slices.ContainsFunc(e.subject.Config.Bonds, func(b config.Bond) bool { return b.Mode == m.Mode })
	f := Finding{ID: "bond." + m.Mode, Name: "bonds of " + m.Mode, Level: OK, Detail: "can be had", needed: uses}
	planes := ""
	if m.Mode == teql.id {
		planes = e.mixed()
	}
	switch part := e.found[m.Mode]; {
	case !m.Usable:
		f.Level, f.Detail, f.Remedy = part.Level, m.Lack, part.Remedy
		if part.Level == OK {
			f.Level, f.Remedy = Missing, "in the first one: modprobe sch_teql, then for the PID of a process in this one: ip link set dev teql0 netns PID"
		}
		if !uses {
			f.Detail, f.Remedy = f.Detail+"; no bond asks for it", ""
		}
	case planes != "":
		f.Level, f.Detail, f.Remedy = Missing, "TEQL takes no lines of two data planes into one bond, but "+planes, `give all lines of the bond dataplane = "ebpf"`
	}
	return f
}

// mixed finds a bond of TEQL whose lines have different data planes.
func (e *examination) mixed() string {
	for _, b := range e.subject.Config.Bonds {
		var first Line
		for _, l := range e.subject.Config.Lines {
			line, _ := e.plane(l)
			switch {
			case b.Mode != teql.id || l.Bond != b.Device || !l.Enabled || line.Lack != "":
			case first.Name == "":
				first = line
			case first.Dataplane != line.Dataplane:
				return fmt.Sprintf("of %s %s has %s and %s has %s", b.Device, first.Name, first.Dataplane, line.Name, line.Dataplane)
			}
		}
	}
	return ""
}

// router says whether NAT and the firewall can be had as far as they are asked for, or all of it.
func (e *examination) router() Finding {
	c := e.subject.Config
	routes, nat := len(c.LAN.Interfaces) > 0, len(c.LAN.Interfaces) > 0 && c.LAN.NAT == config.NATMasquerade
	source := len(c.Forwards) > 0 || len(c.LAN.Interfaces) > 0 && c.LAN.NAT == config.NATSource
	wanted := routes || source || c.Host.Firewall
	f := Finding{ID: "router", Name: "NAT, firewall", Level: OK, Detail: "can be had", needed: wanted}
	for _, p := range []struct {
		id     string
		needed bool
	}{{"forwarding", routes}, {"nft_inet", true}, {"nft_mss", routes || source}, {"nft_masq", nat}, {"nft_nat", source}, {"nft_ct", c.Host.Firewall}} {
		part := e.found[p.id]
		if (p.needed || !wanted) && (part.Level == Missing || part.Level == Unknown) {
			f.Level, f.Detail, f.Remedy = part.Level, lacking{part}.Error(), part.Remedy
			if !wanted {
				f.Detail, f.Remedy = f.Detail+"; not asked for", ""
			}
			return f
		}
	}
	return f
}
