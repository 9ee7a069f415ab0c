package line

import (
	"net"
	"net/netip"
	"time"

	"linebond/auth"
	"linebond/lcp"
)

// State is where a line stands in its life.
type State uint8

// The states. Establish to Terminate are the phases of RFC 1661 section 3.2.
const (
	Stopped      State = iota // not wanted
	Unplugged                 // its Ethernet device is missing or has no carrier
	Waiting                   // until the next dial
	Discovery                 // looking for an access concentrator
	Establish                 // LCP negotiates
	Authenticate              // proving who we are
	Network                   // IPCP and IPv6CP negotiate
	Running                   // carries packets
	Held                      // carrier lost; the session is kept for a while
	Terminate                 // closing
)

var stateWords = [...]string{"down", "unplugged", "waiting", "discovery", "establish", "authenticate", "network", "up", "held", "terminate"}

// String gives the state's word, which does not change between releases.
func (s State) String() string { return stateWords[s] }

// MarshalText gives String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Status is a line as seen from outside: a plain value.
type Status struct {
	Name   string
	Device string // of the session: "ppp-fast"
	Link   string // below it: "eth1.101"

	State  State
	Reason Reason
	Since  time.Time // when State began

	Session *Session // nil outside a session
	IPv4    IPv4
	IPv6    IPv6
	Echo    lcp.EchoStats

	Ended    Reason    // why the last session that was up is over; zero: none has been
	NextDial time.Time // in Waiting
	Failures int       // dials without success since the line was last up
	Counters Counters
}

// Session is what discovery, LCP and authentication agreed on.
type Session struct {
	ID          uint16
	AC          net.HardwareAddr
	ACName      string
	ServiceName string
	Auth        auth.Method // 0: none was asked for
	MTU         int         // of the device; 0 before the network phase
	MTULimit    string      // why MTU is less than configured; "" if it is not
	UpSince     time.Time   // zero before the first address
}

// IPv4 is what IPCP obtained; the zero value if it is not open.
type IPv4 struct {
	Local, Peer netip.Addr // Peer may be invalid: an unnumbered peer
	DNS         []netip.Addr
}

// IPv6 are the link-local addresses that IPv6CP agreed on.
type IPv6 struct{ Local, Peer netip.Addr }

// Carries says whether the line can carry packets now.
func (s Status) Carries() bool { return s.State == Running }
