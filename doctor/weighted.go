package doctor

import (
	"slices"

	"linebond/config"
)

// schedules is the part of the kernel that runs the eBPF scheduler of weighted bonds; besides, that needs eBPF and veth.
var schedules = part{
	id: "scheduler", name: "eBPF scheduler", module: clsBPF.module, also: []string{clsact.module, veth.module}, symbol: clsBPF.symbol,
	try:     Probes.Scheduler,
	purpose: `bonds of mode = "weighted" work best with it`,
}

// scheduler looks whether the eBPF scheduler can be had. It is a tc filter, also where tcx is to be had.
func (e *examination) scheduler() Finding {
	for _, id := range []string{"ebpf", "veth"} {
		if f := e.found[id]; f.Level == Missing || f.Level == Unknown {
			e.found[schedules.id] = f
			return Finding{} // that finding says it
		}
	}
	hook := clsact
	hook.also, hook.try = []string{clsBPF.module}, Probes.Clsact
	if f := e.part(hook); f.Level != OK {
		f.ID, f.Name = schedules.id, schedules.name
		if f.Level == Missing {
			f.Detail = f.lack + ": " + schedules.purpose
		}
		e.found[f.ID] = f
		return f
	}
	return e.part(schedules)
}

// What chooses the lines of weighted bonds.
const (
	byEBPF   = "ebpf"
	byNumgen = "numgen"
)

// weighted says which of the two it is. The finding of what the other lacks is with it.
func (e *examination) weighted() (Mode, Finding) {
	lack := e.found[schedules.id]
	if lack.Level == OK || lack.Level == Warning {
		return Mode{Mode: config.ModeWeighted, Usable: true, By: byEBPF}, Finding{Level: OK, Detail: "can be had, by eBPF"}
	}
	f := Finding{Level: lack.Level, Detail: lacking{lack}.Error(), Remedy: lack.Remedy}
	other := e.spreads()
	switch {
	case other.Level == Missing || other.Level == Unknown && lack.Level == Missing:
		f.Level, f.Detail = other.Level, "neither by eBPF ("+f.Detail+"), nor by nftables ("+lacking{other}.Error()+")"
		if lack.Level == Unknown {
			f.Level = Unknown
		}
	case lack.Level == Missing:
		f.Level, f.Detail = Warning, "by nftables (numgen) alone: "+cost+"; "+f.Detail
		return Mode{Mode: config.ModeWeighted, Usable: true, By: byNumgen}, f
	}
	return Mode{Mode: config.ModeWeighted, Lack: f.Detail}, f
}

// spreads is a finding on what spreads packets without eBPF: of a part that is missing, or else of one that is unknown.
func (e *examination) spreads() (worst Finding) {
	for _, id := range []string{"nft_numgen", "nft_inet", "nft_ct", "nft_nat", "multipath"} {
		if f := e.found[id]; f.Level == Missing && worst.Level != Missing || f.Level == Unknown && worst.Level == "" {
			worst = f
		}
	}
	return worst
}

// cost is what it means to do without eBPF.
const cost = "about a third of the packets come out of order, nothing is shaped, and a silent line gets packets until the daemon takes it out"

// weightedMode is the finding on the mode: it is missing only if a bond has it.
func (e *examination) weightedMode() Finding {
	mode, f := e.weighted()
	f.ID, f.Name = "bond."+mode.Mode, "bonds of "+mode.Mode
	f.needed = slices.ContainsFunc(e.subject.Config.Bonds, func(b config.Bond) bool { return b.Mode == mode.Mode })
	if f.Level != OK && !f.needed {
		f.Detail, f.Remedy = f.Detail+"; no bond asks for it", ""
	}
	return f
}
