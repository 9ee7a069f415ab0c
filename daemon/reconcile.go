package daemon

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"go.uber.org/zap"

	"linebond/bond"
	"linebond/line"
	"linebond/netstate"
)

// reconcile makes the host's networking what the lines need, whatever made it
// differ, and tells the lines of changes below them. It sees to it that it is
// called again.
func (d *Daemon) reconcile() error {
	plan := bond.New(d.members())
	d.publisher.wanted.put(plan.Resolvers)
	err := errors.Join(d.apply(plan.State), d.observeLinks())
	d.settling = false
	if err != nil {
		d.again.Reset(retryAfter)
	} else {
		d.again.Reset(checkEvery)
	}
	d.trouble.report(d.log, err)
	return err
}

// settle has reconcile called when the changes of the network that come
// together are over. More of them do not put it off: they may never end.
func (d *Daemon) settle() {
	if !d.settling {
		d.settling = true
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
		members = append(members, bond.Member{Config: w.cfg, Status: *w.latest.Load()})
	}
	return members
}

func (d *Daemon) apply(want netstate.State) error {
	have, err := d.options.Effects.Host.Observe(want)
	if err != nil {
		return err
	}
	ops := netstate.Diff(want, have)
	for _, op := range ops {
		d.log.Debug("apply", zap.Stringer("op", op))
	}
	return d.options.Effects.Host.Apply(ops)
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
			link = line.Link{Exists: info.Exists, Carrier: info.Up && info.Carrier, MTU: info.MTU}
			seen[device] = link
		}
		w.tellLink(link)
	}
	return errors.Join(errs...)
}
