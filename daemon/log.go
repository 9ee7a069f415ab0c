package daemon

import (
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"linebond/config"
	"linebond/syslog"
)

// A peer that misbehaves must not fill the log: each logger writes at most
// burst entries in each period.
const (
	burst  = 120
	period = time.Minute
)

// logger is a throttled log: of the daemon itself, or of one line. It belongs
// to one goroutine.
type logger struct {
	*zap.Logger
	since   time.Time // when the period began
	written int
	dropped int // since the last entry that was written
}

// write makes an entry, unless there have been too many; the next that is made
// says how many are missing.
func (l *logger) write(level zapcore.Level, message string, fields ...zap.Field) {
	entry := l.Check(level, message)
	if entry == nil || !l.pass(time.Now()) {
		return
	}
	if l.dropped > 0 {
		fields = append(fields, zap.Int("entries_dropped", l.dropped))
		l.dropped = 0
	}
	entry.Write(fields...)
}

func (l *logger) pass(now time.Time) bool {
	if now.Sub(l.since) >= period {
		l.since, l.written = now, 0
	}
	if l.written == burst {
		l.dropped++
		return false
	}
	l.written++
	return true
}

// trouble is something that may fail again and again, and what the log says
// when that begins and ends.
type trouble struct {
	begins, ends string
	failures     int    // in a row
	last         string // the error of the last attempt, on one line; "" if there was none
	told         string // what the log last said of them; "" if all is well
}

// report logs that an attempt has failed, once, when two in a row have: a
// device that has just gone away makes an error that the next attempt does not
// see.
func (t *trouble) report(log *logger, err error) {
	if err == nil {
		if t.told != "" {
			log.write(zapcore.InfoLevel, t.ends)
		}
		t.failures, t.last, t.told = 0, "", ""
		return
	}
	t.failures++
	t.last = strings.ReplaceAll(err.Error(), "\n", "; ")
	if t.failures > 1 && err.Error() != t.told {
		t.told = err.Error()
		log.write(zapcore.WarnLevel, t.begins, zap.Error(err))
	}
}

// Log is the daemon's log, on syslog or on stderr.
type Log struct {
	*zap.Logger
	level zap.AtomicLevel
	core  *syslog.Core // nil on stderr
}

// OpenLog opens the log that the configuration asks for. By default that is
// stderr on a terminal, and syslog for a service.
func OpenLog(c config.Log) *Log {
	l := &Log{level: zap.NewAtomicLevel()}
	l.SetLevel(c.Level)
	var core zapcore.Core
	if c.To == "stderr" || c.To == "auto" && onTerminal() {
		core = zapcore.NewCore(zapcore.NewConsoleEncoder(consoleFormat()), zapcore.Lock(os.Stderr), l.level)
	} else {
		l.core = openSyslog(c, l.level)
		core = l.core
	}
	l.Logger = zap.New(core)
	return l
}

func openSyslog(c config.Log, level zap.AtomicLevel) *syslog.Core {
	facility, err := syslog.ParseFacility(c.Facility)
	if err != nil {
		facility = syslog.Daemon // package config has checked the name
	}
	format := map[string]syslog.Format{"rfc5424": syslog.RFC5424, "local": syslog.Local}[c.Format]
	return syslog.New(syslog.Options{Path: c.Socket, Facility: facility, Format: format, Level: level})
}

// SetLevel takes effect at once; levels are those of package config.
func (l *Log) SetLevel(name string) {
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		level = zapcore.InfoLevel
	}
	l.level.SetLevel(level)
}

// Ready says on stderr if entries do not get through to syslog: nobody would
// notice otherwise.
func (l *Log) Ready() {
	if l.core == nil {
		return
	}
	if err := l.core.Sync(); err != nil {
		fmt.Fprintf(os.Stderr, "linebond: %v; the log goes there as soon as there is a server\n", err)
	}
}

// Close writes out what is waiting.
func (l *Log) Close() error {
	if l.core == nil {
		return nil
	}
	return l.core.Close()
}

func onTerminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return err == nil
}

// consoleFormat is for people: time, level, event, fields.
func consoleFormat() zapcore.EncoderConfig {
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000")
	c.EncodeLevel = zapcore.LowercaseLevelEncoder
	c.EncodeDuration = zapcore.StringDurationEncoder
	c.ConsoleSeparator = "  "
	return c
}
