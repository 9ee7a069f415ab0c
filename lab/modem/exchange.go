package modem

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// exchange moves the frames of all the modems of the process. One goroutine does it, so that frames leave in the order in which they are
// due, from whichever line, however late the machine lets it run: two goroutines that both wake late overtake each other. It sleeps in
// ppoll(2), which keeps time better than Go's timers, until a frame has come in, one is due, or somebody else has changed something.
type exchange struct {
	begun  time.Time     // where the lanes' time begins
	wake   int           // an eventfd
	done   chan struct{} // closed when run has returned
	polled []unix.PollFd // of each way, and of wake; run's alone

	mu      sync.Mutex // of all below, and of the ways; held while frames move, so that a change is done when its call returns
	ways    []*way
	changed bool // the ways are not those of polled
}

// office has the exchange. It runs as long as there are modems.
var office struct {
	sync.Mutex
	exchange *exchange
}

// join has the exchange move the frames of the ways, too.
func join(ways []*way) (*exchange, error) {
	office.Lock()
	defer office.Unlock()
	x := office.exchange
	if x == nil {
		wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("opening an eventfd: %w", err)
		}
		x = &exchange{begun: time.Now(), wake: wake, done: make(chan struct{})}
	}
	x.change(func(time.Duration) { x.ways, x.changed = append(x.ways, ways...), true })
	if office.exchange == nil {
		office.exchange = x
		go x.run()
	}
	return x, nil
}

// leave undoes join. The ways' sockets are not used any more when it returns.
func (x *exchange) leave(ways []*way) {
	office.Lock()
	defer office.Unlock()
	last := false
	x.change(func(time.Duration) {
		x.ways = slices.DeleteFunc(x.ways, func(w *way) bool { return slices.Contains(ways, w) })
		x.changed, last = true, len(x.ways) == 0
	})
	if last {
		<-x.done
		_ = unix.Close(x.wake)
		office.exchange = nil
	}
}

// change does something while no frame moves.
func (x *exchange) change(f func(now time.Duration)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(x.now())
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(x.wake, one) // it fails only when the exchange is to wake already
}

func (x *exchange) now() time.Duration { return time.Since(x.begun) }

func (x *exchange) run() {
	defer close(x.done)
	runtime.LockOSThread() // until the thread ends with this function
	prefer()
	for {
		wait, ok := x.step()
		if !ok {
			return
		}
		x.sleep(wait)
	}
}

// prefer has the kernel run this thread as soon as it has something to do, where the process may ask for that, and wake it in time.
func prefer() {
	first := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	_ = unix.SchedSetAttr(0, &first, 0)                // without it frames are late more often, no more than that
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // ns; it has no use for a thread that runs first, and cannot fail
}

// step reads what has come in by now, and sends what is due by now. It returns how long to sleep for, negative: until something happens;
// false when no way is left.
func (x *exchange) step() (wait time.Duration, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.ways) == 0 {
		return 0, false
	}
	if x.changed {
		x.watch()
	}
	now := x.now()
	for i, w := range x.ways {
		if x.polled[i].Revents != 0 {
			w.read(x.begun, now)
		}
		w.lane.advance(now)
	}
	for {
		first, at := x.first()
		switch {
		case first == nil:
			return -1, true
		case at > now:
			return max(at-x.now(), 0), true
		}
		first.forward(now)
	}
}

// first is the way that has something to do before all others, and when; nil while all are idle.
func (x *exchange) first() (first *way, at time.Duration) {
	for _, w := range x.ways {
		if t, some := w.lane.next(); some && (first == nil || t < at) {
			first, at = w, t
		}
	}
	return first, at
}

// watch has sleep wait for the ways that there are now. All are taken to have something to read.
func (x *exchange) watch() {
	x.polled, x.changed = x.polled[:0], false
	for _, w := range x.ways {
		x.polled = append(x.polled, unix.PollFd{Fd: int32(w.from.in), Events: unix.POLLIN, Revents: unix.POLLIN})
	}
	x.polled = append(x.polled, unix.PollFd{Fd: int32(x.wake), Events: unix.POLLIN})
}

// sleep returns when a frame has come in, the time is over, or change was called.
func (x *exchange) sleep(wait time.Duration) {
	var limit *unix.Timespec
	if wait >= 0 {
		t := unix.NsecToTimespec(int64(wait))
		limit = &t
	}
	if _, err := unix.Ppoll(x.polled, limit, nil); err != nil { // a signal to this thread: the kernel has told nothing of the sockets
		for i := range x.polled {
			x.polled[i].Revents = 0
		}
		return
	}
	if x.polled[len(x.polled)-1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(x.wake, count[:]) // it cannot fail: this goroutine alone reads
	}
}
