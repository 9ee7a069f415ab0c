package auth

import (
	"time"

	"linebond/ppp"
)

// The timing of RFC 1334 section 2.2 and RFC 1994 section 4.1 is left to the
// implementation. The first repetition comes early, as the other side may not
// have reached the authentication phase when the first copy arrived.
const (
	firstWait = 300 * time.Millisecond // before the first repetition; doubles up to maxWait
	maxWait   = 3 * time.Second
	maxTries  = 10               // copies of a packet before giving up
	startWait = 10 * time.Second // for the packet that the other side has to begin with
)

// maxName is what PAP's length bytes can say (RFC 1334 section 2.2.1); CHAP
// sets no bound, and no one has a longer user name.
const maxName = 255

// machine is one side of one protocol.
type machine interface {
	start()
	receive(p ppp.Packet)
	timeout() // only while the timer is set
	common() *exchange
}

// hidden holds a machine where no printing gets at it: the machine's buffers
// have seen the password, and fmt follows a pointer when the verb does not
// suit it. Nothing looks into a function.
type hidden func() machine

func hide(m machine) hidden { return func() machine { return m } }

// state is how far a machine has come.
type state uint8

const (
	idle   state = iota // not started
	open                // no verdict yet
	passed              // Success
	ended               // Failure or NoAnswer
)

// exchange is what all machines share: the actions of the event at hand, and
// the timer of the packet that is repeated until it is answered.
type exchange struct {
	protocol ppp.Protocol
	state    state
	actions  []Action
	buf      []byte // holds the payloads in actions
	timer    bool   // is set
	tries    int    // copies sent
	wait     time.Duration
	counters Counters
}

func (x *exchange) common() *exchange { return x }

func (x *exchange) emit(a Action) { x.actions = append(x.actions, a) }

func (x *exchange) send(p ppp.Packet) {
	from := len(x.buf)
	x.buf = p.Append(x.buf)
	x.emit(Action{Kind: Send, Protocol: x.protocol, Payload: x.buf[from:]})
}

func (x *exchange) setTimer(d time.Duration) {
	x.timer = true
	x.emit(Action{Kind: SetTimer, Delay: d})
}

func (x *exchange) stopTimer() {
	if x.timer {
		x.timer = false
		x.emit(Action{Kind: StopTimer})
	}
}

// rewind makes the next copy the first one.
func (x *exchange) rewind() { x.tries, x.wait = 0, firstWait }

// again counts a copy that is about to be sent and sets the timer to the next
// one. If all have been sent it gives up, and returns false.
func (x *exchange) again() bool {
	if x.tries == maxTries {
		x.conclude(Action{Kind: NoAnswer})
		return false
	}
	x.tries++
	x.setTimer(x.wait)
	x.wait = min(2*x.wait, maxWait)
	return true
}

// conclude ends the exchange with a, which is a Success, Failure or NoAnswer.
func (x *exchange) conclude(a Action) {
	x.stopTimer()
	x.state = ended
	if a.Kind == Success {
		x.state = passed
	}
	x.emit(a)
}

// fits says whether a name or password can be sent at all; if not, it fails.
func (x *exchange) fits(what, s string) bool {
	if len(s) <= maxName {
		return true
	}
	x.conclude(Action{Kind: Failure, Ours: true, Message: "the " + what + " is longer than 255 bytes"})
	return false
}

// begin clears the actions of the event before.
func (x *exchange) begin() {
	x.actions, x.buf = x.actions[:0], x.buf[:0]
}

func start(m machine) []Action {
	x := m.common()
	x.begin()
	x.stopTimer()
	x.rewind()
	x.state = open
	m.start()
	return x.actions
}

func receive(m machine, protocol ppp.Protocol, p ppp.Packet) []Action {
	x := m.common()
	x.begin()
	if protocol != x.protocol || x.state == idle {
		x.counters.Unexpected++
		return nil
	}
	m.receive(p)
	return x.actions
}

func timeout(m machine) []Action {
	x := m.common()
	x.begin()
	if !x.timer {
		return nil
	}
	x.timer = false
	m.timeout()
	return x.actions
}
