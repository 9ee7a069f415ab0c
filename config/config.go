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
// A table per kind of file (schema.go) names each key and how its value is
// checked; syntax.go walks the TOML, past what is none, and document.go finds
// what the tables do not name.
// No message repeats the value of a secret key, or a text of more than one
// line, into which a password could have slipped by a missing quote.
//
// The package is pure: files come through io/fs.
package config

import (
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
	Log   Log
	DNS   DNS
	Lines []Line // sorted by name
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

// Line is one PPPoE line.
type Line struct {
	Name    string // of its file, without .toml
	Enabled bool

	Interface    string   // Ethernet device, e.g. eth1
	VLAN         []uint16 // ids 1 to 4094: none, one, or outer and inner
	VLANProtocol string   // 802.1q or 802.1ad, of the outermost tag; "" without VLAN
	Priority     uint8    // 802.1p of control frames, 0 to 7
	Device       string   // of the PPP session, e.g. ppp-a

	Username string
	Password auth.Secret
	Auth     []auth.Method // allowed ones, the preferred one first

	ServiceName string // asked for by this name only; "" = any
	ACName      string // the one access concentrator that may answer; "" = any
	HostUniq    []byte // nil: a random one per dial

	MTU       int // bytes, 576 to 1500; above 1492 needs the peer's consent (RFC 4638)
	Keepalive Keepalive
	Upload    Rate // 0 = not said
	Download  Rate // 0 = not said

	IPv6         bool // negotiate IPv6CP
	DefaultRoute bool // route what has no other route through this line
	Metric       int  // of that route
}

// Keepalive says when a silent line counts as dead: after Failures LCP echo
// requests, one each Interval, of which none was answered.
type Keepalive struct {
	Interval time.Duration
	Failures int
}

// defaults returns what holds where linebond.toml says nothing.
func defaults() Config {
	return Config{
		Log: Log{To: "auto", Level: "info", Facility: "daemon", Socket: "/dev/log", Format: "auto"},
		DNS: DNS{System: "none"},
	}
}

// defaultLine returns what holds for the line called name where its file says
// nothing. VLANProtocol depends on the file and is filled in later.
func defaultLine(name string) Line {
	return Line{
		Name:         name,
		Enabled:      true,
		Device:       "ppp-" + name,
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
// first: none, one or two. Where a name would be too long for Linux, as much is
// kept of the end of the interface's name as fits, for there names differ: VLAN
// 101 on enx001122334455 is 01122334455.101.
func (l Line) VLANDevices() []VLANDevice {
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
// eth1.101 or eth1.100.101, shortened as VLANDevices says.
func (l Line) Link() string {
	if devices := l.VLANDevices(); len(devices) > 0 {
		return devices[len(devices)-1].Name
	}
	return l.Interface
}

// Equal says whether two lines are configured alike in everything, the
// password included: if not, the session has to be looked at anew.
func (l Line) Equal(o Line) bool { return reflect.DeepEqual(l, o) }
