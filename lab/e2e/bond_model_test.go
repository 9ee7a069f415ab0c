package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"linebond/bond"
	"linebond/config"
	"linebond/kernel"
	"linebond/lab"
	lineroom "linebond/line"
	"linebond/netstate"
)

// TestRandomHost plays 200 histories of lines and of foreign hands against the decisions, the difference and the kernel. Whatever the
// history, the host ends as a fresh start with the same lines would have made it.
func TestRandomHost(t *testing.T) {
	t.Parallel()
	const histories, parts = 200, 4
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t, "host")
			teql := lab.TEQL(t, n)
			n.IP(t, "link add eth1 type dummy", "link add eth2 type dummy", "link add eth3 type dummy", "link set eth1 mtu 1508")
			for seed := part; seed < histories; seed += parts {
				var err error
				n.Do(t, func() { err = history(teql, seed) })
				if err != nil {
					t.Fatalf("history %d: %v", seed, err)
				}
			}
		})
	}
}

var bondAddress = netip.MustParseAddr(lab.BondAddress)

// model is a host whose lines are TUN devices, and do what they are told.
type model struct {
	random  *rand.Rand
	kernel  *kernel.Kernel
	config  *config.Config
	bonds   *bond.Bonds
	now     time.Time
	members []bond.Member
	session int
	log     []string
}

func newModel(teql string, seed int) (*model, error) {
	files := fstest.MapFS{"etc/linebond.toml": {Mode: 0o600, Data: fmt.Appendf(nil, `
[bond]
mode = "teql"
device = %q
addresses = ["203.0.113.200"]
[host]
firewall = true
[lan]
interfaces = ["lan0"]
[[forward]]
port = 443
to = "192.168.7.2"
`, teql)}}
	if seed%2 == 0 { // the lines tell the bond's address
		files["etc/linebond.toml"].Data = fmt.Appendf(nil, "[bond]\nmode = \"teql\"\ndevice = %q\n[lan]\ninterfaces = [\"lan0\"]\n", teql)
	}
	for i, name := range []string{"a", "b", "c"} {
		files["etc/lines.d/"+name+".toml"] = &fstest.MapFile{Mode: 0o600, Data: fmt.Appendf(nil,
			"interface = \"eth%d\"\nvlan = 101\nusername = \"u\"\npassword = \"p\"\nfallback = %v\n", i+1, i == 2)}
	}
	c, problems := config.Load(files, "/etc")
	if len(c.Lines) != 3 {
		return nil, fmt.Errorf("the configuration: %v", problems)
	}
	m := &model{random: rand.New(rand.NewPCG(uint64(seed), 3)), config: c, now: time.Unix(1e9, 0)}
	m.bonds = bond.New(c, 2)
	for _, l := range c.Lines {
		m.members = append(m.members, bond.Member{Config: l, Status: lineroom.Status{Name: l.Name, Device: l.Device, State: lineroom.Waiting}})
	}
	var err error
	m.kernel, err = kernel.Open()
	return m, err
}

// history plays one. It runs in the host's namespace.
func history(teql string, seed int) error {
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/addr_gen_mode", []byte("1"), 0); err != nil { // a PPP device gets none either
		return err
	}
	m, err := newModel(teql, seed)
	if err != nil {
		return err
	}
	defer m.kernel.Close()
	for range 3 + m.random.IntN(8) {
		for range 1 + m.random.IntN(3) {
			m.happen()
		}
		if _, err := m.reconcile(); err != nil {
			return m.explain(err)
		}
	}
	m.settle()
	played, err := m.reconcile()
	if err != nil {
		return m.explain(err)
	}
	if err := m.startAfresh(); err != nil {
		return m.explain(err)
	}
	fresh, err := m.reconcile()
	if err != nil {
		return m.explain(err)
	}
	if diff := cmp.Diff(fresh.String(), played.String()); diff != "" {
		return m.explain(fmt.Errorf("the host differs from one of a fresh start (-fresh +played):\n%s", diff))
	}
	return m.cleanUp()
}

func (m *model) explain(err error) error { return fmt.Errorf("%w\nhistory: %q", err, m.log) }

// reconcile does what the daemon does, until no time has to pass, and returns what there is then.
func (m *model) reconcile() (netstate.State, error) {
	for {
		plan := m.bonds.Plan(m.now, m.members)
		have, err := m.apply(plan.State)
		if err != nil || plan.Next.IsZero() {
			return have, err
		}
		m.now = plan.Next
	}
}

// apply takes one round, or two where a device is made, whose settings are there from then on. After that there must be no more to do.
func (m *model) apply(want netstate.State) (netstate.State, error) {
	have, err := m.kernel.Observe(want)
	ops := netstate.Diff(want, have)
	for range 2 {
		if err == nil {
			err = m.kernel.Apply(ops)
		}
		if err == nil {
			have, err = m.kernel.Observe(want)
		}
		if err != nil {
			return have, fmt.Errorf("apply %v: %w", ops, err)
		}
		made := slices.ContainsFunc(ops, func(op netstate.Op) bool { _, ok := op.(netstate.AddLink); return ok })
		if ops = netstate.Diff(want, have); !made {
			break
		}
	}
	if len(ops) > 0 {
		return have, fmt.Errorf("there is more to do after all is done: %v", ops)
	}
	return have, nil
}

// cleanUp does what `linebond cleanup` does when the daemon has gone, and the lines' devices with it.
func (m *model) cleanUp() error {
	for i := range m.members {
		m.lose(i)
	}
	have, err := m.kernel.Observe(netstate.State{})
	if err != nil {
		return err
	}
	if err := m.kernel.Apply(netstate.Diff(netstate.State{}, have)); err != nil {
		return err
	}
	if have, err = m.kernel.Observe(netstate.State{}); err == nil && have.String() != "" {
		err = errors.New("cleanup has left something behind: " + have.String())
	}
	return err
}

// startAfresh cleans up, and starts with the same lines.
func (m *model) startAfresh() error {
	members := slices.Clone(m.members)
	if err := m.cleanUp(); err != nil {
		return err
	}
	m.bonds = bond.New(m.config, 2)
	for i, member := range members {
		if member.Status.Session != nil {
			if err := addTUN(member.Status.Device); err != nil {
				return err
			}
		}
		m.members[i] = member
	}
	return nil
}

func addTUN(name string) error {
	return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1})
}

// settle ends the troubles of a history: line a runs, the others may.
func (m *model) settle() {
	for i := range m.members {
		switch s := &m.members[i].Status; {
		case i == 0 || m.random.IntN(4) > 0:
			if s.Session == nil {
				m.dial(i)
			}
			s.State, s.Reason, s.Echo.Silent = lineroom.Running, lineroom.Reason{Cause: lineroom.CarrierBack}, 0
			s.IPv4.Local = bondAddress // where they differ, the bond's depends on which it had before
		default:
			m.lose(i)
		}
	}
	m.log = append(m.log, "settled")
}

// happen does something to a line, or by a foreign hand.
func (m *model) happen() {
	i := m.random.IntN(len(m.members))
	s := &m.members[i].Status
	events := []struct {
		name string
		do   func()
	}{
		{"dial", func() { m.lose(i); m.dial(i) }},
		{"dial", func() { m.lose(i); m.dial(i) }},
		{"lose", func() { m.lose(i) }},
		{"hold", func() {
			if s.Session != nil {
				s.State, s.Reason = lineroom.Held, lineroom.Reason{Cause: lineroom.CarrierLost}
			}
		}},
		{"carrier back", func() {
			if s.Session != nil {
				s.State, s.Reason = lineroom.Running, lineroom.Reason{Cause: lineroom.CarrierBack}
			}
		}},
		{"silence", func() { s.Echo.Silent = m.random.IntN(6) }},
		{"time", func() { m.now = m.now.Add(time.Duration(m.random.Int64N(int64(2 * time.Minute)))) }},
		{"foreign hand", m.foreignHand},
		{"foreign hand", m.foreignHand},
		{"linebond killed", func() { m.bonds = bond.New(m.config, 2) }},
	}
	event := events[m.random.IntN(len(events))]
	m.log = append(m.log, fmt.Sprintf("%s %s", m.members[i].Config.Name, event.name))
	event.do()
}

// dial has a line get a session, with an address and MTU of its own now and then.
func (m *model) dial(i int) {
	s := &m.members[i].Status
	if err := addTUN(s.Device); err != nil {
		m.log = append(m.log, err.Error())
		return
	}
	m.session++
	address := bondAddress
	if m.random.IntN(4) == 0 {
		address = netip.AddrFrom4([4]byte{203, 0, 113, byte(20 + m.random.IntN(3))})
	}
	s.State, s.Reason, s.Echo.Silent = lineroom.Running, lineroom.Reason{Cause: lineroom.Negotiated}, 0
	s.Session = &lineroom.Session{ID: uint16(m.session), MTU: []int{1492, 1500, 1400}[m.random.IntN(3)], UpSince: m.now}
	s.IPv4 = lineroom.IPv4{Local: address, Peer: netip.MustParseAddr("198.51.100.1")}
	s.IPv6 = lineroom.IPv6{Local: netip.MustParseAddr(fmt.Sprintf("fe80::%d", m.session)), Peer: netip.MustParseAddr("fe80::ffff")}
}

// lose ends a line's session, and its device goes.
func (m *model) lose(i int) {
	s := &m.members[i].Status
	if s.Session == nil {
		return
	}
	if device, err := netlink.LinkByName(s.Device); err == nil {
		_ = netlink.LinkDel(device)
	}
	reason := lineroom.Reason{Cause: lineroom.EchoLost, Detail: "5 of 5"}
	*s = lineroom.Status{Name: s.Name, Device: s.Device, State: lineroom.Waiting, Reason: reason, Ended: reason}
}

// foreignHand takes away, or changes, something that is there.
func (m *model) foreignHand() {
	plan := m.bonds.Plan(m.now, m.members)
	have, err := m.kernel.Observe(plan.State)
	if err != nil {
		m.log = append(m.log, err.Error())
		return
	}
	ops := []netstate.Op{netstate.DeleteTable{}}
	for _, r := range have.Routes {
		ops = append(ops, netstate.DeleteRoute{Route: r})
	}
	for _, a := range have.Addresses {
		ops = append(ops, netstate.DeleteAddress{Address: a})
	}
	for _, q := range have.Qdiscs {
		ops = append(ops, netstate.Leave{Qdisc: q})
	}
	for _, c := range have.Sysctls {
		ops = append(ops, netstate.SetSysctl{Sysctl: netstate.Sysctl{Key: c.Key, Value: "0"}})
	}
	for _, l := range have.Links {
		ops = append(ops, netstate.SetMTU{Device: l.Name, MTU: 1300}, down{device: l.Name})
		if l.VLAN.Parent != "" {
			ops = append(ops, netstate.DeleteLink{Device: l.Name})
		}
		if l.Bond {
			ops = append(ops, netstate.Release{Device: l.Name}, netstate.SetTxQueue{Device: l.Name, Packets: 7})
		}
	}
	op := ops[m.random.IntN(len(ops))]
	m.log = append(m.log, op.String())
	if d, ok := op.(down); ok {
		if device, err := netlink.LinkByName(d.device); err == nil {
			_ = netlink.LinkSetDown(device)
		}
		return
	}
	_ = m.kernel.Apply([]netstate.Op{op}) // what cannot be done does not happen
}

// down is something that linebond never does.
type down struct {
	netstate.Op
	device string
}

func (d down) String() string { return "ip link set dev " + d.device + " down" }
