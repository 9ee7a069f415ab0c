package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"linebond/kernel"
	"linebond/netstate"
)

// apply makes the host what is wanted. It returns what it found, of which
// without an observation there is nothing (nil), and the operations to be
// carried out.
//
// A table that cannot be read is left alone, and all else is done; unless it
// has the firewall. What it would guard must not be had without it: then dead
// lines leave their bonds (see retreat), and nothing else is done.
func (d *Daemon) apply(want netstate.State) (before *netstate.State, ops []netstate.Op, err error) {
	have, unread := d.options.Effects.Host.Observe(want)
	if unread != nil && !errors.As(unread, new(*kernel.TableError)) {
		return nil, nil, unread
	}
	var unseen error
	if have.Schedulers, unseen = d.schedulers.observe(have.Links); unseen != nil {
		return nil, nil, errors.Join(unread, unseen)
	}
	d.tellShapers(have.Shapers)
	firewall := want.Table != nil && d.config.Host.Firewall
	if unread != nil {
		want.Table, have.Table = nil, nil
	}
	ops = netstate.Diff(want, have)
	if unread != nil && firewall {
		ops = retreat(want, have)
		unread = unguarded(unread)
	}
	for _, op := range ops {
		d.log.Debug("apply", zap.Stringer("op", op))
	}
	return &have, ops, errors.Join(d.carryOut(ops, firewall, func() []netstate.Op { return retreat(want, have) }), unread)
}

// carryOut carries the operations out. Those that come after the setting of a
// table with the firewall are for when that has succeeded, and else there are
// those of a retreat; to leave a bond of packets comes before.
func (d *Daemon) carryOut(ops []netstate.Op, firewall bool, retreat func() []netstate.Op) error {
	table := slices.IndexFunc(ops, is[netstate.SetTable])
	if table < 0 || !firewall {
		return d.perform(ops)
	}
	err := d.perform(ops[:table])
	if refused := d.perform(ops[table : table+1]); refused != nil {
		left := func(op netstate.Op) bool { return is[netstate.Leave](op) || is[netstate.Unschedule](op) }
		return errors.Join(err, unguarded(refused), d.perform(slices.DeleteFunc(retreat(), left)))
	}
	return errors.Join(err, d.perform(ops[table+1:]))
}

// perform hands each operation to the one that can carry it out.
func (d *Daemon) perform(ops []netstate.Op) error {
	var errs []error
	for {
		n := slices.IndexFunc(ops, isScheduling)
		if n < 0 {
			return errors.Join(append(errs, d.options.Effects.Host.Apply(ops))...)
		}
		if n > 0 {
			errs = append(errs, d.options.Effects.Host.Apply(ops[:n]))
		}
		if err := d.schedulers.apply(ops[n]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", ops[n], err))
		}
		ops = ops[n+1:]
	}
}

// retreat returns the operations by which lines leave their bonds: those that
// take ways away, and routes that lead where one leads already, by the lines of
// theirs that are left. Lines that would come in have to wait until the table can be set.
func retreat(want, have netstate.State) []netstate.Op {
	type way struct {
		to     netip.Prefix
		device string
		table  int
	}
	led := map[way]bool{}
	for _, r := range have.Routes {
		led[way{r.Destination, r.Device, r.Table}] = true
	}
	for _, m := range have.Multipaths {
		for _, h := range m.Hops {
			led[way{m.Destination, h.Device, 0}] = true
		}
	}
	want.Routes = slices.DeleteFunc(slices.Clone(want.Routes), func(r netstate.Route) bool { return !led[way{r.Destination, r.Device, r.Table}] })
	want.Multipaths = slices.Clone(want.Multipaths)
	for i, m := range want.Multipaths {
		want.Multipaths[i].Hops = slices.DeleteFunc(slices.Clone(m.Hops), func(h netstate.Hop) bool { return !led[way{m.Destination, h.Device, 0}] })
	}
	return slices.DeleteFunc(netstate.Diff(want, have), func(op netstate.Op) bool {
		switch op.(type) {
		case netstate.Leave, netstate.Unschedule, netstate.DeleteRule, netstate.DeleteMultipath, netstate.DeleteRoute, netstate.AddMultipath, netstate.AddRoute:
			return false
		}
		return true
	})
}

// is says whether an operation is of a kind.
func is[T netstate.Op](op netstate.Op) bool {
	_, ok := op.(T)
	return ok
}

// unguarded says what becomes of an error that keeps the firewall from being
// set up.
func unguarded(err error) error {
	return fmt.Errorf("lines that come up are kept from the internet, because the firewall cannot be set up: %w", err)
}

const (
	// lastTries is how often the end tries to take away what is ours, with
	// lastPause between two tries.
	lastTries = 5
	lastPause = 250 * time.Millisecond
)

// takeAway has the last reconciliation, which nobody tries again.
func (d *Daemon) takeAway() error {
	err := d.reconcile()
	for range lastTries - 1 {
		if err == nil {
			break
		}
		<-time.After(lastPause)
		err = d.reconcile()
	}
	return err
}
