package isp

import (
	"errors"
	"fmt"
	"time"

	"linebond/lab/concentrator"
)

// do has f run in the goroutine of an AC, and waits for it and for the network to do what follows.
func (i *ISP) do(name string, f func(*ac)) error {
	a := i.find(name)
	if a == nil {
		return fmt.Errorf("the ISP has no access concentrator %s", name)
	}
	done := make(chan struct{})
	a.post(func() {
		f(a)
		a.settle()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-i.closing:
		i.running.Wait() // f may have begun
		return errors.New("the ISP is closed")
	}
}

// The faults that follow have taken effect when they return. The error says that there is no such AC, or no ISP any more.

// Crash has an AC forget everything and answer nothing, without a word to its hosts, until Restart.
func (i *ISP) Crash(name string) error { return i.do(name, (*ac).crash) }

// Restart has an AC begin anew, without a memory of sessions.
func (i *ISP) Restart(name string) error { return i.do(name, (*ac).boot) }

// PADT ends all sessions of an AC at once. The message may be empty.
func (i *ISP) PADT(name, message string) error {
	return i.do(name, func(a *ac) {
		a.each(func(id uint16) []concentrator.Action { return a.machine.PADT(time.Now(), id, message) })
	})
}

// Terminate ends all sessions of an AC in good order: by LCP, then by PADT.
func (i *ISP) Terminate(name, message string) error {
	return i.do(name, func(a *ac) {
		a.each(func(id uint16) []concentrator.Action { return a.machine.Terminate(time.Now(), id, message) })
	})
}

// SetUsers changes who can have a session of an AC from now on, and by what password. With nobody, all are refused.
func (i *ISP) SetUsers(name string, users []concentrator.User) error {
	return i.do(name, func(a *ac) {
		if a.cfg.Users = users; a.machine != nil {
			a.machine.SetUsers(users)
		}
	})
}

// SetOfferDelay changes how long an AC takes to answer a PADI.
func (i *ISP) SetOfferDelay(name string, d time.Duration) error {
	return i.do(name, func(a *ac) {
		if a.cfg.OfferDelay = d; a.machine != nil {
			a.machine.SetOfferDelay(d)
		}
	})
}

// Garbage has an AC send n frames of nonsense to the hosts that have sessions, and to all: frames that are cut off, lengths that run past
// the end, control packets that do not parse, data that is no IP; PADOs, PADSs, PADTs and frames of sessions that nobody has. It sends
// them as fast as it can, and does nothing else meanwhile.
func (i *ISP) Garbage(name string, n int) error {
	return i.do(name, func(a *ac) { a.garbage(n) })
}
