package resolv

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var servers = []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}

const lineA = "# DNS servers of line a (ppp-a), written by linebond\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"

func newPublisher(t *testing.T, system string) (p *Publisher, dir string) {
	t.Helper()
	dir = t.TempDir()
	p, err := New(dir, system)
	if err != nil {
		t.Fatal(err)
	}
	return p, filepath.Join(dir, "resolv")
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// files returns the names and contents of the files in a directory, "" when there is no such directory.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:\n%s", e.Name(), content)
	}
	return b.String()
}

func same(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestFiles(t *testing.T) {
	p, dir := newPublisher(t, None)
	must(t, p.Set("ppp-a", "a", servers))
	must(t, p.Set("ppp-b", "b", servers[:1]))
	fileB := "b.conf:\n# DNS servers of line b (ppp-b), written by linebond\nnameserver 192.0.2.53\n"
	same(t, "two lines", "a.conf:\n"+lineA+fileB, files(t, dir))

	before, err := os.Stat(filepath.Join(dir, "a.conf"))
	must(t, err)
	must(t, p.Set("ppp-a", "a", servers))
	after, err := os.Stat(filepath.Join(dir, "a.conf"))
	must(t, err)
	if !os.SameFile(before, after) || after.Mode() != 0o644 {
		t.Errorf("the same again: %v, %v", before, after)
	}

	must(t, p.Keep("b"))
	must(t, p.Keep("b"))
	same(t, "one line", fileB, files(t, dir))
	must(t, os.WriteFile(filepath.Join(dir, "c.conf.new"), nil, 0o600)) // of a crash
	must(t, p.Cleanup())
	must(t, p.Cleanup())
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after the cleanup: %v, %s", err, files(t, dir))
	}
}

func TestFilesCannotBeWritten(t *testing.T) {
	p, err := New("/proc", None)
	must(t, err)
	err = p.Set("ppp-a", "a", servers)
	if err == nil || !strings.HasPrefix(err.Error(), "publishing the DNS servers of a: mkdir /proc/resolv: ") {
		t.Errorf("error: %v", err)
	}
}

// TestOpenresolv is about the real thing.
func TestOpenresolv(t *testing.T) {
	p, dir := newPublisher(t, Auto)
	same(t, "description", "DNS servers are written to "+dir+" and handed to resolvconf (/usr/sbin/resolvconf)", p.Describe())
	const entries = "/run/resolvconf/interfaces"
	t.Cleanup(func() { os.RemoveAll("/run/resolvconf") })
	must(t, p.Set("ppp-a", "a", servers))
	same(t, "entries", "ppp-a.linebond:\n"+lineA, files(t, entries))
	if conf := read(t, "/etc/resolv.conf"); !strings.Contains(conf, "nameserver 192.0.2.53\nnameserver 2001:db8::53\n") {
		t.Errorf("/etc/resolv.conf: %s", conf)
	}
	must(t, p.Set("ppp-a", "a", servers[:1]))
	if conf := read(t, "/etc/resolv.conf"); strings.Contains(conf, "2001:db8::53") {
		t.Errorf("/etc/resolv.conf has the old server: %s", conf)
	}
	must(t, p.Set("ppp-x", "a", servers[:1]))
	must(t, p.Set("ppp-b", "b", servers[:1]))
	must(t, p.Keep("b"))
	if got := files(t, entries); strings.Contains(got, "ppp-a") || strings.Contains(got, "ppp-x") || !strings.Contains(got, "ppp-b") {
		t.Errorf("after line a has gone: %s", got)
	}
	must(t, os.Remove(entries+"/ppp-b.linebond")) // someone else's doing
	must(t, p.Keep())

	must(t, p.Set("ppp-b", "b", servers[:1]))
	must(t, exec.Command("sh", "-c", "echo nameserver 192.0.2.1 | resolvconf -a eth0.dhclient").Run())
	next, err := New(filepath.Dir(dir), Resolvconf) // the process after a crash
	must(t, err)
	must(t, next.Cleanup())
	same(t, "entries after the cleanup", "eth0.dhclient:\nnameserver 192.0.2.1\n", files(t, entries))
	same(t, "files after the cleanup", "", files(t, dir))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// stub puts a program of the given name first in the path, which writes down how it was called before it runs the script. It returns
// the function that says so.
func stub(t *testing.T, name, script string) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	text := fmt.Sprintf("#!/bin/sh\necho \"$0 $* [$SECRET]\" | sed 's,.*/,,' >>%s\n%s\n", log, script)
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("SECRET", "must not be inherited")
	return func() string {
		b, _ := os.ReadFile(log) // there is none before the first call
		return string(b)
	}
}

// runResolved makes it look as if systemd-resolved were running.
func runResolved(t *testing.T) {
	t.Helper()
	const dir = "/run/systemd/resolve"
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(dir+"/stub-resolv.conf", nil, 0o644))
	t.Cleanup(func() { os.RemoveAll("/run/systemd") })
}

func TestSystemdResolved(t *testing.T) {
	runResolved(t)
	calls := stub(t, "resolvectl", "")
	p, _ := newPublisher(t, Auto)
	if got := p.Describe(); !strings.Contains(got, "handed to systemd-resolved (") {
		t.Errorf("description: %s", got)
	}
	must(t, p.Set("ppp-a", "a", servers))
	must(t, p.Set("ppp-a", "a", servers))
	must(t, p.Keep())
	must(t, p.Keep())
	must(t, p.Set("ppp-a", "a", servers[:1]))
	must(t, p.Keep("b"))
	same(t, "calls", "resolvectl dns ppp-a 192.0.2.53 2001:db8::53 []\nresolvectl revert ppp-a []\n"+
		"resolvectl dns ppp-a 192.0.2.53 []\nresolvectl revert ppp-a []\n", calls())
}

func TestDeviceIsMadeAnew(t *testing.T) {
	calls := stub(t, "resolvectl", "")
	p, _ := newPublisher(t, SystemdResolved)
	for range 2 {
		must(t, exec.Command("ip", "link", "add", "ppp-a", "type", "veth", "peer", "name", "other").Run())
		must(t, p.Set("ppp-a", "a", servers[:1]))
		must(t, p.Set("ppp-a", "a", servers[:1]))
		must(t, exec.Command("ip", "link", "delete", "ppp-a").Run())
	}
	same(t, "calls", strings.Repeat("resolvectl dns ppp-a 192.0.2.53 []\n", 2), calls())
}

func TestCommandFails(t *testing.T) {
	calls := stub(t, "resolvectl", `echo "Failed to set DNS
	configuration: refused" >&2; exit 1`)
	p, dir := newPublisher(t, SystemdResolved)
	for range 2 { // what has failed is tried again
		err := p.Set("lo", "a", servers[:1])
		want := "resolvectl dns lo 192.0.2.53: exit status 1: Failed to set DNS configuration: refused"
		if err == nil || !strings.HasPrefix(err.Error(), "publishing the DNS servers of a: running /") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("error: %v", err)
		}
	}
	same(t, "calls", strings.Repeat("resolvectl dns lo 192.0.2.53 []\n", 2), calls())
	if files(t, dir) == "" {
		t.Error("the file of the line is not written")
	}
}

func TestRevertOfADeviceThatHasGone(t *testing.T) {
	stub(t, "resolvectl", `[ "$1" = dns ]`)
	p, _ := newPublisher(t, SystemdResolved)
	must(t, p.Set("ppp-a", "a", servers))
	must(t, p.Keep())
	must(t, p.Set("lo", "a", servers))
	for range 2 { // what has failed is tried again
		if err := p.Keep(); err == nil || !strings.HasPrefix(err.Error(), "taking back the DNS servers of a: running ") {
			t.Errorf("for a device that is there: %v", err)
		}
	}
}

// TestFailedIsTakenBack: a program that has failed may still have done its work.
func TestFailedIsTakenBack(t *testing.T) {
	calls := stub(t, "resolvectl", `[ "$1" = revert ]`)
	p, dir := newPublisher(t, SystemdResolved)
	if err := p.Set("lo", "a", servers[:1]); err == nil {
		t.Error("no error")
	}
	must(t, p.Keep())
	same(t, "calls", "resolvectl dns lo 192.0.2.53 []\nresolvectl revert lo []\n", calls())
	same(t, "files", "", files(t, dir))
}

func TestCommandHangs(t *testing.T) {
	stub(t, "resolvectl", "sleep 60")
	p, _ := newPublisher(t, SystemdResolved)
	if err := p.Set("lo", "a", servers); err == nil || !strings.HasSuffix(err.Error(), "it took longer than 5s") {
		t.Errorf("error: %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p, dir := newPublisher(t, Auto)
	same(t, "description", "DNS servers are written to "+dir+"; /etc/resolv.conf is left alone", p.Describe())
	for _, test := range []struct{ system, want string }{
		{Resolvconf, `looking for resolvconf: exec: "resolvconf": executable file not found in $PATH: install openresolv, or set dns.system to "auto" or "none"`},
		{SystemdResolved, `looking for systemd-resolved: exec: "resolvectl": executable file not found in $PATH: install it, or set dns.system to "auto" or "none"`},
		{"bind", `dns.system "bind" is not known: it is one of none, auto, resolvconf, systemd-resolved`},
	} {
		if _, err := New(dir, test.system); err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %s", test.system, err, test.want)
		}
	}
}
