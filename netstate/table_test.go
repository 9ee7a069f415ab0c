package netstate

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fullTable has every kind of chain, condition and verdict.
func fullTable() Table {
	block, server := netip.MustParsePrefix("203.0.113.8/29"), netip.MustParseAddr("192.168.7.10")
	server6, linkLocal := netip.MustParseAddr("2001:db8::10"), netip.MustParsePrefix("fe80::/10")
	return Table{
		Sets: []DeviceSet{
			{Name: "outside", Devices: []string{"teql0", "ppp-b", "ppp-a", "ppp-b"}},
			{Name: "lan", Devices: []string{"eth0"}},
			{Name: "none"},
		},
		Chains: []Chain{
			{Name: "mss", Type: "filter", Hook: "forward", Priority: -150, Rules: []Rule{
				{In: "outside", Protocol: "tcp", SYN: true, Verdict: ClampMSS},
				{Out: "outside", Protocol: "tcp", SYN: true, Verdict: ClampMSS},
				{OutDevice: "ppp-a", Protocol: "tcp", SYN: true, Verdict: ClampMSS, MSS: 1440},
			}},
			{Name: "prerouting", Type: "nat", Hook: "prerouting", Priority: -100, Rules: []Rule{
				{In: "outside", Protocol: "tcp", Ports: Ports{443, 443}, Verdict: DNAT, To: server, ToPort: 8443, Comment: "forward"},
				{In: "outside", Family: 4, Protocol: "udp", Ports: Ports{8000, 8010}, Verdict: DNAT, To: server},
				{In: "outside", Protocol: "tcp", Ports: Ports{443, 443}, Verdict: DNAT, To: server6, ToPort: 8443},
				{In: "outside", Protocol: "udp", Ports: Ports{53, 53}, Verdict: DNAT, To: server6},
			}},
			{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: 100, Rules: []Rule{
				{In: "lan", Out: "outside", Source: block, Verdict: Accept},
				{In: "lan", Out: "outside", Family: 4, Verdict: Masquerade},
				{In: "lan", Out: "outside", Family: 4, Verdict: SNAT, To: block.Addr().Next(), Comment: `the "one" address`},
				{In: "lan", Out: "outside", Verdict: SNAT, To: server6},
			}},
			{Name: "input", Type: "filter", Hook: "input", Rules: []Rule{
				{In: "outside", Connection: Established, Verdict: Accept},
				{In: "outside", Connection: Invalid, Verdict: Drop},
				{In: "outside", Protocol: "icmp", Verdict: Accept},
				{In: "outside", Protocol: "ipv6-icmp", Verdict: Accept},
				{In: "outside", Family: 6, Source: linkLocal, Destination: linkLocal, Protocol: "udp", Ports: Ports{546, 546}, Verdict: Accept},
				{In: "outside", Destination: block, Protocol: "tcp", Verdict: Accept},
				{In: "outside", Verdict: Drop},
			}},
			{Name: "late", Type: "filter", Hook: "forward", Priority: 100, Rules: []Rule{{Connection: Forwarded, Verdict: Accept}}},
			{Name: "early", Type: "filter", Hook: "forward", Priority: -100},
			{Name: "marks", Type: "route", Hook: "output", Priority: -150, Rules: []Rule{
				{OutDevice: "ppp-a", Family: 4, Marked: Mark{0, 0x7f000000}, Verdict: MarkConnection, Mark: Mark{0x5e000000, 0x7f000000}},
				{InDevice: "ppp-a", Marked: Mark{0x7f000000, 0x7f000000}, Verdict: MarkPacket, Mark: Mark{0x7f000000, 0x7f000000}, Comment: "line a"},
				{Family: 4, Marked: Mark{1 << 24, 0x7f000000}, Turns: Turns{1, 5}, Verdict: MarkAndAccept, Mark: Mark{2 << 24, 0x7f000000}},
				{Turns: Turns{299, 300}, Verdict: Accept},
			}},
		},
	}
}

const fullTableText = `
table inet linebond {
	set lan {
		type ifname
		elements = { "eth0" }
	}

	set none {
		type ifname
	}

	set outside {
		type ifname
		elements = { "ppp-a", "ppp-b", "teql0" }
	}

	chain mss {
		type filter hook forward priority mangle; policy accept;
		iifname @outside tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname @outside tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname "ppp-a" tcp flags & (syn | rst) == syn tcp option maxseg size set 1440
	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname @outside tcp dport 443 dnat ip to 192.168.7.10:8443 comment "forward"
		iifname @outside meta nfproto ipv4 udp dport 8000-8010 dnat ip to 192.168.7.10
		iifname @outside tcp dport 443 dnat ip6 to [2001:db8::10]:8443
		iifname @outside udp dport 53 dnat ip6 to 2001:db8::10
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		iifname @lan oifname @outside ip saddr 203.0.113.8/29 accept
		iifname @lan oifname @outside meta nfproto ipv4 masquerade
		iifname @lan oifname @outside meta nfproto ipv4 snat ip to 203.0.113.9 comment "the 'one' address"
		iifname @lan oifname @outside snat ip6 to 2001:db8::10
	}

	chain input {
		type filter hook input priority filter; policy accept;
		iifname @outside ct state established,related accept
		iifname @outside ct state invalid drop
		iifname @outside meta l4proto icmp accept
		iifname @outside meta l4proto ipv6-icmp accept
		iifname @outside meta nfproto ipv6 ip6 saddr fe80::/10 ip6 daddr fe80::/10 udp dport 546 accept
		iifname @outside ip daddr 203.0.113.8/29 meta l4proto tcp accept
		iifname @outside drop
	}

	chain late {
		type filter hook forward priority 100; policy accept;
		ct status dnat accept
	}

	chain early {
		type filter hook forward priority -100; policy accept;
	}

	chain marks {
		type route hook output priority mangle; policy accept;
		oifname "ppp-a" meta nfproto ipv4 ct mark & 0x7f000000 == 0x00000000 ct mark set ct mark & 0xdeffffff | 0x5e000000
		iifname "ppp-a" ct mark & 0x7f000000 == 0x7f000000 meta mark set meta mark | 0x7f000000 comment "line a"
		meta nfproto ipv4 ct mark & 0x7f000000 == 0x01000000 numgen inc mod 5 < 1 meta mark set meta mark & 0x82ffffff | 0x02000000 accept
		numgen inc mod 300 < 299 accept
	}
}`

func TestTableString(t *testing.T) {
	if diff := cmp.Diff(strings.TrimSpace(fullTableText), fullTable().String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestTableForNFT has the real nft read the text, and the kernel check it, in a namespace of its own.
func TestTableForNFT(t *testing.T) {
	nft := exec.Command("unshare", "--map-root-user", "--net", "nft", "--check", "--file", "-")
	nft.Stdin = strings.NewReader(fullTable().String())
	if output, err := nft.CombinedOutput(); err != nil {
		t.Errorf("nft does not take it: %v\n%s", err, output)
	}
}

// Values that we have no name for come from a kernel that someone else has written to.
func TestUnknownInRule(t *testing.T) {
	if got, want := (Rule{Connection: 9, Verdict: 99}).String(), "ct connection 9 verdict 99"; got != want {
		t.Errorf("prints as %q, want %q", got, want)
	}
}

func TestTableEqual(t *testing.T) {
	same := map[string]func(*Table){
		"itself":                     func(*Table) {},
		"devices in another order":   func(t *Table) { t.Sets[0].Devices = []string{"ppp-a", "teql0", "ppp-b"} },
		"sets in another order":      func(t *Table) { slices.Reverse(t.Sets) },
		"empty and not there at all": func(t *Table) { t.Sets[2].Devices, t.Chains[5].Rules = []string{}, []Rule{} },
	}
	for name, change := range same {
		other := fullTable()
		change(&other)
		if !fullTable().Equal(other) || !other.Equal(fullTable()) {
			t.Errorf("%s: not equal", name)
		}
	}
	differing := map[string]func(*Table){
		"a device":       func(t *Table) { t.Sets[0].Devices = append(t.Sets[0].Devices, "ppp-c") },
		"a set's name":   func(t *Table) { t.Sets[0].Name = "zone" },
		"a set less":     func(t *Table) { t.Sets = t.Sets[1:] },
		"a chain's name": func(t *Table) { t.Chains[0].Name = "clamp" },
		"its type":       func(t *Table) { t.Chains[0].Type = "route" },
		"its hook":       func(t *Table) { t.Chains[0].Hook = "output" },
		"its priority":   func(t *Table) { t.Chains[0].Priority++ },
		"a chain less":   func(t *Table) { t.Chains = t.Chains[1:] },
		"a rule":         func(t *Table) { t.Chains[0].Rules[0].Comment = "not of linebond" },
		"its turns":      func(t *Table) { t.Chains[6].Rules[2].Turns.First++ },
		"a rule's place": func(t *Table) { slices.Reverse(t.Chains[0].Rules) },
	}
	for name, change := range differing {
		other := fullTable()
		change(&other)
		if fullTable().Equal(other) || other.Equal(fullTable()) {
			t.Errorf("%s differs, and yet they are equal", name)
		}
	}
}

// Neither a comparison nor a text may change what it is given.
func TestTableIsNotChanged(t *testing.T) {
	table := fullTable()
	_, _ = table.String(), table.Equal(table)
	_ = State{Table: &table}.normal()
	if diff := cmp.Diff(fullTable(), table, cmp.Comparer(func(a, b Rule) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
