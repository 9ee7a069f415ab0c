package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeModprobe puts a modprobe into the path that does nothing.
func fakeModprobe(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "modprobe"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestModules: mistakes are told of, and do not keep the rest from being
// loaded.
func TestModules(t *testing.T) {
	fakeModprobe(t)
	none := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		dir, out, err string // DIR stands for the folder
	}{
		"good":      {write(t, map[string]string{"lines.d/a.toml": good + "vlan = 7\n"}), "pppoe\n8021q\n", ""},
		"a warning": {write(t, nil), "pppoe\n", ""},
		"a mistake": {write(t, map[string]string{"lines.d/a.toml": good + "vlan = 7\n", "lines.d/b.toml": good + "mtu = 1\n"}),
			"DIR/lines.d/b.toml:4:7: mtu: 1 is out of range; allowed: 576 to 1500\npppoe\n8021q\n", "1 mistake in DIR"},
		"no folder": {none, "DIR: there is no such directory; create it, with one file lines.d/NAME.toml per line, or name another by --config\npppoe\n", "1 mistake in DIR"},
	} {
		out, err := call(t, "modules", "--config", c.dir)
		if strings.ReplaceAll(out, c.dir, "DIR") != c.out || strings.ReplaceAll(message(err), c.dir, "DIR") != c.err {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
