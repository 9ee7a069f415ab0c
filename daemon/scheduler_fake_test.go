package daemon

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"linebond/netstate"
	"linebond/scheduler"
)

// fakeSchedulers makes schedulers, whose devices are the host's.
type fakeSchedulers struct {
	host *fakeHost

	mu     sync.Mutex
	refuse error  // what opening and SetLines answer
	bad    string // device of a line that cannot be put in
	made   map[string]*fakeScheduler
	began  time.Time
}

// fakeScheduler counts, for each line, a byte a second for each kbit/s of its
// rate, and as many that the line adds.
type fakeScheduler struct {
	of      *fakeSchedulers
	device  string
	adopted bool
	lines   []scheduler.Line
	mode    scheduler.Mode
	heard   map[string]int
	echoes  map[string]int
	damage  []string // until it is told the lines
	silent  map[string]bool
	passed  map[string]uint64 // packets, because the line was silent
	closed  bool
}

// useSchedulers gives the world schedulers.
func (w *world) useSchedulers() *fakeSchedulers {
	s := &fakeSchedulers{host: w.host, made: map[string]*fakeScheduler{}, began: time.Now()}
	w.options.Effects.OpenScheduler = s.open
	return s
}

func (f *fakeSchedulers) open(device string, mtu int) (Scheduler, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	s := &fakeScheduler{of: f, device: device, heard: map[string]int{}, echoes: map[string]int{}, silent: map[string]bool{}, passed: map[string]uint64{}}
	f.host.change(func(h *fakeHost) {
		if s.adopted = h.link(device) != nil; !s.adopted {
			h.state.Links = append(h.state.Links, netstate.Link{Name: device, Weighted: true, Ours: true, MTU: mtu})
		}
	})
	f.made[device] = s
	return s, nil
}

func (f *fakeSchedulers) setRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

func (f *fakeSchedulers) setBad(device string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad = device
}

// lines is what a bond's packets go to, as text.
func (f *fakeSchedulers) lines(device string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.made[device]
	if s == nil || s.closed {
		return "none"
	}
	var names []string
	for _, l := range s.lines {
		names = append(names, l.Device)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// noted is how often was said that something came on a line, and that an echo
// request went out.
func (s *fakeScheduler) noted(device string) (heard, echoed int) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.heard[device], s.echoes[device]
}

// harm has somebody undo things on the host.
func (s *fakeScheduler) harm(what ...string) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.damage = what
}

// harmed says whether it is not yet put right.
func (s *fakeScheduler) harmed() bool {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.damage != nil
}

// hush has a line be silent, or speak, after so many packets have passed it over.
func (s *fakeScheduler) hush(device string, silent bool, passed uint64) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.silent[device], s.passed[device] = silent, passed
}

// told is what it was told last.
func (s *fakeScheduler) told() ([]scheduler.Line, scheduler.Mode) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.lines, s.mode
}

func (s *fakeScheduler) SetMode(m scheduler.Mode) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.mode = m
	return nil
}

func (s *fakeScheduler) SetLines(lines []scheduler.Line) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.host.mu.Lock()
	defer s.of.host.mu.Unlock()
	if s.of.refuse != nil {
		return s.of.refuse
	}
	var err error
	s.lines, s.damage = nil, nil
	for _, l := range lines {
		if s.of.host.link(l.Device) == nil || l.Device == s.of.bad {
			err = errors.Join(err, errors.New("the line "+l.Device+": no such device"))
			continue
		}
		s.lines = append(s.lines, l)
	}
	return err
}

func (s *fakeScheduler) Check() (found scheduler.Health, err error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.host.mu.Lock()
	defer s.of.host.mu.Unlock()
	for _, l := range s.lines {
		if s.of.host.link(l.Device) != nil {
			found.In = append(found.In, l.Device)
		}
	}
	found.Damage = s.damage
	return found, nil
}

func (s *fakeScheduler) Leave(device string) (was bool, err error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.of.refuse != nil {
		return false, s.of.refuse
	}
	was = slices.ContainsFunc(s.lines, func(l scheduler.Line) bool { return l.Device == device })
	s.lines = slices.DeleteFunc(slices.Clone(s.lines), func(l scheduler.Line) bool { return l.Device == device })
	return was, nil
}

func (s *fakeScheduler) Heard(device string) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.heard[device]++
	return nil
}

func (s *fakeScheduler) Echoed(device string) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.echoes[device]++
	return nil
}

func (s *fakeScheduler) Counters() (scheduler.Counters, error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	seconds := time.Since(s.of.began).Seconds()
	c := scheduler.Counters{Packets: uint64(100 * seconds), Late: uint64(2 * seconds)}
	for _, l := range s.lines {
		c.Lines = append(c.Lines, scheduler.LineCounters{
			Device: l.Device, Packets: uint64(10 * seconds), Bytes: uint64(float64(l.Rate) / 1000 * seconds), Wire: uint64(float64(l.Rate) / 500 * seconds),
			Passed: s.passed[l.Device], Silent: s.silent[l.Device], Backlog: 4 * time.Millisecond,
		})
	}
	return c, nil
}

func (s *fakeScheduler) Adopted() bool   { return s.adopted }
func (s *fakeScheduler) Unpinned() error { return nil }

func (s *fakeScheduler) Remove() error {
	s.of.host.change(func(h *fakeHost) { h.remove(s.device) })
	return s.Close()
}

func (s *fakeScheduler) Close() error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.closed = true
	return nil
}
