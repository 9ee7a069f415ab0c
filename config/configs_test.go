package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// setting is one key in an example file, commented out or not.
type setting struct {
	key, text string // text as it would stand in a file without [tables]
	doc       string // the comment above
}

var (
	tableLine   = regexp.MustCompile(`^#?\[{1,2}([a-z_]+)\]{1,2}$`)
	settingLine = regexp.MustCompile(`^#?([a-z0-9_.]+) = .+$`)
)

// settings lists what an example file shows.
func settings(t *testing.T, text string) (all []setting) {
	t.Helper()
	var table, doc string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := tableLine.FindStringSubmatch(line); m != nil {
			table = m[1] + "."
		} else if m := settingLine.FindStringSubmatch(line); m != nil {
			all = append(all, setting{table + m[1], table + strings.TrimPrefix(line, "#"), doc})
		} else if line == "" {
			doc = ""
		} else if strings.HasPrefix(line, "# ") || line == "#" {
			doc += strings.TrimPrefix(line, "#")
		} else {
			t.Errorf("neither comment, table nor key: %s", line)
		}
	}
	return all
}

func configs(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../configs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// copied is the configuration of a user who copied the examples.
func copied(t *testing.T) fstest.MapFS {
	return etc(map[string]string{
		"linebond.toml":        configs(t, "linebond.toml"),
		"lines.d/example.toml": configs(t, "lines.d/example.toml"),
		"example.password":     "change me\n",
	})
}

// An example file shows each key once, and no other.
func showsAll(t *testing.T, shown []setting, keys []key) {
	t.Helper()
	count := map[string]int{}
	for _, s := range shown {
		count[s.key]++
	}
	want := map[string]int{}
	for _, k := range keys {
		want[k.name] = 1
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("keys: -want +got\n%s", diff)
	}
}

func TestExamplesAsTheyStand(t *testing.T) {
	c := expect(t, copied(t))
	want := defaults()
	want.Lines = c.Lines
	if diff := cmp.Diff(want, *c, netips); diff != "" {
		t.Errorf("linebond.toml: -want +got\n%s", diff)
	}
	line := defaultLine("example")
	line.Interface, line.Username, line.Password = "eth1", "user@isp.example", c.Lines[0].Password
	if diff := cmp.Diff([]Line{line}, c.Lines); diff != "" {
		t.Errorf("lines.d/example.toml: -want +got\n%s", diff)
	}
}

func TestDaemonExampleShowsDefaults(t *testing.T) {
	text := configs(t, "linebond.toml")
	shown := settings(t, text)
	keys, _ := (&daemonFile{Config: &Config{}}).keys()
	showsAll(t, shown, keys)
	for _, s := range shown {
		got, want := defaults(), defaults()
		f := &daemonFile{Config: &got, doc: newDocument("linebond.toml", []byte(s.text))}
		f.doc.read(f.keys())
		if f.doc.problems != nil {
			t.Errorf("%s: %v", s.text, f.doc.problems)
		}
		for _, b := range f.bonds {
			got.Bonds, want.Bonds = []Bond{b.Bond}, []Bond{defaultBond()}
		}
		for _, w := range f.forwards {
			got.Forwards, want.Forwards = []Forward{w.Forward}, []Forward{defaultForward()}
		}
		isDefault := cmp.Equal(want, got, netips)
		if says := !strings.Contains(s.doc, "No default"); says != isDefault {
			t.Errorf("%s: the default: %v, and the file says so: %v", s.text, isDefault, says)
		}
	}
	// With every # removed it is TOML all the same, tables included.
	fsys := copied(t)
	fsys["etc/linebond/linebond.toml"].Data = []byte(regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(text, "$1"))
	expect(t, fsys)
}

func TestLineExampleShowsDefaults(t *testing.T) {
	shown := settings(t, configs(t, "lines.d/example.toml"))
	showsAll(t, shown, lineKeys(&lineFile{}))
	needed := map[string]string{"interface": "'eth9'", "username": "'user'", "password": "'hunter2'", "vlan": "[100, 101]"}
	load := func(s setting) Line {
		text := s.text + "\n"
		for key, value := range needed {
			if key != s.key && (key != "password" || s.key != "password_file") {
				text = key + " = " + value + "\n" + text
			}
		}
		fsys := copied(t)
		fsys["etc/linebond/lines.d/example.toml"].Data = []byte(text)
		c := expect(t, fsys)
		if len(c.Lines) != 1 {
			t.Fatalf("%s: no line", s.text)
		}
		return c.Lines[0]
	}
	want := load(setting{})
	for _, s := range shown {
		isDefault := reflect.DeepEqual(want, load(s)) // which a Line's Equal is not

		_, isNeeded := needed[s.key]
		if says := !strings.Contains(s.doc, "No default") && !isNeeded; says != isDefault {
			t.Errorf("%s: the default: %v, and the file says so: %v", s.text, isDefault, says)
		}
	}
}

// What the daemon relies on in its unit.
func TestUnit(t *testing.T) {
	want := map[string]string{
		"Type":                     "notify",
		"WatchdogSec":              "30",
		"Restart":                  "always",
		"ExecStart":                "/usr/local/bin/linebond run",
		"ExecStartPre":             "+-/usr/local/bin/linebond modules",
		"ExecReload":               "+-/usr/local/bin/linebond modules; /bin/kill -HUP $MAINPID",
		"RuntimeDirectory":         "linebond",
		"RuntimeDirectoryPreserve": "restart",
		"CapabilityBoundingSet":    "CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON",
		"SystemCallFilter":         "@system-service bpf",
		"DevicePolicy":             "closed",
		"DeviceAllow":              "/dev/ppp rw",
		"PrivateDevices":           "no",
		"ProtectKernelTunables":    "no",
		"ProtectSystem":            "strict",
		"WantedBy":                 "multi-user.target",
	}
	got := map[string]string{}
	for line := range strings.Lines(configs(t, "linebond.service")) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		first, twice := got[name]
		if !ok || twice && name != "ExecReload" {
			t.Errorf("no setting, or given twice: %s", line)
		}
		if twice {
			value = first + "; " + value
		}
		got[name] = value
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s=%s, want %s", name, got[name], value)
		}
	}
}
