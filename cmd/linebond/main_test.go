package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/control"
)

// call runs the command line in this process and returns what it prints, and
// the mistake that main would print on stderr before it exits with status 1.
func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := root(&out)
	c.SetArgs(args)
	c.SetErr(&out)
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// write makes a folder of configuration.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const good = "interface = \"eth1\"\nusername = \"u\"\npassword = \"tiger\"\n"

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		output string // DIR stands for the folder
		err    string
	}{
		"good":  {map[string]string{"lines.d/a.toml": good}, "DIR is right: 1 line\n", ""},
		"two":   {map[string]string{"lines.d/a.toml": good, "lines.d/b.toml": good}, "DIR is right: 2 lines\n", ""},
		"bond":  {map[string]string{"lines.d/a.toml": good, "lines.d/b.toml": good, "linebond.toml": "[bond]\nmode = \"teql\"\n"}, "DIR is right: 2 lines, 1 bond\n", ""},
		"empty": {nil, "DIR/lines.d: warning: there is no line to dial; create NAME.toml here, with interface, username and password\nDIR has no mistakes, but there is nothing to dial\n", ""},
		"bad": {
			map[string]string{"lines.d/a.toml": good + "mtu = 1\n", "lines.d/b.toml": good + "speed = 9\n", "lines.d/c.toml": good},
			"DIR/lines.d/a.toml:4:7: mtu: 1 is out of range; allowed: 576 to 1500\nDIR/lines.d/b.toml:4:1: speed: ", "2 mistakes in DIR",
		},
		"one": {map[string]string{"lines.d/a.toml": good + "mtu = 1\n"}, "DIR/lines.d/a.toml:4:7: mtu: ", "1 mistake in DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			out, err := call(t, "check", "--config", dir)
			out = strings.ReplaceAll(out, dir, "DIR")
			if !strings.HasPrefix(out, c.output) || c.err == "" && out != c.output || strings.Contains(out, "tiger") {
				t.Errorf("printed\n%s", out)
			}
			if got := message(err); strings.ReplaceAll(got, dir, "DIR") != c.err {
				t.Errorf("mistake: %q", got)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestRelativeFolder(t *testing.T) {
	dir := write(t, map[string]string{"etc/lines.d/a.toml": good})
	t.Chdir(dir)
	out, err := call(t, "check", "--config", "etc")
	if err != nil || out != filepath.Join(dir, "etc")+" is right: 1 line\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestNoFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	out, err := call(t, "check", "--config", dir)
	if err == nil || !strings.HasPrefix(out, dir+": there is no such directory; create it") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"stauts", `there is no verb "stauts"; is it status that you mean? (see ` + "`linebond --help`)"},
		{"zzz", `there is no verb "zzz" (see ` + "`linebond --help`)"},
		{"up", "say which line: linebond up NAME, where NAME is one that `linebond status` shows (see `linebond up --help`)"},
		{"redial a b", "say which line: linebond redial NAME, where NAME is one that `linebond status` shows (see `linebond redial --help`)"},
		{"status a", "status takes no arguments, but got \"a\" (see `linebond status --help`)"},
		{"run --fast", "unknown flag: --fast (see `linebond run --help`)"},
		{"help stauts", `there is no verb "stauts"; is it status that you mean? (see ` + "`linebond --help`)"},
		{"help up a", `there is no verb "a" (see ` + "`linebond up --help`)"},
		{"completion foo", `there is no verb "foo" (see ` + "`linebond completion --help`)"},
		{"--fast", "unknown flag: --fast (see `linebond --help`)"},
	} {
		out, err := call(t, strings.Fields(c.args)...)
		if message(err) != c.want || out != "" {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		out, err := call(t, args...)
		if err != nil {
			t.Error(err)
		}
		for _, verb := range []string{"run", "check", "status", "reload", "up", "down", "redial", "cleanup", "modules", "doctor", "lab", "version", "--config", "--runtime-dir", "/etc/linebond", "/run/linebond"} {
			if !strings.Contains(out, verb) {
				t.Errorf("%q does not tell of %s:\n%s", args, verb, out)
			}
		}
	}
}

func TestHelpOnVerb(t *testing.T) {
	for args, want := range map[string]string{"help up": "Dial a line now", "help completion bash": "bash shell", "completion": "zsh"} {
		if out, err := call(t, strings.Fields(args)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}

func TestVersion(t *testing.T) {
	if out, err := call(t, "version"); err != nil || out != "linebond "+version()+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestNoDaemon(t *testing.T) {
	for _, verb := range []string{"status", "reload", "up a", "down a", "redial a"} {
		out, err := call(t, append(strings.Fields(verb), "--runtime-dir", t.TempDir())...)
		if !strings.HasPrefix(message(err), "no linebond is running") || out != "" {
			t.Errorf("%s: %v\n%s", verb, err, out)
		}
	}
}

// TestCompletion: the shell is offered the names of the lines.
func TestCompletion(t *testing.T) {
	dir := write(t, map[string]string{"lines.d/adsl.toml": good, "lines.d/fibre.toml": good})
	for args, want := range map[string]string{
		"up ":       "adsl\nfibre\n:4\n",
		"down ":     "adsl\nfibre\n:4\n",
		"redial ":   "adsl\nfibre\n:4\n",
		"up adsl ":  ":4\n",
		"check ":    ":4\n",
		"completio": "completion\tGenerate the autocompletion script for the specified shell\n:4\n",
	} {
		out, err := call(t, append([]string{"__complete", "--config", dir}, strings.Split(args, " ")...)...)
		out, _, _ = strings.Cut(out, "Completion ended")
		if err != nil || out != want {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	if out, err := call(t, "completion", "bash"); err != nil || !strings.Contains(out, "bash completion") {
		t.Errorf("%v\n%s", err, out)
	}
}

// fakeDaemon knows the line a.
type fakeDaemon struct{ told []string }

func (d *fakeDaemon) Status(context.Context) (control.Status, error) {
	return control.Status{Version: "v1", Lines: []control.Line{{Name: "a", State: "up", Reason: "address assigned"}}}, nil
}

func (d *fakeDaemon) Command(_ context.Context, name string, verb control.Verb) error {
	if name != "a" {
		return control.ErrNoLine
	}
	d.told = append(d.told, string(verb))
	return nil
}

func (d *fakeDaemon) Reload(context.Context) error {
	return &control.ConfigError{Problems: []string{"/x:1:1: mtu: no", "/y: no"}}
}

// TestDaemon: the verbs that ask a daemon, and what they print.
func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	var d fakeDaemon
	server, err := control.Listen(filepath.Join(dir, "linebond.sock"), &d)
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve()
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, verb := range []string{"up", "down", "redial"} {
		if out, err := call(t, verb, "a", "--runtime-dir", "."); out != "" || err != nil {
			t.Errorf("%s: %v\n%s", verb, err, out)
		}
	}
	if diff := cmp.Diff([]string{"up", "down", "redial"}, d.told); diff != "" {
		t.Error(diff)
	}
	if _, err := call(t, "up", "b", "--runtime-dir", dir); message(err) != "b: there is no line of that name (see `linebond status`)" {
		t.Errorf("up b: %v", err)
	}
	if out, err := call(t, "reload", "--runtime-dir", dir); out != "/x:1:1: mtu: no\n/y: no\n" || message(err) != "the configuration has 2 mistakes; nothing was changed" {
		t.Errorf("reload: %v\n%s", err, out)
	}
	if out, err := call(t, "cleanup", "--runtime-dir", dir); out != "" || message(err) != "linebond is running: stop it, and it takes away itself what it has made" {
		t.Errorf("cleanup: %v\n%s", err, out)
	}
	if out, err := call(t, "status", "--runtime-dir", dir); err != nil || !strings.HasPrefix(out, "LINE ") || !strings.Contains(out, "\na ") {
		t.Errorf("status: %v\n%s", err, out)
	}
	out, err := call(t, "status", "--json", "--runtime-dir", dir)
	var s control.Status
	if err := errors.Join(err, json.Unmarshal([]byte(out), &s)); err != nil || len(s.Lines) != 1 || s.Lines[0].Name != "a" {
		t.Errorf("status --json: %v\n%s", err, out)
	}
}

// TestBinary: what reaches the shell is one line on stderr, and status 1. The
// folder of the configuration does not exist, so that `run` ends on a machine
// with PPP, too.
func TestBinary(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "linebond")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	missing, alone := "no line can be used: see `linebond check`", false // the log may be on stderr as well
	if err := newPlanes().available(); err != nil {
		missing, alone = err.Error(), true
	}
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		verb, stdout, stderr string
		alone                bool // on stderr
	}{
		{"run", "", missing, alone},
		{"check", fmt.Sprintf("%s: there is no such directory; create it, with one file lines.d/NAME.toml per line, or name another by --config\n", none), "1 mistake in " + none, true},
	} {
		var stdout, stderr bytes.Buffer
		command := exec.Command(binary, c.verb, "--config", none, "--runtime-dir", filepath.Join(dir, "run"))
		command.Stdout, command.Stderr = &stdout, &stderr
		err := command.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: %v", c.verb, err)
		}
		lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
		if !slices.Contains(lines, "linebond: "+c.stderr) || c.alone && len(lines) > 1 || stdout.String() != c.stdout {
			t.Errorf("%s: stdout %q, stderr\n%s", c.verb, &stdout, &stderr)
		}
	}
}
