package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// bench feeds an estimator with echoes, one a second.
type bench struct {
	*Estimator
	now    time.Time
	number uint64
	bytes  uint64
}

func newBench(was Estimate) *bench {
	b := &bench{Estimator: New(was), now: time.Unix(1000, 0)}
	b.feed(20, 0, 20*ms, 20*ms)
	return b
}

// feed has a load in Mbit/s go to the line for so many seconds, with round trips from one length to another; 0 is a lost echo.
func (b *bench) feed(seconds int, mbit float64, from, to time.Duration) {
	for i := range seconds {
		b.now = b.now.Add(time.Second)
		b.bytes += uint64(mbit * 1e6 / 8)
		b.number++
		b.Sent(b.now, b.number, b.bytes, false)
		if trip := from + (to-from)*time.Duration(i)/time.Duration(max(1, seconds-1)); trip > 0 {
			b.Answered(b.number, trip)
		}
	}
}

func mbit(x float64) Estimate { return Estimate{Rate: uint64(x * 1e6), Settled: true} }

func TestEstimates(t *testing.T) {
	for _, test := range []struct {
		name  string
		was   Estimate
		feed  func(b *bench)
		least float64 // Mbit/s
		most  float64
		known bool
		cause Cause
	}{
		{"nothing is known", Estimate{}, func(b *bench) {}, 1, 1, false, Guessed},
		{"handed in", mbit(7), func(b *bench) {}, 7, 7, true, Kept},
		{"absurd: too low", Estimate{Rate: 1, Settled: true}, func(b *bench) {}, 0.064, 0.064, true, Kept},
		{"absurd: too high", Estimate{Rate: math.MaxUint64, Settled: true}, func(b *bench) {}, 100e3, 100e3, true, Kept},
		{"a guess grows", Estimate{}, func(b *bench) { b.feed(4, 10, 20*ms, 20*ms) }, 13.9, 14.1, false, Carried},
		{"and comes down to what was carried", Estimate{}, func(b *bench) { b.feed(10, 10, 20*ms, 20*ms); b.feed(3, 0.1, 20*ms, 20*ms) }, 10, 10.1, false, Carried},
		{"a probe in vain", mbit(10), func(b *bench) { b.feed(5, 9.5, 20*ms, 20*ms); b.feed(2, 10, 60*ms, 60*ms) }, 10, 10, true, Carried},
		{"a growing queue is exact", Estimate{}, func(b *bench) { b.feed(8, 12, 220*ms, 1620*ms) }, 9.7, 10, true, Measured},
		{"too little load to grow", mbit(10), func(b *bench) { b.feed(100, 5, 20*ms, 20*ms) }, 10, 10, true, Kept},
		{"more than is believed", mbit(10), func(b *bench) { b.feed(5, 15, 20*ms, 20*ms) }, 15, 23, true, Carried},
		{"a long way is no queue", mbit(10), func(b *bench) { b.feed(600, 0, 200*ms, 200*ms) }, 10, 10, true, Kept},
		{"a few lost echoes tell nothing", mbit(10), func(b *bench) {
			for range 6 {
				b.feed(9, 9.5, 200*ms, 200*ms)
				b.feed(1, 9.5, 0, 0)
			}
		}, 9.4, 9.6, true, Measured},
		{"a fall is on trial", mbit(10), func(b *bench) { b.feed(8, 5, 200*ms, 200*ms) }, 3.4, 3.6, true, Measured},
		{"and true", mbit(10), func(b *bench) { b.feed(8, 5, 200*ms, 200*ms); b.feed(5, 3.5, 20*ms, 20*ms) }, 4.8, 10, true, Measured},
		{"or not", mbit(10), func(b *bench) { b.feed(8, 5, 200*ms, 200*ms); b.feed(25, 3.5, 200*ms, 200*ms) }, 10, 10, true, Acquitted},
		{"where many are lost, that much was dropped", mbit(10), func(b *bench) {
			for range 10 {
				b.feed(1, 10, 200*ms, 200*ms)
				b.feed(1, 10, 0, 0)
			}
		}, 3.4, 3.6, true, Measured},
		{"another session", mbit(10), func(b *bench) { b.number = 0; b.bytes = 0; b.feed(5, 1, 20*ms, 20*ms) }, 10, 10, true, Kept},
	} {
		b := newBench(test.was)
		test.feed(b)
		e := b.Estimate()
		cause, _ := b.Why()
		if got := float64(e.Rate) / 1e6; got < test.least || got > test.most || e.Settled != test.known || cause != test.cause {
			t.Errorf("%s: %.3f Mbit/s, settled %v, cause %v; want %v to %v, %v, %v", test.name, got, e.Settled, cause, test.least, test.most, test.known, test.cause)
		}
	}
}

// Whatever comes, an estimate is a rate.
func TestHostile(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		e := New(Estimate{Rate: random.Uint64() >> random.IntN(64), Settled: random.IntN(2) == 0})
		now, number, bytes := time.Unix(0, 0), uint64(0), uint64(0)
		for range 500 {
			now = now.Add(time.Duration(random.Int64N(int64(time.Minute)) >> random.IntN(40)))
			if random.IntN(50) == 0 {
				now = now.Add(-time.Hour)
			}
			bytes += random.Uint64() >> (10 + random.IntN(54))
			number += random.Uint64N(3)
			e.Sent(now, number, bytes, random.IntN(2) == 0)
			e.Answered(number-random.Uint64N(3), time.Duration(random.Int64()>>random.IntN(63))-5)
			if rate := e.Estimate().Rate; rate < Least || rate > Most {
				t.Fatalf("seed %d: %d bit/s", seed, rate)
			}
		}
	}
}
