package daemon

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefused: what the kernel refuses is the line's reason, and it is tried
// again until it goes well.
func TestRefused(t *testing.T) {
	no := errors.New("no buffer space")
	for name, c := range map[string]struct {
		refuse func(*fakeAC, error)
		reason string
	}{
		"early":   {func(a *fakeAC, err error) { a.refuse.early = err }, "discovery socket failed: no buffer space"},
		"session": {func(a *fakeAC, err error) { a.refuse.session = err }, "session could not be opened: no buffer space"},
		"unit":    {func(a *fakeAC, err error) { a.refuse.unit = err }, "session could not be opened: no buffer space"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, one, func(t *testing.T, w *world) {
				w.ac.with(func(a *fakeAC) { c.refuse(a, no) })
				w.start()
				time.Sleep(500 * time.Millisecond)
				if l := w.status()["a"]; l.State != "waiting" || l.Reason != c.reason {
					t.Errorf("%+v", l)
				}
				w.ac.with(func(a *fakeAC) {
					if len(a.peers) != 0 || len(a.sessions) != 0 || len(a.sockets) != 0 {
						t.Errorf("left open: %d peers, %d sessions, %d sockets", len(a.peers), len(a.sessions), len(a.sockets))
					}
					c.refuse(a, nil)
				})
				w.reaches("a", "up")
			})
		})
	}
}

// TestDiscoverySocketDies: before a session, and while there is one.
func TestDiscoverySocketDies(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.ac.with(func(a *fakeAC) { a.silent = true })
		w.start()
		w.reaches("a", "discovery")
		w.ac.breakSockets()
		synctest.Wait()
		if l := w.status()["a"]; l.State != "waiting" || l.Reason != "discovery socket failed: the socket has died" {
			t.Errorf("%+v", l)
		}
		w.ac.with(func(a *fakeAC) { a.silent = false })
		w.reaches("a", "up")
		w.ac.breakSockets()
		time.Sleep(time.Second)
		w.reaches("a", "up")
		w.expect(1, "info waiting line=a reason=session dropped by the kernel: the socket has died", "up=")
	})
}

// TestNewest: what was put last is what is taken.
func TestNewest(t *testing.T) {
	n := make(newest[int], 1)
	for i := range 10 {
		n.put(i)
	}
	if got := <-n; got != 9 || len(n) != 0 {
		t.Errorf("took %d, and %d are left", got, len(n))
	}
}
