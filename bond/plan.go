package bond

import (
	"net/netip"
	"time"

	"linebond/config"
	"linebond/line"
	"linebond/netstate"
	"linebond/rate"
)

// Plan is what the host should look like, and why.
type Plan struct {
	State     netstate.State
	Resolvers []Resolver
	Bonds     []Bond    // in the order of the configuration
	Events    []Event   // what has changed since the last Plan, for the log
	Next      time.Time // when the plan becomes another with nothing happening; zero: never
}

// Resolver are the DNS servers that one line's provider named.
type Resolver struct {
	Line    string
	Device  string
	Servers []netip.Addr
}

// Bond is a bond and its lines, as seen from outside.
type Bond struct {
	Device    string // or what is said in its place, with ModeMultipath; with SchedulerNumgen a name alone
	Mode      string
	Scheduler string         // with ModeWeighted: SchedulerEBPF or SchedulerNumgen
	Addresses []netip.Prefix // that it is to have, or its lines; none: not known at the moment
	MTU       int            // the least of the lines that are in; 0: none is
	Members   []Membership   // by name of line
}

// What chooses the lines of a weighted bond's packets.
const (
	SchedulerEBPF   = "ebpf"
	SchedulerNumgen = "numgen" // nftables: see WithoutEBPF
)

// Membership is a line's part in its bond.
type Membership struct {
	Line, Device string
	In           bool        // it takes packets
	Fallback     bool        // it is used only while no other line can be
	Reason       string      // why it is in, or not: for people
	Since        time.Time   // when In became what it is
	Rejoin       time.Time   // when it is in again if it stays well; zero unless it waits for that
	Share        float64     // of the bond's packets, or bytes, or of its connections, 0 to 1
	Upload       config.Rate // as configured; 0: not said
	Auto         bool        // it is to be learned
	Believed     config.Rate // by which a weighted bond goes while the line is in; 0: all its lines count as equal
	Learned      bool        // Believed was learned, not configured
}

// EventKind is what an Event tells.
type EventKind uint8

// The kinds of events.
const (
	Joined EventKind = iota // a line takes packets
	Left                    // a line takes none any more
	Warned                  // the bond will not do what its user expects
)

// String gives the kind's word, which does not change between releases.
func (k EventKind) String() string { return [...]string{"joined", "left", "warned"}[k] }

// Event is a change that the log should tell of.
type Event struct {
	Kind    EventKind
	Bond    string // its device
	Line    string // "" with Warned
	Reason  string
	Members int // lines that are in once all events of the plan are done
}

// Member is a line's configuration and where it stands.
type Member struct {
	Config  config.Line
	Status  line.Status
	Ping    Ping
	Learned rate.Estimate // with UploadAuto what is known, and else what its echoes show to be less than is configured; the zero value: nothing
}

// Ping is what pings through a line tell about it.
type Ping struct {
	Silent int           // rounds in a row without any answer; 0 when nothing is pinged
	RTT    time.Duration // of the last answer; 0: none yet
	Loss   float64       // 0 to 1, of late
}
