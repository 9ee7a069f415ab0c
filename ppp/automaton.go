package ppp

import (
	"bytes"
	"time"
)

// Policy is what sets one control protocol apart from another: what we ask
// for, and what we grant to the peer. The options handed to its methods alias
// the received packet; a policy that keeps their data copies it.
type Policy interface {
	// Request appends the options of our next Configure-Request.
	Request(opts []Option) []Option
	// Judge decides on the peer's Configure-Request: ConfigureAck (the options
	// are granted and take effect), ConfigureReject with the options that we
	// do not know, or ConfigureNak with values that we would take instead.
	Judge(opts []Option) (Code, []Option)
	// Nak adjusts what we ask for to the peer's hints, Reject stops asking for
	// what the peer does not know.
	Nak(opts []Option)
	Reject(opts []Option)
}

// Extension is implemented by the Policy of a protocol that has codes of its
// own; only LCP does (RFC 1661 section 5.7 to 5.9).
type Extension interface {
	// Classify says what a packet with a code above CodeReject means.
	Classify(p Packet) Meaning
	// Rejected says that the peer does not know a code above CodeReject.
	Rejected(c Code)
	// AppendEchoReply appends the reply to an Echo-Request, or nothing when p
	// is an Echo-Reply or a Discard-Request.
	AppendEchoReply(b []byte, p Packet) []byte
}

// Meaning is the automaton's event for a packet of an Extension.
type Meaning int8

// What Classify may say.
const (
	UnknownCode    Meaning = iota // RUC: answer with a Code-Reject
	Ignore                        // no event: the packet is informational, or malformed
	Echo                          // RXR
	HarmlessReject                // RXJ+: Protocol-Reject of something we can live without
	FatalReject                   // RXJ-: Protocol-Reject of the protocol itself
)

// Times are the counters and timers of RFC 1661 section 4.6.
type Times struct {
	// First is the wait before the first repetition of a Configure-Request; it
	// grows by a quarter each time, up to Restart. Starting early costs nothing
	// and saves seconds when the peer missed the first request, as an access
	// concentrator does that is still starting its PPP. (The RFC would have the
	// period at least double; For guards against what that is good for.)
	First        time.Duration
	Restart      time.Duration // RFC: 3 s
	Terminate    time.Duration // wait for a Terminate-Ack, and pause after sending one; RFC: Restart
	MaxConfigure int           // RFC: 10; more are needed for as long a patience when the first are early
	MaxTerminate int           // RFC: 2
	MaxFailure   int           // RFC: 5
}

// DefaultTimes are the RFC's defaults with an early first repetition, and a
// close that is done within the five seconds that a service manager grants.
var DefaultTimes = Times{
	First: 100 * time.Millisecond, Restart: 3 * time.Second, Terminate: time.Second,
	MaxConfigure: 16, MaxTerminate: 2, MaxFailure: 5,
}

// For returns the times for a link whose round trip is known: First is no less
// than four round trips, so that no repetition is under way when an answer
// arrives, and undoes at the peer what was agreed.
func (t Times) For(roundTrip time.Duration) Times {
	t.First = min(max(t.First, 4*roundTrip), t.Restart)
	return t
}

// ActionKind tells the kinds of Action apart.
type ActionKind uint8

// What an automaton may ask of the code around it.
const (
	Send          ActionKind = iota // send Packet to the peer
	SetTimer                        // call Timeout after Delay; replaces the last timer
	StopTimer                       // forget the timer
	LayerUp                         // This-Layer-Up: negotiated, both ways
	LayerDown                       // This-Layer-Down: no longer
	LayerStarted                    // This-Layer-Started: the lower layer is needed
	LayerFinished                   // This-Layer-Finished: the lower layer is not needed
)

// Action is one thing to do. It is valid until the automaton's next call.
type Action struct {
	Kind   ActionKind
	Packet []byte
	Delay  time.Duration
}

// Counters count what an automaton refused to take.
type Counters struct {
	Malformed uint64 // options that do not parse
	Stale     uint64 // answers to a request that is not, or no longer, outstanding
}

// Automaton is the option negotiation automaton of RFC 1661 section 4. It is
// a value: each method is an event and returns what to do. It never sends,
// sleeps or locks. One timer belongs to it (SetTimer, StopTimer, Timeout).
type Automaton struct {
	policy Policy
	times  Times
	state  State

	restart int           // restart counter: transmissions left
	wait    time.Duration // current period of the restart timer
	failure int           // requests answered by a Nak since the last Ack (RFC 1661 section 4.6, Max-Failure)
	nakID   uint8         // identifier of the last of them
	refused int           // requests of ours that the peer refused by a Nak or Reject in this negotiation
	kicked  bool          // the peer's first request has already hastened ours

	nextID      uint8
	requestID   uint8 // identifier of our last Configure-Request
	terminateID uint8
	outstanding bool // our last Configure-Request has not been answered
	peerMRU     int  // bound of a Code-Reject

	request  []byte   // options of our last Configure-Request, wire form
	received []Option // scratch: the packet at hand
	wanted   []Option // scratch: what we ask for
	buf      []byte   // arena of the packets in actions
	actions  []Action
	counters Counters
}

// New returns an automaton in state Initial. The policy may implement Extension.
func New(policy Policy, times Times) *Automaton {
	return &Automaton{policy: policy, times: times, peerMRU: 1500}
}

// State returns the state.
func (a *Automaton) State() State { return a.state }

// Counters returns what has been refused so far.
func (a *Automaton) Counters() Counters { return a.counters }

// SetPeerMRU bounds the packets that quote the peer's own (RFC 1661 section 5.6).
func (a *Automaton) SetPeerMRU(mru int) { a.peerMRU = mru }

// Up says that the lower layer is ready to carry packets.
func (a *Automaton) Up() []Action { return a.handle(evUp, Packet{}) }

// Down says that the lower layer is gone.
func (a *Automaton) Down() []Action { return a.handle(evDown, Packet{}) }

// Open says that the link is wanted.
func (a *Automaton) Open() []Action { return a.handle(evOpen, Packet{}) }

// Close says that the link is no longer wanted.
func (a *Automaton) Close() []Action { return a.handle(evClose, Packet{}) }

// Timeout says that the time of the last SetTimer has passed.
func (a *Automaton) Timeout() []Action {
	if a.restart > 0 {
		return a.handle(evTOplus, Packet{})
	}
	return a.handle(evTOminus, Packet{})
}

// handle carries out one event.
func (a *Automaton) handle(e event, p Packet) []Action {
	a.begin()
	a.step(e, p, nil)
	return a.actions
}

// begin makes room for the actions of a new call.
func (a *Automaton) begin() {
	a.actions, a.buf = a.actions[:0], a.buf[:0]
}

// Receive handles a packet of this protocol (RFC 1661 section 4.3 and 5).
func (a *Automaton) Receive(p Packet) []Action {
	a.begin()
	switch p.Code {
	case ConfigureRequest:
		a.receiveRequest(p)
	case ConfigureAck:
		a.receiveAck(p)
	case ConfigureNak, ConfigureReject:
		a.receiveNak(p)
	case TerminateRequest:
		a.step(evRTR, p, nil)
	case TerminateAck:
		a.receiveTerminateAck(p)
	case CodeReject:
		a.receiveCodeReject(p)
	default:
		a.receiveOther(p)
	}
	return a.actions
}

func (a *Automaton) receiveRequest(p Packet) {
	opts, err := appendParsed(a.received[:0], p.Data)
	if err != nil {
		a.counters.Malformed++
		return
	}
	a.received = opts
	if table[evRCRplus][a.state].do&sca == 0 { // no answer is due: the policy must not take it as granted
		a.step(evRCRplus, p, nil)
		return
	}
	code, reply := a.policy.Judge(opts)
	repeat := a.failure > 0 && p.ID == a.nakID // the Nak was lost, or is late; nothing was haggled over
	if code == ConfigureNak && !repeat && a.failure >= a.times.MaxFailure {
		code, reply = ConfigureReject, sameTypes(opts, reply)
		if len(reply) == 0 { // only what we would have liked it to ask for was missing
			code = ConfigureAck
		}
	}
	switch code {
	case ConfigureAck:
		a.failure = 0
		a.step(evRCRplus, p, nil)
		return
	case ConfigureNak:
		if !repeat {
			a.failure++
			a.nakID = p.ID
		}
	}
	a.step(evRCRminus, Packet{Code: code, ID: p.ID}, reply)
}

// sameTypes picks those of asked whose types are in refused: a Nak that has
// not convinced the peer becomes a Reject of its own options, and options that
// it did not ask for are no longer brought up (RFC 1661 section 4.6,
// Max-Failure).
func sameTypes(asked, refused []Option) []Option {
	var same []Option
	for _, o := range asked {
		for _, r := range refused {
			if o.Type == r.Type {
				same = append(same, o)
				break
			}
		}
	}
	return same
}

// answers says whether p answers our outstanding Configure-Request. The peer
// may answer a repeated request twice; the second answer is stale, and must
// not be taken for a crossed connection.
func (a *Automaton) answers(p Packet) bool {
	if a.state < ReqSent {
		return true // the table knows what to do; no request is at stake
	}
	if a.outstanding && p.ID == a.requestID {
		return true
	}
	a.counters.Stale++
	return false
}

func (a *Automaton) receiveAck(p Packet) {
	if !a.answers(p) {
		return
	}
	if a.state >= ReqSent && !bytes.Equal(p.Data, a.request) {
		a.counters.Malformed++ // RFC 1661 section 5.2: must equal what we asked
		return
	}
	a.outstanding = false
	a.step(evRCA, p, nil)
}

func (a *Automaton) receiveNak(p Packet) {
	if !a.answers(p) {
		return
	}
	opts, err := appendParsed(a.received[:0], p.Data)
	if err != nil || a.state >= ReqSent && p.Code == ConfigureReject && !a.asked(opts) {
		a.counters.Malformed++
		return
	}
	a.received = opts
	if a.state >= ReqSent {
		a.outstanding = false
		if p.Code == ConfigureNak {
			a.policy.Nak(opts)
		} else {
			a.policy.Reject(opts)
		}
		a.refused++
	}
	a.step(evRCN, p, nil)
}

// asked says whether each of opts, of which there must be one, stands bit for
// bit in our last request (RFC 1661 section 5.4).
func (a *Automaton) asked(opts []Option) bool {
	ours, err := ParseOptions(a.request)
	if err != nil || len(opts) == 0 {
		return false
	}
	for _, o := range opts {
		found := false
		for _, r := range ours {
			found = found || o.Equal(r)
		}
		if !found {
			return false
		}
	}
	return true
}

func (a *Automaton) receiveTerminateAck(p Packet) {
	if (a.state == Closing || a.state == Stopping) && p.ID != a.terminateID {
		a.counters.Stale++
		return
	}
	a.step(evRTA, p, nil)
}

// receiveCodeReject: a peer without the basic codes cannot be talked to; one
// without an extension can (RFC 1661 section 4.3, RXJ+ and RXJ-).
func (a *Automaton) receiveCodeReject(p Packet) {
	if len(p.Data) == 0 {
		a.counters.Malformed++
		return
	}
	code := Code(p.Data[0])
	if code >= ConfigureRequest && code <= CodeReject {
		a.step(evRXJminus, p, nil)
		return
	}
	if x, ok := a.policy.(Extension); ok {
		x.Rejected(code)
	}
	a.step(evRXJplus, p, nil)
}

func (a *Automaton) receiveOther(p Packet) {
	meaning := UnknownCode
	if x, ok := a.policy.(Extension); ok {
		meaning = x.Classify(p)
	}
	if a.state != Opened && (meaning == HarmlessReject || meaning == FatalReject) {
		return // RFC 1661 section 5.7: a Protocol-Reject counts in Opened only
	}
	switch meaning {
	case UnknownCode:
		a.step(evRUC, p, nil)
	case Echo:
		a.step(evRXR, p, nil)
	case HarmlessReject:
		a.step(evRXJplus, p, nil)
	case FatalReject:
		a.step(evRXJminus, p, nil)
	case Ignore:
	}
}
