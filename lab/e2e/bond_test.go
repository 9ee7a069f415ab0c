package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/lab"
)

// TestBond is the main job: two, three and four lines as one, and what can happen to them.
func TestBond(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("%d lines", lines), func(t *testing.T) {
			t.Parallel()
			b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(lines)}})
			before := b.settled(t)
			b.up(t)
			b.checkHost(t)
			b.checkSpread(t)
			b.checkStatus(t)
			talk := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
			for i, f := range bondFaults {
				b.checkFault(t, f, b.Lines[i%lines])
			}
			if err := talk.Say(limit); err != nil {
				t.Error(err)
			}
			flow := lab.NewFlow(t, b.LAN, b.ISP, lab.BondServer)
			flow.GoesOn(t, 1<<20)
			if took := b.linebond.Stop(t); took > stopLimit {
				t.Errorf("to end under load took linebond %v", took)
			}
			b.becomes(t, before)
		})
	}
}

// stopLimit is the 4 s that a session has to end in good order, and time for the rest of a busy guest.
const stopLimit = 8 * time.Second

// checkHost looks at what linebond has set.
func (b *bonded) checkHost(t *testing.T) {
	t.Helper()
	host := b.settled(t)
	want := []string{
		b.TEQL + "    inet " + lab.BondAddress + "/32 scope global " + b.TEQL,
		"default dev " + b.TEQL + " proto 108 scope link metric 100",
		"table inet linebond {",
	}
	for _, l := range b.Lines {
		want = append(want, "ppp-"+l.Name+"    inet "+lab.BondAddress+" peer 198.51.100.1/32",
			"qdisc "+b.TEQL+" dev ppp-"+l.Name+" root ",
			"/proc/sys/net/ipv4/conf/ppp-"+l.Name+"/rp_filter:2")
	}
	for _, w := range want {
		if !strings.Contains(host, w) {
			t.Errorf("the host lacks %q", w)
		}
	}
	for _, line := range strings.Split(host, "\n") {
		if strings.Contains(line, ": "+b.TEQL+":") && strings.Contains(line, "mtu") && !strings.Contains(line, "mtu 1492 ") {
			t.Errorf("the bond's MTU: %s", line)
		}
		if strings.HasPrefix(line, "default dev ppp-") {
			t.Errorf("a line has a default route of its own: %s", line)
		}
	}
	if t.Failed() {
		t.Log(host)
	}
	if filter := b.Router.Run(t, "cat", "/proc/sys/net/ipv4/conf/"+b.TEQL+"/rp_filter"); filter != "2\n" {
		t.Errorf("rp_filter of the bond is %s", filter)
	}
	if forward := b.Router.Run(t, "cat", "/proc/sys/net/ipv4/ip_forward"); forward != "1\n" {
		t.Errorf("ip_forward is %s", forward)
	}
}

// checkSpread sends one TCP flow and 100 pings over the bond.
func (b *bonded) checkSpread(t *testing.T) {
	t.Helper()
	since := b.traffic(t, b.names()...)
	flow := lab.NewFlow(t, b.LAN, b.ISP, lab.BondServer)
	flow.GoesOn(t, 4<<20)
	flow.Stop()
	out := b.LAN.Run(t, "ping", "-n", "-q", "-c", "100", "-i", "0.02", "-W", "20", lab.BondServer)
	if !strings.Contains(out, " 100 received, 0% packet loss") {
		t.Errorf("pings: %s", out)
	}
	sent := b.arrived(t, since)
	if err := lab.Spread(sent, 0.01); err != nil {
		t.Error(err)
	}
	t.Logf("sent by line: %d", sent)
}

// checkStatus looks at what a person sees.
func (b *bonded) checkStatus(t *testing.T) {
	t.Helper()
	text, err := b.linebond.Run("status")
	t.Logf("linebond status:\n%s", text)
	for _, want := range []string{b.TEQL, fmt.Sprintf("%d of %d", len(b.Lines), len(b.Lines)), lab.BondAddress, "1492"} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("status lacks %q: %v", want, err)
		}
	}
	for _, l := range b.Lines {
		m, err := b.member(l.Name)
		if err != nil || !m.In || m.Reason != "up" || m.Share < 0.9/float64(len(b.Lines)) || m.RTT <= 0 {
			t.Errorf("line %s: %v: %+v", l.Name, err, m)
		}
	}
}

// bondFault is something that takes a line out of the bond, and its end.
type bondFault struct {
	name        string
	begin, over func(*testing.T, *lab.BondLine)
}

var bondFaults = []bondFault{
	{"black-holed", func(t *testing.T, l *lab.BondLine) { l.Modem.BlackHole(t) }, func(t *testing.T, l *lab.BondLine) { l.Modem.Restore(t) }},
	{"pulled", func(t *testing.T, l *lab.BondLine) { l.Cable.Unplug(t) }, func(t *testing.T, l *lab.BondLine) { l.Cable.Plug(t) }},
	{"PADT", func(t *testing.T, l *lab.BondLine) { l.AC.Stop(t) }, func(t *testing.T, l *lab.BondLine) { l.AC.Start(t) }},
	{"AC killed", func(t *testing.T, l *lab.BondLine) { l.AC.Kill(t) }, func(t *testing.T, l *lab.BondLine) { l.AC.Start(t) }},
}

// checkFault has a line fail under load. The flow goes on, the other lines lose nothing, and the line is back afterwards.
func (b *bonded) checkFault(t *testing.T, f bondFault, l *lab.BondLine) {
	t.Helper()
	since := b.traffic(t, b.others(l)...)
	flow := lab.NewFlow(t, b.LAN, b.ISP, lab.BondServer)
	flow.GoesOn(t, 1<<20)
	begin := time.Now()
	f.begin(t, l)
	b.in(t, b.others(l)...)
	t.Logf("line %s %s: out of the bond after %v", l.Name, f.name, time.Since(begin).Round(time.Millisecond))
	flow.GoesOn(t, 1<<20)
	begin = time.Now()
	f.over(t, l)
	b.in(t, b.names()...)
	t.Logf("line %s %s: back in the bond %v after the end of that", l.Name, f.name, time.Since(begin).Round(time.Millisecond))
	flow.GoesOn(t, 1<<20)
	flow.Stop()
	b.arrived(t, since)
}

// TestBondOutage: connections outlive a time in which there is no line.
func TestBondOutage(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}})
	b.up(t)
	talk := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
	if err := talk.Say(limit); err != nil {
		t.Fatal(err)
	}
	for _, l := range b.Lines {
		l.AC.Kill(t)
	}
	b.in(t) // none
	for _, l := range b.Lines {
		lab.Eventually(t, limit, func() error {
			s, err := b.linebond.Line(l.Name)
			if err == nil && s.Session != nil {
				err = fmt.Errorf("line %s: %s", l.Name, s.State)
			}
			return err
		})
	}
	if err := b.Router.HasAddress(b.TEQL, lab.BondAddress+"/32"); err != nil {
		t.Error(err)
	}
	if out := b.Router.Run(t, "ip", "link", "show", "dev", b.TEQL); !strings.Contains(out, ",UP") {
		t.Errorf("the bond device is down: %s", out)
	}
	for _, l := range b.Lines {
		l.AC.Start(t)
	}
	b.in(t, b.names()...)
	if err := talk.Say(limit); err != nil {
		t.Errorf("the connection has not outlived the outage: %v", err)
	}
}

// TestBondForeignHand: what somebody else takes away comes back.
func TestBondForeignHand(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}})
	b.Router.Run(t, "nft", foreignTable)
	b.up(t)
	before, host := b.observed(t), b.settled(t)
	for _, command := range []string{
		"ip route delete default dev TEQL", "tc qdisc delete dev ppp-a root", "nft delete table inet linebond",
		"ip address delete 203.0.113.10/32 dev TEQL", "ip link set TEQL mtu 1000", "ip link set TEQL down",
		"ip address flush dev ppp-b", "nft add rule inet linebond postrouting accept", "ip link set TEQL alias mine",
		"ip link set ppp-a mtu 1400", "sysctl -w net.ipv4.conf.ppp-b.rp_filter=1",
	} {
		command = strings.ReplaceAll(command, "TEQL", b.TEQL)
		b.Router.Run(t, "sh", "-c", command)
		begin := time.Now()
		lab.Eventually(t, limit, func() error {
			if diff := cmp.Diff(before, b.observed(t)); diff != "" {
				return fmt.Errorf("after %s (-was +is):\n%s", command, diff)
			}
			return nil
		})
		t.Logf("%s: put right after at most %v", command, time.Since(begin).Round(time.Millisecond))
	}
	b.becomes(t, host)
	b.Router.Run(t, "nft", "flush", "ruleset")
	lab.Eventually(t, limit, func() error {
		if diff := cmp.Diff(before, b.observed(t)); diff != "" {
			return fmt.Errorf("after a flush of the ruleset (-was +is):\n%s", diff)
		}
		return nil
	})
	b.reaches(t)
}

// foreignTable is somebody else's.
const foreignTable = "add table inet other; add chain inet other input { type filter hook input priority 10; }; add rule inet other input accept"

// TestBondKilled: after kill -9 the next linebond finds what is there, and a connection through NAT lives on, since the ISP gives the same
// address again.
func TestBondKilled(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}})
	b.up(t)
	talk := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
	if err := talk.Say(limit); err != nil {
		t.Fatal(err)
	}
	b.linebond.Kill(t)
	b.up(t)
	if err := talk.Say(limit); err != nil {
		t.Errorf("the connection has not outlived kill -9: %v", err)
	}
	b.checkHost(t)
}

// TestBondCleanup: after kill -9 `linebond cleanup` takes away all that is ours, and nothing else.
func TestBondCleanup(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}})
	b.Router.Run(t, "nft", foreignTable)
	before := b.settled(t)
	b.up(t)
	if out, err := b.linebond.Cleanup(t); err == nil {
		t.Errorf("cleanup beside a running daemon: %s", out)
	}
	b.reaches(t)
	b.linebond.Kill(t)
	if out, err := b.linebond.Cleanup(t); err != nil {
		t.Errorf("cleanup: %v: %s", err, out)
	}
	b.becomes(t, before)
}
