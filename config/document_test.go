package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lineKeyNames is what a message says is allowed in a line file.
const lineKeyNames = "enabled, interface, vlan, vlan_protocol, priority, device, dataplane, " +
	"username, password, password_file, auth, service_name, ac_name, host_uniq, mtu, " +
	"keepalive.interval, keepalive.failures, upload, download, overhead, ipv6, default_route, metric, bond, fallback"

// bad holds what is to be said of each testdata file, less its name.
var bad = map[string][]string{
	"daemon.bad.toml": {
		"1:1: level: unknown key; did you mean log.level?",
		`3:6: log.to: "file" is unknown; allowed: "auto", "syslog", "stderr"`,
		`4:9: log.level: must be one of the words "debug", "info", "warn", "error", not a whole number`,
		`5:12: log.facility: "kern" is unknown; allowed: "daemon", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"`,
		`7:10: dns.system: "Auto" is unknown; allowed: "none", "auto", "resolvconf", "systemd-resolved"`,
		"8:1: dns.servers: unknown key; allowed: dns.system",
	},
	"lists.bad.toml": {
		"4:8: auth: names 0 methods; allowed: 1 to 3",
		"5:8: vlan: a list must be [outer, inner]; for one tag write vlan = 101",
		`7:13: host_uniq: "zz" is not hex, or too short or too long; allowed: 1 to 64 bytes in hex, such as "0a1b2c"`,
		"11:7: mtu: must be a whole number from 576 to 1500, not a list",
	},
	"ranges.bad.toml": {
		`1:13: interface: "enp0s31f6-is-too-long" is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %`,
		"2:12: username: must have 1 to 255 bytes",
		"3:12: password: must have 1 to 255 bytes",
		`4:17: auth: "eap" is unknown; allowed: "mschapv2", "chap", "pap"`,
		`4:24: auth: "chap" is named twice`,
		"5:9: vlan: 0 is out of range; allowed: 1 to 4094",
		"5:12: vlan: 4095 is out of range; allowed: 1 to 4094",
		`6:17: vlan_protocol: "802.1x" is unknown; allowed: "802.1q", "802.1ad"`,
		"7:12: priority: 8 is out of range; allowed: 0 to 7",
		`8:10: device: "ppp a" is no name of a network device; allowed: 1 to 15 letters, digits and signs other than / : %`,
		`9:13: host_uniq: "0a1" is not hex, or too short or too long; allowed: 1 to 64 bytes in hex, such as "0a1b2c"`,
		"10:7: mtu: 9000 is out of range; allowed: 576 to 1500",
		`11:10: upload: "18.5 mbit" is no rate; did you mean "18.5mbit"?`,
		`12:12: download: "20" is no rate; did you mean "20mbit"?`,
		"13:10: metric: 9223372036854775808 is out of range; allowed: 1 to 2147483647",
		`14:22: keepalive.interval: "50ms" is out of range or no time; allowed: "0.1s" to "60s"`,
		"15:22: keepalive.failures: 0 is out of range; allowed: 1 to 100",
	},
	"tables.bad.toml": {
		"2:1: username: is no table; write username = and one value",
		"3:12: password: must be a text in quotes, not a table",
		"4:1: keepalive: is a table; it holds keepalive.interval, keepalive.failures",
		"5:1: password_file: is no table; write password_file = and one value",
		"7:2: password: is no table; write password = and one value",
		"10:3: keepalive: is no list: write [keepalive], in single brackets",
		"13:2: mtu: is no table; write mtu = and one value",
	},
	"twice.bad.toml": {
		"4:1: password: is given twice; the first is in line 3",
		"7:1: mtu: is given twice; the first is in line 5",
		"10:2: keepalive: this table is given twice; the first is in line 6",
		"11:1: keepalive.interval: is given twice; the first is in line 6",
		"13:2: keepalive: this table is given twice; the first is in line 6",
	},
	"types.bad.toml": {
		"1:13: interface: must be the name of a network device, not a whole number",
		"2:12: username: must be a text in quotes, not a list",
		"3:12: password: must be a text in quotes, not a whole number",
		`4:16: auth: must be one or a list of "mschapv2", "chap", "pap", not a whole number`,
		"5:8: vlan: must be a whole number from 1 to 4094, not a text in quotes",
		`6:17: vlan_protocol: must be one of the words "802.1q", "802.1ad", not true or false`,
		"7:12: priority: must be a whole number from 0 to 7, not a fraction",
		"8:10: device: must be the name of a network device, not a date or time",
		"9:16: service_name: must be a text in quotes, not a date or time",
		"10:11: ac_name: must be a text in quotes, not a table",
		`11:13: host_uniq: must be 1 to 64 bytes in hex, such as "0a1b2c", not a whole number`,
		"12:7: mtu: must be a whole number from 576 to 1500, not a text in quotes",
		`13:10: upload: 40 is no rate; did you mean "40mbit"?`,
		`14:12: download: must be a rate such as "18.5mbit" (Mbit/s) or "2MBps" (Mbyte/s), not a list`,
		"15:11: enabled: must be true or false, not a text in quotes",
		"16:8: ipv6: must be true or false, not a whole number",
		"17:17: default_route: must be true or false, not a list",
		"18:10: metric: must be a whole number from 1 to 2147483647, not a fraction",
		`19:26: keepalive.interval: must be a time from "0.1s" to "60s", not a whole number`,
		"19:40: keepalive.failures: must be a whole number from 1 to 100, not a text in quotes",
	},
	"unknown.bad.toml": {
		"1:1: interfaces: unknown key; did you mean interface?",
		"2:1: usrename: unknown key; did you mean username?",
		"3:1: pasword: unknown key; did you mean password?",
		"4:1: service-name: unknown key; did you mean service_name?",
		"5:1: frobnicate: unknown key; allowed: " + lineKeyNames,
		`6:1: "a b\x1b[31m": unknown key; allowed: ` + lineKeyNames,
		"7:1: interval: unknown key; did you mean keepalive.interval?",
		`8:1: "": unknown key; allowed: ` + lineKeyNames,
		"11:1: keepalive.mtu: unknown key; mtu stands above the first [table]",
		"12:1: keepalive.falures: unknown key; did you mean keepalive.failures?",
		"13:1: keepalive.strictness: unknown key; allowed: keepalive.interval, keepalive.failures",
		"15:2: line: unknown table; allowed: " + lineKeyNames,
		"18:3: keepalives: unknown table; did you mean keepalive?",
		"21:2: keepalive.password: unknown table; password stands above the first [table]",
		"23:2: Keep_Alive: unknown table; did you mean keepalive?",
	},
}

// What is no TOML is told by place and rule. None of its text is in the
// message: a password without quotes is the most likely mistake.
func TestSyntax(t *testing.T) {
	tests := []struct{ text, want string }{
		{"password = secret", "1:12: " + noValue},
		{"password = trustno1", "1:12: " + noValue},
		{"password = no", "1:12: " + noValue},
		{"password = -s", "1:13: " + noValue},
		{"password = +in", "1:13: " + noValue},
		{"password = 12ab", "1:14: strings must be quoted"},
		{"password = 0123", "1:12: integers cannot have leading zeroes"},
		{"password = \"se\"cret\"", "1:16: expected newline"},
		{"password = 'it's'", "1:16: expected newline"},
		{"password = \"a\\qb\"", "1:14: invalid escape character"},
		{"password = \"ab", "1:14: the closing quote \" is missing"},
		{"password = \"ab\n", "1:15: the closing quote \" is missing"},
		{"password = [\"a\" b]", "1:17: expected ',' or ']' after array value"},
		{"password = 'ab", "1:14: the closing quote ' is missing"},
		{"password = 'ab\r\n", "1:15: the closing quote ' is missing"},
		{"password = '\"ab\"\n", "1:17: the closing quote ' is missing"},
		{"password = \"ab'\n", "1:16: the closing quote \" is missing"},
		{"password = \"\"\"ab\n", "1:17: multiline basic string not terminated by \"\"\""},
		{"password: secret", "1:9: expected '=' after key"},
		{"\n\n  secret\n", "3:9: expected '=' after key"},
		{"$ecret = 1", "1:1: invalid character at start of key"},
		{"x = 'ü' ü", "1:9: expected newline"},
		{"[keepalive", "1:10: expected ']' to close table name"},
		{"x = \"\xff\"", "1:6: invalid UTF-8 character in basic string"},
		{"x =", "1:3: expected value, not end of input"},
	}
	for _, test := range tests {
		d := newDocument("a.toml", []byte(test.text))
		d.read([]key{{name: "x", set: func(value) {}}}, nil)
		var want []string
		want = append(want, "a.toml:"+test.want)
		if diff := cmp.Diff(want, messages(d.problems)); diff != "" {
			t.Errorf("%q: -want +got\n%s", test.text, diff)
		}
		if !d.broken {
			t.Errorf("%q: not broken", test.text)
		}
	}
}

func TestBadFiles(t *testing.T) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".bad.toml") {
			continue
		}
		t.Run(f.Name(), func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{"lines.d/a.toml": string(text)}
			if f.Name() == "daemon.bad.toml" {
				files = map[string]string{"linebond.toml": string(text), "lines.d/a.toml": "interface = 'eth1'\n" + minimal}
			}
			_, problems := Load(etc(files), "etc/linebond")
			var got []string
			for _, m := range messages(problems) {
				_, m, _ = strings.Cut(m, ".toml:")
				got = append(got, m)
				if strings.Contains(m, "hunter") || strings.Contains(m, "1592653589") {
					t.Errorf("shows the password: %s", m)
				}
			}
			if diff := cmp.Diff(bad[f.Name()], got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// A path of very many parts is refused without looking at each.
func TestDeepPath(t *testing.T) {
	path := strings.Repeat("a.", maxFile/2-4)
	expect(t, etc(map[string]string{
		"linebond.toml":  path + "a = 1",
		"lines.d/a.toml": "interface = 'eth1'\n" + minimal,
	}), "linebond.toml:1:1: a: unknown key; allowed: log.to, log.level, log.facility, log.socket, log.format, dns.system, "+
		"host.firewall, host.spread_cpus, lan.interfaces, lan.nat, health.failures, health.ping, health.rejoin_after, "+
		"bond.mode, bond.device, bond.addresses, bond.line_addresses, bond.default_route, bond.metric, bond.shaping, "+
		"forward.protocol, forward.port, forward.to")
}

// A key that slipped below a table is not missing besides.
func TestSlipped(t *testing.T) {
	expect(t, etc(map[string]string{"lines.d/a.toml": "interface = 'eth1'\npassword = 'x'\n[keepalive]\nusername = 'user'\n"}),
		"lines.d/a.toml:4:1: keepalive.username: unknown key; username stands above the first [table]")
}
