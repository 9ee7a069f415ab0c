package netstate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const testScheduler = "wanbond0"

// wantScheduler has some of the lines that are in no other bond be scheduled.
func wantScheduler(r *rand.Rand, s *State) {
	if r.IntN(3) == 0 {
		return
	}
	device := Link{Name: testScheduler, Weighted: true, Ours: true, Up: r.IntN(8) > 0, MTU: pick(r, 0, 1400, 1492), KeepAddresses: r.IntN(3) == 0}
	s.Links = append(s.Links, device)
	s.Sysctls = append(s.Sysctls, Sysctl{"net/ipv4/conf/" + testScheduler + "/rp_filter", "2"})
	if r.IntN(3) > 0 {
		a := testAddress(testScheduler, pick(r, "192.0.2.20/32", "192.0.2.21/32"))
		a.First = r.IntN(2) == 0
		s.Addresses = append(s.Addresses, a)
		s.Routes = append(s.Routes, Route{Destination: DefaultIPv4, Device: testScheduler, Metric: 100})
	}
	c := Scheduler{Device: testScheduler, DeadAfter: time.Duration(r.IntN(2)) * time.Second}
	for _, l := range s.Links {
		slave := slices.ContainsFunc(s.Qdiscs, func(q Qdisc) bool { return q.Device == l.Name })
		if l.Line && !slave && r.IntN(3) > 0 {
			c.Lines = append(c.Lines, ScheduledLine{Device: l.Name, Rate: uint64(1 + r.IntN(2))})
		}
	}
	s.Schedulers = append(s.Schedulers, c)
	wantShaper(r, s)
}

func (m *model) changeScheduler(op Op) error {
	switch o := op.(type) {
	case TakeScheduler:
		l, exists := m.links[o.Device]
		if _, taken := m.taken[o.Device]; taken || exists && !l.Weighted {
			return fmt.Errorf("%s: taken already %v, exists %v", o, taken, exists)
		}
		if !exists {
			m.links[o.Device] = Link{Name: o.Device, Weighted: true, Ours: true, MTU: max(o.MTU, 1280)}
			m.sysctls["net/ipv4/conf/"+o.Device+"/rp_filter"] = "1"
		}
		m.taken[o.Device] = Scheduler{Device: o.Device}
	case Unschedule:
		for _, l := range o.Scheduler.Lines {
			if !slices.Contains(m.taken[o.Scheduler.Device].Lines, l) {
				return fmt.Errorf("%s: %s was not in", o, l)
			}
		}
		return m.schedule(o.Scheduler)
	case Schedule:
		return m.schedule(o.Scheduler)
	case DeleteScheduler:
		onIt := func(r Route) bool { return r.Device == o.Device }
		if !m.links[o.Device].Weighted || slices.ContainsFunc(m.routes, onIt) {
			return fmt.Errorf("%s: %s, routes %v", o, m.links[o.Device], m.routes)
		}
		m.deleteLink(o.Device)
	}
	return nil
}

func (m *model) schedule(s Scheduler) error {
	if _, taken := m.taken[s.Device]; !taken {
		return fmt.Errorf("%s is not taken", s.Device)
	}
	for _, l := range s.Lines {
		if _, exists := m.links[l.Device]; !exists || l.Gone {
			return fmt.Errorf("%s: %s exists %v, gone %v", s.Device, l.Device, exists, l.Gone)
		}
	}
	if s.Damaged {
		return fmt.Errorf("%s is to be damaged", s.Device)
	}
	m.taken[s.Device] = s
	return nil
}

// lose takes note that a device is gone: for a scheduler, one that comes in its place is another.
func (m *model) lose(device string) {
	delete(m.taken, device)
	for name, s := range m.taken {
		s.Lines = slices.Clone(s.Lines)
		for i, l := range s.Lines {
			s.Lines[i].Gone = l.Gone || l.Device == device
		}
		m.taken[name] = s
	}
}

// disturbScheduler meddles with a scheduler, or has our process be killed.
func (m *model) disturbScheduler(r *rand.Rand) {
	if !m.links[testScheduler].Weighted {
		return
	}
	switch r.IntN(8) {
	case 7:
		if s, taken := m.taken[testScheduler]; taken {
			s.Damaged = true
			m.taken[testScheduler] = s
		}
	case 0:
		m.deleteLink(testScheduler)
	case 1:
		m.setDown(testScheduler)
	case 2:
		_ = m.apply(AddAddress{testAddress(testScheduler, "192.0.2.11/29")})
	case 3:
		_ = m.apply(SetMTU{Device: testScheduler, MTU: 9000})
	case 4:
		m.taken = map[string]Scheduler{}
	default:
		m.disturbShaper(r)
	}
}

// checkScheduled wants packets to go to no line that is gone or not wanted; in the end, to just those that are wanted and exist.
func (m *model) checkScheduled(t *testing.T, want State, end bool) {
	t.Helper()
	wanted := map[ScheduledLine]bool{}
	names := map[string]bool{}
	for _, c := range want.Schedulers {
		for _, l := range c.Lines {
			_, exists := m.links[l.Device]
			wanted[l], names[l.Device] = exists, true
		}
	}
	in := map[ScheduledLine]bool{}
	for _, c := range m.taken {
		if end && c.Damaged {
			t.Errorf("damage stays: %s", c)
		}
		for _, l := range c.Lines {
			in[l] = true
			if l.Gone || !names[l.Device] {
				t.Errorf("packets go to %s", l)
			}
		}
	}
	for l, exists := range wanted {
		if end && exists && !in[l] {
			t.Errorf("no packets go to %s", l)
		}
	}
}

// schedulers are those that can be observed.
func (m *model) schedulers() []Scheduler { return slices.Collect(maps.Values(m.taken)) }
