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

// SetLines says which lines are in, and puts right what Check has found damaged. Those that were in and are not named leave; others stay
// as they are, with their backlogs. An error about a line keeps that line out, and no other: Counters tells which are in. With no line at
// all, packets are dropped and counted.
func (s *Scheduler) SetLines(lines []Line) error {
	s.host.Lock()
	defer s.host.Unlock()
	if err := s.setLines(lines); err != nil {
		return fmt.Errorf("the bond %s: %w", s.device, err)
	}
	return nil
}

func (s *Scheduler) setLines(lines []Line) error {
	if s.handle == nil {
		return errClosed
	}
	indexes := map[string]int{} // of the devices of lines that can be in
	var ready []Line
	var errs []error
	for _, l := range lines {
		if err := s.prepare(l.Device, indexes); err != nil {
			errs = append(errs, fmt.Errorf("the line %s: %w", l.Device, err))
			continue
		}
		ready = append(ready, l)
	}
	before, unplaced, err := s.admit(ready, indexes)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if !s.whole {
		err = configurePair(s.handle, s.bond, s.port)
		s.whole = err == nil
	}
	errs = append(errs, unplaced, err, s.run(), s.unhear(before, indexes))
	s.settled = true
	return errors.Join(errs...)
}

// prepare has hear run on a line's device, and adds its index, unless the line has left for good.
func (s *Scheduler) prepare(device string, indexes map[string]int) error {
	if _, twice := indexes[device]; twice {
		return errors.New("it is named twice")
	}
	found, err := s.handle.LinkByName(device)
	if err != nil {
		return err
	}
	index := found.Attrs().Index
	if s.hasLeft(device, index) {
		return nil
	}
	if s.hearing[device] != index {
		if err := attach(s.handle, index, hearFilter, s.programs.Hear); err != nil {
			return err
		}
		s.hearing[device] = index
	}
	indexes[device] = index
	return nil
}

func (s *Scheduler) hasLeft(device string, index int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left[device] == index
}

// admit tells the programs which lines are in. Indexes keeps those of the lines that are. It returns what was before, and which lines have
// no place.
func (s *Scheduler) admit(lines []Line, indexes map[string]int) (before model.Config, unplaced, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(indexes, func(device string, index int) bool { return s.left[device] == index }) // meanwhile
	before = s.config
	next, unplaced := arrange(before, lines, indexes)
	return before, unplaced, s.write(next)
}

// Leave has a line leave, at once and for good: SetLines passes it over until its name is another device's. It is for a session that is
// about to be closed. It returns whether the line was in.
func (s *Scheduler) Leave(device string) (was bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := placeOf(&s.config, device)
	if place < 0 || s.handle == nil {
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

// arrange gives each line that has an index a place: the one that it has, else the first free one. A line that was not in, or has another
// device than before, gets a new epoch. One that cannot have a place loses its index.
func arrange(before model.Config, lines []Line, indexes map[string]int) (next model.Config, unplaced error) {
	next = before
	for i, l := range before.Lines {
		if _, stays := indexes[nameOf(&l)]; !stays {
			next.Lines[i] = model.Line{Epoch: l.Epoch}
		}
	}
	for _, l := range lines {
		index, ok := indexes[l.Device]
		if !ok {
			continue
		}
		if err := l.enter(&next, index); err != nil {
			unplaced = errors.Join(unplaced, fmt.Errorf("the line %s: %w", l.Device, err))
			delete(indexes, l.Device)
		}
	}
	next.Count = places(&next)
	return next, unplaced
}

// enter gives a line a place, or takes its own away.
func (l Line) enter(c *model.Config, index int) error {
	place := placeOf(c, l.Device)
	if place < 0 {
		place = placeOf(c, "")
	}
	if place < 0 {
		return fmt.Errorf("at most %d lines can be in", model.MaxLines)
	}
	at := &c.Lines[place]
	err := l.encode(at, index)
	if err != nil {
		*at = model.Line{Epoch: at.Epoch}
	}
	return err
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
	if place < 0 || s.handle == nil {
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
