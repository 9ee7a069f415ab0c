package netstate

import (
	"fmt"
	"maps"
	"slices"
)

// model is a kernel in memory. It is as strict as the real one in what it refuses, and has its side effects. Those of TEQL are of the
// kernel's net/sched/sch_teql.c.
type model struct {
	links     map[string]Link
	addresses []Address // in the order of adding: the first IPv4 address of a network is primary, the others secondary
	routes    []Route
	spread    []Multipath
	dead      map[string]bool // devices whose next hops are passed over: down, or without an IPv4 address since it lost its last
	rules     []RoutingRule
	sysctls   map[string]string
	qdiscs    map[string]string    // kind of the root qdisc, by device
	taken     map[string]Scheduler // by device
	shapers   map[string]Shaper    // likewise
	table     *Table
}

// state is what can be observed by one who is interested in what is wanted: which devices are lines is known from there alone.
func (m *model) state(want State) State {
	s := State{
		Addresses: slices.Clone(m.addresses), Routes: slices.Clone(m.routes), Multipaths: slices.Clone(m.spread), Rules: slices.Clone(m.rules),
		Table: m.table, Schedulers: m.schedulers(), Shapers: slices.Collect(maps.Values(m.shapers)),
	}
	for name, l := range m.links {
		if i := m.first(name); i >= 0 && (l.Bond || l.Weighted) {
			s.Addresses[i].First = true
		}
	}
	for _, l := range m.links {
		l.Line = slices.ContainsFunc(want.Links, func(w Link) bool { return w.Name == l.Name && w.Line })
		s.Links = append(s.Links, l)
	}
	for key, value := range m.sysctls {
		s.Sysctls = append(s.Sysctls, Sysctl{key, value})
	}
	for device, kind := range m.qdiscs {
		if m.links[kind].Bond {
			s.Qdiscs = append(s.Qdiscs, Qdisc{device, kind})
		}
	}
	return s
}

// first is the index of the IPv4 address that packets go out with; -1 where there is none.
func (m *model) first(device string) int {
	return slices.IndexFunc(m.addresses, func(a Address) bool { return a.Device == device && a.Local.Is4() })
}

func (m *model) apply(op Op) error {
	switch o := op.(type) {
	case AddLink:
		parent, ok := m.links[o.Link.VLAN.Parent]
		if _, exists := m.links[o.Link.Name]; exists || !ok {
			return fmt.Errorf("%s: exists %v, parent exists %v", o, exists, ok)
		}
		m.links[o.Link.Name] = Link{Name: o.Link.Name, VLAN: o.Link.VLAN, Ours: true, MTU: parent.MTU}
		m.sysctls["net/ipv6/conf/"+o.Link.Name+"/disable_ipv6"] = "0"
	case DeleteLink:
		if _, ok := m.links[o.Device]; !ok {
			return fmt.Errorf("%s: no such device", o)
		}
		m.deleteLink(o.Device)
	case SetEgress, SetMTU, SetUp, SetTxQueue, Adopt:
		return m.changeLink(op)
	case LoadBonds, Join, Leave, Release:
		return m.changeBond(op)
	case TakeScheduler, Unschedule, Schedule, DeleteScheduler:
		return m.changeScheduler(op)
	case SetShaper, DeleteShaper:
		return m.changeShaper(op)
	case AddAddress:
		if _, ok := m.links[o.Address.Device]; !ok || o.Address.First {
			return fmt.Errorf("%s: device exists %v; the kernel knows no first", o, ok)
		}
		if !slices.Contains(m.addresses, o.Address) {
			m.addresses = append(m.addresses, o.Address)
		}
		if o.Address.Local.Is4() && m.links[o.Address.Device].Up {
			delete(m.dead, o.Address.Device)
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
	case AddMultipath, DeleteMultipath, AddRule, DeleteRule:
		return m.changeSpread(op)
	case SetSysctl:
		if _, ok := m.sysctls[o.Sysctl.Key]; !ok {
			return fmt.Errorf("%s: no such setting", o)
		}
		m.sysctls[o.Sysctl.Key] = o.Sysctl.Value
	case SetTable:
		m.table = &o.Table
	case DeleteTable:
		if m.table == nil {
			return fmt.Errorf("%s: no such table", o)
		}
		m.table = nil
	default:
		return fmt.Errorf("%T is not known", o)
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
	case SetTxQueue:
		name, change = o.Device, func(l *Link) { l.TxQueue = o.Packets }
	case Adopt:
		name, change = o.Device, func(l *Link) { l.Ours = true }
	case SetUp:
		name, change = o.Device, func(l *Link) {
			l.Up = true
			if l.Bond {
				l.MTU = m.leastMTU(l.Name)
			}
		}
	}
	l, ok := m.links[name]
	if !ok {
		return fmt.Errorf("%s: no such device", op)
	}
	least := m.leastMTU(name)
	switch o := op.(type) {
	case SetUp:
		if l.VLAN.Parent != "" && !m.links[l.VLAN.Parent].Up {
			return fmt.Errorf("%s: network is down", o)
		}
		if l.Bond && least == 0 {
			return fmt.Errorf("%s: no slave (EUNATCH)", o)
		}
	case SetMTU:
		if l.Bond && least != 0 && o.MTU > least {
			return fmt.Errorf("%s: above a slave's %d (EINVAL)", o, least)
		}
	case Adopt:
		if !l.Bond || l.Ours {
			return fmt.Errorf("%s: bond %v, ours already %v", o, l.Bond, l.Ours)
		}
	}
	change(&l)
	m.links[name] = l
	if l.Up {
		delete(m.dead, name)
	}
	return nil
}

func (m *model) changeSpread(op Op) error {
	switch o := op.(type) {
	case AddMultipath:
		down := func(h Hop) bool { return !m.links[h.Device].Up }
		if len(o.Multipath.Hops) < 2 || slices.ContainsFunc(o.Multipath.Hops, down) {
			return fmt.Errorf("%s: network is down", o)
		}
		if !slices.ContainsFunc(m.spread, o.Multipath.equal) {
			m.spread = append(m.spread, o.Multipath)
		}
	case DeleteMultipath:
		i := slices.IndexFunc(m.spread, o.Multipath.sameWays) // the kernel does not look at weights
		if i < 0 {
			return fmt.Errorf("%s: no such route", o)
		}
		m.spread = slices.Delete(m.spread, i, i+1)
	case AddRule:
		if slices.Contains(m.rules, o.Rule) {
			return fmt.Errorf("%s: file exists", o)
		}
		m.rules = append(m.rules, o.Rule)
	case DeleteRule:
		i := slices.Index(m.rules, o.Rule)
		if i < 0 {
			return fmt.Errorf("%s: no such rule", o)
		}
		m.rules = slices.Delete(m.rules, i, i+1)
	}
	return nil
}

// kill has the next hops of a device passed over. A route all of whose next hops are goes.
func (m *model) kill(device string) {
	m.dead[device] = true
	m.spread = slices.DeleteFunc(m.spread, func(p Multipath) bool {
		return !slices.ContainsFunc(p.Hops, func(h Hop) bool { return !m.dead[h.Device] })
	})
}

func (m *model) changeBond(op Op) error {
	switch o := op.(type) {
	case LoadBonds:
		for _, device := range o.Devices {
			if _, exists := m.links[device]; exists {
				return fmt.Errorf("%s: %s exists", o, device)
			}
			m.loadBond(device)
		}
	case Join:
		return m.join(o)
	case Leave:
		if m.qdiscs[o.Qdisc.Device] != o.Qdisc.Kind {
			return fmt.Errorf("%s: the root qdisc is %q", o, m.qdiscs[o.Qdisc.Device])
		}
		delete(m.qdiscs, o.Qdisc.Device)
	case Release:
		l, ok := m.links[o.Device]
		if !ok || !l.Bond || !l.Ours || m.leastMTU(o.Device) != 0 {
			return fmt.Errorf("%s: %s, least MTU of slaves %d", o, l, m.leastMTU(o.Device))
		}
		m.setDown(o.Device)
		m.links[o.Device] = bornBond(o.Device)
	}
	return nil
}

func bornBond(name string) Link { return Link{Name: name, Bond: true, MTU: 1500, TxQueue: 100} }

func (m *model) loadBond(name string) {
	m.links[name] = bornBond(name)
	m.sysctls["net/ipv4/conf/"+name+"/rp_filter"] = "1"
}

// join is teql_qdisc_init.
func (m *model) join(o Join) error {
	slave, exists := m.links[o.Qdisc.Device]
	bond, loaded := m.links[o.Qdisc.Kind]
	if !exists || !loaded || !bond.Bond || m.qdiscs[slave.Name] == bond.Name {
		return fmt.Errorf("%s: slave %v, bond %v, has %q", o, exists, loaded, m.qdiscs[slave.Name])
	}
	switch least := m.leastMTU(bond.Name); {
	case least == 0:
		bond.MTU = slave.MTU
	case bond.Up && slave.MTU < bond.MTU:
		return fmt.Errorf("%s: the MTU %d is below the bond's %d (EINVAL)", o, slave.MTU, bond.MTU)
	default:
		bond.MTU = min(bond.MTU, slave.MTU)
	}
	m.links[bond.Name] = bond
	m.qdiscs[slave.Name] = bond.Name
	return nil
}

// leastMTU is that of a bond's slaves, 0 when it has none.
func (m *model) leastMTU(bond string) int {
	least := 0
	for device, kind := range m.qdiscs {
		if mtu := m.links[device].MTU; kind == bond && (least == 0 || mtu < least) {
			least = mtu
		}
	}
	return least
}

// setDown sets a device down: its routes go, and its IPv6 addresses.
func (m *model) setDown(name string) {
	l := m.links[name]
	l.Up = false
	m.links[name] = l
	m.routes = slices.DeleteFunc(m.routes, func(r Route) bool { return r.Device == name })
	m.kill(name)
	m.addresses = slices.DeleteFunc(m.addresses, func(a Address) bool { return a.Device == name && a.Local.Is6() })
}

func (m *model) deleteLink(name string) {
	for _, l := range m.links {
		if l.VLAN.Parent == name {
			m.deleteLink(l.Name)
		}
	}
	delete(m.links, name)
	m.lose(name)
	delete(m.sysctls, "net/ipv4/conf/"+name+"/rp_filter")
	delete(m.qdiscs, name)
	delete(m.shapers, name)
	delete(m.sysctls, "net/ipv6/conf/"+name+"/disable_ipv6")
	m.addresses = slices.DeleteFunc(m.addresses, func(a Address) bool { return a.Device == name })
	m.routes = slices.DeleteFunc(m.routes, func(r Route) bool { return r.Device == name })
	m.spread = slices.DeleteFunc(m.spread, func(p Multipath) bool {
		return slices.ContainsFunc(p.Hops, func(h Hop) bool { return h.Device == name })
	})
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
	if a.Local.Is4() && !slices.ContainsFunc(m.addresses, func(b Address) bool { return b.Device == a.Device && b.Local.Is4() }) {
		m.routes = slices.DeleteFunc(m.routes, func(r Route) bool { return r.Device == a.Device && r.Destination.Addr().Is4() })
		m.kill(a.Device)
	}
}
