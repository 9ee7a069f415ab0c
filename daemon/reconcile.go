package daemon

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"linebond/bond"
	"linebond/line"
	"linebond/netstate"
	"linebond/scheduler"
)

// reconcile makes the host's networking what the lines need, whatever made it
// differ, and tells the lines of changes below them. It sees to it that it is
// called again.
func (d *Daemon) reconcile() error {
	members := d.members()
	var plan bond.Plan // at the end: nothing, so that all that is ours goes
	if !d.stopping {
		plan = d.bonds.Plan(time.Now(), members)
	}
	d.planned = plan.Bonds
	d.publisher.wanted.put(plan.Resolvers)
	d.listenOnce(plan.Events)
	before, ops, err := d.apply(plan.State)
	if !d.refused && errors.Is(err, scheduler.ErrRefused) {
		d.doWithoutEBPF(err)
		d.tellBonds(plan.Events, before, false)
		return d.reconcile()
	}
	unfinished := slices.ContainsFunc(ops, func(op netstate.Op) bool { return is[netstate.LoadBonds](op) || is[netstate.TakeScheduler](op) })
	d.tellBonds(plan.Events, before, err == nil && !unfinished)
	err = errors.Join(err, d.observeLinks())
	d.pings.Set(d.pingOrder(members, plan))
	if d.settling && len(ops) > 0 {
		d.repairs = append(d.repairs, time.Now())
	}
	d.settling = false
	d.again.Reset(pause(plan.Next, err))
	d.trouble.report(d.log, err)
	return err
}

// doWithoutEBPF has weighted bonds plan without it for as long as this process
// lives.
func (d *Daemon) doWithoutEBPF(err error) {
	d.refused = true
	d.bonds.WithoutEBPF()
	d.log.Warn(`mode "weighted" goes on without eBPF: nftables spreads packets by the uploads of the lines (numgen), and knows neither what waits on `+
		"a line nor how long packets take on it, and shapes nothing: many more come out of order, a line that is silent gets its share until "+
		"it is taken out, and a bond's IPv6 goes by one line",
		zap.Error(err))
}

// pause is how long it is to the next reconciliation if nothing happens. next
// is when the plan will be another.
func pause(next time.Time, err error) time.Duration {
	wait := checkEvery
	if err != nil {
		wait = retryAfter
	}
	if !next.IsZero() {
		wait = min(wait, max(0, time.Until(next)))
	}
	return wait
}

// settle has reconcile called when the changes of the network that come
// together are over. More of them do not put it off: they may never end. Where
// somebody undoes all that we do, we do not race with him.
func (d *Daemon) settle() {
	if d.settling {
		return
	}
	d.settling = true
	d.repairs = slices.DeleteFunc(d.repairs, func(at time.Time) bool { return time.Since(at) >= time.Second })
	if len(d.repairs) >= maxRepairs {
		d.again.Reset(settleLong)
	} else {
		d.again.Reset(settleTime)
	}
}

// sorted returns the workers by name.
func (d *Daemon) sorted() []*worker {
	return slices.SortedFunc(maps.Values(d.workers), func(a, b *worker) int { return cmp.Compare(a.cfg.Name, b.cfg.Name) })
}

func (d *Daemon) members() []bond.Member {
	var members []bond.Member
	for _, w := range d.sorted() {
		members = append(members, bond.Member{Config: w.member, Status: *w.latest.Load(), Ping: bond.Ping(d.pings.Of(w.cfg.Name)), Learned: d.learned(w.cfg)})
	}
	return members
}

// observeLinks tells each line how the Ethernet device below it is.
func (d *Daemon) observeLinks() error {
	var errs []error
	seen := map[string]line.Link{}
	for _, w := range d.sorted() {
		device := w.cfg.Link()
		link, ok := seen[device]
		if !ok {
			info, err := d.options.Effects.Host.Link(device)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			link = line.Link{Exists: info.Exists, Carrier: info.Up && info.Carrier, MTU: info.MTU, Address: info.Address}
			seen[device] = link
		}
		w.tellLink(link)
	}
	return errors.Join(errs...)
}
