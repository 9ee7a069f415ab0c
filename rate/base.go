package rate

import "time"

// base is the round trip of an empty line: the least of the last minutes. It is forgotten only as far as the line was quiet since: else a
// queue that stands for long would pass for the way.
type base struct {
	before, now half
	deviation   time.Duration // mean, of round trips while it was quiet
}

// half is the time in which one least is looked for.
type half struct {
	began time.Time
	least time.Duration // 0: there was no answer yet
	quiet int           // answers while the line was quiet
}

const (
	halfTime  = 150 * time.Second
	halfQuiet = 10 // a half has at least so many quiet answers
	smoothing = 16
	mostNoise = 40 * time.Millisecond
)

// take takes an answer.
func (b *base) take(sent time.Time, trip time.Duration) {
	if b.now.began.IsZero() {
		b.now.began = sent
	}
	if sent.Sub(b.now.began) >= halfTime && b.now.quiet >= halfQuiet {
		b.before, b.now = b.now, half{began: sent}
	}
	if b.now.least == 0 || trip < b.now.least {
		b.now.least = trip
	}
}

// quiet takes the same answer again, if the line was quiet.
func (b *base) quiet(trip time.Duration) {
	b.now.quiet++
	b.deviation += (trip - b.least() - b.deviation) / smoothing
}

// least is the base; 0 without answers.
func (b *base) least() time.Duration {
	if b.before.least != 0 && (b.now.least == 0 || b.before.least < b.now.least) {
		return b.before.least
	}
	return b.now.least
}

// noise is how much longer than the base a round trip may be by chance.
func (b *base) noise() time.Duration { return rise + min(unsteady*b.deviation, mostNoise) }
