package line

import (
	"fmt"
	"io"
	"net"
	"time"

	"linebond/ppp"
	"linebond/pppoe"
)

// Event is something that happened to a line; Handle takes it.
type Event interface{ event() }

// The events.
type (
	// Start begins the line's life. Stale, if any, is the session that an
	// earlier process left behind: the access concentrator is told that it is
	// over, since some stay silent for half an hour until they know.
	Start struct{ Stale *pppoe.Session }
	// LinkChanged tells the state of the Ethernet device below; sent at the
	// start and whenever it changes.
	LinkChanged struct{ Link Link }
	// DiscoveryFrame is the payload of a frame of ethertype 0x8863.
	DiscoveryFrame struct {
		Src     net.HardwareAddr
		Payload []byte
	}
	// DiscoveryFailed says that the discovery socket could not be opened, or has
	// died.
	DiscoveryFailed struct{ Err error }
	// SessionOpened and SessionFailed answer OpenSession.
	SessionOpened struct{}
	// SessionFailed also answers CreateUnit when that goes wrong.
	SessionFailed struct{ Err error }
	// SessionLost says that the kernel has hung up the session.
	SessionLost struct{ Err error }
	// Frame is a PPP frame of the session, its protocol number taken off.
	Frame struct {
		Protocol ppp.Protocol
		Payload  []byte
	}
	// TimerFired answers SetTimer; a generation that is not the last set is late
	// and is dropped.
	TimerFired struct {
		Timer      Timer
		Generation uint64
	}
	// Up is the operator's wish that the line be up; Down, that it not be, for
	// the reason given; Redial, that it begin anew.
	Up struct{}
	// Down closes the session in an orderly way.
	Down struct{ Cause Cause }
	// Redial closes the session in an orderly way and dials again at once.
	Redial struct{}
)

func (Start) event()           {}
func (LinkChanged) event()     {}
func (DiscoveryFrame) event()  {}
func (DiscoveryFailed) event() {}
func (SessionOpened) event()   {}
func (SessionFailed) event()   {}
func (SessionLost) event()     {}
func (Frame) event()           {}
func (TimerFired) event()      {}
func (Up) event()              {}
func (Down) event()            {}
func (Redial) event()          {}

// Link is the Ethernet device that the line runs on.
type Link struct {
	Exists  bool
	Carrier bool   // up, and with a signal
	MTU     int    // bytes
	Address string // Ethernet address, e.g. 02:00:00:00:00:01
}

// Action is something to be done; the daemon carries them out in order.
type Action interface{ action() }

// The actions.
type (
	// OpenDiscovery opens the discovery socket; frames come back as
	// DiscoveryFrame, failure as DiscoveryFailed.
	OpenDiscovery struct{}
	// SendDiscovery sends a frame of ethertype 0x8863.
	SendDiscovery struct {
		Dst     net.HardwareAddr
		Payload []byte
	}
	// OpenSession opens the path for session frames.
	OpenSession struct{ Session pppoe.Session }
	// SendFrame sends a PPP frame through the session.
	SendFrame struct {
		Protocol ppp.Protocol
		Payload  []byte
	}
	// CreateUnit creates the network device of the session; SessionFailed if
	// that cannot be done.
	CreateUnit struct{}
	// Close closes the session, with its device, and the discovery socket.
	Close struct{}
	// SaveSession keeps the session's name for Start.Stale of the next process;
	// ForgetSession says that it is over.
	SaveSession struct{ Session pppoe.Session }
	// ForgetSession says that the access concentrator has been told of its end.
	ForgetSession struct{}
	// SetTimer asks for a TimerFired after Delay. It replaces the timer's
	// earlier setting.
	SetTimer struct {
		Timer      Timer
		Generation uint64
		Delay      time.Duration
	}
	// StatusChanged says that the line's state, reason or addresses are other
	// than before.
	StatusChanged struct{ Status Status }
	// Silence says that an Echo-Request has gone unanswered, or that the first
	// answer after that has come: Status.Echo.Silent. The rest of Status is as
	// StatusChanged said.
	Silence struct{ Status Status }
)

func (OpenDiscovery) action() {}
func (SendDiscovery) action() {}
func (OpenSession) action()   {}
func (SendFrame) action()     {}
func (CreateUnit) action()    {}
func (Close) action()         {}
func (SaveSession) action()   {}
func (ForgetSession) action() {}
func (SetTimer) action()      {}
func (StatusChanged) action() {}
func (Silence) action()       {}

// String says what is sent without a byte of Payload, which may hold a password.
func (a SendFrame) String() string {
	return fmt.Sprintf("send %v, %d bytes", a.Protocol, len(a.Payload))
}

// Format prints String for every verb: %v and %#v would show Payload.
func (a SendFrame) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// MarshalText keeps Payload out of JSON and other encodings.
func (a SendFrame) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Timer names one of a line's timers.
type Timer uint8

// The timers.
const (
	TimerDial      Timer = iota // the next dial
	TimerDiscovery              // pppoe.Client's
	TimerLCP
	TimerAuth
	TimerIPCP
	TimerIPv6CP
	TimerKeepalive // the next Echo-Request
	TimerHold      // the end of a session without carrier
	TimerVerdict   // the end of the wait for the peer's reason
	TimerSetup     // the end of a negotiation that leads nowhere
	NumTimers      // how many there are
)
