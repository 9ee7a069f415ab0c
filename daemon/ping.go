package daemon

import (
	"net/netip"

	"linebond/bond"
	"linebond/probe"
)

// newPings returns what asks through the lines of bonds.
func (d *Daemon) newPings() *probe.Watcher {
	log := &logger{Logger: d.options.Log.Logger} // of the watcher's goroutine
	trouble := trouble{begins: "pings cannot be sent; trying again", ends: "pings can be sent"}
	return probe.NewWatcher(d.options.Effects.OpenProber, d.announce, func(err error) { trouble.report(log, err) })
}

// pingOrder asks for pings through each line of a bond that carries packets:
// whether it is in or not is what they are to tell.
func (d *Daemon) pingOrder(members []bond.Member, plan bond.Plan) probe.Order {
	order := probe.Order{Targets: d.config.Health.Ping, Failures: d.config.Health.Failures}
	for _, m := range members {
		s := m.Status
		if source := pingSource(m, plan); m.Config.Bond != "" && s.Carries() && source.IsValid() {
			order.Lines = append(order.Lines, probe.Line{
				Name: s.Name, Device: s.Device, Since: s.Session.UpSince, Source: source, Interval: m.Config.Keepalive.Interval,
			})
		}
	}
	return order
}

// pingSource is the line's own IPv4 address if this host has it, be it on the
// bond, else the bond's first.
func pingSource(m bond.Member, plan bond.Plan) netip.Addr {
	var source netip.Addr
	for _, a := range plan.State.Addresses {
		switch {
		case a.Local == m.Status.IPv4.Local:
			return a.Local
		case a.Device == m.Config.Bond && a.Local.Is4() && !source.IsValid():
			source = a.Local
		}
	}
	return source
}
