package daemon

import (
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/bond"
	"linebond/netstate"
)

// tellBonds logs what has changed in the bonds: one entry per transition, when
// the host has made it. Either all has succeeded that the plan with these events
// asked for, or the next round will see how far it got: before is the host as
// that began, nil if unknown. What is undone until then has never been.
func (d *Daemon) tellBonds(events []bond.Event, before *netstate.State, succeeded bool) {
	d.tellTrue(before, false)
	for _, e := range events {
		opposite := func(u bond.Event) bool { return u.Line == e.Line && u.Bond == e.Bond && u.Kind != e.Kind }
		switch i := slices.IndexFunc(d.untold, opposite); {
		case e.Kind == bond.Warned:
			d.log.write(zapcore.WarnLevel, "bond", zap.String("bond", e.Bond), zap.String("reason", e.Reason))
		case i >= 0:
			d.untold = slices.Delete(d.untold, i, i+1)
		default:
			d.untold = append(d.untold, e)
		}
	}
	d.tellTrue(before, succeeded)
}

// tellTrue logs the events that have become true, or all.
func (d *Daemon) tellTrue(host *netstate.State, all bool) {
	d.untold = slices.DeleteFunc(d.untold, func(e bond.Event) bool {
		if !all && (host == nil || d.isIn(e, *host) != (e.Kind == bond.Joined)) {
			return false
		}
		about := []zap.Field{zap.String("line", e.Line), zap.String("bond", e.Bond), zap.String("reason", e.Reason), zap.Int("lines", e.Members)}
		if e.Kind == bond.Left {
			about = append(about, d.farewell(e.Bond, e.Line)...)
		}
		d.log.write(zapcore.InfoLevel, e.Kind.String(), about...)
		return true
	})
}

// isIn says whether the line of an event is in the bond: it has the bond's qdisc,
// is one of those that its scheduler sends to, or has in a multipath bond a
// routing table of its own. One without a worker has no
// device any more.
func (d *Daemon) isIn(e bond.Event, host netstate.State) bool {
	w := d.workers[e.Line]
	if w == nil {
		return false
	}
	scheduled := func(s netstate.Scheduler) bool {
		return s.Device == e.Bond && slices.ContainsFunc(s.Lines, func(l netstate.ScheduledLine) bool { return l.Device == w.cfg.Device && !l.Gone })
	}
	return slices.ContainsFunc(host.Schedulers, scheduled) || slices.Contains(host.Qdiscs, netstate.Qdisc{Device: w.cfg.Device, Kind: e.Bond}) ||
		slices.ContainsFunc(host.Routes, func(r netstate.Route) bool { return r.Device == w.cfg.Device && r.Table != 0 })
}

// strictAll is the setting of reverse path filtering for all devices.
const strictAll = "net/ipv4/conf/all/rp_filter"

// tellStrict warns of a setting that is not ours to change. The kernel takes
// the larger of it and a device's own.
func (d *Daemon) tellStrict() {
	if len(d.config.Lines) == 0 {
		return
	}
	have, err := d.options.Effects.Host.Observe(netstate.State{Sysctls: []netstate.Sysctl{{Key: strictAll}}})
	if err != nil {
		return // reconcile has met the same error, and told of it
	}
	for _, c := range have.Sysctls {
		if c.Key == strictAll && c.Value == "1" {
			d.log.Warn("reverse path filtering is strict on all devices; lines and bonds are set to 2, loose, which is stronger; all others drop "+
				"packets whose answers would leave by another device", zap.String("setting", "net.ipv4.conf.all.rp_filter = 1"))
		}
	}
}
