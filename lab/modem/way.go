package modem

import "time"

// way is one way through the modem: a lane between two ports. The exchange moves its frames.
type way struct {
	from, to *port
	lane     lane
	tally    Counts // what the lane does not count
}

// read puts the frames that have come in by now on the lane, each at the time at which it came. Times are counted from begun.
func (w *way) read(begun time.Time, now time.Duration) {
	for at := now; at <= now; { // a sender that never pauses keeps nobody else waiting
		frame, came, ok := w.from.receive()
		if !ok {
			return
		}
		at = arrival(begun, came, time.Now())
		if frame == nil {
			w.tally.Unsegmented++
			continue
		}
		w.lane.put(at, frame)
	}
}

// arrival is when a frame came in, from begun, by what the kernel has stamped on it: the time of day. If it has not, or the clock was set
// back, the frame comes in now.
func arrival(begun, came, now time.Time) time.Duration {
	age := time.Duration(0)
	if !came.IsZero() {
		age = max(now.Round(0).Sub(came), 0)
	}
	return now.Sub(begun) - age
}

// forward sends the next frame if it has arrived by now.
func (w *way) forward(now time.Duration) {
	frame, ok := w.lane.take(now)
	if !ok {
		return
	}
	if w.to.send(frame) != nil {
		w.tally.Refused++
		return
	}
	w.tally.Frames++
	w.tally.Bytes += uint64(len(frame))
}

func (w *way) counts() Counts {
	c, l := w.tally, &w.lane
	c.Received, c.Dropped, c.Lost, c.Duplicated, c.Reordered = l.received, l.dropped, l.lost, l.duplicated, l.reordered
	c.QueueFrames, c.QueueBytes = len(l.waiting), l.waitingBytes
	return c
}
