package daemon

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/bond"
	"linebond/line"
	"linebond/netstate"
)

// reconcile makes the host's networking what the lines need, whatever made it
// differ, and tells the lines of changes below them. It sees to it that it is
// called again.
func (d *Daemon) reconcile() error {
	plan := bond.New(d.members())
	err := errors.Join(d.apply(plan.State), d.publish(plan.Resolvers), d.observeLinks())
	d.settling = false
	if err != nil {
		d.again.Reset(retryAfter)
	} else {
		d.again.Reset(checkEvery)
	}
	d.complain(err)
	return err
}

// complain logs that reconciling fails, once, when it has failed twice in a row:
// a device that has just gone away makes an error that the next round does not
// see.
func (d *Daemon) complain(err error) {
	if err == nil {
		if d.trouble != "" {
			d.log.write(zapcore.InfoLevel, "host networking is as it should be")
		}
		d.failures, d.trouble = 0, ""
		return
	}
	d.failures++
	if d.failures > 1 && err.Error() != d.trouble {
		d.trouble = err.Error()
		d.log.write(zapcore.WarnLevel, "host networking is not as it should be; trying again", zap.Error(err))
	}
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

// publish tells of the DNS servers of the lines that are up, and first takes
// back those of the others.
func (d *Daemon) publish(resolvers []bond.Resolver) error {
	var errs []error
	wanted := map[string]string{}
	for _, r := range resolvers {
		wanted[r.Line] = r.Device
	}
	for name, device := range d.resolvers {
		if wanted[name] == device {
			continue
		}
		if err := d.options.Effects.Resolvers.Clear(name); err != nil {
			errs = append(errs, err)
			continue // still there, and tried again
		}
		delete(d.resolvers, name)
	}
	for _, r := range resolvers {
		d.resolvers[r.Line] = r.Device
		errs = append(errs, d.options.Effects.Resolvers.Set(r.Device, r.Line, r.Servers))
	}
	return errors.Join(errs...)
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
