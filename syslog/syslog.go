// Package syslog hands zap's log entries to the local syslog server, as
// RFC 5424 messages with structured data: a zapcore.Core that never blocks the
// program that logs.
//
// One entry is one datagram (on a stream socket, one line that ends in LF):
//
//	<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 session-up [linebond@0 line="fast" mtu="1500"] session up line=fast mtu=1500
//	 |  | |                                |  |        |   |          |                                   |
//	 |  | TIMESTAMP, microseconds          |  APP-NAME |   MSGID      STRUCTURED-DATA, "-" if no fields   MSG
//	 |  VERSION                            HOSTNAME    PROCID
//	 PRI = facility * 8 + severity
//
// MSGID is the kind of the event: the words of zap's constant message up to the
// first colon, joined by hyphens, at most 32 bytes. It is not the logger's
// name, which says who speaks and not what happened.
//
// STRUCTURED-DATA is one element with every field. SD-IDs without "@" belong
// to IANA, so there has to be a private enterprise number, and linebond has
// none. 32473 is for examples in documents (RFC 5612), others are somebody's. 0 is
// reserved in IANA's registry: it claims to be nobody, which is the truth.
//
// MSG says the same again as key=value, because the default templates of
// syslog servers drop the structured data. It has no byte order mark before
// it, although RFC 5424 section 6.4 asks for one before UTF-8: rsyslogd writes
// the mark into its files as three bytes of the text. Without it, MSG is the
// RFC's MSG-ANY, which happens to be UTF-8.
//
// Two kinds of server do not read RFC 5424 from a local socket:
//
//   - systemd-journald, which would take the header for text. When /dev/log is
//     its socket, or Format is Local, a message is written as syslog(3) does:
//
//     <30>Nov 21 06:32:00 linebond[812]: session up line=fast mtu=1500
//
//   - rsyslogd with imuxsock's default UseSpecialParser="on". Nothing on the
//     socket gives it away; it files the whole of the message, header included,
//     under the tag "1". Either Format is set to Local, or rsyslogd is given a
//     socket with another parser and Path is set to it:
//
//     input(type="imuxsock" Socket="/run/linebond-log" UseSpecialParser="off")
package syslog

import (
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap/zapcore"
)

// Options says where and how to log. The zero value is right for a service.
type Options struct {
	Path     string               // the server's socket; "" is /dev/log
	Facility Facility             // zero, which is the kernel's own, stands for Daemon
	Format   Format               // zero is Auto
	Level    zapcore.LevelEnabler // nil is zapcore.InfoLevel
}

// Format is the layout of the messages.
type Format uint8

// Auto looks at the socket each time that it connects: Local if
// systemd-journald owns it, RFC5424 otherwise.
const (
	Auto Format = iota
	RFC5424
	Local
)

// Core is a zapcore.Core that writes to the syslog server. It is safe for use
// by many goroutines. All cores that With makes share one queue and one socket.
type Core struct {
	zapcore.LevelEnabler
	fields fieldList
	out    *writer
}

var _ zapcore.Core = (*Core)(nil)

// New starts a core. A server that is not there is no error: the core goes on
// trying, and its queue keeps the first entries until the server comes.
func New(o Options) *Core {
	if o.Level == nil {
		o.Level = zapcore.InfoLevel
	}
	c := &Core{LevelEnabler: o.Level, out: newWriter(o)}
	go c.out.run()
	return c
}

// With returns a core that adds fields to each of its entries.
func (c *Core) With(fields []zapcore.Field) zapcore.Core {
	return &Core{LevelEnabler: c.LevelEnabler, fields: c.fields.with(fields), out: c.out}
}

// Check adds the core to ce if the entry's level is enabled.
func (c *Core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write queues an entry. It never waits for the server: when the queue is full
// the entry is counted as dropped, which is no error, and a message with the
// count takes its place in the log. Above the error level the program may be
// about to end, so only there does Write wait as Sync does.
func (c *Core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := record{
		time:    e.Time,
		level:   e.Level,
		logger:  cut(e.LoggerName, maxValue),
		message: cut(e.Message, maxMessage),
		fields:  c.fields.with(fields).pairs,
	}
	if e.Caller.Defined {
		r.fields = append(r.fields, pair{"caller", e.Caller.TrimmedPath()})
	}
	if e.Stack != "" {
		r.fields = append(r.fields, pair{"stack", cut(e.Stack, maxValue)})
	}
	if !c.out.enqueue(r) {
		return fmt.Errorf("writing to syslog: %w", net.ErrClosed)
	}
	if e.Level > zapcore.ErrorLevel {
		_ = c.Sync() // what does not get through is reported by Close, if there is time for that
	}
	return nil
}

// Sync waits until the queue is empty, for a second at most. The error says how
// many entries wait, and for what.
func (c *Core) Sync() error {
	return c.out.sync()
}

// Close refuses further entries, gives those in the queue a second to get
// through, and lets go of the socket. The error says how many were lost, and
// why. Only the first Close has something to say.
func (c *Core) Close() error {
	return c.out.close()
}

// A record is an entry as it waits in the queue: all of it strings of bounded
// length that nobody else can change.
type record struct {
	time    time.Time
	level   zapcore.Level
	logger  string
	message string
	fields  []pair
	lost    uint64 // entries dropped between the record before this one and this one
}

// lossRecord is the message that stands where lost entries would have been.
func lossRecord(lost uint64, now time.Time) record {
	return record{
		time:    now,
		level:   zapcore.WarnLevel,
		message: "log entries dropped: the syslog server did not take them in time",
		fields:  []pair{{"dropped", fmt.Sprint(lost)}},
	}
}

// with returns l and what fields add to it; l itself stays as it is.
func (l fieldList) with(fields []zapcore.Field) fieldList {
	l.pairs = slices.Clip(l.pairs)
	for _, f := range fields {
		l.add(f)
	}
	return l
}
