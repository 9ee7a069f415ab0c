package modem

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sink is a port without a device. What is sent to it can be read from the other descriptor.
func sink(t *testing.T) (p *port, out int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	p = &port{in: -1, out: pair[0]}
	t.Cleanup(func() {
		must(t, p.close())
		must(t, unix.Close(pair[1]))
	})
	return p, pair[1]
}

// The exchange is a minute late: what several lines have for it leaves in the order in which it was due.
func TestOrderAcrossLines(t *testing.T) {
	to, out := sink(t)
	x := &exchange{begun: time.Now().Add(-time.Minute), changed: true}
	for i, line := range []struct {
		config Direction
		frames int // of 10,000 bits
	}{
		{Direction{Rate: 1e6}, 5},      // due every 10 ms
		{Direction{Rate: 4e5}, 2},      // every 25 ms
		{Direction{Delay: 35 * ms}, 1}, // at 35 ms
		{Direction{Delay: time.Hour}, 1},
	} {
		w := &way{from: &port{in: -1}, to: to, lane: lane{config: line.config, random: fixed()}}
		for range line.frames {
			w.lane.put(0, sized('a'+byte(i), 10_000))
		}
		x.ways = append(x.ways, w)
	}
	wait, ok := x.step()
	if !ok || wait <= 0 || wait > 59*time.Minute {
		t.Errorf("the exchange wants to sleep for %v, %v", wait, ok)
	}
	var got string
	buffer := make([]byte, 10_000)
	for n, err := unix.Read(out, buffer); err == nil && n > 0; n, err = unix.Read(out, buffer) {
		got += string(buffer[:1])
	}
	if want := "aabacaab"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	x.ways = x.ways[:3]
	if wait, ok := x.step(); !ok || wait >= 0 {
		t.Errorf("idle, the exchange wants to sleep for %v, %v", wait, ok)
	}
	x.ways = nil
	if _, ok := x.step(); ok {
		t.Error("the exchange goes on without a line")
	}
}

func TestArrival(t *testing.T) {
	begun := time.Now()
	now := begun.Add(time.Second)
	for _, test := range []struct {
		name string
		came time.Time
		want time.Duration
	}{
		{"read late", now.Round(0).Add(-30 * ms), 970 * ms},
		{"read at once", now.Round(0), time.Second},
		{"the clock was set back", now.Round(0).Add(time.Hour), time.Second},
		{"no stamp", time.Time{}, time.Second},
	} {
		if got := arrival(begun, test.came, now); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// The exchange goes on for the modems that are left, and begins again after the last one.
func TestModemsComeAndGo(t *testing.T) {
	passes := func(b *bench) {
		t.Helper()
		must(t, far(t, b.router, "eth1").send(testFrame(0, "", 60)))
		b.counts(t, Up, Counts{Received: 1, Frames: 1, Bytes: 60})
	}
	first, second := newBench(t, Direction{}, Direction{}), newBench(t, Direction{}, Direction{})
	must(t, first.modem.Close())
	passes(second)
	third := newBench(t, Direction{}, Direction{})
	passes(third)
	must(t, second.modem.Close())
	must(t, third.modem.Close())
	passes(newBench(t, Direction{}, Direction{}))
}
