package lcp

import "time"

// Keepalive watches a link by Echo-Requests (RFC 1661 section 5.8): one each
// Interval; after Failures of them in a row without an answer the peer is held
// to be dead. The zero value with the two fields set is ready.
type Keepalive struct {
	Interval time.Duration
	Failures int

	id     uint8
	silent int // requests sent since the last sign of life
	sent   [echoWindow]echo
	stats  EchoStats

	began       time.Time     // when the half that is going on did
	now, before time.Duration // least round trips of it and of the one before; 0: there was none
}

// half is half of the time for which a least round trip counts.
const half = 150 * time.Second

// echoWindow is how many requests are remembered: a reply that comes later
// than that many intervals is a sign of life without a round-trip time.
const echoWindow = 16

type echo struct {
	at       time.Time
	number   uint64 // in this session
	id       uint8
	pending  bool
	answered bool
}

// EchoStats is what the echoes tell about a line.
type EchoStats struct {
	Sent, Received uint64        // in this session
	Silent         int           // requests in a row without an answer, the newest included
	RTT            time.Duration // of the last answer; 0: none yet
	Answered       uint64        // which request the last answer was to: 1 is the first
	Least          time.Duration // of the last minutes, two and a half to five
	Loss           float64       // 0..1, of the last requests whose time is up
}

// Reset starts a new session.
func (k *Keepalive) Reset() { *k = Keepalive{Interval: k.Interval, Failures: k.Failures} }

// Tick is one interval. It returns the identifier of the Echo-Request to
// send, or dead if too many have gone unanswered.
func (k *Keepalive) Tick(now time.Time) (id uint8, dead bool) {
	if k.silent >= k.Failures {
		return 0, true
	}
	k.id++
	k.silent++
	k.stats.Sent++
	k.sent[k.id%echoWindow] = echo{at: now, number: k.stats.Sent, id: k.id, pending: true}
	return k.id, false
}

// Reply takes an Echo-Reply.
func (k *Keepalive) Reply(now time.Time, id uint8) {
	k.Alive()
	e := &k.sent[id%echoWindow]
	if !e.pending || e.id != id || e.answered {
		return
	}
	e.answered = true
	k.stats.Received++
	k.stats.RTT, k.stats.Answered = now.Sub(e.at), e.number
	k.least(now)
}

// least takes the last round trip into account. It looks at two halves, so that a line that has become longer is believed after a while.
func (k *Keepalive) least(now time.Time) {
	if age := now.Sub(k.began); k.now == 0 || age >= half {
		k.before, k.now, k.began = k.now, k.stats.RTT, now
		if age >= 2*half {
			k.before = 0
		}
	}
	k.now = min(k.now, k.stats.RTT)
	k.stats.Least = k.now
	if k.before != 0 {
		k.stats.Least = min(k.now, k.before)
	}
}

// Alive takes any other proof that the peer is there.
func (k *Keepalive) Alive() { k.silent = 0 }

// Stats returns the state of things. A request counts as lost when the one
// after it has been sent, too.
func (k *Keepalive) Stats() EchoStats {
	s := k.stats
	s.Silent = k.silent
	var due, lost int
	for _, e := range k.sent {
		if !e.pending || e.id == k.id && !e.answered {
			continue
		}
		due++
		if !e.answered {
			lost++
		}
	}
	if due > 0 {
		s.Loss = float64(lost) / float64(due)
	}
	return s
}
