package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"linebond/pppoe"
)

// saved is the session that a line has, as it is kept in the runtime
// directory: after a crash the access concentrator has to be told that it is
// over, or it may not answer for half an hour.
type saved struct {
	Interface string   // and not what the data plane runs on: the next process may choose another one
	VLAN      []uint16 `json:",omitempty"`
	Session   pppoe.Session
}

// macLen is the length of an Ethernet address.
const macLen = 6

func (w *worker) sessionFile() string {
	return filepath.Join(w.effects.RuntimeDir, "sessions", w.cfg.Name+".json")
}

func (w *worker) saveSession(s pppoe.Session) error {
	text, err := json.Marshal(saved{w.cfg.Interface, w.cfg.VLAN, s})
	if err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	file := w.sessionFile()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	return nil
}

func (w *worker) forgetSession() error {
	if err := os.Remove(w.sessionFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting the session: %w", err)
	}
	return nil
}

// loadSession returns the session that an earlier process left behind on this
// line's interface and VLAN, or nil.
func (w *worker) loadSession() *pppoe.Session {
	text, err := os.ReadFile(w.sessionFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var s saved
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && (len(s.Session.AC) != macLen || s.Session.ID == 0) {
		err = fmt.Errorf("%s names no session", w.sessionFile())
	}
	if err != nil {
		w.check(fmt.Errorf("reading the last session: %w", err))
		return nil
	}
	if s.Interface != w.cfg.Interface || !slices.Equal(s.VLAN, w.cfg.VLAN) {
		return nil
	}
	return &s.Session
}
