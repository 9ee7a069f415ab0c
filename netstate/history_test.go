package netstate

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	testLines = []string{"ppp-a", "ppp-b", "ppp-c", "ppp-d"}
	testBonds = []string{"teql0", "teql1"}
)

func pick[T any](r *rand.Rand, items ...T) T { return items[r.IntN(len(items))] }

// randomWant makes a state of up to four lines in any phase of their lives, the first two alone or together on a VLAN, and of two bonds
// with some of the lines in them.
func randomWant(r *rand.Rand) State {
	var s State
	for i, line := range testLines {
		if r.IntN(4) == 0 {
			continue
		}
		if i < 2 {
			tags := [][]uint16{nil, {101}, {100, 101}, {100, 102}}[r.IntN(4)]
			links := ethernet("eth1", tags, []VLANProtocol{Dot1Q, Dot1AD}[r.IntN(2)], uint8(r.IntN(3)))
			s.Links = append(s.Links, links...)
			for _, l := range links[1:] {
				s.Sysctls = append(s.Sysctls, Sysctl{"net/ipv6/conf/" + l.Name + "/disable_ipv6", "1"})
			}
		}
		s.Links = append(s.Links, Link{Name: line, Line: true, Up: r.IntN(8) > 0, MTU: 1480 + r.IntN(20), TxQueue: pick(r, 0, 100)})
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
	wantBonds(r, &s)
	wantScheduler(r, &s)
	wantSpread(r, &s)
	if r.IntN(4) > 0 {
		s.Table = randomTable(r)
	}
	return s
}

func wantBonds(r *rand.Rand, s *State) {
	var bonds []string
	for _, bond := range testBonds {
		if r.IntN(4) == 0 {
			continue
		}
		bonds = append(bonds, bond)
		s.Links = append(s.Links, Link{Name: bond, Bond: true, Ours: true, Up: r.IntN(8) > 0, MTU: pick(r, 0, 1400, 1480+r.IntN(20), 1600),
			TxQueue: pick(r, 0, 1000), KeepAddresses: r.IntN(3) == 0})
		s.Sysctls = append(s.Sysctls, Sysctl{"net/ipv4/conf/" + bond + "/rp_filter", "2"})
		for _, a := range []string{"192.0.2.1/32", "192.0.2.9/29", "192.0.2.10/29", "2001:db8::9/64", "fe80::9/64"} {
			if r.IntN(3) == 0 {
				s.Addresses = append(s.Addresses, testAddress(bond, a))
			}
		}
		if last := len(s.Addresses) - 1; r.IntN(3) > 0 {
			of4 := slices.IndexFunc(s.Addresses, func(a Address) bool { return a.Device == bond && a.Local.Is4() })
			if of4 >= 0 {
				i := of4 + r.IntN(last-of4+1)
				s.Addresses[i].First = s.Addresses[i].Local.Is4()
			}
		}
		for _, destination := range []netip.Prefix{DefaultIPv4, DefaultIPv6} {
			if r.IntN(2) == 0 {
				s.Routes = append(s.Routes, Route{Destination: destination, Device: bond, Metric: 100 + r.IntN(2)})
			}
		}
	}
	for _, line := range testLines {
		wanted := slices.ContainsFunc(s.Links, func(l Link) bool { return l.Name == line })
		if len(bonds) > 0 && wanted && r.IntN(3) > 0 {
			s.Qdiscs = append(s.Qdiscs, Qdisc{line, pick(r, bonds...)})
		}
	}
}

// wantSpread spreads connections over some of the lines that have an IPv4 address, and gives each of these a table and its rules.
func wantSpread(r *rand.Rand, s *State) {
	m := Multipath{Destination: DefaultIPv4, Metric: 100 + r.IntN(2)}
	for i, line := range testLines {
		has := slices.ContainsFunc(s.Addresses, func(a Address) bool { return a.Device == line && a.Local.Is4() })
		if !has || r.IntN(3) == 0 {
			continue
		}
		m.Hops = append(m.Hops, Hop{line, 1 + r.IntN(2)})
		s.Routes = append(s.Routes, Route{Destination: DefaultIPv4, Device: line, Metric: 1, Table: 10801 + i})
		s.Rules = append(s.Rules, RoutingRule{Priority: 30799, In: line, Specific: true},
			RoutingRule{Priority: 30801 + i, Mark: Mark{uint32(i+1) << 24, 0x7f000000}, Table: 10801 + i})
	}
	if len(m.Hops) > 0 {
		s.Multipaths = append(s.Multipaths, m)
		s.Rules = append(s.Rules, RoutingRule{Priority: 30800, Specific: true})
	}
}

func testAddress(device, prefix string) Address {
	p := netip.MustParsePrefix(prefix)
	return Address{Device: device, Local: p.Addr(), Peer: p}
}

func randomTable(r *rand.Rand) *Table {
	devices := slices.Concat(testBonds, testLines)
	r.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	return &Table{
		Sets:   []DeviceSet{{Name: "outside", Devices: devices}},
		Chains: []Chain{{Name: "input", Type: "filter", Hook: "input", Rules: []Rule{{In: "outside", Verdict: pick(r, Accept, Drop)}}}},
	}
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
	line := pick(r, testLines...)
	_, exists := m.links[line]
	switch r.IntN(10) {
	case 0:
		m.deleteLink(line)
		delete(m.sysctls, "net/ipv6/conf/"+line+"/accept_ra")
	case 1:
		if !exists {
			m.links[line] = Link{Name: line, MTU: 1500}
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
			if m.links[name].Ours && !m.links[name].Bond && r.IntN(2) == 0 {
				m.deleteLink(name)
			}
		}
	case 6:
		m.disturbBond(r, pick(r, testBonds...), line)
	case 7:
		if exists {
			m.setDown(line)
		}
	case 8:
		m.disturbSpread(r)
	case 9:
		m.disturbScheduler(r)
	}
}

// disturbSpread takes something away from what spreads connections, or adds to it with our mark.
func (m *model) disturbSpread(r *rand.Rand) {
	switch r.IntN(4) {
	case 0:
		m.rules = m.rules[:r.IntN(len(m.rules)+1)]
	case 1:
		m.spread = nil
	case 2:
		_ = m.apply(AddRule{RoutingRule{Priority: 7, Table: 9}})
	case 3:
		_ = m.apply(AddMultipath{Multipath{DefaultIPv4, 100, []Hop{{"ppp-a", 9}, {"ppp-b", 1}}}})
	}
}

// disturbBond meddles with a bond that is in our use, with its lines, and with the table.
func (m *model) disturbBond(r *rand.Rand, bond, line string) {
	if !m.links[bond].Ours {
		return
	}
	switch r.IntN(8) {
	case 0:
		delete(m.qdiscs, line)
	case 1:
		if _, exists := m.links[line]; exists {
			m.qdiscs[line] = "fq_codel"
		}
	case 2:
		_ = m.apply(Join{Qdisc{pick(r, line, "eth1"), bond}})
	case 3:
		m.setDown(bond)
	case 4:
		_ = m.apply(SetMTU{Device: bond, MTU: pick(r, 1300, 1480, 1500, 9000)})
	case 5:
		_ = m.apply(AddAddress{testAddress(bond, pick(r, "192.0.2.11/29", "192.0.2.3/32", "2001:db8::7/64"))})
	case 6:
		m.table = pick(r, nil, randomTable(r))
	case 7:
		if m.leastMTU(bond) == 0 { // rmmod and modprobe
			m.deleteLink(bond)
			delete(m.sysctls, "net/ipv4/conf/"+bond+"/rp_filter")
		}
	}
}

// newModel has an Ethernet device, things of others, and the first bond where the kernel has loaded TEQL already.
func newModel(loaded bool) (m *model, foreign State) {
	foreign = State{
		Links: []Link{
			{Name: "eth1.7", VLAN: VLAN{Parent: "eth1", ID: 7, Protocol: Dot1Q}},
			{Name: "eth9", Up: true, MTU: 1500},
			{Name: "teql5", Bond: true, Up: true, MTU: 1500, TxQueue: 100},
		},
		Addresses: []Address{testAddress("eth1", "2001:db8::1/64"), testAddress("teql5", "192.0.2.1/32")},
		Qdiscs:    []Qdisc{{"eth9", "teql5"}},
	}
	m = &model{
		links:     map[string]Link{"eth1": {Name: "eth1", MTU: 1500}},
		addresses: slices.Clone(foreign.Addresses),
		sysctls:   map[string]string{},
		dead:      map[string]bool{},
		taken:     map[string]Scheduler{},
		shapers:   map[string]Shaper{},
		qdiscs:    map[string]string{"eth9": "teql5"},
	}
	for _, l := range foreign.Links {
		m.links[l.Name] = l
	}
	if loaded {
		m.loadBond("teql0")
	}
	return m, foreign
}

// TestRandomHistories drives a kernel through states in random order, with others meddling. Every operation must be possible when its
// turn comes, one round must be enough, or two where devices are made, and what belongs to others must be there to the end, and nothing
// else.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		m, foreign := newModel(seed%2 == 0)
		for step := range 30 {
			for range r.IntN(6) {
				m.disturb(r)
			}
			want := randomWant(r)
			if step == 29 {
				want = State{}
			}
			before := m.state(want)
			converge(t, m, want)
			if t.Failed() {
				t.Fatalf("seed %d, step %d, from\n%s\nwanting\n%s", seed, step, before, want)
			}
		}
		checkLeft(t, m, foreign)
		if t.Failed() {
			t.Fatalf("seed %d ends with\n%s", seed, m.state(State{}))
		}
	}
}

// checkLeft says what is left behind of ours, and what has been taken of others'.
func checkLeft(t *testing.T, m *model, foreign State) {
	t.Helper()
	for _, bond := range testBonds {
		if l, exists := m.links[bond]; exists && l != bornBond(bond) {
			t.Errorf("%s is not as it was born: %s", bond, l)
		}
	}
	for _, l := range m.links {
		if l.Ours {
			t.Errorf("%s is left behind", l)
		}
	}
	for _, a := range m.addresses {
		if (a.Device == testScheduler || slices.Contains(testBonds, a.Device)) && (a.Local.Is4() || !a.Local.IsLinkLocalUnicast()) {
			t.Errorf("%s is left behind", a)
		}
	}
	for device, kind := range m.qdiscs {
		if slices.Contains(testBonds, kind) {
			t.Errorf("%s is left behind", Qdisc{device, kind})
		}
	}
	if len(m.taken)+len(m.shapers) > 0 {
		t.Errorf("left behind: %v, %v", m.schedulers(), m.shapers)
	}
	if len(m.routes) > 0 || len(m.spread) > 0 || len(m.rules) > 0 || m.table != nil {
		t.Errorf("left behind: routes %v %v, rules %v, table %v", m.routes, m.spread, m.rules, m.table)
	}
	for _, l := range foreign.Links {
		if m.links[l.Name] != l {
			t.Errorf("the foreign %s is now %s", l, m.links[l.Name])
		}
	}
	for _, a := range foreign.Addresses {
		if !slices.Contains(m.addresses, a) {
			t.Errorf("the foreign %s is gone", a)
		}
	}
	if m.qdiscs["eth9"] != "teql5" {
		t.Error("the foreign qdisc is gone")
	}
}

// converge brings the kernel to what is wanted, by operations in the given order, and checks that no more are needed. A round with
// LoadBonds or AddLink is followed by one more.
func converge(t *testing.T, m *model, want State) {
	t.Helper()
	ops := applyRound(t, m, want)
	if slices.ContainsFunc(ops, makesDevices) {
		ops = applyRound(t, m, want)
	}
	for _, a := range want.Addresses {
		if i := m.first(a.Device); a.First && (m.links[a.Device].Bond || m.links[a.Device].Weighted) && (i < 0 || m.addresses[i].Local != a.Local) {
			t.Errorf("after %v %s is not first of %v", ops, a, m.addresses)
		}
	}
	for _, p := range m.spread {
		if slices.ContainsFunc(p.Hops, func(h Hop) bool { return m.dead[h.Device] }) {
			t.Errorf("after %v a hop of %s is dead", ops, p)
		}
	}
	m.checkScheduled(t, want, true)
	m.checkShaped(t, want)
	if diff := cmp.Diff([]Op(nil), Diff(want, m.state(want))); diff != "" {
		t.Errorf("after %v there is more to do:\n%s", ops, diff)
	}
}

func makesDevices(op Op) bool {
	switch op.(type) {
	case LoadBonds, TakeScheduler, AddLink:
		return true
	}
	return false
}

func applyRound(t *testing.T, m *model, want State) []Op {
	t.Helper()
	ops := Diff(want, m.state(want))
	for _, op := range ops {
		if _, leaves := op.(Unschedule); !leaves {
			m.checkScheduled(t, want, false)
		}
		if err := m.apply(op); err != nil {
			t.Errorf("%v\nof %v", err, ops)
		}
	}
	return ops
}
