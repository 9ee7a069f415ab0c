package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// exactly compares netip's values as what they are.
var exactly = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

func chain(name, kind, hook string, priority int, rules ...netstate.Rule) netstate.Chain {
	return netstate.Chain{Name: name, Type: kind, Hook: hook, Priority: priority, Rules: rules}
}

// everyRule is a table with every kind of condition and verdict.
func everyRule() netstate.Table {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	return netstate.Table{
		Sets: []netstate.DeviceSet{
			{Name: "outside", Devices: []string{"ppp-a", "ppp-b", "a-device-of-15c"}}, {Name: "lan", Devices: []string{"eth0"}}, {Name: "none"},
		},
		Chains: []netstate.Chain{
			chain("mss", "filter", "forward", -150,
				netstate.Rule{In: "outside", Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS},
				netstate.Rule{Out: "outside", Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS, Comment: "what fits the line"},
				netstate.Rule{OutDevice: "ppp-a", Family: 4, Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS, MSS: 1440}),
			chain("prerouting", "nat", "prerouting", -100,
				netstate.Rule{In: "outside", Family: 4, Protocol: "tcp", Ports: netstate.Ports{First: 443, Last: 443}, Verdict: netstate.DNAT,
					To: addr("192.168.7.10")},
				netstate.Rule{In: "outside", Family: 4, Protocol: "udp", Ports: netstate.Ports{First: 8000, Last: 8010}, Verdict: netstate.DNAT,
					To: addr("192.168.7.10"), ToPort: 8443},
				netstate.Rule{In: "outside", Family: 6, Protocol: "tcp", Ports: netstate.Ports{First: 1, Last: 65535}, Verdict: netstate.DNAT,
					To: addr("2001:db8::7"), ToPort: 1},
				netstate.Rule{Destination: prefix("203.0.113.8/29"), Verdict: netstate.DNAT, To: addr("192.168.7.11")}),
			chain("postrouting", "nat", "postrouting", 100,
				netstate.Rule{In: "lan", Out: "outside", Source: prefix("203.0.113.0/29"), Verdict: netstate.Accept},
				netstate.Rule{Out: "outside", Source: prefix("198.51.100.7/32"), Destination: prefix("10.0.0.0/9"), Verdict: netstate.SNAT,
					To: addr("203.0.113.200"), Comment: "one address for this host"},
				netstate.Rule{Out: "outside", Family: 6, Source: prefix("fd00::/61"), Verdict: netstate.SNAT, To: addr("2001:db8::1")},
				netstate.Rule{Out: "outside", Family: 4, Verdict: netstate.Masquerade}),
			chain("input", "filter", "input", 0,
				netstate.Rule{In: "outside", Connection: netstate.Established, Verdict: netstate.Accept, Comment: "answers"},
				netstate.Rule{In: "outside", Connection: netstate.Invalid, Verdict: netstate.Drop},
				netstate.Rule{In: "outside", Protocol: "icmp", Verdict: netstate.Accept},
				netstate.Rule{In: "outside", Protocol: "ipv6-icmp", Verdict: netstate.Accept},
				netstate.Rule{In: "outside", Source: prefix("fe80::/10"), Protocol: "udp", Ports: netstate.Ports{First: 546, Last: 546},
					Verdict: netstate.Accept},
				netstate.Rule{Source: prefix("0.0.0.0/0"), Protocol: "tcp", Verdict: netstate.Drop},
				netstate.Rule{Verdict: netstate.Accept}),
			chain("forward", "filter", "forward", 25,
				netstate.Rule{In: "outside", Connection: netstate.Forwarded, Protocol: "udp", Destination: prefix("2001:db8::5/128"),
					Verdict: netstate.Accept},
				netstate.Rule{In: "outside", Verdict: netstate.Drop}),
			chain("output", "filter", "output", -30),
			chain("line-in", "filter", "prerouting", -150,
				netstate.Rule{InDevice: "ppp-a", Family: 4, Marked: markOf(0), Verdict: netstate.MarkConnection, Mark: markOf(0x5e), Comment: "line a"},
				netstate.Rule{Marked: markOf(1), Verdict: netstate.MarkPacket, Mark: markOf(1)}),
			chain("line-local", "route", "output", -150, netstate.Rule{Marked: markOf(0x7f), Verdict: netstate.MarkPacket, Mark: markOf(0x7f)}),
			chain("line-out", "filter", "postrouting", -150,
				netstate.Rule{OutDevice: "a-device-of-15c", Verdict: netstate.MarkConnection, Mark: markOf(2)}),
			chain("turns", "filter", "prerouting", 25,
				netstate.Rule{Family: 4, Marked: markOf(3), Turns: netstate.Turns{First: 1, Of: 5}, Verdict: netstate.MarkAndAccept, Mark: markOf(4)},
				netstate.Rule{Family: 4, Marked: markOf(3), Verdict: netstate.MarkAndAccept, Mark: markOf(5)},
				netstate.Rule{Turns: netstate.Turns{First: 299, Of: 300}, Verdict: netstate.Drop}),
		},
	}
}

func markOf(number uint32) netstate.Mark { return netstate.Mark{Value: number << 24, Mask: 0x7f << 24} }

func TestTable(t *testing.T) {
	k := host(t)
	want := netstate.State{Table: new(everyRule())}
	if ops := reconcile(t, k, want); len(ops) != 1 {
		t.Errorf("it took %v", ops)
	}
	have := observe(t, k, netstate.State{})
	slices.SortFunc(want.Table.Sets, func(a, b netstate.DeviceSet) int { return strings.Compare(a.Name, b.Name) })
	for _, sets := range [][]netstate.DeviceSet{want.Table.Sets, have.Table.Sets} {
		for _, s := range sets {
			slices.Sort(s.Devices)
		}
	}
	slices.SortFunc(have.Table.Sets, func(a, b netstate.DeviceSet) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want.Table, have.Table, exactly); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(listed(want.Table.String()), listed(run(t, "nft list table inet linebond"))); diff != "" {
		t.Errorf("nft list (-Table.String +nft):\n%s", diff)
	}
	reconcile(t, k, netstate.State{})
	if err := k.Apply([]netstate.Op{netstate.DeleteTable{}}); err != nil {
		t.Errorf("deleting no table: %v", err)
	}
}

// listed brings a listing into the form that nft 1.0.6 and netstate.Table have in common.
func listed(text string) string {
	var lines []string
	text = regexp.MustCompile(`",\s+"`).ReplaceAllString(text, `", "`)
	text = regexp.MustCompile(`meta nfproto ipv[46] (ip6? [sd]addr)`).ReplaceAllString(text, "$1") // nft leaves out what follows from the address
	text = regexp.MustCompile(`addr ([0-9a-f.:]+)/(32|128)\b`).ReplaceAllString(text, "addr $1")
	text = strings.ReplaceAll(text, "tcp flags & (syn | rst) == syn", "tcp flags syn / syn,rst")
	text = strings.ReplaceAll(text, "ip saddr 0.0.0.0/0", "meta nfproto ipv4")
	for line := range strings.Lines(text) {
		if before, elements, found := strings.Cut(strings.TrimSpace(line), "elements = { "); found {
			names := strings.Split(strings.TrimSuffix(elements, " }"), ", ")
			slices.Sort(names)
			line = before + "elements " + strings.Join(names, " ")
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	// sets are listed in any order; here, as blocks in front of the first chain
	text = strings.Join(lines, "\n")
	head, chains, _ := strings.Cut(text, "\nchain ")
	blocks := strings.Split(head, "\nset ")
	slices.Sort(blocks[1:])
	return strings.Join(blocks, "\nset ") + "\nchain " + chains
}

// TestForeignHandsInTheTable has others change our table. Watch must tell, and another round must put it right.
func TestForeignHandsInTheTable(t *testing.T) {
	k := host(t)
	run(t, "nft add table inet other")
	run(t, "nft add chain inet other linebond")
	want := netstate.State{Table: new(everyRule())}
	changed := startWatch(t, k)
	reconcile(t, k, want)
	handle := func(rule string) string {
		listing := run(t, "nft -a list table inet linebond")
		found := regexp.MustCompile(regexp.QuoteMeta(rule) + `.*# handle (\d+)`).FindStringSubmatch(listing)
		if found == nil {
			t.Fatalf("no rule %q in %s", rule, listing)
		}
		return found[1]
	}
	for _, command := range []string{
		"nft delete table inet linebond",
		"nft insert rule inet linebond input accept",
		"nft add rule inet linebond input tcp dport { 22, 80 } accept comment answers",
		"nft add rule inet linebond mss rt classid 5 counter",
		"nft replace rule inet linebond input handle HANDLE(ct state invalid) drop",
		"nft delete rule inet linebond postrouting handle HANDLE(masquerade)",
		"nft delete element inet linebond outside { ppp-b }",
		"nft add element inet linebond none { eth7 }",
		"nft add chain inet linebond mine",
		"nft add chain inet linebond mine { type filter hook ingress device lo priority 3 ; }",
		"nft add set inet linebond mine { type ipv4_addr . inet_service ; flags interval ; }",
		"nft add map inet linebond mine { type ipv4_addr : verdict ; }",
		"nft chain inet linebond output { policy drop ; }",
		"nft flush chain inet linebond forward",
		"nft add table inet linebond { flags dormant ; }",
	} {
		t.Run(command, func(t *testing.T) {
			if before, rule, found := strings.Cut(command, "HANDLE("); found {
				rule, after, _ := strings.Cut(rule, ")")
				command = before + handle(rule) + after
			}
			run(t, command)
			if len(netstate.Diff(want, observe(t, k, want))) == 0 {
				t.Fatal("the command changes nothing that is wanted")
			}
			repair(t, k, want, changed)
		})
	}
	contains(t, "nft list ruleset", "table inet other { chain linebond { } }")
	run(t, "nft flush ruleset")
	repair(t, k, want, changed)
	run(t, "nft add table ip linebond")
	reconcile(t, k, netstate.State{})
	contains(t, "nft list ruleset", "table ip linebond")
	run(t, "nft delete table ip linebond")
}

func TestTableOfManyRules(t *testing.T) {
	k := host(t)
	forwards := chain("prerouting", "nat", "prerouting", -100)
	for port := uint16(1); port <= 2000; port++ {
		forwards.Rules = append(forwards.Rules, netstate.Rule{
			In: "outside", Family: 4, Protocol: "tcp", Ports: netstate.Ports{First: port, Last: port}, Verdict: netstate.DNAT,
			To: netip.MustParseAddr("192.168.7.10"), Comment: fmt.Sprintf("%0100d", port),
		})
	}
	outside := netstate.DeviceSet{Name: "outside"}
	for n := range 1000 {
		outside.Devices = append(outside.Devices, fmt.Sprintf("ppp-%d", n))
	}
	want := netstate.State{Table: &netstate.Table{Sets: []netstate.DeviceSet{outside}, Chains: []netstate.Chain{forwards}}}
	reconcile(t, k, want)
	reconcile(t, k, netstate.State{})
}

func TestTooOld(t *testing.T) {
	nat := func(hook string, r netstate.Rule) netstate.Table {
		return netstate.Table{Chains: []netstate.Chain{chain("nat", "nat", hook, 0, r)}}
	}
	in, out := netstate.Rule{In: "lan", Out: "outside", Verdict: netstate.Masquerade}, netstate.Rule{Out: "outside", Verdict: netstate.Masquerade}
	for _, test := range []struct {
		table   netstate.Table
		release string
		refused bool
	}{
		{nat("postrouting", in), "4.19.0-27-amd64", true},
		{nat("postrouting", in), "5.6.19", true},
		{nat("postrouting", in), "5.7-rc1", false},
		{nat("postrouting", in), "5.10.0", false},
		{nat("postrouting", in), "6.1.0-37-amd64", false},
		{nat("postrouting", in), "of unknown version", false},
		{nat("postrouting", in), "4", false},
		{nat("postrouting", out), "4.19.0", false},
		{nat("prerouting", in), "4.19.0", false},
	} {
		err := tooOld(test.table, test.release)
		want := "chain nat, rule `iifname @lan oifname @outside masquerade`: iifname in a postrouting chain needs Linux 5.7 or later, " +
			"and this is " + test.release + ": on it the rule would match nothing"
		if (err != nil) != test.refused || err != nil && err.Error() != want {
			t.Errorf("%s, %s: %v", test.release, test.table, err)
		}
	}
}

// TestTableIsSetAsAWhole has the kernel, and before it the compiler, refuse one rule of a new table.
func TestTableIsSetAsAWhole(t *testing.T) {
	k := host(t)
	want := netstate.State{Table: new(everyRule())}
	reconcile(t, k, want)
	for _, test := range []struct {
		chain netstate.Chain
		err   string
	}{
		{chain("input", "filter", "input", 0, netstate.Rule{In: "nobody", Verdict: netstate.Accept}),
			"nft -f - # replaces table inet linebond: chain input, rule `iifname @nobody accept`: netlink receive: no such file or directory"},
		{chain("input", "filter", "input", 0, netstate.Rule{Verdict: netstate.Masquerade}), // of chains for NAT alone
			"nft -f - # replaces table inet linebond: chain input, rule `masquerade`: netlink receive: operation not supported: " +
				"the kernel " + release() + " seems to be without nft_masq (CONFIG_NFT_MASQ)"},
		{chain("input", "filter", "nowhere", 0),
			`nft -f - # replaces table inet linebond: chain input: the hook "nowhere" is unknown`},
		{chain("input", "filter", "input", 0, netstate.Rule{Comment: strings.Repeat("x", 260)}),
			"nft -f - # replaces table inet linebond: chain input, rule `accept comment \"" + strings.Repeat("x", 260) + "\"`: " +
				"the rule is 11 bytes too long for the kernel: shorten its comment"},
	} {
		err := k.Apply([]netstate.Op{netstate.SetTable{Table: netstate.Table{Chains: []netstate.Chain{test.chain}}}})
		if err == nil || err.Error() != test.err {
			t.Errorf("error: %v\nwant:  %s", err, test.err)
		}
		if ops := netstate.Diff(want, observe(t, k, want)); len(ops) > 0 {
			t.Errorf("after %v the table is not the one before: %v", err, ops)
		}
	}
	reconcile(t, k, netstate.State{})
}

func TestRulesThatMakeNoSense(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	for _, test := range []struct {
		rule netstate.Rule
		err  string
	}{
		{netstate.Rule{Family: 5}, "there is no IPv5"},
		{netstate.Rule{Family: 4, Source: prefix("fe80::/10")}, "fe80::/10 is not an address of IPv4"},
		{netstate.Rule{Source: prefix("10.0.0.0/8"), Destination: prefix("fe80::/10")}, "fe80::/10 is not an address of IPv4"},
		{netstate.Rule{Connection: 9}, "connection 9 is unknown"},
		{netstate.Rule{Protocol: "sctp"}, `the protocol "sctp" is unknown`},
		{netstate.Rule{Ports: netstate.Ports{First: 1, Last: 1}}, `ports are of tcp or udp, not of ""`},
		{netstate.Rule{Protocol: "udp", SYN: true}, `SYN and MSS are of tcp, not of "udp"`},
		{netstate.Rule{Verdict: netstate.ClampMSS}, `SYN and MSS are of tcp, not of ""`},
		{netstate.Rule{Verdict: netstate.DNAT, To: addr("192.0.2.1"), ToPort: 1}, `a port to go to is of tcp or udp, not of ""`},
		{netstate.Rule{Verdict: netstate.SNAT}, "there is no address to translate to"},
		{netstate.Rule{Turns: netstate.Turns{Of: 5}}, "there are no first 0 of 5 packets"},
		{netstate.Rule{Turns: netstate.Turns{First: 5, Of: 5}}, "there are no first 5 of 5 packets"},
		{netstate.Rule{Verdict: 99}, "verdict 99 is unknown"},
	} {
		if _, err := compile(test.rule); err == nil || err.Error() != test.err {
			t.Errorf("%s: %v, want %s", test.rule, err, test.err)
		}
	}
}

func TestForeignUserData(t *testing.T) {
	for _, data := range []string{"", "\x00", "\x00\x05ab\x00", "\x00\x03ab\x00", "l\xff{}", "l\x02{]", "l\x00", "\x01\x00\x01"} {
		if got := ruleOf([]byte(data)); got != foreign {
			t.Errorf("%q: %s", data, got)
		}
	}
	if got := ruleOf([]byte("\x09\x01xl\x02{}\x00\x02a\x00")); got != (netstate.Rule{Comment: "a"}) {
		t.Errorf("ours: %s", got)
	}
}

// TestWithoutTables takes nf_tables out of the kernel.
func TestWithoutTables(t *testing.T) {
	k := host(t)
	const loader = "/proc/sys/kernel/modprobe"
	program := strings.TrimSpace(run(t, "cat "+loader))
	run(t, "sysctl -qw kernel.modprobe=/bin/false")
	t.Cleanup(func() { run(t, "sysctl -qw kernel.modprobe="+program) })
	reload := unload(t, "nft_masq")
	err := k.Apply([]netstate.Op{netstate.SetTable{Table: everyRule()}})
	want := "nft -f - # replaces table inet linebond: chain postrouting, rule `oifname @outside meta nfproto ipv4 masquerade`: " +
		"netlink receive: no such file or directory: the kernel " + release() + " seems to be without nft_masq (CONFIG_NFT_MASQ)"
	if err == nil || err.Error() != want {
		t.Errorf("without nft_masq: %v\nwant: %s", err, want)
	}
	reload()

	reload = unload(t, "nf_tables")
	defer reload()
	reconcile(t, k, netstate.State{Links: []netstate.Link{{Name: "eth1", Up: true}}})
	_ = startWatch(t, k)
	table := everyRule()
	have, err := k.Observe(netstate.State{
		Links: []netstate.Link{{Name: "eth1"}}, Sysctls: []netstate.Sysctl{{Key: "net/ipv4/ip_forward"}}, Table: &table,
	})
	if !errors.As(err, new(*TableError)) || len(have.Links) != 1 || len(have.Sysctls) != 1 || have.Table != nil {
		t.Errorf("without nf_tables: %T with\n%s", err, have)
	}
	applied := k.Apply([]netstate.Op{netstate.SetTable{Table: table}})
	for _, err := range []error{err, applied} {
		if !errors.Is(err, errNoTables) || !errors.Is(err, unix.EINVAL) || !strings.Contains(fmt.Sprint(err), "CONFIG_NF_TABLES_INET") {
			t.Errorf("without nf_tables: %v", err)
		}
	}
}

// unload takes a module out of the kernel, and those that use it before. They come back with the function that is returned.
func unload(t *testing.T, module string) (reload func()) {
	t.Helper()
	var removed []string
	var remove func(string)
	remove = func(module string) {
		for line := range strings.Lines(run(t, "cat /proc/modules")) {
			fields := strings.Fields(line) // name, size, uses, users each with a comma or "-", ...
			if fields[0] != module {
				continue
			}
			for user := range strings.SplitSeq(strings.Trim(fields[3], ",-"), ",") {
				if user != "" {
					remove(user)
				}
			}
			run(t, "rmmod "+module)
			removed = append(removed, module)
		}
	}
	remove(module)
	return func() {
		for _, module := range slices.Backward(removed) {
			run(t, "modprobe "+module)
		}
	}
}
