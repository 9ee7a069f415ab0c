package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/lab"
)

// apart are two lines with an address each, as those of two ISPs, and the marks of their connections, which linebond makes of their names.
var apart = map[string]struct{ address, mark string }{"a": {"203.0.113.10", "0x5e000000"}, "b": {"203.0.113.20", "0x39000000"}}

func newApart(t *testing.T, more string) *bonded {
	t.Helper()
	var addresses []netip.Addr
	for _, name := range []string{"a", "b"} {
		addresses = append(addresses, netip.MustParseAddr(apart[name].address))
	}
	return newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2), Addresses: addresses}, mode: "multipath", more: more})
}

// connect makes connections, and returns them by the lines that they go out by: each line has some.
func (b *bonded) connect(t *testing.T, from *lab.Namespace) map[string][]*lab.Talk {
	t.Helper()
	const connections = 20
	talks := map[string][]*lab.Talk{}
	for range connections {
		echo := lab.NewEcho(t, b.ISP, lab.BondServer+":0") // to the same port the router's own would all go by one line
		talk, err := lab.DialTalk(t, from, echo.Address, limit)
		if err != nil {
			t.Fatal(err)
		}
		client := <-echo.Clients
		for _, l := range b.Lines {
			if strings.HasPrefix(client, apart[l.Name].address+":") {
				talks[l.Name] = append(talks[l.Name], talk)
			}
		}
	}
	for _, l := range b.Lines {
		if len(talks[l.Name]) == 0 {
			t.Errorf("of %d connections none goes by line %s", connections, l.Name)
		}
	}
	return talks
}

func say(t *testing.T, what string, talks ...*lab.Talk) {
	t.Helper()
	for i, talk := range talks {
		if err := talk.Say(limit); err != nil {
			t.Errorf("%s, connection %d: %v", what, i+1, err)
		}
	}
}

// spy counts in the router what must not be: packets of one line's connections, or with its address, that go out by another. Not of the
// line lost, if there is one: what is under way in its connections may go by another, where nobody wants it.
func (b *bonded) spy(t *testing.T, lost string) {
	t.Helper()
	text := "table inet spy {\n chain out {\n type filter hook postrouting priority 300;\n"
	for name, line := range apart {
		for other := range apart {
			if other != name && lost != name {
				text += fmt.Sprintf("  oifname ppp-%s ct mark & 0x7f000000 == %s ct state established counter\n", other, line.mark)
				text += fmt.Sprintf("  oifname ppp-%s ip saddr %s counter\n", other, line.address)
			}
		}
	}
	b.Router.Run(t, "nft", text+" }\n}")
}

// checkSpy looks at what has been counted, and ends that.
func (b *bonded) checkSpy(t *testing.T, when string) {
	t.Helper()
	out := b.Router.Run(t, "nft", "list", "table", "inet", "spy")
	if n := strings.Count(out, "counter packets "); n == 0 || strings.Count(out, "counter packets 0 ") != n {
		t.Errorf("%s packets went out by another line than that of their connection: %s", when, out)
	}
	b.Router.Run(t, "nft", "delete", "table", "inet", "spy")
}

// TestMultipath: lines of different ISPs. Each connection goes by one line, and does not notice what happens to the other.
func TestMultipath(t *testing.T) {
	t.Parallel()
	b := newApart(t, "")
	before := b.settled(t)
	b.up(t)
	b.checkMultipath(t)
	for i, f := range bondFaults {
		l := b.Lines[i%2]
		b.spy(t, l.Name)
		talks := b.connect(t, b.LAN)
		flow := lab.NewFlow(t, b.LAN, b.ISP, lab.BondServer)
		flow.GoesOn(t, 1<<18)
		f.begin(t, l)
		for _, other := range b.others(l) {
			say(t, "line "+l.Name+" "+f.name, talks[other]...)
			b.in(t, other)
			say(t, "without line "+l.Name, talks[other]...)
			b.reaches(t)
			say(t, "a new one", lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer))
			f.over(t, l)
			b.in(t, "a", "b")
			say(t, "line "+l.Name+" is back", talks[other]...)
		}
		flow.Stop()
		b.checkSpy(t, "line "+l.Name+" "+f.name+":")
	}
	b.connect(t, b.LAN)
	if took := b.linebond.Stop(t); took > stopLimit {
		t.Errorf("to end took linebond %v", took)
	}
	b.becomes(t, before)
}

// checkMultipath looks at what linebond has set, and at what a person sees.
func (b *bonded) checkMultipath(t *testing.T) {
	t.Helper()
	routes := strings.Join(strings.Fields(b.Router.Run(t, "ip", "route", "show", "default")), " ")
	for _, want := range []string{
		"default proto 108 metric 100 nexthop dev ppp-a weight 1 nexthop dev ppp-b weight 1",
		"default dev ppp-a proto 108 scope link metric 101", "default dev ppp-b proto 108 scope link metric 101",
	} {
		if !strings.Contains(routes, want) {
			t.Errorf("no route %q in %s", want, routes)
		}
	}
	if policy := b.Router.Run(t, "cat", "/proc/sys/net/ipv4/fib_multipath_hash_policy"); policy != "1\n" {
		t.Errorf("the hash is of policy %s", policy)
	}
	text, err := b.linebond.Run("status")
	t.Logf("linebond status:\n%s", text)
	if err != nil || !strings.Contains(strings.Join(strings.Fields(text), " "), "multipath multipath 2 of 2 ") {
		t.Errorf("status: %v", err)
	}
	for _, l := range b.Lines {
		if m, err := b.member(l.Name); err != nil || !m.In || m.Share != 0.5 {
			t.Errorf("line %s: %v: %+v", l.Name, err, m)
		}
	}
	if err := b.linebond.Logged("joined", `"bond": "multipath"`, `"lines": 2`); err != nil {
		t.Error(err)
	}
}

// TestMultipathShared: lines with one address. Connections go on over the lines that are left, and outlive a time without any, and kill -9.
func TestMultipathShared(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, mode: "multipath"})
	b.up(t)
	since := b.traffic(t, "a", "b")
	var talks []*lab.Talk
	for range 16 {
		talks = append(talks, lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer))
	}
	say(t, "at first", talks...)
	for i, sent := range b.arrived(t, since) {
		if sent == 0 {
			t.Errorf("no connection goes by line %d", i+1)
		}
	}
	for i, f := range bondFaults {
		b.checkFault(t, f, b.Lines[i%2])
		say(t, f.name, talks...)
	}
	for _, l := range b.Lines {
		l.AC.Kill(t)
	}
	b.in(t) // none
	for _, l := range b.Lines {
		l.AC.Start(t)
	}
	b.in(t, "a", "b")
	say(t, "after an outage", talks...)
	b.linebond.Kill(t)
	b.up(t)
	say(t, "after kill -9", talks...)
}

// TestMultipathForeignHand: what somebody else takes away comes back; and cleanup takes all of it.
func TestMultipathForeignHand(t *testing.T) {
	t.Parallel()
	b := newApart(t, "")
	empty := b.settled(t)
	b.up(t)
	talks := b.connect(t, b.LAN)
	b.settled(t)
	ruled := b.spreadText(t)
	for _, command := range []string{
		"ip route delete default metric 100", "ip route flush table 10894", "ip rule delete pref 30857", "ip rule delete pref 30928",
		"nft delete table inet linebond", "sysctl -qw net/ipv4/fib_multipath_hash_policy=0", "ip rule add pref 9 lookup 9 protocol 108",
		"ip address flush dev ppp-a", "ip link set ppp-b down", // with which the kernel ends connections of MASQUERADE
	} {
		fields := strings.Fields(command)
		b.Router.Run(t, fields[0], fields[1:]...)
		if strings.HasPrefix(command, "sysctl") {
			b.Router.Run(t, "ip", "rule", "delete", "pref", "30928") // the kernel does not tell of this setting: see it with the next thing
		}
		lab.Eventually(t, limit, func() error {
			if diff := cmp.Diff(ruled, b.spreadText(t)); diff != "" {
				return fmt.Errorf("after %s (-was +is):\n%s", command, diff)
			}
			return nil
		})
		b.reaches(t)
		if !strings.Contains(command, "dev ppp") && !strings.Contains(command, "link") {
			say(t, command, slices.Concat(talks["a"], talks["b"])...)
		}
	}
	b.linebond.Kill(t)
	if out, err := b.linebond.Cleanup(t); err != nil {
		t.Errorf("cleanup: %v: %s", err, out)
	}
	b.becomes(t, empty)
}

// spreadText is what spreads connections, as a person sees it.
func (b *bonded) spreadText(t *testing.T) string {
	t.Helper()
	return sorted(b.Router.Run(t, "sh", "-c",
		"ip route show table all proto 108; ip rule; nft list table inet linebond; cat /proc/sys/net/ipv4/fib_multipath_hash_policy"))
}

// TestMultipathOutside: the router itself, and what is asked for from outside: each is answered by the line that it came in on.
func TestMultipathOutside(t *testing.T) {
	t.Parallel()
	b := newApart(t, forward+firewall)
	b.up(t)
	b.spy(t, "")
	for _, talks := range b.connect(t, b.Router) {
		say(t, "the router's own", talks...)
	}
	lab.NewEcho(t, b.LAN, "0.0.0.0:8443")
	for name, line := range apart {
		for range 4 {
			b.reached(t, "a forward by line "+name, line.address+":443")
		}
		if err := b.ISP.Ping("", line.address, 56); err != nil {
			t.Errorf("line %s: %v", name, err)
		}
		lab.NewEcho(t, b.Router, line.address+":2222")
		talk, err := lab.DialTalk(t, b.LAN, line.address+":2222", limit) // the LAN is nearer than the line of the answers' address
		if err != nil {
			t.Fatal(err)
		}
		say(t, "from the LAN to the router's address on line "+name, talk)
	}
	b.checkSpy(t, "from outside:")
}

// TestMultipathDataplanes: a line of eBPF beside one of the kernel's PPPoE, which TEQL does not take.
func TestMultipathDataplanes(t *testing.T) {
	t.Parallel()
	b := newApart(t, "")
	b.linebond.Write(t, "lines.d/a.toml", fmt.Sprintf("interface = %q\nvlan = 101\nusername = %q\npassword = %q\n%s",
		b.Lines[0].Device, lab.BondUser, lab.BondPassword, ebpf))
	b.up(t)
	b.spy(t, "")
	for _, from := range []*lab.Namespace{b.LAN, b.Router} {
		for name, talks := range b.connect(t, from) {
			say(t, "line "+name, talks...)
		}
	}
	b.checkSpy(t, "two data planes:")
}

// TestBondReload: a bond of another mode, from each to each, and back.
func TestBondReload(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, mode: "multipath"})
	before := b.settled(t)
	b.up(t)
	first, err := b.linebond.Line("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, b.mode = range []string{"teql", "weighted", "multipath", "weighted", "teql", "multipath"} {
		b.reload(t, "", "")
		b.in(t, "a", "b")
		b.reaches(t)
		say(t, "after a reload", lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer))
	}
	if again, err := b.linebond.Line("a"); err != nil || again.Session == nil || again.Session.ID != first.Session.ID {
		t.Errorf("the session was not kept: %v: %+v, before %+v", err, again.Session, first.Session)
	}
	b.linebond.Stop(t)
	b.becomes(t, before)
}
