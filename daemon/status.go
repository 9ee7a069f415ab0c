package daemon

import (
	"context"
	"net/netip"
	"slices"

	"linebond/bond"
	"linebond/config"
	"linebond/control"
	"linebond/line"
	"linebond/probe"
)

// Status implements control.Daemon. What a line says of itself is of this
// moment, what its bond says of it as of the last reconciliation.
func (d *Daemon) Status(ctx context.Context) (control.Status, error) {
	s := control.Status{Version: d.options.Version, Started: d.started, Lines: []control.Line{}, Bonds: []control.Bond{}}
	var workers []*worker
	var bonds []bond.Bond
	var configured []config.Bond
	var readings meter
	err := d.do(ctx, func() error {
		workers, bonds, configured, readings = d.sorted(), d.planned, d.config.Bonds, d.meter
		s.Trouble = d.trouble.last
		return nil
	})
	if err != nil {
		return s, err
	}
	if r, err := d.counters(workers); err == nil {
		readings = readings.with(r)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lines := map[string]line.Status{}
	for _, w := range workers {
		status := w.status(ctx)
		lines[status.Name] = status.Status
		l := control.FromLine(status.Status)
		l.Dataplane, l.Dropped = w.cfg.Dataplane, status.dropped
		if status.Session != nil && status.Session.MTU != 0 {
			l.Traffic, l.Rates = readings.traffic(status.Device), readings.rates(status.Device)
		}
		s.Lines = append(s.Lines, l)
	}
	for _, b := range bonds {
		status := d.bondStatus(b, lines, readings)
		if i := slices.IndexFunc(configured, func(c config.Bond) bool { return c.Device == b.Device }); i >= 0 && status.Scheduler != nil {
			status.Scheduler.Waits = status.Scheduler.Queue == nil && waits(configured[i], b)
		}
		s.Bonds = append(s.Bonds, status)
	}
	return s, nil
}

// bondStatus puts a bond into the shape that leaves the daemon.
func (d *Daemon) bondStatus(b bond.Bond, lines map[string]line.Status, readings meter) control.Bond {
	var devices []string
	for _, m := range b.Members {
		devices = append(devices, m.Device)
	}
	status := control.Bond{
		Device: b.Device, Mode: b.Mode, Addresses: []string{}, MTU: b.MTU, Rates: readings.rates(devices...), Members: []control.Member{},
		Scheduler: readings.scheduled(b), Numgen: b.Scheduler == bond.SchedulerNumgen,
	}
	for _, a := range b.Addresses {
		status.Addresses = append(status.Addresses, addressText(a))
	}
	for _, m := range b.Members {
		echo := lines[m.Line].Echo
		member := control.Member{
			Line: m.Line, Device: m.Device, In: m.In, Fallback: m.Fallback, Reason: m.Reason, Since: m.Since, Rejoin: control.Optional(m.Rejoin),
			Share: m.Share, Sent: readings.sent(m.Device, devices), Rates: readings.rates(m.Device), RTT: echo.RTT.Seconds(), Loss: echo.Loss,
			Scheduled: readings.scheduledLine(b, m, d.rates.of(m.Line).Trial),
		}
		if p := d.pings.Of(m.Line); p != (probe.Health{}) {
			member.Ping = &control.Ping{Silent: p.Silent, RTT: p.RTT.Seconds(), Loss: p.Loss}
		}
		status.Members = append(status.Members, member)
	}
	for i, m := range status.Members {
		if m.Scheduled != nil && m.Scheduled.Silent {
			status.Members[i].Reason = passedOver(status)
		}
	}
	return status
}

// addressText leaves the length away of a prefix that is a single address.
func addressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
