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
		for _, l := range c.Lines {
			if l.Interface == "" || l.Username == "" || l.Password.Reveal() == "" {
				t.Errorf("incomplete line without a problem: %+v", l)
			}
		}
	})
}
