// Package config turns the files that a user writes into checked values:
//
//	DIR/linebond.toml        what concerns the daemon; may be missing
//	DIR/lines.d/NAME.toml    one PPPoE line each; the line is called NAME
//
// Every message that a user sees about a configuration file is made here, one
// per mistake and all mistakes of all files at once:
//
//	/etc/linebond/lines.d/a.toml:3:7: mtu: 9000 is out of range; allowed: 576 to 1500
//
// A table per kind of file, and per element of a list such as [[bond]]
// (schema.go), names each key and how its value is checked; syntax.go walks the
// TOML, past what is none, and document.go finds what the tables do not name.
// No message repeats the value of a secret key, or a text of more than one
// line, into which a password could have slipped by a missing quote.
//
// The package is pure: files come through io/fs.
package config

import (
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"linebond/auth"
)

// maxDeviceName is the length of the longest Linux device name, in bytes
// (IFNAMSIZ without its closing zero).
const maxDeviceName = 15

// Config is the whole configuration.
type Config struct {
	Log      Log
	DNS      DNS
	Host     Host
	LAN      LAN
	Health   Health
	Bonds    []Bond // as written: the first is that of lines that name none
	Forwards []Forward
	Lines    []Line // sorted by name
}

// Log says where the log goes and how much of it.
type Log struct {
	To       string // auto, syslog or stderr; auto: stderr on a terminal, else syslog
	Level    string // debug, info, warn or error
	Facility string // of syslog: daemon, user, local0 to local7
	Socket   string // of the syslog server
	Format   string // of syslog entries: auto, rfc5424 or local
}

// DNS says what becomes of the name servers that an ISP gives, besides the
// file per line in the runtime directory.
type DNS struct {
	System string // owner of /etc/resolv.conf that gets them: none, auto, resolvconf, systemd-resolved
}

// Host says what this machine does for itself.
type Host struct {
	Firewall   bool // let in from outside only what belongs to something from inside, or to a Forward
	SpreadCPUs bool // let all CPUs receive, whichever line a packet comes by
}

// LAN is what lies behind this machine and reaches the Internet through it.
type LAN struct {
	Interfaces []string // Ethernet devices; none: this machine is no router
	NAT        NAT
	Source     netip.Addr // IPv4 address that packets go out with; of NATSource only
}

// NAT says how the LAN's IPv4 packets go out.
type NAT string

// The kinds of NAT.
const (
	NATMasquerade NAT = "masquerade" // with the address of the device that they go out by
	NATNone       NAT = "none"       // as they are
	NATSource     NAT = "snat"       // with LAN.Source
)

// Health says when a line of a bond is unwell, and for how long it has to be
// well again before it is used.
type Health struct {
	Failures    int           // LCP echoes, or rounds of pings, in a row without an answer
	Ping        []netip.Addr  // IPv4 hosts that are asked through each line; none: LCP echoes alone count
	RejoinAfter time.Duration // after the first fall; doubled by each that follows soon
}

// Bond is several lines as one.
type Bond struct {
	Device        string         // teql0 to teql15 with ModeTEQL; with ModeMultipath, which has no device, the mode's name in its place
	Mode          string         // ModeTEQL, ModeMultipath or ModeWeighted
	Addresses     []netip.Prefix // the bond's own; a block by its network address is exempt from NAT only
	LineAddresses string         // keep those that the lines got from the ISP on their devices, or remove them
	DefaultRoute  bool           // route what has no other route through the bond
	Metric        int            // of that route
	Shaping       string         // of ModeWeighted: ShapingCake or ShapingNone
}

// The modes of a bond.
const (
	ModeTEQL      = "teql"      // each packet by the next line, by a device of the kernel's TEQL
	ModeMultipath = "multipath" // each connection by one line, by a route with several next hops
	ModeWeighted  = "weighted"  // each packet by the line on which it arrives first, by a device of ours and eBPF
)

// The ways to keep the queue of a saturated bond short.
const (
	ShapingCake = "cake" // it waits on the bond's device, by the rates of the lines that are in, as long as all are known
	ShapingNone = "none" // it waits in the lines' modems, shared by the rates
)

// MaxMultipath is how many lines a bond of ModeMultipath may have: there are so many marks for their connections.
const MaxMultipath = 127

// MaxWeighted is how many lines a bond of ModeWeighted may have: so many are in the program's tables.
const MaxWeighted = 16

// Forward leads connections from outside to a host of the LAN.
type Forward struct {
	Protocols []string // tcp, udp or both
	Ports     Ports
	To        netip.Addr // IPv4
	ToPort    uint16     // 0 = that which was asked for
}

// Ports are those from First to Last.
type Ports struct{ First, Last uint16 }

// Line is one PPPoE line.
type Line struct {
	Name    string // of its file, without .toml
	Enabled bool

	Interface    string   // Ethernet device, e.g. eth1
	VLAN         []uint16 // ids 1 to 4094: none, one, or outer and inner
	VLANProtocol string   // 802.1q or 802.1ad, of the outermost tag; "" without VLAN
	Priority     uint8    // 802.1p of control frames, 0 to 7
	Device       string   // of the PPP session, e.g. ppp-a
	Dataplane    string   // of the session's packets: DataplaneAuto, DataplaneKernel or DataplaneEBPF

	Username string
	Password auth.Secret
	Auth     []auth.Method // allowed ones, the preferred one first

	ServiceName string // asked for by this name only; "" = any
	ACName      string // the one access concentrator that may answer; "" = any
	HostUniq    []byte // nil: a random one per dial

	MTU        int // bytes, 576 to 1500; above 1492 needs the peer's consent (RFC 4638)
	Keepalive  Keepalive
	Upload     Rate // 0 = not said
	UploadAuto bool // it is to be learned; then Upload is 0
	Download   Rate // 0 = not said
	Overhead   Overhead

	IPv6         bool // negotiate IPv6CP
	DefaultRoute bool // route what has no other route through this line
	Metric       int  // of that route

	Bond     string // Device of the line's bond; "" = it stands by itself
	Fallback bool   // used only while no other line of the bond is
}

// Overhead is what a line's wire carries besides each IP packet.
type Overhead struct {
	Bytes int  // 0 to 200, per packet
	Cells bool // packet and overhead travel in ATM cells, 53 bytes for 48
}

// The data planes.
const (
	DataplaneAuto   = "auto"   // the kernel's where it can be had, else eBPF
	DataplaneKernel = "kernel" // the kernel's PPPoE and PPP
	DataplaneEBPF   = "ebpf"
)

// Keepalive says when a silent line counts as dead: after Failures LCP echo
// requests, one each Interval, of which none was answered.
type Keepalive struct {
	Interval time.Duration
	Failures int
}

// defaults returns what holds where linebond.toml says nothing.
func defaults() Config {
	return Config{
		Log:    Log{To: "auto", Level: "info", Facility: "daemon", Socket: "/dev/log", Format: "auto"},
		DNS:    DNS{System: "none"},
		Host:   Host{SpreadCPUs: true},
		LAN:    LAN{NAT: NATMasquerade},
		Health: Health{Failures: 3, RejoinAfter: 5 * time.Second},
	}
}

// defaultBond returns what holds for a bond where its table says nothing.
func defaultBond() Bond {
	return Bond{Mode: ModeTEQL, Device: "teql0", LineAddresses: "keep", DefaultRoute: true, Metric: 100, Shaping: ShapingNone}
}

// defaultForward returns what holds for a forward where its table says nothing.
func defaultForward() Forward { return Forward{Protocols: []string{"tcp"}} }

// defaultLine returns what holds for the line called name where its file says
// nothing. VLANProtocol depends on the file and is filled in later.
func defaultLine(name string) Line {
	return Line{
		Name:         name,
		Enabled:      true,
		Device:       "ppp-" + name,
		Dataplane:    DataplaneAuto,
		Auth:         []auth.Method{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP},
		MTU:          1500,
		Keepalive:    Keepalive{Interval: time.Second, Failures: 5},
		IPv6:         true,
		DefaultRoute: true,
		Metric:       200,
	}
}

// VLANDevice is a VLAN device that a line runs on.
type VLANDevice struct {
	Name     string // e.g. eth1.101
	Parent   string // e.g. eth1
	ID       uint16
	Protocol string // 802.1q or 802.1ad
}

// VLANDevices returns the VLAN devices below the line, the outermost tag's
// first: none, one or two. With eBPF there is none, since the tags are written
// without. Where a name would be too long for Linux, as much is
// kept of the end of the interface's name as fits, for there names differ: VLAN
// 101 on enx001122334455 is 01122334455.101.
func (l Line) VLANDevices() []VLANDevice {
	if l.Dataplane == DataplaneEBPF {
		return nil
	}
	var devices []VLANDevice
	parent, suffix, protocol := l.Interface, "", l.VLANProtocol
	for _, id := range l.VLAN {
		suffix += "." + strconv.Itoa(int(id))
		base := l.Interface
		base = base[max(0, len(base)+len(suffix)-maxDeviceName):]
		devices = append(devices, VLANDevice{Name: base + suffix, Parent: parent, ID: id, Protocol: protocol})
		parent, protocol = base+suffix, "802.1q"
	}
	return devices
}

// Link returns the name of the Ethernet device that PPPoE runs on: eth1,
// eth1.101 or eth1.100.101, shortened as VLANDevices says; with eBPF, eth1.
func (l Line) Link() string {
	if devices := l.VLANDevices(); len(devices) > 0 {
		return devices[len(devices)-1].Name
	}
	return l.Interface
}

// Equal says whether two lines are configured alike in everything that their
// session depends on, the password included: if not, it has to be looked at
// anew. Which bond the packets are for, and how many, is nothing to the session.
func (l Line) Equal(o Line) bool { return reflect.DeepEqual(l.InBond(o), o) }

// InBond returns the line with what concerns its bond as another has it.
func (l Line) InBond(o Line) Line {
	l.Bond, l.Fallback = o.Bond, o.Fallback
	l.Upload, l.UploadAuto, l.Download, l.Overhead = o.Upload, o.UploadAuto, o.Download, o.Overhead
	return l
}
