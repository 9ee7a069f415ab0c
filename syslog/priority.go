package syslog

import (
	"fmt"

	"go.uber.org/zap/zapcore"
)

// Facility is the part of the system that a message comes from (RFC 5424
// section 6.2.1, table 1).
type Facility uint8

// Daemon is the facility of a system service.
const Daemon Facility = 3

// facilities are the names that syslog.conf(5) uses. The kernel's is missing,
// as no process may use it, and so are 12 to 15, which have no agreed names.
var facilities = map[string]Facility{
	"user": 1, "mail": 2, "daemon": Daemon, "auth": 4, "syslog": 5, "lpr": 6,
	"news": 7, "uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19,
	"local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// ParseFacility reads a facility's name, as in syslog.conf(5).
func ParseFacility(name string) (Facility, error) {
	f, ok := facilities[name]
	if !ok {
		return 0, fmt.Errorf("choosing the syslog facility: %q is none; allowed: daemon, user, local0 to local7, "+
			"auth, authpriv, cron, ftp, lpr, mail, news, syslog, uucp", name)
	}
	return f, nil
}

// severity maps zap's levels to table 2 of RFC 5424. Nothing becomes alert or
// emergency: servers write the latter on every terminal of the host.
func severity(l zapcore.Level) int {
	switch {
	case l > zapcore.ErrorLevel:
		return 2 // critical
	case l == zapcore.ErrorLevel:
		return 3 // error
	case l == zapcore.WarnLevel:
		return 4 // warning
	case l == zapcore.InfoLevel:
		return 6 // informational
	default:
		return 7 // debug
	}
}
