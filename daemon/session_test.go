package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (w *world) sessionFile(name string) string {
	return filepath.Join(w.options.RuntimeDir, "sessions", name+".json")
}

// TestSessionFile: the session is kept while there is one, for root alone.
func TestSessionFile(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		info, err := os.Stat(w.sessionFile("a"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(w.options.RuntimeDir, "sessions", "*")); left != nil {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestStaleSession: the session of a process that crashed is ended before the
// first dial.
func TestStaleSession(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		id := w.status()["a"].Session.ID
		crashed, err := os.ReadFile(w.sessionFile("a"))
		if err != nil {
			t.Fatal(err)
		}
		w.ac.with(func(a *fakeAC) { a.silent = true }) // it does not hear that the line goes
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		w.ac.with(func(a *fakeAC) { a.silent, a.padts = false, nil })
		if err := os.WriteFile(w.sessionFile("a"), crashed, 0o600); err != nil {
			t.Fatal(err)
		}
		w.up()
		if len(w.ac.padts) != 1 || w.ac.padts[0] != id || len(w.ac.peers) != 1 {
			t.Errorf("PADTs for %v, not %d; %d sessions", w.ac.padts, id, len(w.ac.peers))
		}
	})
}

// TestUnusableSession: a file that does not help does no harm.
func TestUnusableSession(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		logged int
	}{
		"cut off":       {`{"Interface":"eth1","Session":{"AC":"AgAAA`, 1},
		"not JSON":      {"\x00\x00", 1},
		"empty":         {"", 1},
		"no session":    {`{"Interface":"eth1"}`, 1},
		"short address": {`{"Interface":"eth1","Session":{"AC":"AgAA","ID":7}}`, 1},
		"old form":      {`{"Link":"eth1","Session":{"AC":"AgAAAACs","ID":7}}`, 0},
		"other link":    {`{"Interface":"eth9","Session":{"AC":"AgAAAACs","ID":7}}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, one, func(t *testing.T, w *world) {
				if err := os.MkdirAll(filepath.Dir(w.sessionFile("a")), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(w.sessionFile("a"), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
				w.up()
				if len(w.ac.padts) != 0 {
					t.Errorf("PADTs for %v", w.ac.padts)
				}
				w.expect(c.logged, "warn error line=a", "reading the last session")
			})
		})
	}
}

// TestSessionNotKept: a full or read-only disk keeps no line from being up.
func TestSessionNotKept(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.options.Effects.RuntimeDir = filepath.Join(w.options.ConfigDir, "lines.d", "a.toml") // a file
		w.up()
		time.Sleep(time.Second)
		synctest.Wait()
		w.expect(1, "warn error line=a", "keeping the session")
		for _, e := range w.logged("error line=a") {
			if strings.Contains(e, password) {
				t.Error("the log has the password")
			}
		}
	})
}
