package modem

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many frames are read before those that are due are sent.
const batch = 64

// way is one way through the modem: a lane between two ports. A goroutine of its own sleeps in ppoll(2), which keeps time better than
// Go's timers, until a frame has come in, one is due, or somebody else has changed something.
type way struct {
	from, to *port
	opened   time.Time // where the lane's time begins
	wake     int       // an eventfd

	mu      sync.Mutex // of all below; held while frames move, so that a change is done when its call returns
	lane    lane
	stopped bool
	tally   Counts // what the lane does not count
}

func newWay(from, to *port, d Direction, random func() float64, opened time.Time) (*way, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening an eventfd: %w", err)
	}
	return &way{from: from, to: to, opened: opened, wake: wake, lane: lane{config: d, random: random}}, nil
}

func (w *way) close() error { return unix.Close(w.wake) }

// change does something to the lane while no frame moves.
func (w *way) change(f func(*lane, time.Duration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	f(&w.lane, time.Since(w.opened))
	w.rouse()
}

// stop has run return.
func (w *way) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.rouse()
}

// rouse ends the sleep of run.
func (w *way) rouse() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(w.wake, one) // it fails only when it is to wake already
}

func (w *way) run() {
	for {
		wait, ok := w.step()
		if !ok {
			return
		}
		w.sleep(wait)
	}
}

// step reads what has come in, up to a batch, and sends what is due. It returns how long to sleep for, negative: until something
// happens; false when the way was stopped.
func (w *way) step() (wait time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return 0, false
	}
	for range batch {
		frame, ok := w.from.receive()
		if !ok {
			break
		}
		if frame == nil {
			w.tally.Unsegmented++
			continue
		}
		w.lane.put(time.Since(w.opened), frame)
	}
	now := time.Since(w.opened)
	for frame, ok := w.lane.take(now); ok; frame, ok = w.lane.take(now) {
		w.deliver(frame)
	}
	at, some := w.lane.next()
	if !some {
		return -1, true
	}
	return max(at-time.Since(w.opened), 0), true
}

func (w *way) deliver(frame []byte) {
	if w.to.send(frame) != nil {
		w.tally.Refused++
		return
	}
	w.tally.Frames++
	w.tally.Bytes += uint64(len(frame))
}

// sleep returns when a frame has come in, the time is over, or rouse was called.
func (w *way) sleep(wait time.Duration) {
	descriptors := []unix.PollFd{{Fd: int32(w.from.in), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
	var limit *unix.Timespec
	if wait >= 0 {
		t := unix.NsecToTimespec(int64(wait))
		limit = &t
	}
	if n, err := unix.Ppoll(descriptors, limit, nil); err != nil || n == 0 {
		return // a signal to this thread, or the time
	}
	if descriptors[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(w.wake, count[:]) // it cannot fail: this goroutine alone reads
	}
}

func (w *way) counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped { // else the socket may be closed
		w.tally.Missed += w.from.missed()
		w.lane.advance(time.Since(w.opened))
	}
	c, l := w.tally, &w.lane
	c.Received, c.Dropped, c.Lost, c.Duplicated, c.Reordered = l.received, l.dropped, l.lost, l.duplicated, l.reordered
	c.QueueFrames, c.QueueBytes = len(l.waiting), l.waitingBytes
	return c
}
