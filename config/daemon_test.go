package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// every is a linebond.toml that sets every key of the bond and the host to
// other than its default.
const every = `
[host]
firewall = true
spread_cpus = false
[lan]
interfaces = ["eth0", "eth5"]
nat = "203.0.113.200"
[health]
failures = 2
ping = ["192.0.2.1", "198.51.100.1"]
rejoin_after = "0s"

[[bond]]
mode = "teql"
addresses = ["203.0.113.200", "203.0.113.9/29", "203.0.113.8/29", "2001:db8::1/64", "2001:db8::2"]
[[bond]]
mode = "teql"
device = "teql15"
line_addresses = "remove"
default_route = false
metric = 7
addresses = "198.51.100.7"

[[forward]]
port = 443
to = "192.168.7.10"
[[forward]]
protocol = ["udp", "tcp"]
port = "8000-8010"
to = "192.168.7.11"
[[forward]]
protocol = "udp"
port = "443"
to = "192.168.7.10:8443"
`

func TestLoadBonds(t *testing.T) {
	c := expect(t, bonded(every, "", "bond = 'teql15'", "bond = 'none'"))
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	host := netip.MustParseAddr
	want := defaults()
	want.Host = Host{Firewall: true}
	want.LAN = LAN{Interfaces: []string{"eth0", "eth5"}, NAT: NATSource, Source: host("203.0.113.200")}
	want.Health = Health{Failures: 2, Ping: []netip.Addr{host("192.0.2.1"), host("198.51.100.1")}}
	want.Bonds = []Bond{{
		Device: "teql0", Mode: "teql", LineAddresses: "keep", DefaultRoute: true, Metric: 100, Shaping: "none",
		Addresses: prefixes("203.0.113.200/32", "203.0.113.9/29", "203.0.113.8/29", "2001:db8::1/64", "2001:db8::2/128"),
	}, {
		Device: "teql15", Mode: "teql", LineAddresses: "remove", Metric: 7, Shaping: "none", Addresses: prefixes("198.51.100.7/32"),
	}}
	want.Forwards = []Forward{
		{Protocols: []string{"tcp"}, Ports: Ports{443, 443}, To: host("192.168.7.10")},
		{Protocols: []string{"udp", "tcp"}, Ports: Ports{8000, 8010}, To: host("192.168.7.11")},
		{Protocols: []string{"udp"}, Ports: Ports{443, 443}, To: host("192.168.7.10"), ToPort: 8443},
	}
	lines := c.Lines
	c.Lines = nil
	if diff := cmp.Diff(&want, c, netips); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := members(lines); got != "a:teql0 b:teql15 c:" {
		t.Errorf("lines and bonds: %s", got)
	}
}

// members lists lines with their bonds.
func members(lines []Line) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Name+":"+l.Bond)
	}
	return strings.Join(all, " ")
}

// bonded makes files of linebond.toml and of the lines a, b and so on, each
// on eth1 with a VLAN of its own.
func bonded(daemon string, lines ...string) fstest.MapFS {
	files := map[string]string{"linebond.toml": daemon}
	for i, text := range lines {
		files[fmt.Sprintf("lines.d/%c.toml", 'a'+i)] = fmt.Sprintf("interface = 'eth1'\nvlan = %d\n%s%s\n", 101+i, minimal, text)
	}
	return etc(files)
}

// One bond may be written in each of TOML's notations.
func TestBondNotations(t *testing.T) {
	for _, text := range []string{
		"[bond]\nmode = 'teql'\nmetric = 7",
		"[[bond]]\nmode = 'teql'\nmetric = 7",
		"bond = { mode = 'teql', metric = 7 }",
		"bond.mode = 'teql'\nbond.metric = 7",
	} {
		c := expect(t, bonded(text, ""))
		if len(c.Bonds) != 1 || c.Bonds[0].Metric != 7 || c.Bonds[0].Device != "teql0" || c.Lines[0].Bond != "teql0" {
			t.Errorf("%s: got %+v", text, c)
		}
	}
	for _, text := range []string{"[forward]\nport = 1\nto = '192.0.2.1'", "forward = { port = 1, to = '192.0.2.1' }"} {
		if c := expect(t, bonded(text, "")); len(c.Forwards) != 1 || c.Forwards[0].Ports.Last != 1 {
			t.Errorf("%s: got %+v", text, c)
		}
	}
}

// Mistakes in linebond.toml, with one line.
func TestBadDaemon(t *testing.T) {
	const (
		device  = `; allowed: "teql0" to "teql15", the names that the kernel gives them`
		address = `; allowed: one such as "203.0.113.200", "203.0.113.8/29" or "2001:db8::1/64"`
		ipv4    = ` is no IPv4 address of a host; allowed: one such as "192.0.2.1"`
		port    = ` is no port or range of ports; allowed: 1 to 65535, or a range such as "8000-8010"`
		kind    = `; allowed: "masquerade", "none", or an IPv4 address such as "203.0.113.200"`
		to      = ` is no IPv4 address of a host; allowed: one such as "192.168.7.10", or with a port "192.168.7.10:8443"`
		bond    = "[bond]\nmode = 'teql'\n"
		forward = "[[forward]]\nto = '192.168.7.10'\n"
	)
	tests := []struct {
		text string
		want []string // less the file's name
	}{
		// Tables.
		{"[bonds]\nmode = 'teql'", []string{"1:2: bonds: unknown table; did you mean bond?"}},
		{"[[Forwards]]\nport = 1", []string{"1:3: Forwards: unknown table; did you mean forward?"}},
		{"[[lan]]\ninterfaces = 'eth0'", []string{"1:3: lan: is no list: write [lan], in single brackets"}},
		{"[bond.teql0]\nmode = 'teql'", []string{"1:2: bond.teql0: unknown table; allowed: bond.mode, bond.device, bond.addresses, " +
			"bond.line_addresses, bond.default_route, bond.metric, bond.shaping"}},
		{bond + bond + "device = 'teql1'\ndefault_route = false\n[[bond]]\n", []string{
			"3:2: bond: this table is given twice; the first is in line 1; write [[bond]] for each",
			"7:3: bond: this table is given twice; the first is in line 1; write [[bond]] for each",
			"7:3: bond.mode: is missing; write mode = \"teql\", \"multipath\" or \"weighted\"",
			"7:3: bond.device: teql0 is the device of the bond in line 1 already"}},
		{"[[bond]]\nmode = 'teql'\nmode = 'teql'\n[[bond]]\nmode = 'teql'\ndevice = 'teql1'\nmode = 'teql'\nmetric = 7", []string{
			"3:1: bond.mode: is given twice; the first is in line 2", "7:1: bond.mode: is given twice; the first is in line 5"}},
		{"bond = 'teql0'", []string{"1:1: bond: is a table; it holds bond.mode, bond.device, bond.addresses, bond.line_addresses, " +
			"bond.default_route, bond.metric, bond.shaping"}},
		{"forward = [{ port = 1 }]", []string{"1:1: forward: is a table; it holds forward.protocol, forward.port, forward.to"}},
		{"mode = 'teql'", []string{"1:1: mode: unknown key; did you mean bond.mode?"}},
		{"[lan]\ninterfaces = 'eth0'\nfirewall = true", []string{"3:1: lan.firewall: unknown key; did you mean host.firewall?"}},
		{bond + "adresses = []", []string{"3:1: bond.adresses: unknown key; did you mean bond.addresses?"}},
		{"[[bond]]\nmod = 'teql'", []string{"2:1: bond.mod: unknown key; did you mean bond.mode?"}},

		// Types and ranges.
		{"[bond]", []string{`1:2: bond.mode: is missing; write mode = "teql", "multipath" or "weighted"`}},
		{"[bond]\nmode = teql", []string{"2:8: " + noValue}},
		{"[bond]\nmode = 'TEQL'", []string{`2:8: bond.mode: 'TEQL' is unknown to this version of linebond; allowed: "teql", "multipath" or "weighted"`}},
		{"[bond]\nmode = 'fastest'", []string{`2:8: bond.mode: 'fastest' is unknown to this version of linebond; allowed: "teql", "multipath" or "weighted"`}},
		{"[bond]\nmode = 1", []string{`2:8: bond.mode: must be one of the words "teql", "multipath" or "weighted", not a whole number`}},
		{bond + "device = 'bond0'", []string{"3:1: bond.device: bond0 is no TEQL device" + device}},
		{bond + "device = 'teql'", []string{"3:1: bond.device: teql is no TEQL device" + device}},
		{bond + "device = 'teql16'", []string{"3:1: bond.device: teql16 is no TEQL device" + device}},
		{bond + "device = 'teql01'", []string{"3:1: bond.device: teql01 is no TEQL device" + device}},
		{bond + "device = 0", []string{"3:10: bond.device: must be the name of a network device, not a whole number"}},
		{bond + "addresses = ['203.0.113.9/33', '203.0.113.9/255.255.255.248', '1.2.3', '::ffff:192.0.2.1', '2001:db8::1%e', '192.0.2.1/0', '127.0.0.1', 7]", []string{
			"3:14: bond.addresses: '203.0.113.9/33' is no address or block of addresses" + address,
			"3:32: bond.addresses: '203.0.113.9/255.255.255.248' is no address or block of addresses" + address,
			"3:63: bond.addresses: '1.2.3' is no address or block of addresses" + address,
			"3:72: bond.addresses: '::ffff:192.0.2.1' is no address or block of addresses" + address,
			"3:92: bond.addresses: '2001:db8::1%e' is no address or block of addresses" + address,
			"3:109: bond.addresses: '192.0.2.1/0' is no address or block of addresses" + address,
			"3:124: bond.addresses: '127.0.0.1' is no address or block of addresses" + address,
			"3:137: bond.addresses: must be an address, not a whole number"}},
		{bond + "addresses = ['192.0.2.1', '192.0.2.1']", []string{"3:27: bond.addresses: '192.0.2.1' is named twice"}},
		{bond + "addresses = ['192.0.2.1', '192.0.2.1/24']", []string{"3:1: bond.addresses: 192.0.2.1/32 belongs to teql0 already"}},
		{bond + "line_addresses = true", []string{`3:18: bond.line_addresses: must be one of the words "keep", "remove", not true or false`}},
		{bond + "line_addresses = 'drop'", []string{`3:18: bond.line_addresses: 'drop' is unknown; allowed: "keep", "remove"`}},
		{bond + "default_route = yes", []string{"3:17: bond.default_route: must be true or false, in small letters"}},
		{bond + "metric = 0", []string{"3:10: bond.metric: 0 is out of range; allowed: 1 to 2147483647"}},
		{"[host]\nfirewall = 'on'\nspread_cpus = 1", []string{
			"2:12: host.firewall: must be true or false, not a text in quotes",
			"3:15: host.spread_cpus: must be true or false, not a whole number"}},
		{"[lan]\ninterfaces = ['eth0', 'eth 1', 'teql1', 'eth0']", []string{
			"2:23: lan.interfaces: 'eth 1' is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %",
			"2:32: lan.interfaces: 'teql1' is the name of a bond's device",
			"2:41: lan.interfaces: 'eth0' is named twice"}},
		{"[lan]\ninterfaces = [" + strings.Repeat("'eth0',", 65) + "]", []string{"2:14: lan.interfaces: names 65 devices; allowed: 0 to 64"}},
		{"[lan]\ninterfaces = 'eth0'\nnat = 'snat'", []string{"3:7: lan.nat: 'snat' is no kind of NAT" + kind}},
		{"[lan]\ninterfaces = 'eth0'\nnat = '2001:db8::1'", []string{"3:7: lan.nat: '2001:db8::1' is no kind of NAT" + kind}},
		{"[lan]\ninterfaces = 'eth0'\nnat = '192.0.2.1/32'", []string{"3:7: lan.nat: '192.0.2.1/32' is no kind of NAT" + kind}},
		{"[lan]\ninterfaces = 'eth0'\nnat = false", []string{`3:7: lan.nat: must be "masquerade", "none" or an IPv4 address, not true or false`}},
		{"[lan]\nnat = 'none'", []string{"2:1: warning: lan.nat: has no effect without lan.interfaces, whose packets it is about"}},
		{"[bond]\n[lan]\nnat = 'none'", []string{
			`1:2: bond.mode: is missing; write mode = "teql", "multipath" or "weighted"`,
			"3:1: warning: lan.nat: has no effect without lan.interfaces, whose packets it is about"}},
		{"[lan]\nnat = 'none'\ninterfaces = eth0", []string{"3:14: " + noValue}},
		{"[lan]\nnat = 'none'\ninterface = 'eth0'", []string{"3:1: lan.interface: unknown key; did you mean lan.interfaces?"}},
		{"[health]\nfailures = 101\nping = ['one.one', '2001:db8::1', '0.0.0.0', '224.0.0.1']\nrejoin_after = '6m'", []string{
			"2:12: health.failures: 101 is out of range; allowed: 1 to 100",
			"3:9: health.ping: 'one.one'" + ipv4, "3:20: health.ping: '2001:db8::1'" + ipv4,
			"3:35: health.ping: '0.0.0.0'" + ipv4, "3:46: health.ping: '224.0.0.1'" + ipv4,
			`4:16: health.rejoin_after: '6m' is out of range or no time; allowed: "0s" to "300s"`}},
		{"[health]\nping = ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4', '1.1.1.5']", []string{"2:8: health.ping: names 5 hosts; allowed: 0 to 4"}},

		// Source NAT with an address.
		{bond + "addresses = ['203.0.113.9/29', '198.51.100.8/29']\n[lan]\ninterfaces = 'eth0'\nnat = '203.0.113.9'", nil},
		{bond + "addresses = ['203.0.113.9/29', '198.51.100.8/29']\n[lan]\ninterfaces = 'eth0'\nnat = '198.51.100.15'", nil},
		{bond + "addresses = ['203.0.113.9/29', '198.51.100.8/29']\n[lan]\ninterfaces = 'eth0'\nnat = '203.0.113.10'", []string{
			"6:1: warning: lan.nat: no bond has it: answers to 203.0.113.10 come back only if the provider gives it to a line; " +
				"if it is routed to you, write it into addresses of the [bond]"}},
		{"[lan]\ninterfaces = 'eth0'\nnat = '203.0.113.10'", []string{
			"3:1: warning: lan.nat: no bond has it: answers to 203.0.113.10 come back only if the provider gives it to a line; " +
				"if it is routed to you, write it into addresses of the [bond]"}},
		{bond + "addresses = '203.0.113.10 '\n[lan]\ninterfaces = 'eth0'\nnat = '203.0.113.10'", []string{
			"3:13: bond.addresses: '203.0.113.10 ' is no address or block of addresses" + address}},
		{"[lan]\nnat = '203.0.113.10'", []string{"2:1: warning: lan.nat: has no effect without lan.interfaces, whose packets it is about"}},

		// Forwards.
		{bond + "addresses = ['203.0.113.8/29', '203.0.113.10', '198.51.100.7/24']\n" +
			"[[forward]]\nport = 1\nto = '203.0.113.10:2'\n[[forward]]\nport = 2\nto = '198.51.100.7'\n[[forward]]\nport = 3\nto = '203.0.113.8'", []string{
			"6:1: forward.to: 203.0.113.10 is an address of teql0, so it would lead to this machine itself; give that of a host in the LAN",
			"9:1: forward.to: 198.51.100.7 is an address of teql0, so it would lead to this machine itself; give that of a host in the LAN"}},
		{"[[forward]]\n[[forward]]\nport = 1", []string{
			"1:3: forward.port: is missing; give the port that is asked for from outside",
			"1:3: forward.to: is missing; give the IPv4 address of the host in the LAN",
			"2:3: forward.to: is missing; give the IPv4 address of the host in the LAN"}},
		{forward + "port = 0", []string{"3:8: forward.port: 0 is out of range; allowed: 1 to 65535"}},
		{forward + "port = 65536", []string{"3:8: forward.port: 65536 is out of range; allowed: 1 to 65535"}},
		{forward + "port = '8000-'", []string{"3:8: forward.port: '8000-'" + port}},
		{forward + "port = '-8000'", []string{"3:8: forward.port: '-8000'" + port}},
		{forward + "port = '8010-8000'", []string{"3:8: forward.port: '8010-8000'" + port}},
		{forward + "port = '0-1'", []string{"3:8: forward.port: '0-1'" + port}},
		{forward + "port = '1-70000'", []string{"3:8: forward.port: '1-70000'" + port}},
		{forward + "port = '70000-65535'", []string{"3:8: forward.port: '70000-65535'" + port}},
		{forward + "port = 'https'", []string{"3:8: forward.port: 'https'" + port}},
		{forward + "port = [80, 443]", []string{`3:8: forward.port: must be a port from 1 to 65535, or a range such as "8000-8010", not a list`}},
		{forward + "port = 1\nprotocol = 'both'", []string{`4:12: forward.protocol: 'both' is unknown; allowed: "tcp", "udp"`}},
		{forward + "port = 1\nprotocol = []", []string{"4:12: forward.protocol: names 0 protocols; allowed: 1 to 2"}},
		{"[forward]\nport = 1\nto = '2001:db8::1'", []string{"3:6: forward.to: '2001:db8::1'" + to}},
		{"[forward]\nport = 1\nto = '[2001:db8::1]:80'", []string{"3:6: forward.to: '[2001:db8::1]:80'" + to}},
		{"[forward]\nport = 1\nto = '192.168.7.10:0'", []string{"3:6: forward.to: '192.168.7.10:0'" + to}},
		{"[forward]\nport = 1\nto = '192.168.7.10:http'", []string{"3:6: forward.to: '192.168.7.10:http'" + to}},
		{"[forward]\nport = 1\nto = 'server'", []string{"3:6: forward.to: 'server'" + to}},
		{"[forward]\nport = '1-2'\nto = '192.168.7.10:80'", []string{
			"3:1: forward.to: has a port, but forward.port is a range; write the address alone, each port stays as it is"}},
		{forward + "port = '80-90'\n" + forward + "port = 90\nprotocol = ['udp', 'tcp']\n" + forward + "port = 91\n" + forward + "port = 80\nprotocol = 'udp'", []string{
			"6:1: forward.port: tcp port 90 is forwarded in line 3 already"}},
		// What belongs elsewhere.
		{"vlan = 7\nmtu = x\ndownload = '1mbit'\n[bond]\nmode = 'teql'\nusername = 'u'", []string{
			"1:1: unknown key; vlan belongs into the file of the line, lines.d/NAME.toml",
			"2:7: " + noValue,
			"3:1: unknown key; download belongs into the file of the line, lines.d/NAME.toml",
			"6:1: unknown key; username belongs into the file of the line, lines.d/NAME.toml"}},
		{"metrik = 7\n[bond]\nmode = 'teql'\nupload = '1mbit'\n[host]\nmetric = 7", []string{
			"1:1: metrik: unknown key; did you mean bond.metric?",
			"4:1: bond.upload: unknown key; upload belongs into the file of the line, lines.d/NAME.toml",
			"6:1: host.metric: unknown key; did you mean bond.metric?"}},
	}
	for _, test := range tests {
		var want []string
		for _, w := range test.want {
			want = append(want, "linebond.toml:"+w)
		}
		expect(t, bonded(test.text, ""), want...)
	}
}

// Of a linebond.toml with mistakes that is used is what can be.
func TestBadDaemonIsUsedInPart(t *testing.T) {
	c, problems := Load(bonded("[bond]\nmode = 'x'\nmetric = 7\naddresses = ['192.0.2.1', 'y']\n"+
		"[health]\nrejoin_after = 'z'\nfailures = 4\n[[forward]]\nport = 'w'\nto = '192.0.2.2'\n[[forward]]\nport = 1\nto = 'v'\n"+
		"[[forward]]\nport = '2-3'\nto = '192.0.2.3:4'\nprotocol = ['u']\n", ""), "etc/linebond")
	if len(problems) != 7 {
		t.Errorf("problems: %v", messages(problems))
	}
	want := defaultBond()
	want.Metric, want.Addresses = 7, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	if diff := cmp.Diff([]Bond{want}, c.Bonds, netips); diff != "" {
		t.Errorf("bonds: -want +got\n%s", diff)
	}
	forwards := []Forward{{Protocols: []string{"tcp"}, Ports: Ports{2, 3}, To: netip.MustParseAddr("192.0.2.3")}}
	if diff := cmp.Diff(forwards, c.Forwards, netips); diff != "" {
		t.Errorf("forwards: -want +got\n%s", diff)
	}
	if c.Health.Failures != 4 || c.Health.RejoinAfter != 5*time.Second {
		t.Errorf("got %+v", c)
	}
}

func TestRateString(t *testing.T) {
	tests := map[Rate]string{1: "1 bit/s", 1500: "1.5 kbit/s", 18_500_000: "18.5 Mbit/s", 1e9: "1 Gbit/s"}
	for rate, want := range tests {
		if got := rate.String(); got != want {
			t.Errorf("%d: %s, want %s", uint64(rate), got, want)
		}
	}
}

// TestGuard: a mistake in the file does not open the machine to the outside.
func TestGuard(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                     false,
		"[host]\nfirewall = true\n":            true,
		"[host]\nfirewall = \"yes\"\n":         true,
		"[host]\nfirewall = true\n[lan\n":      true,
		"[host\nfirewall = true\n":             true,
		"[host]\nspread_cpus = 7\n":            false,
		"[host]\nfirewall = false\n[log]\nx=1": false,
	} {
		c, _ := Load(bonded(text), "/etc/linebond")
		if c.Host.Firewall != want {
			t.Errorf("%q: firewall %v, want %v", text, c.Host.Firewall, want)
		}
	}
}
