package rate

import (
	"slices"
	"time"
)

// Doubt is about a rate that somebody has written down. Where a line carries less than is believed of it a queue stands in its modem, and the
// bond is no faster than that line alone: senders lose packets there before there is anything left over for the others. So what the
// echoes show of such a line counts for some minutes: but never less than nine tenths of what is written, since they may be wrong.
//
// It is pure, as an Estimator is, and not safe for concurrent use.
type Doubt struct {
	written uint64
	rate    uint64 // that the echoes show; 0: there is no doubt
	until   time.Time
	echoes  []doubtedEcho // since the queue stands, and those that are under way; the oldest first
}

// doubtedEcho is an echo request, and its answer.
type doubtedEcho struct {
	number uint64
	sent   time.Time
	bytes  uint64        // handed to the line before it
	trip   time.Duration // 0: not answered
}

func (s doubtedEcho) answered() time.Time { return s.sent.Add(s.trip) }

const (
	doubtEchoes = 32                    // that are remembered
	doubtRise   = 20 * time.Millisecond // of round trips, where a queue stands
	doubtWindow = 2 * time.Second       // for which a queue has to stand
	doubtLoad   = 0.7                   // of the rate; with less the queue is not ours
	doubtFloor  = 0.9                   // of what is written
	doubtDrain  = 0.99                  // of what was found, so that the queue gets empty
	doubtLasts  = 10 * time.Minute      // then it is believed again
)

// NewDoubt returns that about a rate in bit/s.
func NewDoubt(written uint64) *Doubt { return &Doubt{written: written} }

// Rate returns what the echoes show, in bit/s, if that is less than is written; else 0.
func (d *Doubt) Rate(now time.Time) uint64 {
	if now.After(d.until) {
		d.rate = 0
	}
	return d.rate
}

// Sent takes that an echo was sent, as Estimator.Sent does.
func (d *Doubt) Sent(now time.Time, number, bytes uint64) {
	if n := len(d.echoes); n > 0 && (number <= d.echoes[n-1].number || bytes < d.echoes[n-1].bytes || now.Before(d.echoes[n-1].sent)) {
		d.echoes = nil // another session, or another counter
	}
	if len(d.echoes) == doubtEchoes {
		d.echoes = slices.Delete(d.echoes, 0, 1)
	}
	d.echoes = append(d.echoes, doubtedEcho{number: number, sent: now, bytes: bytes})
}

// Answered takes that an echo was answered, and the least round trip of the last minutes.
func (d *Doubt) Answered(number uint64, trip, least time.Duration) {
	i := slices.IndexFunc(d.echoes, func(x doubtedEcho) bool { return x.number == number })
	if i < 0 || trip <= 0 {
		return
	}
	if least == 0 || trip < least+doubtRise {
		d.echoes = slices.Delete(d.echoes, 0, i+1) // the queue was empty, or nearly so
		return
	}
	d.echoes[i].trip = trip
	first, last := d.first(), d.echoes[i]
	if last.sent.Sub(first.sent) < doubtWindow {
		return
	}
	believed := float64(d.written)
	if r := d.Rate(last.answered()); r != 0 {
		believed = float64(r)
	}
	given := 8 * float64(last.bytes-first.bytes)
	load, found := given/last.sent.Sub(first.sent).Seconds(), given/last.answered().Sub(first.answered()).Seconds()
	if load >= doubtLoad*believed && found < believed {
		d.rate = uint64(max(doubtDrain*found, doubtFloor*float64(d.written)))
		d.until = last.answered().Add(doubtLasts)
	}
	d.echoes = slices.Delete(d.echoes, 0, i+1) // what is believed now has to show first
}

// first is the oldest echo that was answered.
func (d *Doubt) first() doubtedEcho {
	return d.echoes[slices.IndexFunc(d.echoes, func(x doubtedEcho) bool { return x.trip != 0 })]
}
