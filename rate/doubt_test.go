package rate

import (
	"testing"
	"time"
)

// doubted is a modem with a queue of 100 ms, and senders that fill what they are let, and then heed that the queue is full.
type doubted struct {
	*Doubt
	now                time.Time
	number, bytes      uint64
	carries, queue     float64       // bit/s; bits
	written, load      float64       // bit/s; of what is believed
	download, interval time.Duration // that makes round trips longer
}

// run goes on for a while and returns the last round trip.
func (d *doubted) run(for_ time.Duration) (trip time.Duration) {
	const way = 20 * ms
	for end := d.now.Add(for_); d.now.Before(end); d.now = d.now.Add(d.interval) {
		d.number++
		d.Sent(d.now, d.number, d.bytes)
		trip = way + d.download + time.Duration(d.queue/d.carries*float64(time.Second))
		d.Answered(d.number, trip, way)
		believed := d.written
		if r := d.Rate(d.now); r != 0 {
			believed = float64(r)
		}
		carried := d.carries * d.interval.Seconds()
		given := min(d.load*believed*d.interval.Seconds(), carried+d.carries/10-d.queue)
		d.queue = max(0, d.queue+given-carried)
		d.bytes += uint64(given / 8)
	}
	return trip
}

func TestDoubt(t *testing.T) {
	for _, test := range []struct {
		name          string
		carries, load float64 // Mbit/s, of a line of which 20 are written
		download      time.Duration
		least, most   uint64 // Mbit/s x 10; 0: no doubt
		longest       time.Duration
	}{
		{"as written", 20, 1, 0, 0, 0, 20 * ms},
		{"more than is written", 30, 1, 0, 0, 0, 20 * ms},
		{"not loaded", 18, 0.5, 0, 0, 0, 20 * ms},
		{"a download alone", 20, 0.2, 100 * ms, 0, 0, 120 * ms},
		{"5 % less", 19, 1, 0, 186, 190, 30 * ms},
		{"a tenth less", 18, 1, 0, 180, 181, 120 * ms},
		{"two thirds", 14, 1, 0, 0, 180, 120 * ms},
		{"a download beside a load", 20, 0.85, 100 * ms, 180, 180, 120 * ms},
	} {
		for _, interval := range []time.Duration{100 * ms, time.Second} {
			d := &doubted{
				Doubt: NewDoubt(20e6), now: time.Unix(1e9, 0), carries: test.carries * 1e6, written: 20e6, load: test.load,
				download: test.download, interval: interval,
			}
			trip := d.run(30 * time.Second)
			if got := d.Rate(d.now) / 1e5; got < test.least || got > test.most || trip > test.longest {
				t.Errorf("%s, echoes each %v: %.1f Mbit/s, round trips of %v", test.name, interval, float64(got)/10, trip)
			}
		}
	}
}

// A doubt ends; a line that deserves it still has it again soon.
func TestDoubtEnds(t *testing.T) {
	d := &doubted{Doubt: NewDoubt(20e6), now: time.Unix(1e9, 0), carries: 19e6, written: 20e6, load: 1, interval: time.Second}
	d.run(time.Minute)
	d.carries = 20e6
	d.run(doubtLasts)
	if r := d.Rate(d.now); r != 0 {
		t.Errorf("it is still %d", r)
	}
	d.carries = 19e6
	d.run(time.Minute)
	d.Sent(d.now, 1, 0) // another session
	if d.run(time.Minute); d.Rate(d.now) == 0 {
		t.Error("there is no doubt")
	}
}
