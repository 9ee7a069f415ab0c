package modem

import (
	"fmt"
	"time"
)

// Direction says what one direction of the line does to frames. The zero value is a cable: no limit, no delay, no faults.
type Direction struct {
	// Rate is in bits per second, 0: unlimited. A frame takes the time of its bytes, tags included (at least 60), and of Overhead.
	Rate int64

	// Queue is how many bytes of frames may wait for the line, the one that is being sent included. A frame that has no room is
	// dropped. 0: what the line sends in 100 ms, and at least 64 KiB.
	Queue int

	// Delay passes between the end of a frame on the line and its delivery, and for each frame a random part of Jitter besides. A frame
	// never overtakes another one by that.
	Delay, Jitter time.Duration

	// Shares of the frames, 0 to 1. A lost frame has taken its time on the line. A duplicate takes none, and follows its original. A
	// frame chosen to be reordered is delivered after the next one, or alone if none comes within 20 ms.
	Loss, Duplicate, Reorder float64
}

// Overhead is what a frame takes on Ethernet besides its bytes from destination address to payload: preamble, start delimiter, frame
// check sequence and gap (IEEE 802.3).
const Overhead = 8 + 4 + 12

const (
	minFrame    = 60 // bytes, without the frame check sequence
	minQueue    = 64 << 10
	reorderWait = 20 * time.Millisecond

	// memory bounds all the frames of a direction, in bytes: one without a rate has no other bound.
	memory = 16 << 20
)

func (d Direction) check() error {
	switch {
	case d.Rate < 0:
		return fmt.Errorf("the rate %d bit/s is negative", d.Rate)
	case d.Queue < 0:
		return fmt.Errorf("the queue of %d bytes is negative", d.Queue)
	case d.Delay < 0, d.Jitter < 0:
		return fmt.Errorf("the delay %v or the jitter %v is negative", d.Delay, d.Jitter)
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"loss", d.Loss}, {"duplicate", d.Duplicate}, {"reorder", d.Reorder}} {
		if !(share.value >= 0 && share.value <= 1) { // so NaN fails
			return fmt.Errorf("the share %s is %v: it must be from 0 to 1", share.name, share.value)
		}
	}
	return nil
}

// queue is the limit in bytes.
func (d Direction) queue() int {
	if d.Queue > 0 {
		return d.Queue
	}
	return max(minQueue, int(d.Rate/8/10))
}

// lane is one direction of the line as a machine: frames and the time in, frames and the next time out. Times are counted from any one
// moment, and never run backwards. All is reckoned from when frames ought to move; so it does not matter how late the lane is asked.
//
//	put -> waiting -(Rate)-> loss -> flying -(Delay, Jitter)-> take
//	                           |       ^
//	                           +-> held+  (Reorder)
type lane struct {
	config Direction
	random func() float64 // from [0, 1)
	hole   bool

	waiting [][]byte
	ends    time.Duration // when the first of waiting has been sent, or when the last frame had been if none waits
	flying  []flight      // in order of delivery
	held    *flight       // to be delivered after the next one; all of flying goes before it
	last    time.Duration // no later frame is delivered before

	waitingBytes, flyingBytes int // those of held are in flyingBytes

	received, dropped, lost, duplicated, reordered uint64
}

type flight struct {
	frame []byte
	due   time.Duration
}

// set changes what the lane does from now on. The frame that is being sent goes on at the new rate; those that fly, fly as before.
func (l *lane) set(now time.Duration, d Direction) {
	l.advance(now)
	if len(l.waiting) > 0 {
		left := time.Duration(0)
		if d.Rate > 0 {
			left = time.Duration(float64(l.ends-now) * float64(l.config.Rate) / float64(d.Rate))
		}
		l.ends = now + left
	}
	l.config = d
}

// blackHole begins or ends a time in which all frames are lost, those under way included.
func (l *lane) blackHole(on bool) {
	l.hole = on
	if !on {
		return
	}
	l.lost += uint64(len(l.waiting) + len(l.flying))
	if l.held != nil {
		l.lost++
	}
	l.waiting, l.flying, l.held, l.ends = nil, nil, nil, 0
	l.waitingBytes, l.flyingBytes = 0, 0
}

// put takes a frame that came in at a time, which may have passed before others asked the lane. The caller will not touch it again.
func (l *lane) put(at time.Duration, frame []byte) {
	l.advance(at)
	l.received++
	switch {
	case l.hole:
		l.lost++
		return
	case len(l.waiting) > 0 && l.waitingBytes+len(frame) > l.config.queue(),
		l.waitingBytes+l.flyingBytes+len(frame) > memory:
		l.dropped++
		return
	}
	if len(l.waiting) == 0 {
		l.ends = max(l.ends, at) + l.time(frame)
	}
	l.waiting = append(l.waiting, frame)
	l.waitingBytes += len(frame)
	l.advance(at)
}

// take returns the next frame that has arrived by now.
func (l *lane) take(now time.Duration) (frame []byte, ok bool) {
	l.advance(now)
	switch {
	case len(l.flying) > 0 && l.flying[0].due <= now:
		frame = l.flying[0].frame
		l.flying[0] = flight{}
		l.flying = l.flying[1:]
	case len(l.flying) == 0 && l.held != nil && l.held.due <= now:
		frame, l.last, l.held = l.held.frame, max(l.last, l.held.due), nil
	default:
		return nil, false
	}
	l.flyingBytes -= len(frame)
	return frame, true
}

// next is when to take again if nothing else happens before; there is no such time while the lane is empty.
func (l *lane) next() (at time.Duration, ok bool) {
	switch {
	case len(l.flying) > 0:
		return l.flying[0].due, true
	case l.held != nil && len(l.waiting) > 0:
		return min(l.held.due, l.ends), true
	case l.held != nil:
		return l.held.due, true
	default:
		return l.ends, len(l.waiting) > 0
	}
}

// time is how long the frame takes on the line.
func (l *lane) time(frame []byte) time.Duration {
	if l.config.Rate == 0 {
		return 0
	}
	bits := int64(max(len(frame), minFrame)+Overhead) * 8
	return time.Duration(bits * int64(time.Second) / l.config.Rate)
}

// advance sends what was to be sent by now.
func (l *lane) advance(now time.Duration) {
	for len(l.waiting) > 0 && l.ends <= now {
		frame := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		l.waitingBytes -= len(frame)
		l.sent(frame)
		if len(l.waiting) > 0 {
			l.ends += l.time(l.waiting[0])
		}
	}
}

// sent decides what becomes of a frame that has left the line at l.ends.
func (l *lane) sent(frame []byte) {
	if l.chance(l.config.Loss) {
		l.lost++
		return
	}
	if l.held != nil && l.held.due < l.ends { // as if it had been taken in time
		l.flying, l.last, l.held = append(l.flying, *l.held), max(l.last, l.held.due), nil
	}
	due := l.ends + l.config.Delay
	if l.config.Jitter > 0 {
		due += time.Duration(l.random() * float64(l.config.Jitter))
	}
	l.last = max(l.last, due)
	l.flyingBytes += len(frame)
	if l.held == nil && l.chance(l.config.Reorder) {
		l.held = &flight{frame, l.last + reorderWait}
		return
	}
	l.flying = append(l.flying, flight{frame, l.last})
	if l.chance(l.config.Duplicate) {
		l.duplicated++
		l.flyingBytes += len(frame)
		l.flying = append(l.flying, flight{frame, l.last})
	}
	if l.held != nil {
		l.reordered++
		l.flying = append(l.flying, flight{l.held.frame, l.last})
		l.held = nil
	}
}

// chance is true for the share of the frames.
func (l *lane) chance(share float64) bool { return share > 0 && l.random() < share }
