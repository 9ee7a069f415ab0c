package daemon

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestResolvers: servers are published while a line is up, and what could not
// be taken back is taken back later.
func TestResolvers(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		synctest.Wait()
		if got := w.resolvers.of("a"); len(got) != 1 || got[0].String() != "192.0.2.53" {
			t.Errorf("published %v", got)
		}
		w.resolvers.setRefuse(errors.New("resolvconf is ill"))
		w.command("a", "down")
		w.reaches("a", "down")
		time.Sleep(10 * time.Second)
		w.expect(1, "warn DNS servers are not published as they should be", "resolvconf is ill")
		w.resolvers.setRefuse(nil)
		time.Sleep(retryAfter + time.Millisecond)
		synctest.Wait()
		if got := w.resolvers.of("a"); got != nil {
			t.Errorf("still published: %v", got)
		}
		w.expect(1, "info DNS servers are published as they should be")
	})
}

// TestResolversHang: a program that hangs holds up nobody, at the end either,
// and the last that was wanted is what counts.
func TestResolversHang(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		hang := make(chan struct{})
		w.resolvers.hang = hang
		w.up()
		begin := time.Now()
		for range 3 {
			w.command("a", "down")
			w.reaches("a", "down")
			w.command("a", "up")
			w.reaches("a", "up")
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("redialling took %v", d)
		}
		w.ac.with(func(a *fakeAC) { a.silent = true })
		begin = time.Now()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("stopping took %v", d)
		}
		w.expect(1, "warn DNS servers were not taken back in time")
		close(hang)
		synctest.Wait()
		if got := w.resolvers.of("a"); got != nil || w.resolvers.sets != 1 {
			t.Errorf("published %v after %d times", got, w.resolvers.sets)
		}
	})
}

// TestResolversAtEnd: what could not be taken back a moment ago is tried once
// more, without the pause.
func TestResolversAtEnd(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.resolvers.setRefuse(errors.New("resolvconf is ill"))
		w.command("a", "down")
		w.reaches("a", "down")
		w.resolvers.setRefuse(nil)
		begin := time.Now()
		if err := w.stop(); err != nil || time.Since(begin) >= publishLimit {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if got := w.resolvers.of("a"); got != nil {
			t.Errorf("still published: %v", got)
		}
	})
}
