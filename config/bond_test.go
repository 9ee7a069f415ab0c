package config

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// What linebond.toml and the lines' files say must go together.
func TestBondsAndLines(t *testing.T) {
	const bond = "[bond]\nmode = 'teql'\n"
	two := strings.ReplaceAll(bond, "bond", "[bond]") + "[[bond]]\nmode = 'teql'\ndevice = 'teql1'\nmetric = 7\n"
	tests := []struct {
		name, daemon, a, b, c string
		members               string
		want                  []string
	}{
		{"no bond", "", "", "bond = 'none'", "fallback = false", "a: b: c:", nil},
		{"the first bond", two, "", "bond = 'teql1'", "bond = 'none'", "a:teql0 b:teql1 c:", nil},
		{"a fallback", bond, "", "fallback = true", "", "a:teql0 b:teql0 c:teql0", nil},
		{"a bond that is not there", bond, "", "bond = 'teql1'", "bond = 'bond1'", "a:teql0", []string{
			`lines.d/b.toml:5:1: bond: linebond.toml has no [[bond]] of device teql1; add it there, or write bond = "none" here`,
			`lines.d/c.toml:5:1: bond: linebond.toml has no [[bond]] of device bond1; add it there, or write bond = "none" here`}},
		{"false for none", bond, "bond = false", "bond = 1", "", "c:teql0", []string{
			`lines.d/a.toml:5:8: bond: must be the device of a bond, "multipath" or "none", not true or false`,
			`lines.d/b.toml:5:8: bond: must be the device of a bond, "multipath" or "none", not a whole number`}},
		{"a table in the wrong file", "", "[bond]\nmode = 'teql'", "", "", "b: c:", []string{
			"lines.d/a.toml:5:2: bond: is no table; write bond = and one value"}},
		{"bonds of which little is known", "[bond\nmode = 'teql'\n", "bond = 'teql1'", "fallback = true", "metric = 7", "a: b: c:", []string{
			"linebond.toml:1:6: expected ']' to close table name"}},
		{"a bond's device is wrong", bond + "device = 'wan'", "bond = 'teql1'", "", "", "a: b:teql0 c:teql0", []string{
			`linebond.toml:3:1: bond.device: wan is no TEQL device; allowed: "teql0" to "teql15", the names that the kernel gives them`}},
		{"two bonds of one device", two + "addresses = '192.0.2.1'\n[[bond]]\ndevice = 'teql1'\nmode = 'teql'\naddresses = '192.0.2.1'", "bond = 'teql1'", "", "", "a:teql1 b:teql0 c:teql0", []string{
			"linebond.toml:9:1: bond.device: teql1 is the device of the bond in line 3 already"}},
		{"two bonds of one address", "[[bond]]\nmode = 'teql'\naddresses = ['192.0.2.0/24', '192.0.2.0/32']\n[[bond]]\nmode = 'teql'\nmetric = 7\ndevice = 'teql1'\naddresses = ['192.0.2.0/24', '192.0.2.1/24', '192.0.2.0']",
			"", "bond = 'teql1'", "", "a:teql0 b:teql1 c:teql0", []string{
				"linebond.toml:8:1: bond.addresses: 192.0.2.0/24 belongs to teql0 already",
				"linebond.toml:8:1: bond.addresses: 192.0.2.0/32 belongs to teql0 already"}},
		{"routes", bond, "default_route = true", "metric = 100", "bond = 'none'\nmetric = 100", "a:teql0 b:teql0 c:", []string{
			"lines.d/a.toml:5:1: warning: default_route: has no effect on a line of a bond; that of the [bond] counts",
			"lines.d/b.toml:5:1: warning: metric: has no effect on a line of a bond; that of the [bond] counts"}},
		{"default routes of one metric", "[[bond]]\nmode = 'teql'\n[[bond]]\nmode = 'teql'\ndevice = 'teql1'\n[[bond]]\nmode = 'teql'\ndevice = 'teql2'\ndefault_route = false",
			"", "bond = 'teql1'", "bond = 'teql2'", "a:teql0 b:teql1 c:teql2", []string{
				"linebond.toml:3:3: warning: bond.metric: the default route of teql0 has 100 too, and one of the two will not be used; " +
					"give each a metric of its own, or write default_route = false"}},
		{"an IPv6 address that a line does not carry", bond + "addresses = ['192.0.2.1', '2001:db8::1']", "ipv6 = false", "ipv6 = true", "ipv6 = false\nbond = 'none'", "a:teql0 b:teql0 c:", []string{
			"lines.d/a.toml:5:1: warning: ipv6: is false, but teql0 has an IPv6 address, which each of its lines must carry: this one is used only when no other can be"}},
		{"an IPv6 block", bond + "addresses = ['2001:db8::/64', '192.0.2.1']", "ipv6 = false", "", "", "a:teql0 b:teql0 c:teql0", []string{
			"lines.d/a.toml:5:1: warning: ipv6: is false, but teql0 has an IPv6 address, which each of its lines must carry: this one is used only when no other can be"}},
		{"keepalive before health", bond, "keepalive.failures = 3", "keepalive.failures = 4", "keepalive.failures = 3\nbond = 'none'", "a:teql0 b:teql0 c:", []string{
			"lines.d/a.toml:5:1: warning: keepalive.failures: is not more than health.failures, 3, which has no effect on this line then: the session is given up first"}},
		{"health after keepalive", bond + "[health]\nfailures = 5", "", "keepalive.failures = 4", "keepalive.failures = 6", "a:teql0 b:teql0 c:teql0", []string{
			"linebond.toml:4:1: warning: health.failures: has no effect on these lines, whose keepalive.failures is not more: a, b; the session is given up first"}},
		{"pings after keepalive", bond + "[health]\nfailures = 5\nping = '192.0.2.1'", "", "", "", "a:teql0 b:teql0 c:teql0", nil},
		{"fallback alone", bond, "bond = 'none'\nfallback = true", "", "", "a: b:teql0 c:teql0", []string{
			"lines.d/a.toml:6:1: warning: fallback: has no effect on a line without a bond"}},
		{"fallbacks only", bond, "fallback = true\nupload = '1mbit'", "fallback = true\nupload = '9mbit'", "bond = 'none'", "a:teql0 b:teql0 c:", []string{
			"linebond.toml:1:2: warning: bond: every line of teql0 says fallback = true, which has no effect then"}},
		{"no line", two, "bond = 'teql1'", "bond = 'teql1'", "bond = 'none'", "a:teql1 b:teql1 c:", []string{
			`linebond.toml:1:3: warning: bond: teql0 has no line; write bond = "teql0" in the file of each that belongs to it`}},
		{"a file that may have been its line", two, "mtu = x", "bond = 'none'", "bond = 'none'", "b: c:", []string{
			"lines.d/a.toml:5:7: " + noValue}},
		{"rates of 4 to 1", bond, "upload = '20mbit'", "upload = '5mbit'", "", "a:teql0 b:teql0 c:teql0", []string{
			"linebond.toml:1:2: warning: bond: TEQL gives each line of teql0 as many packets as the others: " +
				"with upload 20 Mbit/s of a and 5 Mbit/s of b the 2 lines carry 10 Mbit/s together, half of what a carries alone; mode = \"weighted\" carries 25 Mbit/s"}},
		{"three rates", two, "upload = '900kbit'", "upload = '1.5mbit'", "upload = '1mbit'\nbond = 'teql0'", "a:teql0 b:teql0 c:teql0", []string{
			"linebond.toml:1:3: warning: bond: TEQL gives each line of teql0 as many packets as the others: " +
				"with upload 1.5 Mbit/s of b and 900 kbit/s of a the 3 lines carry 2.7 Mbit/s together; mode = \"weighted\" carries 3.4 Mbit/s",
			`linebond.toml:3:3: warning: bond: teql1 has no line; write bond = "teql1" in the file of each that belongs to it`}},
		{"rates of 2 to 1", bond, "upload = '20mbit'", "upload = '10mbit'", "bond = 'none'", "a:teql0 b:teql0 c:", []string{
			"linebond.toml:1:2: warning: bond: TEQL gives each line of teql0 as many packets as the others: " +
				"with upload 20 Mbit/s of a and 10 Mbit/s of b the 2 lines carry 20 Mbit/s together, no more than a alone; mode = \"weighted\" carries 30 Mbit/s"}},
		{"rates of which one is very low", bond, "upload = '20mbit'", "upload = '20mbit'", "upload = '1mbit'", "a:teql0 b:teql0 c:teql0", []string{
			"linebond.toml:1:2: warning: bond: TEQL gives each line of teql0 as many packets as the others: " +
				"with upload 20 Mbit/s of b and 1 Mbit/s of c the 3 lines carry 3 Mbit/s together, 15% of what b carries alone; mode = \"weighted\" carries 41 Mbit/s"}},
		{"rates of 1.3 to 1", bond, "upload = '13mbit'", "upload = '10mbit'", "", "a:teql0 b:teql0 c:teql0", nil},
		{"rates that do not count", bond, "upload = '20mbit'", "upload = '5mbit'\nfallback = true", "upload = '1mbit'\nenabled = false", "a:teql0 b:teql0 c:teql0", nil},
		{"eBPF beside auto", bond, "dataplane = 'ebpf'", "", "dataplane = 'ebpf'", "a:teql0 b:teql0 c:teql0", []string{
			`linebond.toml:1:2: warning: bond: TEQL takes no lines of two data planes into one bond: dataplane is "ebpf" for line c of teql0, but not for b; give both the same`}},
		{"eBPF alone", bond, "dataplane = 'ebpf'", "dataplane = 'ebpf'", "dataplane = 'kernel'\nenabled = false", "a:teql0 b:teql0 c:teql0", nil},
		{"auto beside kernel", bond, "dataplane = 'auto'", "dataplane = 'kernel'", "", "a:teql0 b:teql0 c:teql0", nil},
		{"multipath", "[bond]\nmode = 'multipath'\naddresses = '203.0.113.8/29'", "", "bond = 'multipath'\ndataplane = 'ebpf'", "bond = 'none'", "a:multipath b:multipath c:", nil},
		{"what does not go with multipath", "[bond]\nmode = 'multipath'\ndevice = 'teql0'\nline_addresses = 'remove'\naddresses = ['203.0.113.200', '2001:db8::/64']", "", "", "", "a:multipath b:multipath c:multipath", []string{
			`linebond.toml:3:1: bond.device: a bond of mode "multipath" has no device; leave it out. A line's file names such a bond as bond = "multipath"`,
			`linebond.toml:4:1: bond.line_addresses: must be "keep" with mode "multipath": a connection goes out with the address of its line`,
			`linebond.toml:5:1: bond.addresses: a bond of mode "multipath" has no device to put 203.0.113.200 on; if it is routed down all lines, write nat = "203.0.113.200" in [lan], and the packets of the LAN go out with it`,
			`linebond.toml:5:1: bond.addresses: 2001:db8::/64 is of IPv6, of which a bond of mode "multipath" carries none: each line has its own, by router advertisements`}},
		{"two of multipath", "[[bond]]\nmode = 'multipath'\n[[bond]]\nmode = 'teql'\nmetric = 7\n[[bond]]\nmode = 'multipath'", "", "bond = 'teql0'", "", "a:multipath b:teql0 c:multipath", []string{
			`linebond.toml:7:1: bond.mode: the bond in line 1 is of mode "multipath" already; lines that are to be used only while the others are not say fallback = true`}},
		{"no multipath", bond, "bond = 'multipath'", "", "", "b:teql0 c:teql0", []string{
			`lines.d/a.toml:5:1: bond: linebond.toml has no [[bond]] of mode multipath; add it there, or write bond = "none" here`}},
		{"a source for multipath", "[bond]\nmode = 'multipath'\n[lan]\ninterfaces = 'eth0'\nnat = '203.0.113.200'", "", "", "", "a:multipath b:multipath c:multipath", nil},
		{"rates for multipath", "[bond]\nmode = 'multipath'", "upload = '9mbit'", "upload = '1mbit'", "upload = '1mbit'\ndownload = '1mbit'", "a:multipath b:multipath c:multipath", nil},
		{"rates of some lines for multipath", "[bond]\nmode = 'multipath'", "upload = '9mbit'", "", "download = '1mbit'", "a:multipath b:multipath c:multipath", []string{
			"linebond.toml:1:2: warning: bond: download is given for some lines of multipath but not for a, so all get as many connections; give it for all of them"}},
		{"weighted", "[bond]\nmode = 'weighted'\nshaping = 'none'", "upload = '20mbit'", "bond = 'wanbond0'\nupload = '5mbit'\ndataplane = 'ebpf'", "bond = 'none'", "a:wanbond0 b:wanbond0 c:", nil},
		{"weighted, by a name of its own", "[[bond]]\nmode = 'weighted'\ndevice = 'both'\n[[bond]]\nmode = 'teql'\nmetric = 7", "upload = '20mbit'", "bond = 'teql0'", "upload = '64kbit'", "a:both b:teql0 c:both", nil},
		{"what does not go with weighted", "[bond]\nmode = 'weighted'\ndevice = 'teql0'", "upload = '1mbit'", "", "", "a:wanbond0 b:wanbond0 c:wanbond0", []string{
			`linebond.toml:3:1: bond.device: teql0 is a device of the kernel's TEQL; with mode "weighted" linebond makes one of its own: leave this out, and it is called wanbond0`}},
		{"a name that is none, for weighted", "[bond]\nmode = 'weighted'\ndevice = 'a b'", "upload = '1mbit'", "bond = 'none'", "upload = '1mbit'", "a:wanbond0 b: c:wanbond0", []string{
			`linebond.toml:3:10: bond.device: 'a b' is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %`}},
		{"a name that is too long, for weighted", "[bond]\nmode = 'weighted'\ndevice = 'wanbond0wanbond0wanbond0'", "upload = '1mbit'", "bond = 'none'", "upload = '1mbit'", "a:wanbond0 b: c:wanbond0", []string{
			`linebond.toml:3:10: bond.device: 'wanbond0wanbond0wanbond0' is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %`}},
		{"a name of nothing, for weighted and TEQL", "[[bond]]\nmode = 'weighted'\ndevice = ''\n[[bond]]\nmode = 'teql'\nmetric = 7\ndevice = ''", "upload = '1mbit'", "bond = 'teql0'", "upload = '1mbit'", "a:wanbond0 b:teql0 c:wanbond0", []string{
			`linebond.toml:3:10: bond.device: '' is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %`,
			`linebond.toml:7:10: bond.device: '' is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %`}},
		{"no device for weighted", "[bond]\nmode = 'weighted'\ndevice = 'all'", "upload = '1mbit'", "bond = 'none'", "upload = '1mbit'", "a:wanbond0 b: c:wanbond0", []string{
			`linebond.toml:3:1: bond.device: all means something else to the kernel, or in a line's file; leave this out, and it is called wanbond0`}},
		{"a name that means no bond, for weighted", "[bond]\nmode = 'weighted'\ndevice = 'none'", "upload = '1mbit'", "bond = 'none'", "upload = '1mbit'", "a:wanbond0 b: c:wanbond0", []string{
			`linebond.toml:3:1: bond.device: none means something else to the kernel, or in a line's file; leave this out, and it is called wanbond0`}},
		{"the other end of a weighted bond's device", "[[bond]]\nmode = 'weighted'\n[[bond]]\nmode = 'weighted'\ndevice = 'wanbond0-port'\nmetric = 7", "upload = '1mbit'", "upload = '1mbit'", "upload = '1mbit'\nbond = 'wanbond0-port'", "a:wanbond0 b:wanbond0 c:", []string{
			`linebond.toml:5:1: bond.device: of wanbond0 and wanbond0-port one is what is made beside the other; give one of the two another name`}},
		{"echoes of weighted lines", "[bond]\nmode = 'weighted'", "upload = '1mbit'\nkeepalive.interval = '100ms'", "upload = '1mbit'\nkeepalive.interval = '201ms'", "upload = '1mbit'\nkeepalive.interval = '200ms'", "a:wanbond0 b:wanbond0 c:wanbond0", []string{
			"linebond.toml:1:2: warning: bond: all lines of wanbond0 are waited for as long as b, with keepalive.interval 201ms, before they are passed over; a asks every 100ms: give them the same"}},
		{"echoes at almost the same interval", "[bond]\nmode = 'weighted'", "upload = '1mbit'\nkeepalive.interval = '100ms'", "upload = '1mbit'\nkeepalive.interval = '200ms'", "upload = '1mbit'\nkeepalive.interval = '9s'\nenabled = false", "a:wanbond0 b:wanbond0 c:wanbond0", nil},
		{"shaping without rates of a line", "[bond]\nmode = 'teql'\nshaping = 'cake'", "", "", "", "a:teql0 b:teql0 c:teql0", []string{
			`linebond.toml:3:1: bond.shaping: "cake" goes with mode "weighted" alone; leave this out`}},
		{"rates that are none, for weighted", "[bond]\nmode = 'weighted'", "upload = '0mbit'", "upload = '63kbit'", "upload = '1tbit'", "", []string{
			`lines.d/a.toml:5:10: upload: '0mbit' is out of range or no rate; allowed: ` + allowedRates + `, or "auto"`,
			`lines.d/b.toml:5:1: upload: 63 kbit/s is no rate of a line; allowed in a bond of mode "weighted": 64 kbit/s to 100 Gbit/s`,
			`lines.d/c.toml:5:1: upload: 1000 Gbit/s is no rate of a line; allowed in a bond of mode "weighted": 64 kbit/s to 100 Gbit/s`}},
		{"no rates for weighted", "[bond]\nmode = 'weighted'", "", "", "bond = 'none'", "a:wanbond0 b:wanbond0 c:", []string{
			"linebond.toml:1:2: warning: bond: the lines of wanbond0 have no upload, so each gets an equal share of the bytes, and together they are as fast as " +
				`the slowest times 2; write into the file of each what it carries, such as upload = "20mbit", or upload = "auto" to have it learned`}},
		{"rates of some lines for weighted", "[bond]\nmode = 'weighted'", "upload = '1mbit'", "fallback = true", "", "a:wanbond0 b:wanbond0 c:wanbond0", []string{
			"linebond.toml:1:2: warning: bond: upload is given for some lines of wanbond0 but not for c, so each gets an equal share of the bytes; give it for all of them, as a number or as \"auto\""}},
		{"one line for weighted", "[bond]\nmode = 'weighted'", "", "bond = 'none'", "bond = 'none'", "a:wanbond0 b: c:", []string{
			"linebond.toml:1:2: warning: bond: wanbond0 has one line, a, which gets no faster by it"}},
		{"a weighted bond's device as a line's", "[bond]\nmode = 'weighted'", "upload = '1mbit'", "upload = '1mbit'\ndevice = 'wanbond0'", "upload = '1mbit'\nmtu = 1400", "a:wanbond0 c:wanbond0", []string{
			"lines.d/b.toml:6:1: device: wanbond0 is the device of a bond"}},
		{"a weighted bond's device in the LAN", "[bond]\nmode = 'weighted'\n[lan]\ninterfaces = ['eth0', 'wanbond0']", "upload = '1mbit'", "upload = '1mbit'", "upload = '1mbit'", "a:wanbond0 b:wanbond0 c:wanbond0", []string{
			"linebond.toml:4:1: lan.interfaces: wanbond0 is the device of a bond; name the devices that the hosts behind this machine are connected to"}},
		{"a bond's device as a line's", bond, "device = 'teql0'", "", "", "b:teql0 c:teql0", []string{
			"lines.d/a.toml:5:10: device: 'teql0' is the name of a bond's device"}},
		{"the LAN on the trunk", "[lan]\ninterfaces = 'eth1'", "", "", "", "a: b: c:", nil},
		{"lines in the LAN", "[lan]\ninterfaces = ['eth0', 'wan', 'eth1.101', 'ppp-c']", "", "device = 'wan'", "", "a: b: c:", []string{
			"linebond.toml:2:1: lan.interfaces: eth1.101 is what line a dials on; name the devices that the hosts behind this machine are connected to",
			"linebond.toml:2:1: lan.interfaces: wan is the PPP device of line b; name the devices that the hosts behind this machine are connected to",
			"linebond.toml:2:1: lan.interfaces: ppp-c is the PPP device of line c; name the devices that the hosts behind this machine are connected to"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := expect(t, bonded(test.daemon, test.a, test.b, test.c), test.want...)
			if got := members(c.Lines); got != test.members {
				t.Errorf("lines and bonds: %s, want %s", got, test.members)
			}
			if lan := c.LAN.Interfaces; len(lan) > 0 && lan[0] != "eth0" && lan[0] != "eth1" || len(lan) > 1 {
				t.Errorf("LAN: %v", lan)
			}
		})
	}
}

// Where there is no line at all, that is all to say of a bond.
func TestBondWithoutAnything(t *testing.T) {
	expect(t, bonded("[bond]\nmode = 'teql'\n"),
		"lines.d: warning: there is no line to dial; create NAME.toml here, with interface, username and password")
}

// There are so many marks for the connections of lines.
func TestTooManyForMultipath(t *testing.T) {
	for _, n := range []int{MaxMultipath, MaxMultipath + 1} {
		files := bonded("[bond]\nmode = 'multipath'\n")
		for i := range n {
			maps.Copy(files, etc(map[string]string{fmt.Sprintf("lines.d/l%d.toml", i): "interface = 'eth1'\n" + minimal}))
		}
		var want []string
		if n > MaxMultipath {
			want = append(want, `linebond.toml:2:1: bond.mode: a bond of mode "multipath" may have up to 127 lines, and this has 128`)
		}
		expect(t, files, want...)
	}
}
