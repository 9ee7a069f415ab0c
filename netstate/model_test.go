package netstate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// model is a kernel in memory. It is as strict as the real one in what it refuses, and has its side effects.
type model struct {
	links     map[string]Link
	addresses []Address // in the order of adding: the first IPv4 address of a network is primary, the others secondary
	routes    []Route
	sysctls   map[string]string
}

func (m *model) state() State {
	s := State{Links: slices.Collect(maps.Values(m.links)), Addresses: slices.Clone(m.addresses), Routes: slices.Clone(m.routes)}
	for key, value := range m.sysctls {
		s.Sysctls = append(s.Sysctls, Sysctl{key, value})
	}
	return s
}

func (m *model) apply(op Op) error {
	switch o := op.(type) {
	case AddLink:
		parent, ok := m.links[o.Link.VLAN.Parent]
		if _, exists := m.links[o.Link.Name]; exists || !ok {
			return fmt.Errorf("%s: exists %v, parent exists %v", o, exists, ok)
		}
		m.links[o.Link.Name] = Link{Name: o.Link.Name, VLAN: o.Link.VLAN, Ours: true, MTU: parent.MTU}
	case DeleteLink:
		if _, ok := m.links[o.Device]; !ok {
			return fmt.Errorf("%s: no such device", o)
		}
		m.deleteLink(o.Device)
	case SetEgress, SetMTU, SetUp:
		return m.changeLink(op)
	case AddAddress:
		if _, ok := m.links[o.Address.Device]; !ok {
			return fmt.Errorf("%s: no such device", o)
		}
		if !slices.Contains(m.addresses, o.Address) {
			m.addresses = append(m.addresses, o.Address)
		}
	case DeleteAddress:
		m.deleteAddress(o.Address)
	case AddRoute:
		if !m.links[o.Route.Device].Up {
			return fmt.Errorf("%s: network is down", o)
		}
		if !slices.Contains(m.routes, o.Route) {
			m.routes = append(m.routes, o.Route)
		}
	case DeleteRoute:
		if !slices.Contains(m.routes, o.Route) {
			return fmt.Errorf("%s: no such route", o)
		}
		m.routes = slices.DeleteFunc(m.routes, func(r Route) bool { return r == o.Route })
	case SetSysctl:
		if _, ok := m.sysctls[o.Sysctl.Key]; !ok {
			return fmt.Errorf("%s: no such setting", o)
		}
		m.sysctls[o.Sysctl.Key] = o.Sysctl.Value
	}
	return nil
}

func (m *model) changeLink(op Op) error {
	var name string
	change := func(*Link) {}
	switch o := op.(type) {
	case SetEgress:
		name, change = o.Device, func(l *Link) { l.VLAN.Egress = o.To }
	case SetMTU:
		name, change = o.Device, func(l *Link) { l.MTU = o.MTU }
	case SetUp:
		name, change = o.Device, func(l *Link) { l.Up = true }
	}
	l, ok := m.links[name]
	if !ok {
		return fmt.Errorf("%s: no such device", op)
	}
	if _, up := op.(SetUp); up && l.VLAN.Parent != "" && !m.links[l.VLAN.Parent].Up {
		return fmt.Errorf("%s: network is down", op)
	}
	change(&l)
	m.links[name] = l
	return nil
}

func (m *model) deleteLink(name string) {
	for _, l := range m.links {
		if l.VLAN.Parent == name {
			m.deleteLink(l.Name)
		}
	}
	delete(m.links, name)
	m.addresses = slices.DeleteFunc(m.addresses, func(a Address) bool { return a.Device == name })
	m.routes = slices.DeleteFunc(m.routes, func(r Route) bool { return r.Device == name })
}

// deleteAddress takes the secondary addresses away with their primary, and the IPv4 routes with the last IPv4 address.
func (m *model) deleteAddress(a Address) {
	i := slices.Index(m.addresses, a)
	if i < 0 {
		return
	}
	sameNetwork := func(b Address) bool { return a.Local.Is4() && networkOf(a) == networkOf(b) }
	primary := !slices.ContainsFunc(m.addresses[:i], sameNetwork)
	m.addresses = slices.DeleteFunc(m.addresses, func(b Address) bool { return b == a || primary && sameNetwork(b) })
	if !slices.ContainsFunc(m.addresses, func(b Address) bool { return b.Device == a.Device && b.Local.Is4() }) {
		m.routes = slices.DeleteFunc(m.routes, func(r Route) bool { return r.Device == a.Device && r.Destination.Addr().Is4() })
	}
}

// randomWant makes a state of up to two lines, alone or together on a VLAN, in any phase of their lives.
func randomWant(r *rand.Rand) State {
	var s State
	for _, line := range []string{"ppp-a", "ppp-b"} {
		tags := [][]uint16{nil, {101}, {100, 101}, {100, 102}}[r.IntN(4)]
		if r.IntN(4) == 0 {
			continue
		}
		s.Links = append(s.Links, ethernet("eth1", tags, []VLANProtocol{Dot1Q, Dot1AD}[r.IntN(2)], uint8(r.IntN(3)))...)
		s.Links = append(s.Links, Link{Name: line, Line: true, Up: true, MTU: 1480 + r.IntN(20)})
		s.Sysctls = append(s.Sysctls, Sysctl{"net/ipv6/conf/" + line + "/accept_ra", "2"})
		if r.IntN(3) > 0 {
			s.Addresses = append(s.Addresses, PeerAddress(line, randomAddress(r, "203.0.113.0"), randomAddress(r, "198.51.100.0")))
			s.Routes = append(s.Routes, Route{Destination: DefaultIPv4, Device: line, Metric: 200 + r.IntN(2)})
		}
		if r.IntN(3) > 0 {
			s.Addresses = append(s.Addresses, PeerAddress(line, randomAddress(r, "fe80::"), randomAddress(r, "fe80::1:0")))
			s.Routes = append(s.Routes, Route{Destination: DefaultIPv6, Device: line, Metric: r.IntN(2)})
		}
	}
	return s
}

func randomAddress(r *rand.Rand, base string) netip.Addr {
	a := netip.MustParseAddr(base)
	for range 1 + r.IntN(2) {
		a = a.Next()
	}
	return a
}

// disturb does what other programs, and the sessions themselves, do behind our back.
func (m *model) disturb(r *rand.Rand) {
	line := []string{"ppp-a", "ppp-b"}[r.IntN(2)]
	_, exists := m.links[line]
	switch r.IntN(6) {
	case 0:
		m.deleteLink(line)
		delete(m.sysctls, "net/ipv6/conf/"+line+"/accept_ra")
	case 1:
		if !exists {
			m.links[line] = Link{Name: line, Line: true, MTU: 1500}
			m.sysctls["net/ipv6/conf/"+line+"/accept_ra"] = "1"
		}
	case 2:
		if exists {
			a := PeerAddress(line, netip.MustParseAddr("203.0.113.99"), randomAddress(r, "198.51.100.0"))
			_ = m.apply(AddAddress{a})
		}
	case 3:
		if len(m.routes) > 0 {
			m.routes = slices.Delete(m.routes, 0, 1)
		}
	case 4:
		if i := r.IntN(len(m.addresses)); m.addresses[i].Device == line {
			m.deleteAddress(m.addresses[i])
		}
	case 5:
		for _, name := range slices.Sorted(maps.Keys(m.links)) {
			if m.links[name].Ours && r.IntN(2) == 0 {
				m.deleteLink(name)
			}
		}
	}
}

// TestRandomHistories drives a kernel through states in random order, with others meddling. Every operation must be possible when its
// turn comes, one round must be enough, and what belongs to others must be there to the end.
func TestRandomHistories(t *testing.T) {
	foreign := Link{Name: "eth1.7", VLAN: VLAN{Parent: "eth1", ID: 7, Protocol: Dot1Q}}
	slaac := Address{Device: "eth1", Local: netip.MustParseAddr("2001:db8::1"), Peer: netip.MustParsePrefix("2001:db8::1/64")}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		m := &model{sysctls: map[string]string{}, links: map[string]Link{"eth1": {Name: "eth1", MTU: 1500}, foreign.Name: foreign}}
		m.addresses = []Address{slaac}
		for step := range 30 {
			for range r.IntN(4) {
				m.disturb(r)
			}
			want := randomWant(r)
			if step == 29 {
				want = State{}
			}
			before := m.state()
			converge(t, m, want)
			if t.Failed() {
				t.Fatalf("seed %d, step %d, from\n%s\nwanting\n%s", seed, step, before, want)
			}
		}
		for _, l := range m.links {
			if l.Ours {
				t.Errorf("seed %d: %s is left behind", seed, l)
			}
		}
		if len(m.routes) > 0 {
			t.Errorf("seed %d: routes are left behind: %v", seed, m.routes)
		}
		if _, ok := m.links[foreign.Name]; !ok || !slices.Contains(m.addresses, slaac) {
			t.Fatalf("seed %d: something foreign was deleted", seed)
		}
	}
}

// converge brings the kernel to what is wanted, by operations in the given order, and checks that no more are needed.
func converge(t *testing.T, m *model, want State) {
	t.Helper()
	ops := Diff(want, m.state())
	for _, op := range ops {
		if err := m.apply(op); err != nil {
			t.Errorf("%v\nof %v", err, ops)
		}
	}
	if diff := cmp.Diff([]Op(nil), Diff(want, m.state())); diff != "" {
		t.Errorf("after %v there is more to do:\n%s", ops, diff)
	}
}
