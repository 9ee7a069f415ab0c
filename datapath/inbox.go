package datapath

import "sync"

// inboxSize is how many frames may wait for the line: more than one exchange of control packets has. A thousand lines have as many inboxes.
const inboxSize = 8

// An inbox hands frames from a reading goroutine to the line. The reader never waits: when the inbox is full a frame is dropped and counted,
// and the peer sends its control frames again.
type inbox[T any] struct {
	frames  chan T
	mu      sync.Mutex
	ended   bool
	err     error
	dropped uint64
}

func newInbox[T any]() inbox[T] { return inbox[T]{frames: make(chan T, inboxSize)} }

// put adds a frame that the caller will not touch again.
func (b *inbox[T]) put(frame T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	select {
	case b.frames <- frame:
	default:
		b.dropped++
	}
}

// end closes the channel. The first call gives the reason; nil means that the owner closed it.
func (b *inbox[T]) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.ended, b.err = true, err
		close(b.frames)
	}
}

// Frames is closed when no more will come: see Err.
func (b *inbox[T]) Frames() <-chan T { return b.frames }

// Err says why Frames was closed: nil before that, and when Close was the reason.
func (b *inbox[T]) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// lost is how many frames were dropped.
func (b *inbox[T]) lost() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
