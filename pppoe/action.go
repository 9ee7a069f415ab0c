package pppoe

import (
	"fmt"
	"net"
	"time"

	"linebond/ppp"
)

// ActionKind tells the kinds of Action apart.
type ActionKind uint8

// What a Client or a Server may ask of the code around it.
const (
	Send      ActionKind = iota // send Payload to Dst, as a frame of type 0x8863
	SetTimer                    // call Timeout after Delay; replaces the last timer
	StopTimer                   // forget the timer
	Done                        // a client: Session is there; the client rests
	Fail                        // a client: there is none, see Failure; the client rests
	Open                        // a server: Session with Host is there
	Close                       // a server: Session with Host was ended by the host, see Failure.Message
)

// Action is one thing to do. It is valid until the machine's next call; only
// Session keeps.
type Action struct {
	Kind    ActionKind
	Dst     net.HardwareAddr
	Payload []byte
	Delay   time.Duration
	Host    net.HardwareAddr
	Session Session
	Failure Failure
}

// Failure says why there is no session.
type Failure struct {
	Kind    FailureKind
	Message string // the AC's words, printable and at most maxWords runes; often ""
}

// FailureKind tells the kinds of Failure apart.
type FailureKind uint8

// Why discovery fails.
const (
	PADOTimeout      FailureKind = iota + 1 // no AC offered what was asked for
	PADSTimeout                             // the AC did not answer the PADR
	ServiceNameError                        // the AC does not give this service
	ACSystemError                           // the AC could not do it
	GenericError                            // any other refusal
	BadSessionID                            // the AC confirmed a session without a legal number
)

// String gives the failure in words.
func (k FailureKind) String() string {
	switch k {
	case PADOTimeout:
		return "PADO timeout"
	case PADSTimeout:
		return "PADS timeout"
	case ServiceNameError:
		return "Service-Name-Error"
	case ACSystemError:
		return "AC-System-Error"
	case GenericError:
		return "Generic-Error"
	case BadSessionID:
		return "illegal session id in PADS"
	}
	return fmt.Sprintf("FailureKind(%d)", uint8(k))
}

// refusal returns the first error tag of a packet (RFC 2516 appendix A).
func (p Packet) refusal() (Failure, bool) {
	for _, t := range p.Tags {
		var kind FailureKind
		switch t.Type {
		case TagServiceNameError:
			kind = ServiceNameError
		case TagACSystemError:
			kind = ACSystemError
		case TagGenericError:
			kind = GenericError
		default:
			continue
		}
		return Failure{Kind: kind, Message: ppp.Printable(t.Value, maxWords)}, true
	}
	return Failure{}, false
}
