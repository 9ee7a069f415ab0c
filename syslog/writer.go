package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	defaultPath    = "/dev/log"
	journaldSocket = "/run/systemd/journal/dev-log" // to which /dev/log is a link on a host with systemd

	queueLength  = 1024                   // records
	drainTimeout = time.Second            // for Sync, and for Close
	writeTimeout = 500 * time.Millisecond // how long a full socket is waited for before the connection is made anew
	minBackoff   = 50 * time.Millisecond  // before the second attempt, and doubled from there
	maxBackoff   = 2 * time.Second
)

// A writer is the queue, and the goroutine that empties it into the socket.
type writer struct {
	path     string
	journald string
	format   Format
	header   header
	queue    chan record
	done     chan struct{}      // closed when run returns
	ctx      context.Context    // ends when close gives up what is left in the queue
	cancel   context.CancelFunc // ends ctx

	conn   net.Conn            // run's alone; nil when not connected
	render func(record) []byte // run's alone; fits conn

	mu      sync.Mutex
	closed  bool
	pending int           // records queued or being written
	idle    chan struct{} // closed while pending is 0
	lost    uint64        // entries dropped that no record reports yet
	gone    uint64        // entries given up by close
	err     error         // of the last attempt to write
}

func newWriter(o Options) *writer {
	if o.Path == "" {
		o.Path = defaultPath
	}
	if o.Facility == 0 {
		o.Facility = Daemon
	}
	w := &writer{
		path:     o.Path,
		journald: journaldSocket,
		format:   o.Format,
		header:   header{facility: o.Facility, pid: os.Getpid()},
		queue:    make(chan record, queueLength),
		done:     make(chan struct{}),
		idle:     make(chan struct{}),
	}
	close(w.idle)
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// enqueue queues r, or counts it as lost. It reports false after close.
func (w *writer) enqueue(r record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	r.lost = w.lost
	select {
	case w.queue <- r:
		w.lost = 0
		if w.pending == 0 {
			w.idle = make(chan struct{})
		}
		w.pending++
	default:
		w.lost++
	}
	return true
}

// run writes what is queued until close.
func (w *writer) run() {
	defer close(w.done)
	for r := range w.queue {
		if r.lost > 0 {
			w.deliver(lossRecord(r.lost, r.time), r.lost)
		}
		w.deliver(r, 1)
		w.finish()
	}
	w.disconnect()
}

// finish takes one record off the count. If nothing was queued after the last
// loss, there is no record to carry the report of it: it is due now.
func (w *writer) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lost := w.lost; w.pending == 1 && lost > 0 {
		w.lost = 0
		w.mu.Unlock()
		w.deliver(lossRecord(lost, time.Now()), lost)
		w.mu.Lock()
	}
	w.pending--
	if w.pending == 0 {
		close(w.idle)
	}
}

// deliver writes r, however often the server goes away meanwhile. What it cannot
// write counts as so many entries lost.
func (w *writer) deliver(r record, entries uint64) {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		if w.ctx.Err() != nil {
			w.count(&w.gone, entries)
			return
		}
		err := w.send(r)
		if errors.Is(err, syscall.EMSGSIZE) { // the host's socket buffers are tiny: it will never fit
			w.count(&w.lost, entries)
			return
		}
		w.note(err)
		if err == nil {
			return
		}
		select {
		case <-time.After(wait):
		case <-w.ctx.Done():
		}
	}
}

// send makes one attempt to write r.
func (w *writer) send(r record) error {
	if w.conn == nil {
		if err := w.connect(); err != nil {
			return err
		}
	}
	err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = w.conn.Write(w.render(r))
	}
	if err != nil {
		w.disconnect()
	}
	return err
}

// connect opens the socket, of whichever kind it is, and chooses the format.
func (w *writer) connect() error {
	end := ""
	conn, err := net.Dial("unixgram", w.path)
	if errors.Is(err, syscall.EPROTOTYPE) {
		end = "\n" // no message contains one
		conn, err = net.Dial("unix", w.path)
	}
	if err != nil {
		return err
	}
	name, _ := os.Hostname() // without a name, HOSTNAME is "-"
	w.header.hostname = hostnameOf(name)
	format := w.header.rfc5424
	if w.format == Local || w.format == Auto && sameFile(w.path, w.journald) {
		format = w.header.local
	}
	w.conn = conn
	w.render = func(r record) []byte { return append(format(r), end...) }
	return nil
}

func (w *writer) disconnect() {
	if w.conn != nil {
		_ = w.conn.Close() // nothing is buffered on our side
		w.conn = nil
	}
}

// sameFile tells whether two paths lead to one file, by links or by mounts.
func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// note remembers how the last attempt to write went.
func (w *writer) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// count adds entries to one of the counters.
func (w *writer) count(counter *uint64, entries uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*counter += entries
}

// sync waits for an empty queue.
func (w *writer) sync() error {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-time.After(drainTimeout):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Errorf("writing to syslog: %d entries wait for %s: %w", w.pending, w.path, w.cause())
}

// close ends the writer. A record that is being written to a full socket can
// hold it up by writeTimeout more.
func (w *writer) close() error {
	w.mu.Lock()
	first := !w.closed
	if first {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(drainTimeout):
	}
	w.cancel()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if !first || w.gone == 0 {
		return nil
	}
	return fmt.Errorf("writing to syslog: %d entries lost, as they waited for %s: %w", w.gone, w.path, w.cause())
}

// cause is why records wait. Called with mu held.
func (w *writer) cause() error {
	if w.err == nil {
		return os.ErrDeadlineExceeded // the server takes them, but too slowly
	}
	return w.err
}
