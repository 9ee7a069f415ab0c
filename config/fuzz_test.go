package config

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzLoad puts a password between two arbitrary texts, in arbitrary
// notations, right or wrong: nothing panics, and no message shows it.
func FuzzLoad(f *testing.F) {
	const password = "hunter2_correct_horse"
	notations := []string{
		`password = "%s"`,
		`password = '%s'`,
		`password = """%s"""`,
		"password = '''\n%s'''",
		`password = %s`,
		`password = "x%s`,
		`password = "x"%s`,
		`password = "\%s"`,
		"password = \"\n%s = 1\n\"",
		"password = \"\"\"\n%s = 1\n\"\"\"",
		`password = ["%s"]`,
		`password = { %s = 1 }`,
		`password.%s = 1`,
		`password.x.%s.y = "z"`,
		`password: %s`,
		`[password.%s]`,
		`password_file = "%s"`,
		`password_file = "p"`,
		`Password = "%s"`,
		`keepalive = { password.%s = 1 }`,
	}
	for i := range notations {
		f.Add(uint8(i), "interface = 'eth1'\nusername = 'user'", "mtu = 1500")
		f.Add(uint8(i), "interface = '''\\", "'''")
		f.Add(uint8(i), `interface = """\`, `"""`)
		f.Add(uint8(i), "[keepalive]", "password = 1")
		f.Add(uint8(i), "keepalive = {", "}")
		f.Add(uint8(i), "auth = [", "]")
		f.Add(uint8(i), "[[bond]]\nmode = 'teql'\naddresses = ['192.0.2.1/24', '2001:db8::1']\n[[bond]]", "[bond]\ndevice = 'teql1'")
		f.Add(uint8(i), "bond = {", "}\nforward.to = '192.0.2.1:80'\nforward.port = '80-'")
		f.Add(uint8(i), "[[forward]]\nport = '1-9'\nto = '192.0.2.1'\n[[forward]]", "port = 5\nto = '192.0.2.2:1'\nprotocol = ['udp', 'tcp']")
		f.Add(uint8(i), "[lan]\ninterfaces = ['eth0', 'eth1', 'ppp-a']\nnat = '192.0.2.1'", "[health]\nping = ['192.0.2.1', '::1']\nrejoin_after = '0s'")
		f.Add(uint8(i), "bond = 'none'\nfallback = true\ninterface = 'teql0'", "[[bond.x]]")
		f.Add(uint8(i), "\xef\xbb\xbf[[password]]", "[keepalive]\nfailures = 0x7fffffffffffffff")
	}
	f.Fuzz(func(t *testing.T, notation uint8, before, after string) {
		line := notations[int(notation)%len(notations)]
		if strings.Contains(line, "%s") {
			line = fmt.Sprintf(line, password)
		}
		text := before + "\n" + line + "\n" + after
		c, problems := Load(etc(map[string]string{
			"linebond.toml":  text,
			"lines.d/a.toml": text,
			"lines.d/b.toml": text,
			"lines.d/p":      password + "\n",
		}), "etc/linebond")
		for _, p := range problems {
			if strings.Contains(p.String(), password) {
				t.Errorf("shows the password: %s", p)
			}
			if p.Line > 1+strings.Count(text, "\n") || (p.Line == 0) != (p.Column == 0) {
				t.Errorf("stands outside of the file: %s", p)
			}
			if p.Line == 0 && p.Key != "" || strings.ContainsAny(p.String(), "\n\x1b") {
				t.Errorf("badly made: %q", p)
			}
		}
		checkComplete(t, c)
	})
}

// checkComplete wants what a Config promises, whatever the files say.
func checkComplete(t *testing.T, c *Config) {
	bonds := map[string]bool{"": true}
	for _, b := range c.Bonds {
		if bonds[b.Device] || b.Mode != "teql" || !isTEQL(b.Device) {
			t.Errorf("no bond, or one of two: %+v", b)
		}
		bonds[b.Device] = true
	}
	for _, w := range c.Forwards {
		if w.Ports.First == 0 || w.Ports.First > w.Ports.Last || !w.To.Is4() || len(w.Protocols) == 0 || w.ToPort != 0 && w.Ports.First != w.Ports.Last {
			t.Errorf("incomplete forward: %+v", w)
		}
	}
	if c.LAN.Source.Is4() != (c.LAN.NAT == NATSource) {
		t.Errorf("incomplete NAT: %+v", c.LAN)
	}
	for _, l := range c.Lines {
		if l.Interface == "" || l.Username == "" || l.Password.Reveal() == "" || !bonds[l.Bond] {
			t.Errorf("incomplete line without a problem: %+v", l)
		}
	}
}
