//go:build bench

package bench

import (
	"fmt"
	"testing"
	"time"

	"linebond/lab"
)

// TestBenchModes compares the ways to make two lines of 20 and 5 Mbit/s one.
func TestBenchModes(t *testing.T) {
	fmt.Println("\n20 and 5 Mbit/s, 10 ms each; shares are of the sum; out of order, retransmits and ping: 1 flow, 8 flows; ping: more than idle, p50/p95")
	fmt.Println("| | 1 flow | 8 flows | out of order | retransmits | ping, ms | UDP at 90 %: late, lost |\n|---|---|---|---|---|---|---|")
	for _, how := range []way{alone, teql, numgen, none, cake} {
		t.Run(how.name, func(t *testing.T) {
			w := newWorld(t, how, unequal...)
			one, eight := thrice(func() result { return w.tcp(1) }), thrice(func() result { return w.tcp(8) })
			udp := thrice(func() result { return w.udp(0.9) })
			fmt.Printf("| %s | %.3f | %.3f | %.1f, %.1f %% | %.0f, %.0f | %.1f/%.1f, %.1f/%.1f | %.2f %%, %.2f %% |\n", how.name, one.share, eight.share,
				100*one.late, 100*eight.late, one.retransmits, eight.retransmits, one.ping[0], one.ping[1], eight.ping[0], eight.ping[1],
				100*udp.late, 100*udp.lost)
		})
	}
}

// TestBenchDelays is the same with a slower line that is farther, too.
func TestBenchDelays(t *testing.T) {
	fmt.Println("\n20 Mbit/s with 10 ms, 5 Mbit/s with 25 ms")
	for _, how := range []way{alone, teql, numgen, none, cake} {
		oneFlow(t, how.name, how, line{20, near}, line{5, 25 * time.Millisecond})
	}
}

// TestBenchBelieved has linebond believe wrong rates.
func TestBenchBelieved(t *testing.T) {
	fmt.Println("\n20 and 5 Mbit/s, 10 ms each, believed to be faster or slower")
	for _, how := range []way{none, cake} {
		for _, said := range []float64{0.95, 1.05} {
			how.said = said
			oneFlow(t, fmt.Sprintf("%s, rates %+.0f %%", how.name, 100*(said-1)), how, unequal...)
		}
	}
}

// TestBenchRatios has other lines than these two.
func TestBenchRatios(t *testing.T) {
	fmt.Println("\nother lines, Mbit/s, 10 ms each")
	for _, rates := range [][]float64{{10, 10}, {20, 10}, {20, 2}, {20, 10, 5, 5}} {
		var lines []line
		for _, rate := range rates {
			lines = append(lines, line{rate, near})
		}
		oneFlow(t, fmt.Sprintf("%s, %v", cake.name, rates), cake, lines...)
	}
}

// oneFlow measures one.
func oneFlow(t *testing.T, name string, how way, lines ...line) {
	t.Run(name, func(t *testing.T) {
		w := newWorld(t, how, lines...)
		r := thrice(func() result { return w.tcp(1) })
		fmt.Printf("| %s | %.3f | %.1f %% | %.0f | %.1f/%.1f |\n", name, r.share, 100*r.late, r.retransmits, r.ping[0], r.ping[1])
	})
}

// TestBenchBlackHole measures for how long packets are sent into a line after it has become a black hole, of a stream of UDP at 80 % of the
// sum, of which nothing comes back. Echoes go every 100 ms.
func TestBenchBlackHole(t *testing.T) {
	fmt.Println("\nthe slower line becomes a black hole, under UDP at 80 %: the last packet into it")
	for _, how := range []way{none, cake} {
		t.Run(how.name, func(t *testing.T) {
			w := newWorld(t, how, unequal...)
			for range 3 {
				lab.Eventually(t, patience, w.in)
				last := make(chan time.Duration)
				go func() {
					<-time.After(3 * time.Second)
					last <- w.blackHole(w.Lines[1], 3*time.Second) // the ISP would end the session after 5 s
				}()
				w.udp(0.8)
				fmt.Printf("| %s | after %d ms |\n", how.name, (<-last).Milliseconds())
			}
		})
	}
}

// blackHole makes a line a black hole for so long, and returns when the last packet went into it. (Echoes are none of the device's.)
func (w *world) blackHole(l *lab.BondLine, length time.Duration) (last time.Duration) {
	_, sent, err := w.Router.Packets("ppp-" + l.Name)
	if err != nil {
		w.t.Error(err)
	}
	begin := time.Now()
	l.Modem.BlackHole(w.t)
	defer l.Modem.Restore(w.t)
	for time.Since(begin) < length {
		<-time.After(5 * time.Millisecond)
		_, now, err := w.Router.Packets("ppp-" + l.Name)
		if err != nil {
			w.t.Error(err)
		}
		if now > sent {
			last, sent = time.Since(begin), now
		}
	}
	return last
}
