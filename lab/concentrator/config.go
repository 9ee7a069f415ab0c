package concentrator

import (
	"net"
	"net/netip"
	"time"

	"linebond/auth"
	"linebond/ppp"
)

// Config describes an access concentrator. Name, MAC and Random have no
// default.
type Config struct {
	Name     string           // AC-Name, and its name in CHAP challenges
	MAC      net.HardwareAddr // that it sends from
	Services []string         // PADIs for others stay unanswered; none: any service

	OfferDelay time.Duration // before each PADO
	MaxPayload uint16        // the most that is granted by RFC 4638, in bytes; 0: 1492

	Auth  []auth.Method // that hosts may choose from, best first; none: they need not prove who they are
	Users []User

	// Addresses of hosts, where their User has no fixed one: Shared for every
	// session, or else one of Pool, until the session ends. Without either
	// there are none: IPCP rejects the option.
	Shared netip.Addr
	Pool   netip.Prefix
	Local  netip.Addr // its own address in IPCP; invalid: it keeps that to itself
	DNS    []netip.Addr
	IPv6   bool // whether there is IPv6CP

	MaxSessions        int // 0: as many as there are session ids
	MaxSessionsPerHost int // of one Ethernet address; 0: MaxSessions

	// Echo-Requests to the host, one each EchoInterval (0: none); after
	// EchoFailures of them in a row without an answer the session ends.
	EchoInterval time.Duration
	EchoFailures int

	Random func([]byte) // fills with random bytes
}

// User is a subscriber.
type User struct {
	Name     string
	Password auth.Secret
	Address  netip.Addr // fixed; invalid: as Config says
}

// Host is where a frame comes from and goes to.
type Host struct {
	MAC     [6]byte
	Circuit uint32 // the caller's name for the way to the host, such as its VLAN tags; comes back unchanged
}

// Action is something to be done, in the order given. Actions and the bytes in
// them are valid until the machine's next call.
type Action interface{ action() }

// The actions.
type (
	// SendDiscovery sends a frame of ethertype 0x8863.
	SendDiscovery struct {
		To      Host
		Payload []byte
	}
	// SendFrame sends a PPP frame of a session.
	SendFrame struct {
		To       Host
		Session  uint16
		Protocol ppp.Protocol
		Payload  []byte
	}
	// SetTimer asks for Fired(Timer) after Delay.
	SetTimer struct {
		Timer Timer
		Delay time.Duration
	}
	// SessionUp says that a session carries packets, and which. It comes again
	// when IPv4 or IPv6 comes or goes.
	SessionUp struct{ Session Session }
	// SessionDown says that a session carries nothing: because it is over, or
	// else until the next SessionUp. Each session's end is told, also of one
	// that was never up.
	SessionDown struct {
		Session Session // as it was
		Over    bool
		Reason  string
	}
)

func (SendDiscovery) action() {}
func (SendFrame) action()     {}
func (SetTimer) action()      {}
func (SessionUp) action()     {}
func (SessionDown) action()   {}

// Timer names a setting of a timer. Each setting is another one, so that a
// firing that comes late is known by it; it replaces the last one of the same
// TimerID.
type Timer struct {
	TimerID
	generation uint64
}

// TimerID names a timer.
type TimerID struct {
	session uint16 // 0: the concentrator's own
	kind    timerKind
}

type timerKind uint8

const (
	timerLCP timerKind = iota
	timerAuth
	timerIPCP
	timerIPv6CP
	timerEcho
	timerSetup // the end of a session that does not come up
	numTimers

	timerOffer = numTimers // the concentrator's own: the next PADO
)

// State is how far a session has come: the phases of RFC 1661 section 3.2.
type State uint8

// The states.
const (
	Establish    State = iota // LCP negotiates
	Authenticate              // the host proves who it is
	Network                   // IPCP and IPv6CP negotiate
	Running                   // carries packets
	Terminate                 // closing
)

// String gives the state's word.
func (s State) String() string {
	return [...]string{"establish", "authenticate", "network", "up", "terminate"}[s]
}

// Session is a session as seen from outside: a plain value.
type Session struct {
	ID    uint16
	Host  Host
	State State
	Since time.Time   // when State began
	User  string      // "" before the host has proven who it is, or where it need not
	Auth  auth.Method // 0: none yet

	// Of both ends; invalid unless IPCP is open, or IPv6CP.
	Local, Remote         netip.Addr // IPv4; Local as in Config
	LinkLocal, RemoteLink netip.Addr // IPv6, fe80::/64
	MTU                   int        // bytes: the largest packet that the host receives; 0 until LCP is open
}
