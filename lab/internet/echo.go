package internet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// EchoConfig describes pings by UDP (RFC 862).
type EchoConfig struct {
	Interval time.Duration // between two requests; 0: 100 ms
	Timeout  time.Duration // after which a request is lost; 0: 2 s
	Size     int           // bytes of payload; 0: 56, and at least 8
}

// EchoStatistics are what has become of the requests. Sent is Received, Lost and those that are still waited for.
type EchoStatistics struct {
	Sent, Received, Lost int
	Reordered            int // of those received: came after the answer to a later request
	Stale                int // more answers to requests that were answered or lost already

	Last, Min, Mean, Max time.Duration // round-trip times of the answers received; 0 before there is one
}

// Echo sends requests, at a steady pace whatever becomes of them.
type Echo struct {
	config  EchoConfig
	conn    net.Conn
	stop    chan struct{}
	running sync.WaitGroup
	closing sync.Once

	mu    sync.Mutex
	tally tally
	ended time.Time // zero while it runs
}

// StartEcho starts to send requests, the first at once.
func StartEcho(dial Dialer, server netip.Addr, c EchoConfig) (*Echo, error) {
	if c.Interval <= 0 {
		c.Interval = 100 * time.Millisecond
	}
	if c.Timeout <= 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Size <= 0 {
		c.Size = 56
	}
	c.Size = max(c.Size, 8)
	conn, err := dial(context.Background(), "udp", netip.AddrPortFrom(server, portEcho).String())
	if err != nil {
		return nil, fmt.Errorf("pinging %v: %w", server, err)
	}
	e := &Echo{config: c, conn: conn, stop: make(chan struct{}), tally: tally{timeout: c.Timeout, sentAt: map[uint64]time.Time{}}}
	e.running.Go(e.send)
	e.running.Go(e.receive)
	return e, nil
}

// Statistics returns how the requests have fared so far.
func (e *Echo) Statistics() EchoStatistics {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended.IsZero() {
		e.tally.expire(time.Now())
	}
	return e.tally.statistics()
}

// Close ends it. Requests that are waited for then are never lost.
func (e *Echo) Close() error {
	e.closing.Do(func() {
		close(e.stop)
		_ = e.conn.Close()
		e.running.Wait()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ended = time.Now()
		e.tally.expire(e.ended)
	})
	return nil
}

func (e *Echo) send() {
	tick := time.NewTicker(e.config.Interval)
	defer tick.Stop()
	request := make([]byte, e.config.Size)
	for {
		e.mu.Lock()
		number := e.tally.send(time.Now())
		e.mu.Unlock()
		binary.BigEndian.PutUint64(request, number)
		_, _ = e.conn.Write(request) // what cannot be sent, for want of a route for instance, is lost
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
	}
}

func (e *Echo) receive() {
	answer := make([]byte, chunk)
	for {
		n, err := e.conn.Read(answer)
		var refused syscall.Errno // an ICMP error in answer to a request, which is lost
		if err != nil && !errors.As(err, &refused) {
			return
		}
		if err != nil || n < 8 {
			continue
		}
		e.mu.Lock()
		e.tally.answer(time.Now(), binary.BigEndian.Uint64(answer))
		e.mu.Unlock()
	}
}

// tally follows requests, which are numbered from 0.
type tally struct {
	timeout time.Duration
	sentAt  map[uint64]time.Time // of those that are waited for
	next    uint64               // the next request
	oldest  uint64               // no request before it is waited for
	latest  uint64               // one more than the greatest number answered
	counts  EchoStatistics       // without Mean
	sum     time.Duration        // of all round-trip times
}

func (t *tally) send(now time.Time) (number uint64) {
	t.expire(now)
	number = t.next
	t.next++
	t.sentAt[number] = now
	t.counts.Sent++
	return number
}

func (t *tally) answer(now time.Time, number uint64) {
	t.expire(now)
	sent, ok := t.sentAt[number]
	if !ok {
		if number < t.next {
			t.counts.Stale++
		}
		return
	}
	delete(t.sentAt, number)
	c, rtt := &t.counts, now.Sub(sent)
	if number < t.latest {
		c.Reordered++
	}
	t.latest = max(t.latest, number+1)
	if c.Received == 0 || rtt < c.Min {
		c.Min = rtt
	}
	c.Last, c.Max = rtt, max(c.Max, rtt)
	c.Received++
	t.sum += rtt
}

// expire gives up those requests whose time is over.
func (t *tally) expire(now time.Time) {
	for ; t.oldest < t.next; t.oldest++ {
		sent, ok := t.sentAt[t.oldest]
		if ok && now.Sub(sent) < t.timeout {
			return
		}
		if ok {
			delete(t.sentAt, t.oldest)
			t.counts.Lost++
		}
	}
}

func (t *tally) statistics() EchoStatistics {
	s := t.counts
	if s.Received > 0 {
		s.Mean = t.sum / time.Duration(s.Received)
	}
	return s
}
