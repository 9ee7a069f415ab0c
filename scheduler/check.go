package scheduler

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Health is what a look at the host has found.
type Health struct {
	In     []string // lines that are in, unless their devices are gone, or others of their names
	Damage []string // what somebody has undone, and the next SetLines puts right: a clause each, for people
}

// Check looks whether what the bond needs on the host is there. Whether its pair is at all is for the caller to know.
func (s *Scheduler) Check() (Health, error) {
	s.host.Lock()
	defer s.host.Unlock()
	var found Health
	err := errClosed
	if s.handle != nil {
		err = errors.Join(s.checkPair(&found), s.checkLines(&found))
	}
	if err != nil {
		return Health{}, fmt.Errorf("the bond %s: looking whether it is whole: %w", s.device, err)
	}
	return found, nil
}

func (s *Scheduler) checkPair(found *Health) error {
	for _, end := range []netlink.Link{s.bond, s.port} {
		now, err := s.handle.LinkByIndex(end.Attrs().Index)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err != nil {
			return err
		}
		made, err := madeAddress(s.handle, now)
		if err != nil {
			return err
		}
		a := now.Attrs()
		port := a.Index == s.port.Attrs().Index
		alias := bondAlias
		if port {
			alias = portAlias + s.device
		}
		for what, wrong := range map[string]bool{
			"has lost its alias":                          a.Alias != alias,
			"has an IPv6 address of the kernel's making":  made != nil,
			"has ARP switched on":                         a.RawFlags&unix.IFF_NOARP == 0,
			fmt.Sprint("has gso_max_segs ", a.GSOMaxSegs): !port && a.GSOMaxSegs != 1,
			"is down": port && a.RawFlags&unix.IFF_UP == 0,
		} {
			if wrong {
				found.Damage = append(found.Damage, a.Name+" "+what)
				s.whole = false
			}
		}
	}
	runs, err := s.runs(s.port.Attrs().Index, s.choose)
	if err == nil && s.settled && !runs {
		found.Damage = append(found.Damage, fmt.Sprintf("the tc filter %s of %s is missing", chooseFilter, s.port.Attrs().Name))
		s.running = false
	}
	slices.Sort(found.Damage)
	return err
}

func (s *Scheduler) checkLines(found *Health) error {
	s.mu.Lock()
	lines := s.config.Lines
	s.mu.Unlock()
	for i := range lines {
		l := &lines[i]
		if l.Device == 0 {
			continue
		}
		name := nameOf(l)
		device, err := s.handle.LinkByName(name)
		if errors.As(err, &netlink.LinkNotFoundError{}) || err == nil && device.Attrs().Index != int(l.Device) {
			continue
		}
		if err != nil {
			return err
		}
		hears, err := s.runs(int(l.Device), s.hear)
		if err != nil {
			return err
		}
		if s.settled && !hears {
			found.Damage = append(found.Damage, fmt.Sprintf("the tc filter %s of %s is missing", hearFilter, name))
			delete(s.hearing, name)
		}
		found.In = append(found.In, name)
	}
	return nil
}

// runs says whether our filter with this program is on a device.
func (s *Scheduler) runs(index int, program ebpf.ProgramID) (bool, error) {
	all, err := filters(s.handle, index)
	return slices.ContainsFunc(all, func(f *netlink.BpfFilter) bool {
		return f.Id == int(program) && f.Priority == filterPriority && f.Handle == filterHandle
	}), err
}
