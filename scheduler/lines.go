package scheduler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"linebond/scheduler/model"
)

// Line is a line that is in the bond. See the package comment about rates.
type Line struct {
	Device   string        // by which the line is known
	Rate     uint64        // bit/s: 1 kbit/s to 1 Tbit/s
	Delay    time.Duration // one way: 0 to 10 s
	Overhead int           // bytes that the line adds to an IP packet: 0 to 1000
	Cells    bool          // packet and overhead travel in ATM cells, 53 bytes for 48
}

// SetLines says which lines are in, and puts right what Check has found damaged. Those that were in and are not named leave; others stay as they are, with their backlogs. On an
// error about a line nothing has changed. With no line at all, packets are dropped and counted.
func (s *Scheduler) SetLines(lines []Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.setLines(lines); err != nil {
		return fmt.Errorf("the bond %s: %w", s.device, err)
	}
	return nil
}

func (s *Scheduler) setLines(lines []Line) error {
	indexes := map[string]int{}
	for _, l := range lines {
		if _, twice := indexes[l.Device]; twice {
			return fmt.Errorf("the line %s is named twice", l.Device)
		}
		found, err := s.handle.LinkByName(l.Device)
		if err != nil {
			return fmt.Errorf("the line %s: %w", l.Device, err)
		}
		indexes[l.Device] = found.Attrs().Index
	}
	lines = slices.DeleteFunc(slices.Clone(lines), func(l Line) bool { return s.left[l.Device] == indexes[l.Device] })
	maps.DeleteFunc(indexes, func(device string, index int) bool { return s.left[device] == index })
	next, err := arrange(s.config, lines, indexes)
	if err != nil {
		return err
	}
	for device, index := range indexes {
		if s.hearing[device] == index {
			continue
		}
		if err := attach(s.handle, index, hearFilter, s.programs.Hear); err != nil {
			return fmt.Errorf("the line %s: %w", device, err)
		}
		s.hearing[device] = index
	}
	before := s.config
	if err := s.write(next); err != nil {
		return err
	}
	if !s.whole {
		if err := configurePair(s.handle, s.bond, s.port); err != nil {
			return err
		}
		s.whole = true
	}
	if err := s.run(); err != nil {
		return err
	}
	s.settled = true
	return s.unhear(before, indexes)
}

// Leave has a line leave, at once and for good: SetLines passes it over until its name is another device's. It is for a session that is
// about to be closed. It returns whether the line was in.
func (s *Scheduler) Leave(device string) (was bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := placeOf(&s.config, device)
	if place < 0 {
		return false, nil
	}
	next := s.config
	s.left[device] = int(next.Lines[place].Device)
	next.Lines[place] = model.Line{Epoch: next.Lines[place].Epoch}
	next.Count = places(&next)
	if err := s.write(next); err != nil {
		return true, fmt.Errorf("the bond %s: the line %s, which leaves: %w", s.device, device, err)
	}
	return true, nil
}

// places is how many of them are in use, counted to the last line.
func places(c *model.Config) (count uint64) {
	for i, l := range c.Lines {
		if l.Device != 0 {
			count = uint64(i) + 1
		}
	}
	return count
}

// unhear takes hear from the lines that have left. A device of the same name may be another one by now.
func (s *Scheduler) unhear(before model.Config, in map[string]int) error {
	had := maps.Clone(s.hearing)
	for i := range before.Lines {
		if l := &before.Lines[i]; l.Device != 0 {
			had[nameOf(l)] = int(l.Device)
		}
	}
	var errs []error
	for name, index := range had {
		if in[name] == index {
			continue
		}
		if s.hearing[name] == index {
			delete(s.hearing, name)
		}
		ours, err := attached(s.handle, index, hearFilter)
		if ours {
			err = detach(s.handle, index)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("the line %s, which has left: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// arrange gives each line a place: the one that it has, else the first free one. A line that was not in, or has another device than
// before, gets a new epoch.
func arrange(before model.Config, lines []Line, indexes map[string]int) (model.Config, error) {
	if len(lines) > model.MaxLines {
		return before, fmt.Errorf("%d lines: at most %d can be in", len(lines), model.MaxLines)
	}
	next := before
	for i, l := range before.Lines {
		if _, stays := indexes[nameOf(&l)]; !stays {
			next.Lines[i] = model.Line{Epoch: l.Epoch}
		}
	}
	for _, l := range lines {
		place := placeOf(&next, l.Device)
		if place < 0 {
			place = placeOf(&next, "") // there is one: lines have been counted
		}
		if err := l.encode(&next.Lines[place], indexes[l.Device]); err != nil {
			return before, fmt.Errorf("the line %s: %w", l.Device, err)
		}
	}
	next.Count = places(&next)
	return next, nil
}

// encode writes a line to its place.
func (l Line) encode(to *model.Line, index int) (err error) {
	if to.Device != uint32(index) {
		to.Epoch++
	}
	to.Device, to.Cells = uint32(index), 0
	copy(to.Name[:], l.Device)
	if l.Cells {
		to.Cells = 1
	}
	if to.Pace, err = model.Pace(l.Rate); err != nil {
		return err
	}
	if to.Delay, err = model.Nanoseconds("delay", l.Delay, 0, model.MaxDelay); err != nil {
		return err
	}
	to.Overhead, err = model.Overhead(l.Overhead)
	return err
}

func nameOf(l *model.Line) string { return unix.ByteSliceToString(l.Name[:]) }

// placeOf is the place of a line, or -1. Free places have no name.
func placeOf(c *model.Config, name string) int {
	return slices.IndexFunc(c.Lines[:], func(l model.Line) bool { return nameOf(&l) == name })
}

// Heard tells the bond that something came on a line which its device does not show: the answer to an LCP echo.
func (s *Scheduler) Heard(device string) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stamp(device, unsafe.Offsetof(model.Stamps{}.Heard), now)
}

// Echoed tells it that a line was sent an echo request. A line of which it is not told is never silent.
func (s *Scheduler) Echoed(device string) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.echoed[device]
	s.echoed[device] = now
	return s.stamp(device, unsafe.Offsetof(model.Stamps{}.Echoed), before)
}

// stamp writes a time for a line that is in.
func (s *Scheduler) stamp(device string, array uintptr, at uint64) error {
	place := placeOf(&s.config, device)
	if place < 0 {
		return nil // it has left
	}
	const size = 8
	if _, err := s.stamps.WriteAt(binary.NativeEndian.AppendUint64(nil, at), int64(array)+int64(place)*size); err != nil {
		return fmt.Errorf("the bond %s: stamping the line %s: %w", s.device, device, err)
	}
	return nil
}

// monotonic is the programs' clock, in ns.
func monotonic() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return uint64(t.Nano()), nil
}
