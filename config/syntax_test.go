package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The mistakes below a line that is no TOML are told as well, and nothing that
// follows from that line alone.
func TestGoesOnAfterSyntaxError(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // less the file's name
	}{
		{"four values without quotes", "interface = eth1\nusername = me\npassword = hunter2\nauth = pap\nmtu = 9000\n", []string{
			"1:13: " + noValue, "2:12: " + noValue, "3:12: " + noValue, "4:8: " + noValue,
			"5:7: mtu: 9000 is out of range; allowed: 576 to 1500"}},
		{"Windows' line ends", "username = me\r\n\r\nmtu = 1\r\n", []string{
			"1:12: " + noValue, "3:7: mtu: 1 is out of range; allowed: 576 to 1500"}},
		{"no quote at the end", "username = 'me\nmtu = 'x'\n", []string{
			"1:15: the closing quote ' is missing",
			"2:7: mtu: must be a whole number from 576 to 1500, not a text in quotes"}},
		{"given again", "mtu = 1492\nmtu\nmtu = 1400\n", []string{
			"2:4: expected '=' after key", "3:1: mtu: is given twice; the first is in line 1"}},
		{"below a table", "[keepalive]\ninterval = 1s\nfailures = 0\n", []string{
			"2:13: strings must be quoted", "3:12: keepalive.failures: 0 is out of range; allowed: 1 to 100"}},
		{"a table's name", "mtu = 1\n [keepalive\ninterval = 1\nx = y\n[keepalive]\nfailures = 0\n", []string{
			"1:7: mtu: 1 is out of range; allowed: 576 to 1500",
			"2:12: expected ']' to close table name", "4:5: " + noValue,
			"6:12: keepalive.failures: 0 is out of range; allowed: 1 to 100"}},
		{"a list of several lines", "vlan = [100,\n  101 x\n]\nmtu = 1\n", []string{
			"2:7: expected ',' or ']' after array value"}},
		{"a text of several lines", "password = '''\nhunter2\x01\nhunter3 = 1\n'''\nmtu = 1\n", []string{
			"2:8: multiline literal strings cannot have control characters"}},
		{"a text that never ends", "mtu = 1\npassword = '''\nhunter2 = 1\n", []string{
			"1:7: mtu: 1 is out of range; allowed: 576 to 1500",
			"3:12: multiline literal string not terminated by '''"}},
		{"a password of lines in plain quotes", "password = \"\nhunter2 = 1\nusrename = 2\n[hunter3]\nkeepalive.hunter4 = 1\"\n", []string{
			"1:13: the closing quote \" is missing",
			"2:1: unknown key; allowed: " + lineKeyNames,
			"3:1: unknown key; did you mean username?",
			"4:2: unknown table; allowed: " + lineKeyNames,
			"5:22: expected newline"}},
		{"a text that ends where the password begins", "ac_name = '''\npassword = '''\nhunter2 = 1\n'''\n", []string{
			"3:1: unknown key; allowed: " + lineKeyNames,
			"4:3: expected '=' after key"}},
		{"very many", strings.Repeat("hunter2\n", 25), slices.Repeat([]string{"expected '=' after key"}, 20)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, problems := Load(etc(map[string]string{"lines.d/a.toml": test.text}), "etc/linebond")
			var got []string
			for _, m := range messages(problems) {
				m = strings.TrimPrefix(m, "lines.d/a.toml:")
				if _, words, _ := strings.Cut(m, ": "); test.name == "very many" {
					m = words
				}
				got = append(got, m)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// What a broken file gives is used where linebond.toml is it, and compared
// with no other line, for it is known in part.
func TestBrokenFileInPart(t *testing.T) {
	c := expect(t, etc(map[string]string{
		"linebond.toml":  "[log]\nto = stderr\nlevel = 'debug'\n",
		"lines.d/a.toml": "interface = 'eth1'\nvlan = 7\nvlan_protocol = 802.1q\ndevice = 'ppp-b'\n" + minimal,
		"lines.d/b.toml": "interface = 'eth1'\nvlan = 7\n" + minimal,
	}),
		"linebond.toml:2:6: "+noValue,
		"lines.d/a.toml:3:22: strings must be quoted")
	if c.Log.To != "auto" || c.Log.Level != "debug" || len(c.Lines) != 1 || c.Lines[0].Name != "b" {
		t.Errorf("got %+v", c)
	}
}

// A word in place of true or false is told what may stand there.
func TestTruth(t *testing.T) {
	const message = "must be true or false, in small letters"
	tests := []struct{ text, want string }{
		{"ipv6=False", "1:6: ipv6: " + message},
		{"  enabled = yes", "1:13: enabled: " + message},
		{"default_route = no", "1:17: default_route: " + message},
		{"ipv6 = fals", "1:8: ipv6: " + message},
		{"ipv6 = [True]", "1:9: ipv6: " + message},
		{"mtu = True", "1:7: " + noValue},
		{"x.ipv6 = True", "1:10: " + noValue},
		{"[keepalive]\nipv6 = True", "2:8: " + noValue},
		{"ipv6 = true false", "1:13: expected newline"},
	}
	for _, test := range tests {
		expect(t, etc(map[string]string{"lines.d/a.toml": test.text}), "lines.d/a.toml:"+test.want)
	}
}

// The table says of the right keys that they are true or false.
func TestTruthKeys(t *testing.T) {
	for _, k := range slices.Concat(lineKeys(&lineFile{}), daemonKeys(&Config{}), bondKeys(&Bond{}), forwardKeys(&Forward{})) {
		d := newDocument("a.toml", []byte(k.name+" = true"))
		d.read([]key{k}, nil)
		if takes := d.problems == nil; k.truth != takes {
			t.Errorf("%s takes true: %v, and the table says %v", k.name, takes, k.truth)
		}
	}
}

// Windows' Notepad begins a file with a byte order mark, which takes no column.
func TestByteOrderMark(t *testing.T) {
	const bom = "\ufeff"
	c := expect(t, etc(map[string]string{
		"linebond.toml":  bom + "[log]\nlevel = 'debug'\n",
		"lines.d/a.toml": bom + "mtu = 1\n" + minimal + "interface = 'eth1'",
		"lines.d/b.toml": bom + "interface = 'eth1'\r\nusername = 'user'\r\npassword_file = 'p'\r\n",
		"lines.d/c.toml": bom + bom,
		"lines.d/p":      bom + "hunter2\r\n",
	}),
		"lines.d/a.toml:1:7: mtu: 1 is out of range; allowed: 576 to 1500",
		"lines.d/c.toml:1:1: invalid character at start of key")
	if c.Log.Level != "debug" || len(c.Lines) != 1 || c.Lines[0].Password.Reveal() != "hunter2" {
		t.Errorf("got %+v", c)
	}
}
