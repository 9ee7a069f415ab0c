// Package bond decides, from the configuration and the states of all lines, which lines each bond uses and what the host's networking
// must look like.
//
//	statuses, pings --> look (record: health and falls of each line) --> choose (who is in) --> netstate.State, events
//
// It is pure: the time is handed in, and package netstate compares the result with what is there. It remembers of each line how it
// has fared, and of each bond the address; while no line has one it leaves that to the kernel (netstate.Link.KeepAddresses).
package bond

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"linebond/config"
	"linebond/netstate"
)

// Bonds decides for all bonds of a configuration.
type Bonds struct {
	config  *config.Config
	cpus    int
	numgen  bool               // see WithoutEBPF
	records map[string]*record // by name of line, of lines in bonds
	warned  map[string]bool    // by device of bond: its lines' addresses differ, and that has been said
	mtus    map[string]string  // likewise: what has been said of its lines' MTUs

	addresses map[teller]netip.Addr // the one that these told last
	common    map[string]netip.Addr // by name of bond: see learn
}

// New returns the bonds of a configuration, on a host with so many CPUs.
func New(c *config.Config, cpus int) *Bonds {
	return &Bonds{
		config: c, cpus: cpus, records: map[string]*record{}, warned: map[string]bool{}, mtus: map[string]string{},
		addresses: map[teller]netip.Addr{}, common: map[string]netip.Addr{},
	}
}

// Configure takes a new configuration. What is known of lines that stay, stays.
func (b *Bonds) Configure(c *config.Config) {
	b.config = c
	if b.numgen {
		b.config = withoutEBPF(c)
	}
}

// slot is a line in a bond.
type slot struct {
	Member
	*record
}

// Plan returns the plan for all lines at the time given, which never goes back. A second call at the same time with the same members
// returns the same without events.
func (b *Bonds) Plan(now time.Time, members []Member) Plan {
	members = slices.Clone(members)
	slices.SortFunc(members, func(x, y Member) int { return cmp.Compare(x.Config.Name, y.Config.Name) })
	p := &planner{config: b.config, cpus: b.cpus, spreads: map[string]spreading{}}
	p.Events = b.depart(members)
	for _, m := range members {
		p.ethernet(m)
		if b.bondOf(m) == "" {
			p.alone(m)
		}
	}
	in := map[string]int{}
	for _, c := range b.config.Bonds {
		in[c.Device] = b.plan(p, c, now, members)
	}
	for i, e := range p.Events {
		p.Events[i].Members = in[e.Bond]
	}
	p.host()
	p.State.Table = table(p.config, p.spreads)
	return p.Plan
}

// bondOf returns the device of a line's bond, or "" for a line by itself: also for one whose bond is no longer configured.
func (b *Bonds) bondOf(m Member) string {
	if slices.ContainsFunc(b.config.Bonds, func(c config.Bond) bool { return c.Device == m.Config.Bond }) {
		return m.Config.Bond
	}
	return ""
}

// depart takes lines out of bonds that they no longer belong to, and forgets those that are in none.
func (b *Bonds) depart(members []Member) []Event {
	bonds := map[string]string{} // by name of line
	for _, m := range members {
		bonds[m.Config.Name] = b.bondOf(m)
	}
	var events []Event
	for name, r := range b.records {
		bond, exists := bonds[name]
		if exists && bond == r.bond {
			continue
		}
		if r.in {
			reason := "its configuration is gone"
			if exists {
				reason = "belongs to " + cmp.Or(bond, "no bond") + " now"
			}
			events = append(events, Event{Kind: Left, Bond: r.bond, Line: name, Reason: reason})
		}
		if bond == "" {
			delete(b.records, name)
		} else {
			r.bond, r.in, r.since = bond, false, time.Time{}
		}
	}
	slices.SortFunc(events, func(x, y Event) int { return cmp.Compare(x.Line, y.Line) })
	return events
}

// plan adds one bond to the plan, and returns how many lines are in.
func (b *Bonds) plan(p *planner, c config.Bond, now time.Time, members []Member) int {
	lines := b.look(c, now, members)
	var was []string
	for _, l := range lines {
		if l.in {
			was = append(was, l.Config.Name)
		}
	}
	n := choose(now, lines)
	shared := share(c, lines, b.addresses)
	if shared.lines.IsValid() {
		b.addresses[shared.teller] = shared.lines
	}
	view := newView(c, shared)
	for _, l := range lines {
		m := l.membership(lines, n)
		view.Members = append(view.Members, m)
		p.next(m.Rejoin)
		if l.in {
			view.MTU = least(view.MTU, l.Status.Session.MTU)
		}
		switch had := slices.Contains(was, m.Line); {
		case l.in && !had:
			p.Events = append(p.Events, Event{Kind: Joined, Bond: c.Device, Line: m.Line, Reason: l.welcome(now)})
		case had && !l.in:
			p.Events = append(p.Events, Event{Kind: Left, Bond: c.Device, Line: m.Line, Reason: l.farewell(m)})
		}
	}
	in := filter(lines, func(l slot) bool { return l.in })
	if spreads(c) {
		b.planSpread(p, c, &view, shared, lines)
	} else {
		if weighted(c) {
			view.share(in, uploads(in))
			view.believe(in)
		}
		p.Events = append(p.Events, b.warn(c.Device, shared)...)
		p.Events = append(p.Events, b.unequal(c.Device, view.MTU, in)...)
		p.bond(c, view, shared, lines)
	}
	p.Bonds = append(p.Bonds, view)
	return n
}

// newView begins to describe a bond.
func newView(c config.Bond, s shared) Bond {
	v := Bond{Device: c.Device, Mode: c.Mode, Addresses: s.addresses}
	switch {
	case byNumgen(c):
		v.Mode, v.Scheduler = config.ModeWeighted, SchedulerNumgen
	case weighted(c):
		v.Scheduler = SchedulerEBPF
	}
	return v
}

// look takes note of how the lines of a bond are now.
func (b *Bonds) look(c config.Bond, now time.Time, members []Member) []slot {
	members = slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Config.Bond != c.Device })
	need4, need6 := needs(c, members)
	var lines []slot
	for _, m := range members {
		r := b.records[m.Config.Name]
		if r == nil {
			r = &record{bond: c.Device}
			b.records[m.Config.Name] = r
		}
		health := b.config.Health
		r.look(now, m, health.RejoinAfter, diagnose(m, health, need4, need6))
		lines = append(lines, slot{m, r})
	}
	return lines
}

// warn tells once of lines with addresses that differ, until they no longer do.
func (b *Bonds) warn(device string, s shared) []Event {
	said := b.warned[device]
	b.warned[device] = s.warning != "" || said && !s.agreed
	if s.warning == "" || said {
		return nil
	}
	return []Event{{Kind: Warned, Bond: device, Reason: s.warning}}
}

// least returns the lesser of two MTUs, of which the first is 0 if there is none yet.
func least(a, b int) int {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// planner is a Plan in the making.
type planner struct {
	Plan
	config  *config.Config
	cpus    int
	spreads map[string]spreading // by name of bond
}

// next has the plan be looked at again at a time, if that is not zero.
func (p *planner) next(t time.Time) {
	if !t.IsZero() && (p.Next.IsZero() || t.Before(p.Next)) {
		p.Next = t
	}
}

func (p *planner) link(l netstate.Link) { p.State.Links = append(p.State.Links, l) }

func (p *planner) sysctl(key, value string) {
	p.State.Sysctls = append(p.State.Sysctls, netstate.Sysctl{Key: key, Value: value})
}
