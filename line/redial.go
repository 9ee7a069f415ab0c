package line

import "time"

// The schedule of redialling.
const (
	// firstDialSpread spreads the first dials of several lines (TR-124 WAN.PPP.8).
	firstDialSpread = 50 * time.Millisecond
	// settled is how long a session must have been up to count as a success:
	// one that falls sooner must not be redialled without pause.
	settled = 10 * time.Second
	// setup is how long a session may take to be up: peers have been seen that
	// refuse each request anew, and would do so for ever.
	setup = 90 * time.Second
	// retryNetwork is the pause before a network protocol that has failed is
	// tried again while the other one is up.
	retryNetwork = 30 * time.Second
	// eager is for how long after a session a silent access concentrator is
	// called at short intervals: a line is back within a second of its return.
	// A day outlasts the repairs of an ISP, and costs it three small frames in
	// two seconds.
	eager = 24 * time.Hour
	// maxBackoff bounds the pause between dials.
	maxBackoff = 30 * time.Second
	// Some access concentrators lock out who tries a wrong password too often
	// (TR-124 WAN.PPP.9): 3 tries, 5 minutes, 3 tries, then 3 each half hour.
	authTries      = 3
	authPause      = 5 * time.Minute
	authLongPause  = 30 * time.Minute
	holdCarrier    = 2 * time.Minute // TR-124 WAN.PPP.7
	awaitVerdict   = 50 * time.Millisecond
	discoveryFirst = time.Second
	discoveryMost  = 8 * time.Second
	discoveryTries = 4
	eagerWait      = 700 * time.Millisecond
	eagerTries     = 40
)

// pauseAfter returns how long to wait before the next dial, once an attempt or
// a session has ended for the cause given: not at all after a session that was
// up for a while, when the operator asks, or when it is for the carrier to return.
func (l *Line) pauseAfter(c Cause) time.Duration {
	up := l.status.Session != nil && !l.status.Session.UpSince.IsZero()
	if up {
		l.lastUp = l.now
	}
	switch {
	case up && l.now.Sub(l.status.Session.UpSince) >= settled:
		l.shortSessions = 0
		return 0
	case l.redial, !l.wanted, c == Operator, c == CarrierLost, c == NoDevice:
		return 0
	case up:
		l.shortSessions++
		return l.backoff(l.shortSessions - 1)
	}
	return l.pauseAfterFailure(c)
}

func (l *Line) pauseAfterFailure(c Cause) time.Duration {
	if l.refused(c) {
		l.authFailures++
		switch {
		case l.authFailures%authTries != 0:
			return l.backoff(l.authFailures % authTries)
		case l.authFailures == authTries:
			return authPause
		}
		return authLongPause
	}
	silent := c == PADOTimeout || c == PADSTimeout
	if silent && l.eager() {
		return 0 // discovery itself has waited long enough
	}
	l.failures++
	return l.backoff(l.failures)
}

// refused says whether a dial that ended so follows the slow schedule. A
// session that is cut off while we authenticate may be a refusal without words,
// or an outage of the ISP's RADIUS servers: where the credentials have worked
// before, it is held to be an outage.
func (l *Line) refused(c Cause) bool {
	return c == AuthRefused || c == AuthAborted || c == AuthCut && !l.proven
}

// backoff returns 1 s, 2 s, 4 s, ... up to maxBackoff for the n-th failure in
// a row, or up to a quarter less.
func (l *Line) backoff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	d := maxBackoff
	if n < 6 {
		d = min(d, time.Second<<(n-1))
	}
	return d - d/4 + l.randomDuration(d/4)
}

// eager says whether the line was up a short while ago.
func (l *Line) eager() bool {
	return !l.lastUp.IsZero() && l.now.Sub(l.lastUp) < eager
}

// randomDuration returns a duration from 0 to most.
func (l *Line) randomDuration(most time.Duration) time.Duration {
	var b [4]byte
	l.random(b[:])
	f := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	return time.Duration(uint64(most) * f >> 32)
}
