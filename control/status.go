// Package control is the daemon's local socket, for the command line and
// whoever likes to: a unix stream socket, on which a client sends one line of
// JSON, a Request, and receives one, an Answer; then the connection is closed.
//
//	{"verb":"status"}             {"status":{"version":...,"lines":[...],"bonds":[...],"trouble":""}}
//	{"verb":"up","line":"fast"}   {}
//	{"verb":"reload"}             {"error":"...","problems":["file:line:column: key: ...",...]}
//
// (HTTP would double the size of the program, and of its memory.)
package control

import (
	"time"

	"linebond/line"
)

// Status is the daemon, its lines and its bonds: as they should be, if there is
// trouble.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Lines   []Line    `json:"lines"`
	Bonds   []Bond    `json:"bonds"`
	Trouble string    `json:"trouble"` // why the host's networking is not as it should be, on one line; "": it is
}

// Line is one line. Durations are in seconds, sizes in bytes.
type Line struct {
	Name      string            `json:"name"`
	State     string            `json:"state"`
	Reason    string            `json:"reason"`
	Since     time.Time         `json:"since"`
	Device    string            `json:"device"`
	Link      string            `json:"link"`
	Dataplane string            `json:"dataplane"` // "kernel" or "ebpf"
	Session   *Session          `json:"session,omitempty"`
	IPv4      *IPv4             `json:"ipv4,omitempty"`
	IPv6      *IPv6             `json:"ipv6,omitempty"`
	Echo      Echo              `json:"echo"`
	Traffic   *Traffic          `json:"traffic,omitempty"`
	Rates     *Rates            `json:"rates,omitempty"`
	NextDial  *time.Time        `json:"next_dial,omitempty"`
	Failures  int               `json:"failures"`
	Counters  Counters          `json:"counters"`
	Dropped   map[string]uint64 `json:"dropped,omitempty"` // packets of the session that the eBPF data plane has not carried, by the reason
}

// Session is the PPPoE session.
type Session struct {
	ID          uint16     `json:"id"`
	AC          string     `json:"ac"` // MAC address
	ACName      string     `json:"ac_name"`
	ServiceName string     `json:"service_name"`
	Auth        string     `json:"auth"`
	MTU         int        `json:"mtu"`
	MTULimit    string     `json:"mtu_limit,omitempty"`
	UpSince     *time.Time `json:"up_since,omitempty"`
}

// IPv4 is what IPCP obtained.
type IPv4 struct {
	Address string   `json:"address"`
	Peer    string   `json:"peer,omitempty"`
	DNS     []string `json:"dns"`
}

// IPv6 are the link-local addresses.
type IPv6 struct {
	Address string `json:"address"`
	Peer    string `json:"peer,omitempty"`
}

// Echo is what the LCP echoes of the session tell.
type Echo struct {
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	Silent   int     `json:"silent"`
	RTT      float64 `json:"rtt"`
	LeastRTT float64 `json:"least_rtt"`
	Loss     float64 `json:"loss"` // 0 to 1
}

// Traffic counts what the session's device has carried.
type Traffic struct {
	RxBytes   uint64 `json:"rx_bytes"`
	TxBytes   uint64 `json:"tx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	TxPackets uint64 `json:"tx_packets"`
}

// Rates are what a device has carried in each of the last seconds.
type Rates struct {
	RxBits    float64 `json:"rx_bits"`
	TxBits    float64 `json:"tx_bits"`
	RxPackets float64 `json:"rx_packets"`
	TxPackets float64 `json:"tx_packets"`
}

// Bond is a bond and the lines that are configured for it.
type Bond struct {
	Device    string     `json:"device"`
	Mode      string     `json:"mode"`
	Addresses []string   `json:"addresses"`
	MTU       int        `json:"mtu,omitempty"`   // none while no line is in
	Rates     *Rates     `json:"rates,omitempty"` // of its lines together
	Members   []Member   `json:"members"`
	Scheduler *Scheduler `json:"scheduler,omitempty"` // of mode "weighted"
	Numgen    bool       `json:"numgen,omitempty"`    // mode "weighted" without eBPF, which the kernel refuses: nftables spreads the packets
}

// Member is a line's part in its bond. Shares and losses are from 0 to 1.
type Member struct {
	Line      string         `json:"line"`
	Device    string         `json:"device"`
	In        bool           `json:"in"` // it takes packets
	Fallback  bool           `json:"fallback"`
	Reason    string         `json:"reason"` // for being in or not
	Since     time.Time      `json:"since"`
	Rejoin    *time.Time     `json:"rejoin,omitempty"`
	Share     float64        `json:"share"` // of the bond's packets, as it should be
	Sent      *Sent          `json:"sent,omitempty"`
	Rates     *Rates         `json:"rates,omitempty"`
	RTT       float64        `json:"rtt"` // of the LCP echoes
	Loss      float64        `json:"loss"`
	Ping      *Ping          `json:"ping,omitempty"`
	Scheduled *ScheduledLine `json:"scheduled,omitempty"` // of mode "weighted", while the line is in
}

// Sent is a line's share of what the lines of its bond have sent in the last
// seconds.
type Sent struct {
	Packets float64 `json:"packets"`
	Bytes   float64 `json:"bytes"`
}

// Ping is what pings through the line tell.
type Ping struct {
	Silent int     `json:"silent"` // rounds in a row without an answer
	RTT    float64 `json:"rtt"`
	Loss   float64 `json:"loss"`
}

// Counters count what the line did not take, since the daemon began.
type Counters struct {
	Malformed  uint64 `json:"malformed"`
	Unexpected uint64 `json:"unexpected"`
	Unknown    uint64 `json:"unknown_protocol"`
	WrongMagic uint64 `json:"wrong_magic"`
	StalePADT  uint64 `json:"stale_padt"`
	Excess     uint64 `json:"excess"`
	Sessions   uint64 `json:"sessions"`
}

// FromLine puts a line's status into the shape that leaves the daemon.
func FromLine(s line.Status) Line {
	l := Line{
		Name: s.Name, State: s.State.String(), Reason: s.Reason.String(), Since: s.Since, Device: s.Device, Link: s.Link,
		Failures: s.Failures,
		Counters: Counters{
			s.Counters.Malformed, s.Counters.Unexpected, s.Counters.Unknown, s.Counters.WrongMagic, s.Counters.StalePADT,
			s.Counters.Excess, s.Counters.Established,
		},
		NextDial: Optional(s.NextDial),
	}
	if x := s.Session; x != nil {
		l.Session = &Session{
			ID: x.ID, AC: x.AC.String(), ACName: x.ACName, ServiceName: x.ServiceName,
			MTU: x.MTU, MTULimit: x.MTULimit, UpSince: Optional(x.UpSince),
		}
		if x.Auth != 0 {
			l.Session.Auth = x.Auth.String()
		}
		l.Echo = Echo{
			Sent: s.Echo.Sent, Received: s.Echo.Received, Silent: s.Echo.Silent,
			RTT: s.Echo.RTT.Seconds(), LeastRTT: s.Echo.Least.Seconds(), Loss: s.Echo.Loss,
		}
	}
	if x := s.IPv4; x.Local.IsValid() {
		l.IPv4 = &IPv4{Address: x.Local.String(), DNS: []string{}}
		if x.Peer.IsValid() {
			l.IPv4.Peer = x.Peer.String()
		}
		for _, a := range x.DNS {
			l.IPv4.DNS = append(l.IPv4.DNS, a.String())
		}
	}
	if x := s.IPv6; x.Local.IsValid() {
		l.IPv6 = &IPv6{Address: x.Local.String()}
		if x.Peer.IsValid() {
			l.IPv6.Peer = x.Peer.String()
		}
	}
	return l
}

// Optional is how a time that may be none leaves the daemon.
func Optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
