package scheduler

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// echo does on a line as the daemon does: an echo request in each interval, which the ISP answers.
func (w *world) echo(i int, interval time.Duration) {
	w.Helper()
	us, them := fmt.Sprintf("10.8.%d.1:7", i), fmt.Sprintf("10.8.%d.2:7", i)
	end := func(h *host, address string) (conn net.PacketConn) {
		must(w, h.do(func() (err error) {
			conn, err = net.ListenPacket("udp", address)
			return err
		}))
		return conn
	}
	far, near := end(w.isp, them), end(w.router, us)
	stop, done := make(chan struct{}), make(chan error, 2)
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := far.ReadFrom(b)
			if err == nil {
				_, err = far.WriteTo(b[:n], from)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			_, err := near.WriteTo(make([]byte, 20), far.LocalAddr())
			if err := errors.Join(err, w.bond.Echoed(fmt.Sprintf("ppp-%d", i))); err != nil {
				done <- err
				return
			}
			select {
			case <-stop:
				done <- net.ErrClosed
				return
			case <-tick.C:
			}
		}
	}()
	w.Cleanup(func() {
		close(stop)
		far.Close()
		if err := errors.Join(<-done, <-done); !errors.Is(err, net.ErrClosed) {
			w.Error(err)
		}
		near.Close()
	})
}

// saturations are loads under which answers are late, or lost, but come.
var saturations = []struct {
	name, how string
	loss      float64 // upwards, besides
}{
	{"TCP", "", 0},
	{"TCP both ways", "--bidir", 0},
	{"UDP at twice the rates", "-u -b 50M -l 1400", 0},
	{"UDP at twice the rates, both ways", "-u -b 50M -l 1400 --bidir", 0},
	{"UDP at twice the rates, of which any packet is lost", "-u -b 50M -l 1400", 0.5},
}

// saturate loads lines of 20 and 5 Mbit/s, with modems that have queues of five intervals of the echoes, and returns the packets that were
// kept from a line because it was held to be silent.
func (w *world) saturate(how string, interval time.Duration, seconds int) (passed, packets uint64) {
	w.Helper()
	deadAfter := interval * 7 / 2
	must(w, w.bond.SetMode(Mode{Cap: DefaultCap, DeadAfter: deadAfter, Patience: 10 * deadAfter}))
	for i := range w.lines {
		w.lines[i].Rate = w.lines[i].Rate * 95 / 100
		w.echo(i, interval)
	}
	must(w, w.bond.SetLines(w.lines))
	w.isp.start("Server listening", "iperf3 -s --forceflush")
	const piece = 8 // seconds; its end may take long, behind what waits in the modems, and fail, where packets are lost
	for range seconds / piece {
		w.router.sh("timeout -s KILL %d iperf3 -c %s -t %d %s || true", piece+10, server, piece, how)
	}
	for _, l := range w.counters().Lines {
		passed += l.Passed
		packets += l.Packets
	}
	return passed, packets
}

// saturated is a world for saturate.
func saturated(t *testing.T, loss float64, interval time.Duration) *world {
	queue := 5 * interval
	return newWorld(t, lineConfig{rate: 20e6, queue: queue, loss: loss}, lineConfig{rate: 5e6, queue: queue, loss: loss, delay: 10 * time.Millisecond})
}

// A saturated line is not silent, though answers to echoes wait behind what we send, for longer than a line may be silent.
func TestSaturated(t *testing.T) {
	const interval = 400 * time.Millisecond // a busy machine may be still for a while
	for _, s := range saturations {
		t.Run(s.name, func(t *testing.T) {
			passed, packets := saturated(t, s.loss, interval).saturate(s.how, interval, 8)
			t.Logf("%d packets, %d passed over", packets, passed)
			if passed != 0 || packets < 100 {
				t.Errorf("of %d packets %d were kept from a line that was held to be silent", packets, passed)
			}
		})
	}
}

// A black-holed line gets no more packets soon, and gets them again when it answers.
func TestBlackHole(t *testing.T) {
	w := newWorld(t, lineConfig{rate: 20e6}, lineConfig{rate: 20e6})
	t.Logf("the last packet %v after the fault", w.blackHole("-u -b 30M -l 1400", 400*time.Millisecond))
}

// blackHole has a line be a black hole for a while, and returns how long packets went into it.
func (w *world) blackHole(how string, interval time.Duration) (last time.Duration) {
	w.Helper()
	deadAfter := interval * 7 / 2
	must(w, w.bond.SetMode(Mode{Cap: DefaultCap, DeadAfter: deadAfter, Patience: 10 * deadAfter}))
	for i := range w.lines {
		w.echo(i, interval)
	}
	w.isp.start("Server listening", "iperf3 -s --forceflush")
	w.router.start("Connecting", "iperf3 --forceflush -c %s -t 60 %s", server, how)
	sending := func(i int) func() error {
		last := w.counters().Lines[i].Packets
		return func() error {
			c := w.counters().Lines[i]
			if c.Packets < last+100 || c.Silent {
				return fmt.Errorf("the line %d gets no packets: %+v", i, c)
			}
			return nil
		}
	}
	for range 20 { // and a while
		eventually(w, sending(0))
		eventually(w, sending(1))
	}

	w.modems[1].BlackHole(true)
	fault, before := time.Now(), w.counters().Lines[1]
	eventually(w, func() error {
		c := w.counters().Lines[1]
		if c.Packets != before.Packets {
			before.Packets, last = c.Packets, time.Since(fault)
		}
		if c.Passed == before.Passed {
			return fmt.Errorf("the black-holed line is still used: %+v", c)
		}
		return nil
	})
	eventually(w, func() error { // at times, a busy machine may hold the other line to be silent, too
		before := w.counters().Lines[1]
		eventually(w, sending(0))
		if c := w.counters().Lines[1]; c.Packets != before.Packets || !c.Silent {
			return fmt.Errorf("%+v; before %+v", c, before)
		}
		return nil
	})
	w.modems[1].BlackHole(false)
	eventually(w, sending(1))
	return last
}

// Without echoes, as while the daemon is away, no line is passed over.
func TestNoEchoes(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	must(t, w.bond.SetMode(Mode{Cap: DefaultCap, DeadAfter: time.Millisecond}))
	w.during(100, func(int) {
		must(t, w.bond.Echoed("ppp-no"))
		must(t, w.bond.Heard("ppp-no"))
		w.counters()
	})
	for _, l := range w.counters().Lines {
		if l.Silent || l.Passed != 0 {
			t.Errorf("%+v", l)
		}
	}
}

// The daemon tells of echoes that do not come to the line's device.
func TestHeard(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	must(t, w.bond.SetMode(Mode{Cap: 20 * time.Millisecond, DeadAfter: 1}))
	w.isp.sh("nft 'add table inet t; add chain inet t c { type filter hook input priority 0; policy drop; }'")
	silent := func() bool { return w.counters().Lines[0].Silent }
	w.router.try("ping -c 1 -W 0.1 %s", server)
	for echoes, want := range []bool{false, false, true} { // the last but one has to be sent after the packet
		if silent() != want {
			t.Errorf("after %d echoes: %+v", echoes, w.counters())
		}
		must(t, w.bond.Echoed("ppp-0"))
	}
	must(t, w.bond.Heard("ppp-0"))
	if silent() {
		t.Errorf("%+v", w.counters())
	}
}
