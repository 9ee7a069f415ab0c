package lcp_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/lcp"
)

// watch is a keepalive and a clock that goes on by one interval at each tick.
type watch struct {
	t *testing.T
	lcp.Keepalive
	now time.Time
}

func newWatch(t *testing.T) *watch {
	return &watch{
		t: t, now: time.Unix(0, 0),
		Keepalive: lcp.Keepalive{Interval: time.Second, Failures: 5},
	}
}

func (w *watch) tick() uint8 {
	w.t.Helper()
	w.now = w.now.Add(w.Interval)
	id, dead := w.Tick(w.now)
	if dead {
		w.t.Fatal("dead")
	}
	return id
}

func (w *watch) reply(id uint8, after time.Duration) { w.Reply(w.now.Add(after), id) }

func (w *watch) expect(want lcp.EchoStats) {
	w.t.Helper()
	if d := cmp.Diff(want, w.Stats()); d != "" {
		w.t.Error(d)
	}
}

func TestKeepaliveRoundTrip(t *testing.T) {
	w := newWatch(t)
	w.expect(lcp.EchoStats{})
	w.reply(w.tick(), 20*time.Millisecond)
	w.expect(lcp.EchoStats{Sent: 1, Received: 1, RTT: 20 * time.Millisecond, Answered: 1, Least: 20 * time.Millisecond})
	w.reply(w.tick(), 10*time.Millisecond)
	w.reply(w.tick(), 30*time.Millisecond)
	w.expect(lcp.EchoStats{Sent: 3, Received: 3, RTT: 30 * time.Millisecond, Answered: 3, Least: 10 * time.Millisecond})
	w.Reset()
	w.expect(lcp.EchoStats{})
}

func TestKeepaliveDead(t *testing.T) {
	w := newWatch(t)
	w.reply(w.tick(), time.Millisecond)
	for range w.Failures {
		w.tick()
	}
	w.expect(lcp.EchoStats{Sent: 6, Received: 1, Silent: 5, RTT: time.Millisecond, Answered: 1, Least: time.Millisecond, Loss: 4.0 / 5})
	for range 2 {
		if _, dead := w.Tick(w.now); !dead {
			t.Error("5 of 5 lost, and not dead")
		}
	}
	if got := w.Stats().Sent; got != 6 {
		t.Errorf("%d requests sent", got)
	}
	w.Alive() // anything that the peer sends
	w.tick()
}

// TestKeepaliveLate: a reply that comes after later requests counts with its
// true round trip, and makes good the loss.
func TestKeepaliveLate(t *testing.T) {
	w := newWatch(t)
	first := w.tick()
	w.expect(lcp.EchoStats{Sent: 1, Silent: 1}) // still awaited
	w.tick()
	w.tick()
	w.expect(lcp.EchoStats{Sent: 3, Silent: 3, Loss: 1})
	w.reply(first, 500*time.Millisecond)
	w.expect(lcp.EchoStats{Sent: 3, Received: 1, RTT: 2500 * time.Millisecond, Answered: 1, Least: 2500 * time.Millisecond, Loss: 0.5})
	w.reply(first, 600*time.Millisecond) // twice: no second round trip
	w.expect(lcp.EchoStats{Sent: 3, Received: 1, RTT: 2500 * time.Millisecond, Answered: 1, Least: 2500 * time.Millisecond, Loss: 0.5})
}

// TestKeepaliveForeign: a reply to what was never sent, or long ago, is a sign
// of life and no measurement.
func TestKeepaliveForeign(t *testing.T) {
	w := newWatch(t)
	w.reply(0, 0)
	w.reply(200, 0)
	w.expect(lcp.EchoStats{})
	old := w.tick()
	for range 15 {
		w.reply(w.tick(), time.Millisecond)
	}
	w.tick() // takes the place of the first, which is 16 requests old
	w.reply(old, 0)
	w.expect(lcp.EchoStats{Sent: 17, Received: 15, RTT: time.Millisecond, Answered: 16, Least: time.Millisecond})
}

// TestKeepaliveWrap: identifiers wrap at 256, and the loss is that of the last
// requests only.
func TestKeepaliveWrap(t *testing.T) {
	w := newWatch(t)
	for i := range 1000 {
		id := w.tick()
		if id != uint8(i+1) {
			t.Fatalf("request %d has identifier %d", i, id)
		}
		if i < 900 && i%2 == 0 || i >= 980 && i%4 == 0 {
			continue
		}
		w.reply(id, 5*time.Millisecond)
	}
	w.expect(lcp.EchoStats{
		Sent: 1000, Received: 450 + 80 + 15, RTT: 5 * time.Millisecond, Answered: 1000, Least: 5 * time.Millisecond, Loss: 0.25,
	})
}

// TestKeepaliveLeast: the least round trip is that of the last minutes, so that a line that was led another way is followed.
func TestKeepaliveLeast(t *testing.T) {
	w := newWatch(t)
	for _, step := range []struct {
		rtt   time.Duration
		lasts int // seconds
		want  time.Duration
	}{
		{20 * time.Millisecond, 1, 20 * time.Millisecond},
		{30 * time.Millisecond, 298, 20 * time.Millisecond},
		{30 * time.Millisecond, 2, 30 * time.Millisecond},
		{10 * time.Millisecond, 1, 10 * time.Millisecond},
		{40 * time.Millisecond, 149, 10 * time.Millisecond},
		{40 * time.Millisecond, 300, 40 * time.Millisecond},
	} {
		for range step.lasts {
			w.reply(w.tick(), step.rtt)
		}
		if got := w.Stats().Least; got != step.want {
			t.Errorf("after %v for %d s: %v, want %v", step.rtt, step.lasts, got, step.want)
		}
	}
	w.now = w.now.Add(time.Hour)
	w.reply(w.tick(), time.Second)
	if got := w.Stats().Least; got != time.Second {
		t.Errorf("after an hour without answers: %v", got)
	}
}
