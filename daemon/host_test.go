package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"linebond/kernel"
	"linebond/netstate"
)

// fakeHost is a kernel's networking in memory.
type fakeHost struct {
	mu        sync.Mutex
	state     netstate.State
	cut       map[string]bool   // Ethernet devices without carrier
	blind     map[string]bool   // devices whose Link fails
	addresses map[string]string // Ethernet addresses of devices
	refuse    error             // what Apply answers
	unread    error             // why the table cannot be read
	noTable   error             // why it cannot be set
	noJoin    error             // why no line can join a bond
	applies   int
	ops       []string                                             // that were carried out
	missing   bool                                                 // the module of TEQL
	traffic   func(device string, t time.Duration) kernel.Counters // since the host was made; nil: always the same
	made      time.Time
	queue     kernel.ShaperStats // of every shaper
	news      chan struct{}      // Watch's; nil: nobody watches
}

func newHost(devices ...string) *fakeHost {
	h := &fakeHost{cut: map[string]bool{}, blind: map[string]bool{}, addresses: map[string]string{}, made: time.Now()}
	for _, name := range devices {
		h.state.Links = append(h.state.Links, netstate.Link{Name: name, MTU: 1508})
	}
	return h
}

// change lets f alter the host, as another program would, and announces it.
func (h *fakeHost) change(f func(*fakeHost)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	h.announce()
}

func (h *fakeHost) announce() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// String lists the state.
func (h *fakeHost) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.String()
}

func (h *fakeHost) Observe(netstate.State) (netstate.State, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state
	s.Links, s.Addresses = slices.Clone(s.Links), slices.Clone(s.Addresses)
	s.Routes, s.Sysctls, s.Qdiscs = slices.Clone(s.Routes), slices.Clone(s.Sysctls), slices.Clone(s.Qdiscs)
	s.Multipaths, s.Rules, s.Shapers = slices.Clone(s.Multipaths), slices.Clone(s.Rules), slices.Clone(s.Shapers)
	if h.unread != nil {
		s.Table = nil
		return s, &kernel.TableError{Cause: h.unread}
	}
	return s, nil
}

func (h *fakeHost) Apply(ops []netstate.Op) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.applies++
	if len(ops) == 0 {
		return nil
	}
	if h.refuse != nil {
		return h.refuse
	}
	var errs []error
	for _, op := range ops {
		if device := deviceOf(op); device != "" && h.link(device) == nil {
			errs = append(errs, fmt.Errorf("%v: no such device", op))
			continue
		}
		if err := h.apply(op); err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", op, err))
			continue
		}
		h.ops = append(h.ops, op.String())
	}
	h.announce()
	return errors.Join(errs...)
}

// deviceOf returns the device that an operation needs to be there, if any: it
// may have gone since Observe.
func deviceOf(op netstate.Op) string {
	switch op := op.(type) {
	case netstate.SetUp:
		return op.Device
	case netstate.SetMTU:
		return op.Device
	case netstate.AddAddress:
		return op.Address.Device
	case netstate.AddRoute:
		return op.Route.Device
	case netstate.Adopt:
		return op.Device
	case netstate.Release:
		return op.Device
	case netstate.SetTxQueue:
		return op.Device
	case netstate.SetShaper:
		return op.Shaper.Device
	case netstate.Join:
		return op.Qdisc.Device
	}
	return ""
}

func (h *fakeHost) apply(op netstate.Op) error {
	s := &h.state
	switch op := op.(type) {
	case netstate.AddLink:
		op.Link.MTU = 1508
		s.Links = append(s.Links, op.Link)
	case netstate.SetUp:
		l := h.link(op.Device)
		if l.Bond && !slices.ContainsFunc(s.Qdiscs, func(q netstate.Qdisc) bool { return q.Kind == l.Name }) {
			return errors.New("protocol driver not attached")
		}
		l.Up = true
	case netstate.SetMTU:
		h.link(op.Device).MTU = op.MTU
	case netstate.AddAddress:
		s.Addresses = append(s.Addresses, op.Address)
	case netstate.DeleteAddress:
		s.Addresses = slices.DeleteFunc(s.Addresses, func(a netstate.Address) bool { return a == op.Address })
	case netstate.AddRoute:
		s.Routes = append(s.Routes, op.Route)
	case netstate.DeleteRoute:
		s.Routes = slices.DeleteFunc(s.Routes, func(r netstate.Route) bool { return r == op.Route })
	case netstate.SetSysctl:
		s.Sysctls = slices.DeleteFunc(s.Sysctls, func(c netstate.Sysctl) bool { return c.Key == op.Sysctl.Key })
		s.Sysctls = append(s.Sysctls, op.Sysctl)
	case netstate.DeleteLink:
		h.remove(op.Device)
	case netstate.AddMultipath, netstate.DeleteMultipath, netstate.AddRule, netstate.DeleteRule:
		h.applySpread(op)
	default:
		return h.applyBond(op)
	}
	return nil
}

func (h *fakeHost) applySpread(op netstate.Op) {
	s := &h.state
	switch op := op.(type) {
	case netstate.AddMultipath:
		s.Multipaths = append(s.Multipaths, op.Multipath)
	case netstate.DeleteMultipath:
		s.Multipaths = slices.DeleteFunc(s.Multipaths, func(m netstate.Multipath) bool { return m.String() == op.Multipath.String() })
	case netstate.AddRule:
		s.Rules = append(s.Rules, op.Rule)
	case netstate.DeleteRule:
		s.Rules = slices.DeleteFunc(s.Rules, func(r netstate.RoutingRule) bool { return r == op.Rule })
	}
}

func (h *fakeHost) applyBond(op netstate.Op) error {
	s := &h.state
	switch op := op.(type) {
	case netstate.LoadBonds:
		if h.missing {
			return errors.New("no such module")
		}
		for _, device := range op.Devices {
			s.Links = append(s.Links, teql(device))
		}
	case netstate.Adopt:
		h.link(op.Device).Ours = true
	case netstate.Release:
		*h.link(op.Device) = teql(op.Device)
	case netstate.SetTxQueue:
		h.link(op.Device).TxQueue = op.Packets
	case netstate.Join:
		if h.noJoin != nil {
			return h.noJoin
		}
		s.Qdiscs = append(s.Qdiscs, op.Qdisc)
	case netstate.SetShaper:
		set := op.Shaper
		set.Kind = netstate.ShaperCake
		s.Shapers = append(slices.DeleteFunc(s.Shapers, func(c netstate.Shaper) bool { return c.Device == set.Device }), set)
	case netstate.DeleteShaper:
		s.Shapers = slices.DeleteFunc(s.Shapers, func(c netstate.Shaper) bool { return c.Device == op.Device })
	case netstate.Leave:
		s.Qdiscs = slices.DeleteFunc(s.Qdiscs, func(q netstate.Qdisc) bool { return q == op.Qdisc })
	case netstate.SetTable:
		if h.noTable != nil {
			return h.noTable
		}
		s.Table = &op.Table
	case netstate.DeleteTable:
		s.Table = nil
	default:
		return fmt.Errorf("%T is not an operation of this kernel", op)
	}
	return nil
}

// teql is a bond device as the kernel makes it.
func teql(name string) netstate.Link {
	return netstate.Link{Name: name, Bond: true, MTU: 1500, TxQueue: 100}
}

// link returns a device, or nil if there is none of that name.
func (h *fakeHost) link(name string) *netstate.Link {
	for i := range h.state.Links {
		if h.state.Links[i].Name == name {
			return &h.state.Links[i]
		}
	}
	return nil
}

// remove takes a device away with all that is on it.
func (h *fakeHost) remove(device string) {
	s := &h.state
	s.Links = slices.DeleteFunc(s.Links, func(l netstate.Link) bool { return l.Name == device || l.VLAN.Parent == device })
	s.Addresses = slices.DeleteFunc(s.Addresses, func(a netstate.Address) bool { return a.Device == device })
	s.Routes = slices.DeleteFunc(s.Routes, func(r netstate.Route) bool { return r.Device == device })
	s.Multipaths = slices.DeleteFunc(s.Multipaths, func(m netstate.Multipath) bool {
		return slices.ContainsFunc(m.Hops, func(h netstate.Hop) bool { return h.Device == device })
	})
	s.Qdiscs = slices.DeleteFunc(s.Qdiscs, func(q netstate.Qdisc) bool { return q.Device == device })
	s.Shapers = slices.DeleteFunc(s.Shapers, func(c netstate.Shaper) bool { return c.Device == device })
	s.Sysctls = slices.DeleteFunc(s.Sysctls, func(c netstate.Sysctl) bool { return strings.Contains(c.Key, "/"+device+"/") })
}

func (h *fakeHost) Watch(ctx context.Context) (<-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	news := make(chan struct{}, 1)
	h.news = news
	context.AfterFunc(ctx, func() { h.die(news) })
	return news, nil
}

// die ends the announcements on a channel, if it is still Watch's.
func (h *fakeHost) die(news chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.news == news {
		h.news = nil
		close(news)
	}
}

func (h *fakeHost) Link(device string) (kernel.LinkInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.blind[device] {
		return kernel.LinkInfo{}, errors.New("looking up " + device + ": netlink is tired")
	}
	l := h.link(device)
	if l == nil {
		return kernel.LinkInfo{}, nil
	}
	return kernel.LinkInfo{Exists: true, Up: l.Up, Carrier: l.Up && !h.cut[device], MTU: l.MTU, Address: h.addresses[device], Counters: h.counters(device)}, nil
}

// counters are a device's.
func (h *fakeHost) counters(device string) kernel.Counters {
	if h.traffic != nil {
		return h.traffic(device, time.Since(h.made))
	}
	return kernel.Counters{RxBytes: 1000, TxBytes: 2000, RxPackets: 10, TxPackets: 20, TxDropped: 7}
}

func (h *fakeHost) Counters() (map[string]kernel.Counters, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	counters := map[string]kernel.Counters{}
	for _, l := range h.state.Links {
		counters[l.Name] = h.counters(l.Name)
	}
	return counters, nil
}

func (h *fakeHost) Shaper(device string) (kernel.ShaperStats, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := slices.ContainsFunc(h.state.Shapers, func(s netstate.Shaper) bool { return s.Device == device })
	return h.queue, there, nil
}

// fakeResolvers keeps what is published, by the name of the line.
type fakeResolvers struct {
	mu      sync.Mutex
	servers map[string][]netip.Addr
	refuse  error         // what Keep answers
	hang    chan struct{} // Set waits for it to be closed
	sets    int
}

func (r *fakeResolvers) Set(_, line string, servers []netip.Addr) error {
	r.mu.Lock()
	hang := r.hang
	r.mu.Unlock()
	if hang != nil {
		<-hang
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sets++
	r.servers[line] = servers
	return nil
}

func (r *fakeResolvers) Keep(lines ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	maps.DeleteFunc(r.servers, func(line string, _ []netip.Addr) bool { return !slices.Contains(lines, line) })
	return nil
}

func (r *fakeResolvers) Cleanup() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.servers)
	return nil
}

func (r *fakeResolvers) of(line string) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers[line]
}

func (r *fakeResolvers) setRefuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = err
}
