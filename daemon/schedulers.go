package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"linebond/lcp"
	"linebond/netstate"
	"linebond/scheduler"
)

// schedulers are those of the weighted bonds that this process has taken over.
// The supervisor alone changes them, and so looks without the lock; others call
// heard and counters, and are not to wait for what the kernel takes its time for.
type schedulers struct {
	open    func(device string, mtu int) (Scheduler, error)
	cleanup func() error
	log     *logger

	mu    sync.Mutex
	taken map[string]Scheduler          // by device
	told  map[string]netstate.Scheduler // what they were told last, as far as they took it; damaged if that was not all
}

func newSchedulers(e Effects, log *logger) *schedulers {
	return &schedulers{
		open: e.OpenScheduler, cleanup: e.CleanupSchedulers, log: log,
		taken: map[string]Scheduler{}, told: map[string]netstate.Scheduler{},
	}
}

// observe returns them as they are, on a host with these links. One whose device
// somebody has deleted is no more.
func (s *schedulers) observe(links []netstate.Link) ([]netstate.Scheduler, error) {
	var observed []netstate.Scheduler
	for _, device := range slices.Sorted(maps.Keys(s.taken)) {
		there := slices.ContainsFunc(links, func(l netstate.Link) bool { return l.Name == device && l.Weighted })
		if !there {
			if err := s.forget(device).Close(); err != nil {
				return nil, err
			}
			continue
		}
		health, err := s.taken[device].Check()
		if err != nil {
			return nil, err
		}
		told := s.told[device]
		told.Device, told.Lines, told.Damaged = device, slices.Clone(told.Lines), told.Damaged || len(health.Damage) > 0
		for i, l := range told.Lines {
			told.Lines[i].Gone = !slices.Contains(health.In, l.Device)
		}
		if len(health.Damage) > 0 {
			s.log.Warn("scheduler", zap.String("bond", device), zap.String("damage", strings.Join(health.Damage, ", ")))
		}
		observed = append(observed, told)
	}
	return observed, nil
}

func (s *schedulers) forget(device string) Scheduler {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.taken[device]
	delete(s.taken, device)
	delete(s.told, device)
	return x
}

// isScheduling says whether an operation is for the schedulers.
func isScheduling(op netstate.Op) bool {
	switch op.(type) {
	case netstate.TakeScheduler, netstate.Unschedule, netstate.Schedule, netstate.DeleteScheduler:
		return true
	}
	return false
}

func (s *schedulers) apply(op netstate.Op) error {
	switch o := op.(type) {
	case netstate.TakeScheduler:
		return s.take(o.Device, o.MTU)
	case netstate.Unschedule:
		return s.tell(o.Scheduler)
	case netstate.Schedule:
		return s.tell(o.Scheduler)
	case netstate.DeleteScheduler:
		return s.remove(o.Device)
	}
	return fmt.Errorf("%T is not an operation of schedulers", op)
}

// bornMTU is that of a device whose lines are not known yet, in bytes.
const bornMTU = 1492

func (s *schedulers) take(device string, mtu int) error {
	if mtu == 0 {
		mtu = bornMTU
	}
	x, err := s.open(device, mtu)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.taken[device] = x
	s.mu.Unlock()
	about := []zap.Field{zap.String("bond", device), zap.Bool("adopted", x.Adopted())}
	if lack := x.Unpinned(); lack != nil {
		about = append(about, zap.String("not_pinned", lack.Error()))
	}
	s.log.Info("scheduler", about...)
	return nil
}

// tell remembers the lines that are in then: others are tried again.
func (s *schedulers) tell(to netstate.Scheduler) error {
	x := s.taken[to.Device]
	if x == nil {
		return fmt.Errorf("the bond %s has no scheduler", to.Device)
	}
	var lines []scheduler.Line
	for _, l := range to.Lines {
		lines = append(lines, scheduler.Line{Device: l.Device, Rate: l.Rate, Delay: l.Delay, Overhead: l.Overhead, Cells: l.Cells})
	}
	err := x.SetMode(scheduler.Mode{Cap: scheduler.DefaultCap, DeadAfter: to.DeadAfter, Patience: to.Patience})
	err = errors.Join(err, x.SetLines(lines))
	c, unread := x.Counters()
	err = errors.Join(err, unread)
	asked := to.Lines
	to.Damaged, to.Lines = err != nil, nil
	for _, in := range c.Lines {
		l := netstate.ScheduledLine{Device: in.Device} // which should have left
		if i := slices.IndexFunc(asked, func(l netstate.ScheduledLine) bool { return l.Device == in.Device }); i >= 0 {
			l = asked[i]
		}
		to.Lines = append(to.Lines, l)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[to.Device] = to
	return err
}

// remove takes away also what an earlier process has left; where the kernel
// refuses eBPF by now, all of that.
func (s *schedulers) remove(device string) error {
	if s.taken[device] == nil {
		err := s.take(device, 0)
		if errors.Is(err, scheduler.ErrRefused) {
			return s.cleanup()
		}
		if err != nil {
			return err
		}
	}
	return s.forget(device).Remove()
}

// heard tells of an answer that came on a line. It returns whether that line is
// in a bond.
func (s *schedulers) heard(device string) (in bool, err error) {
	return s.note(device, Scheduler.Heard)
}

// echoed tells of an echo request that was sent on a line.
func (s *schedulers) echoed(device string) error {
	_, err := s.note(device, Scheduler.Echoed)
	return err
}

func (s *schedulers) note(device string, what func(Scheduler, string) error) (in bool, err error) {
	x := s.of(device)
	if x == nil {
		return false, nil
	}
	return true, what(x, device)
}

// of returns the scheduler that has a line; nil: none.
func (s *schedulers) of(device string) Scheduler {
	s.mu.Lock()
	defer s.mu.Unlock()
	for bond, told := range s.told {
		if slices.ContainsFunc(told.Lines, func(l netstate.ScheduledLine) bool { return l.Device == device }) {
			return s.taken[bond]
		}
	}
	return nil
}

func (s *schedulers) all() map[string]Scheduler {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.taken)
}

// leave has packets go to a line no more that is about to be closed: the
// supervisor would tell of it when some are lost already. It returns whether any
// went there.
func (s *schedulers) leave(device string) (was bool, err error) {
	var errs []error
	for _, x := range s.all() {
		in, err := x.Leave(device)
		was, errs = was || in, append(errs, err)
	}
	return was, errors.Join(errs...)
}

// counters are those of all bonds, by device. What cannot be read is not there.
func (s *schedulers) counters() map[string]scheduler.Counters {
	all := map[string]scheduler.Counters{}
	for device, x := range s.all() {
		if c, err := x.Counters(); err == nil {
			all[device] = c
		}
	}
	return all
}

// close lets go of what is left: without trouble there is nothing any more.
func (s *schedulers) close() error {
	var errs []error
	for device := range s.taken {
		errs = append(errs, s.forget(device).Close())
	}
	return errors.Join(errs...)
}

// scheduling is what workers tell the schedulers.
type scheduling interface {
	heard(device string) (in bool, err error)
	echoed(device string) error
	leave(device string) (was bool, err error) // before the session is closed
}

// answered tells the bond's scheduler of an answered echo, and the supervisor if
// that shows a shorter way than was known.
func (w *worker) answered(before, now lcp.EchoStats) {
	if now.Silent >= before.Silent || w.session == nil {
		return
	}
	in, err := w.bond.heard(w.cfg.Device)
	w.check(err)
	if in && now.Least.Round(leastStep) != before.Least.Round(leastStep) {
		w.keep(w.line.Status())
	}
}

// leastStep is by how much the shortest round trip has to become shorter to be
// told.
const leastStep = 200 * time.Microsecond

// leaveTime is for packets that are under way to a line inside the kernel.
const leaveTime = 10 * time.Millisecond

// leave takes a line that still carries packets out of its bond, and waits for
// those that are under way to it.
func (w *worker) leave() {
	was, err := w.bond.leave(w.cfg.Device)
	w.check(err)
	if was {
		<-time.After(leaveTime)
	}
}
