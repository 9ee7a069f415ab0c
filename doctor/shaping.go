package doctor

import (
	"slices"
	"strings"

	"linebond/config"
)

// tbf shapes where there is no cake.
var tbf = part{
	id: "tbf", name: "tbf", module: "sch_tbf", symbol: "CONFIG_NET_SCH_TBF",
	try: func(p Probes) error { return p.Qdisc("tbf") },
}

// shaping says what the queues of weighted bonds are made of. By numgen nothing is shaped, as the finding on the mode says.
func (e *examination) shaping(weighted Mode) Finding {
	if weighted.By != byEBPF {
		return Finding{}
	}
	f := Finding{ID: "shaping", Name: "shaping", Level: OK, Detail: "by cake"}
	cake, fair := e.found["cake"], e.found["fq_codel"]
	switch {
	case cake.Level == OK:
		return f
	case cake.Level == Unknown:
		f.Level, f.Detail = Unknown, "by cake where that can be had, else by tbf"
	case e.part(tbf).Level == Missing:
		f.Level, f.Detail = Warning, "cannot be had: there is neither cake nor tbf, so what is too much for the lines waits in their modems"
	case fair.Level == OK:
		f.Detail = "by tbf with fq_codel below it"
		return f
	case fair.Level == Unknown:
		f.Level, f.Detail = Unknown, "by tbf, with fq_codel below it where that can be had; without, a ping waits behind other connections"
	default:
		f.Level, f.Detail = Warning, "by tbf alone: a ping waits behind other connections"
	}
	if f.Remedy = cake.Remedy; !e.asked(func(b config.Bond) bool { return b.Mode == config.ModeWeighted && b.Shaping == config.ShapingCake }) {
		f.Detail, f.Remedy = f.Detail+"; no bond asks for it", ""
	}
	return f
}

// pins looks for the file system that keeps the maps of weighted bonds between two runs of the daemon: a note, for bonds go on without.
func (e *examination) pins(weighted Mode) Finding {
	const point = "/sys/fs/bpf"
	mounts := text(e.Files, "proc/self/mounts")
	if weighted.By != byEBPF || mounts == "" || !e.asked(func(b config.Bond) bool { return b.Mode == config.ModeWeighted }) {
		return Finding{}
	}
	f := Finding{ID: "bpf_fs", Name: "BPF file system", Level: OK, Detail: "at " + point}
	kind := ""
	for line := range strings.Lines(mounts) {
		if words := strings.Fields(line); len(words) > 2 && words[1] == point {
			kind = words[2] // the last is on top
		}
	}
	if kind != "bpf" {
		f.Detail, f.Remedy = "none at "+point+": counters and backlogs begin at zero after a restart", "mount -t bpf bpf "+point
	}
	return f
}

// asked says whether a bond is such as that.
func (e *examination) asked(such func(config.Bond) bool) bool {
	return slices.ContainsFunc(e.subject.Config.Bonds, such)
}
