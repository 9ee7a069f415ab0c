package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestCleanupBesideMute: where it cannot be told whether a daemon runs,
// nothing is taken away from it.
func TestCleanupBesideMute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := filepath.Join(dir, "linebond.sock")
	l, err := net.Listen("unix", "linebond.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	want := "asking the daemon at " + path + ": "
	if out, err := call(t, "cleanup", "--dry-run", "--runtime-dir", "."); out != "" || len(message(err)) < len(want) || message(err)[:len(want)] != want {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
