package bond

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/config"
	"linebond/line"
	"linebond/netstate"
)

// chaos is a history of a few lines at random, and what must be true of it at all times.
type chaos struct {
	random  *rand.Rand
	now     time.Time
	config  config.Config
	members []Member
	bonds   *Bonds
	log     strings.Builder

	last Plan
	fell map[string]time.Time // when a line was last not well, having been so
	well map[string]bool
}

func newChaos(seed uint64) *chaos {
	c := &chaos{random: rand.New(rand.NewPCG(seed, 1)), now: epoch, fell: map[string]time.Time{}, well: map[string]bool{}}
	c.config.Health = config.Health{Failures: 3, RejoinAfter: time.Duration(c.random.IntN(4)) * 4 * time.Second}
	if c.random.IntN(2) == 0 {
		c.config.Health.Ping = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	}
	c.config.Bonds = []config.Bond{{Device: "teql0", DefaultRoute: true}, {Device: "teql1", DefaultRoute: true}}
	if c.random.IntN(2) == 0 {
		c.config.Bonds[0].Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.200/32")}
	}
	if c.random.IntN(2) == 0 {
		c.config.Bonds[1].Device, c.config.Bonds[1].Mode = "multipath", config.ModeMultipath
	}
	if c.random.IntN(3) == 0 {
		c.config.Bonds[0].Mode = config.ModeWeighted
	}
	for i := range 1 + c.random.IntN(5) {
		name := string(rune('a' + i))
		var m Member
		m.Config = config.Line{Name: name, Enabled: true, Device: "ppp-" + name, Bond: "teql0", Fallback: c.random.IntN(3) == 0}
		m.Status = line.Status{Name: name, Device: "ppp-" + name}
		if c.random.IntN(3) == 0 {
			m.Config.Bond = c.config.Bonds[1].Device
			m.Config.Upload = config.Rate(c.random.IntN(4))
		}
		c.config.Lines = append(c.config.Lines, m.Config)
		c.members = append(c.members, m)
	}
	c.bonds = New(&c.config, 4)
	if c.random.IntN(2) == 0 {
		c.bonds.WithoutEBPF()
	}
	c.last = c.bonds.Plan(c.now, c.members)
	return c
}

// happen lets something happen to a line, or some time pass.
func (c *chaos) happen() error {
	m := &c.members[c.random.IntN(len(c.members))]
	s := &m.Status
	switch event := c.random.IntN(12); event {
	case 0, 1, 2:
		if s.Session == nil {
			c.up(m)
		}
	case 3:
		if s.State == line.Running {
			s.Ended = line.Reason{Cause: line.EchoLost}
		}
		c.down(m, line.Waiting)
	case 4:
		if s.State == line.Running {
			s.Ended = line.Reason{Cause: line.Operator}
		}
		c.down(m, line.Stopped)
	case 5:
		if s.State == line.Running {
			s.State, s.Reason = line.Held, line.Reason{Cause: line.CarrierLost}
		}
	case 6:
		s.Echo.Silent = c.random.IntN(6)
	case 7:
		m.Ping.Silent = c.random.IntN(6)
	case 8:
		s.Echo.Silent, m.Ping.Silent = 0, 0
		if s.State == line.Held {
			s.State = line.Running
		}
	case 9:
		if s.Session != nil {
			s.IPv4.Local = netip.AddrFrom4([4]byte{203, 0, 113, byte(c.random.IntN(2))})
		}
	default:
		return c.pass(time.Duration(c.random.IntN(20)) * time.Second / 4)
	}
	fmt.Fprintf(&c.log, "%v %s %v %+v %+v\n", c.now.Sub(epoch), m.Config.Name, s.State, s.Echo, m.Ping)
	return c.check()
}

func (c *chaos) up(m *Member) {
	m.Status.State = line.Running
	m.Status.Session = &line.Session{MTU: 1400 + c.random.IntN(93), UpSince: c.now}
	m.Status.IPv4.Local = netip.AddrFrom4([4]byte{203, 0, 113, byte(c.random.IntN(2))})
	m.Status.Echo.Silent, m.Ping.Silent = 0, 0
}

func (c *chaos) down(m *Member, state line.State) {
	m.Status.State, m.Status.Session, m.Status.IPv4 = state, nil, line.IPv4{}
	m.Status.Echo.Silent, m.Ping.Silent = 0, 0
}

// pass lets time pass, and sees to it that plans change when they have said so, and only then.
func (c *chaos) pass(d time.Duration) error {
	until := c.now.Add(d)
	for !c.last.Next.IsZero() && !c.last.Next.After(until) {
		c.now = c.last.Next.Add(-1)
		if diff := c.another(); diff != "" {
			return fmt.Errorf("the plan has changed before %v: %s", c.last.Next, diff)
		}
		c.now = c.now.Add(1)
		before := describe(c.last, false)
		if err := c.check(); err != nil {
			return err
		}
		if describe(c.last, false) == before {
			return fmt.Errorf("the plan has not changed at %v", c.now)
		}
	}
	c.now = until
	if diff := c.another(); diff != "" {
		return fmt.Errorf("the plan has changed at %v with no reason: %s", c.now, diff)
	}
	return nil
}

// another says in what a plan of now differs from the last, events included.
func (c *chaos) another() string {
	return cmp.Diff(describe(c.last, false), describe(c.bonds.Plan(c.now, c.members), true))
}

// isWell is the rule in other words.
func (c *chaos) isWell(m Member) bool {
	h := c.config.Health
	return m.Status.State == line.Running && m.Status.Echo.Silent <= h.Failures && (h.Ping == nil || m.Ping.Silent < h.Failures)
}

func (c *chaos) isDead(m Member) bool { return m.Status.Echo.Silent > c.config.Health.Failures }

func (c *chaos) check() error {
	before := c.last
	c.last = c.bonds.Plan(c.now, c.members)
	if diff := c.another(); diff != "" {
		return fmt.Errorf("another plan the second time: %s", diff)
	}
	for _, b := range c.last.Bonds {
		if err := c.checkBond(b, before); err != nil {
			return fmt.Errorf("%s: %w", b.Device, err)
		}
		if b.Mode == config.ModeMultipath || b.Scheduler == SchedulerNumgen {
			if err := c.checkSpread(b); err != nil {
				return err
			}
		} else if err := c.checkPackets(b); err != nil {
			return err
		}
	}
	return c.checkFalls(before)
}

func (c *chaos) checkBond(b Bond, before Plan) error {
	var in, fallback, carries, carriesWell, answered, deadIn int
	var shares float64
	for _, m := range b.Members {
		member := c.members[slices.IndexFunc(c.members, func(o Member) bool { return o.Config.Name == m.Line })]
		if member.Status.Carries() {
			carries++
			if !c.isDead(member) {
				answered++
			}
		}
		if c.isWell(member) {
			carriesWell++
		}
		shares += m.Share
		if m.In {
			in++
			if !member.Status.Carries() {
				return fmt.Errorf("%s is in", m.Line)
			}
			if c.isDead(member) {
				deadIn++
			}
			if m.Fallback {
				fallback++
			}
		}
	}
	badIn := slices.ContainsFunc(b.Members, func(m Membership) bool {
		return m.In && strings.Contains(m.Reason, "unanswered")
	})
	switch {
	case (in > 0) != (carries > 0):
		return fmt.Errorf("%d in, and %d carry", in, carries)
	case fallback > 0 && fallback < in:
		return fmt.Errorf("%d fallback lines and %d others", fallback, in-fallback)
	case badIn && carriesWell > 0:
		return fmt.Errorf("an unwell line is in, though %d are well", carriesWell)
	case deadIn > 0 && answered > 0:
		return fmt.Errorf("%d lines without echoes are in, though %d have theirs answered", deadIn, answered)
	case in > 0 && (shares < 0.999 || shares > 1.001):
		return fmt.Errorf("shares sum to %v", shares)
	case len(before.Bonds) > 0 && (b.MTU > 0) != (in > 0):
		return fmt.Errorf("MTU %d with %d in", b.MTU, in)
	}
	return nil
}

// checkPackets: packets go to a line that is in, and to no other, by a qdisc or by the scheduler of the bond.
func (c *chaos) checkPackets(b Bond) error {
	state := c.last.State
	for _, m := range b.Members {
		qdisc := slices.Contains(state.Qdiscs, netstate.Qdisc{Device: m.Device, Kind: b.Device})
		scheduled := slices.ContainsFunc(state.Schedulers, func(s netstate.Scheduler) bool {
			return s.Device == b.Device && slices.ContainsFunc(s.Lines, func(l netstate.ScheduledLine) bool { return l.Device == m.Device && l.Rate > 0 })
		})
		isWeighted := b.Mode == config.ModeWeighted
		if scheduled != (m.In && isWeighted) || qdisc != (m.In && !isWeighted) {
			return fmt.Errorf("%s: in %v, mode %q, a qdisc %v, scheduled %v", m.Line, m.In, b.Mode, qdisc, scheduled)
		}
	}
	return nil
}

// checkSpread: a line that is in, and no other, has a next hop and a table, to which a rule leads; and in a weighted bond turns, if any line
// has, and it is no fallback line.
func (c *chaos) checkSpread(b Bond) error {
	state := c.last.State
	for _, m := range b.Members {
		hop := slices.ContainsFunc(state.Multipaths, func(p netstate.Multipath) bool {
			return slices.ContainsFunc(p.Hops, func(h netstate.Hop) bool { return h.Device == m.Device })
		})
		i := slices.IndexFunc(state.Routes, func(r netstate.Route) bool { return r.Device == m.Device && r.Table != 0 })
		leads := i >= 0 && slices.ContainsFunc(state.Rules, func(r netstate.RoutingRule) bool {
			return r.Table == state.Routes[i].Table && r.Mark.Value != 0
		})
		if hop != m.In || leads != m.In {
			return fmt.Errorf("%s: in %v, a next hop %v, a rule to its table %v", m.Line, m.In, hop, leads)
		}
	}
	return c.checkTurns(b)
}

// checkTurns: where packets take turns, they do so on each line that is in and no fallback line, and on no other, without a remainder.
func (c *chaos) checkTurns(b Bond) error {
	turns := map[string]netstate.Turns{} // by line
	remainders := 0
	table := c.last.State.Table
	if table == nil {
		table = &netstate.Table{}
	}
	for _, chain := range table.Chains {
		for _, r := range chain.Rules {
			if name, takes := strings.CutPrefix(r.Comment, "turns of line "); takes && chain.Name == "line-local" {
				turns[name] = r.Turns
			}
		}
	}
	mine := 0
	for _, m := range b.Members {
		t, takes := turns[m.Line]
		switch {
		case takes && (!m.In || m.Fallback || b.Scheduler != SchedulerNumgen):
			return fmt.Errorf("%s takes turns: %+v", m.Line, m)
		case takes && t == (netstate.Turns{}):
			remainders++
		case takes && t.First >= t.Of:
			return fmt.Errorf("%s takes turns: %+v", m.Line, t)
		}
		if takes {
			mine++
		}
	}
	serving := 0
	for _, m := range b.Members {
		if m.In && !m.Fallback {
			serving++
		}
	}
	if mine > 0 && (remainders != 1 || mine != serving) {
		return fmt.Errorf("%d of %d lines take turns, %d of them what is left", mine, serving, remainders)
	}
	return nil
}

// checkFalls: a line that has fallen is not in again before its time, unless no other was.
func (c *chaos) checkFalls(before Plan) error {
	for _, m := range c.members {
		name := m.Config.Name
		well := c.isWell(m)
		if c.well[name] && !well && m.Status.Ended.Cause != line.Operator {
			c.fell[name] = c.now
		}
		if m.Status.State == line.Stopped {
			delete(c.fell, name)
		}
		c.well[name] = well
	}
	for i, b := range c.last.Bonds {
		for _, e := range c.last.Events {
			fell, has := c.fell[e.Line]
			if e.Bond != b.Device || e.Kind != Joined || !has || c.now.Sub(fell) >= c.config.Health.RejoinAfter {
				continue
			}
			for _, o := range b.Members { // those that were in, and still are, and are well
				was := len(before.Bonds) > 0 && slices.ContainsFunc(before.Bonds[i].Members, func(p Membership) bool { return p.Line == o.Line && p.In })
				if o.In && was && o.Line != e.Line && c.well[o.Line] && c.well[e.Line] {
					return fmt.Errorf("%s is in %v after its fall, beside %s", e.Line, c.now.Sub(fell), o.Line)
				}
			}
		}
	}
	return nil
}

// TestAtRandom: see chaos.check; and once all has been quiet for long, the past is forgotten.
func TestAtRandom(t *testing.T) {
	for seed := range uint64(300) {
		c := newChaos(seed)
		for range 60 {
			if err := c.happen(); err != nil {
				t.Fatalf("seed %d: %v\n%s\n%s", seed, err, c.log.String(), strings.Join(view(c.last), "\n"))
			}
		}
		if err := c.pass(16 * time.Minute); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		machine := New(&c.config, 4)
		if c.bonds.numgen {
			machine.WithoutEBPF()
		}
		machine.addresses, machine.common = c.bonds.addresses, c.bonds.common // of lines whose addresses differ, and are the same
		fresh := machine.Plan(c.now, c.members).State
		if diff := cmp.Diff(fresh.String(), c.last.State.String()); diff != "" {
			t.Fatalf("seed %d: after a long time (-fresh +old):\n%s", seed, diff)
		}
	}
}
