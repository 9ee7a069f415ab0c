package daemon

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/line"
)

// said is what the log last said of a line, to keep a dead line from filling it.
type said struct {
	reason  line.Reason // of the last wait
	repeats int         // waits in a row for the same reason
	at      time.Time
}

// A line that fails the same way again and again is told of quietCycles times,
// and then once in quietFor until something changes.
const (
	quietCycles = 5
	quietFor    = time.Hour
)

// tell logs a line's new status: one entry per transition.
func (w *worker) tell(s line.Status) {
	level := w.level(s)
	fields := []zap.Field{zap.String("reason", s.Reason.String())}
	fields = append(fields, sessionFields(s)...)
	if !s.NextDial.IsZero() {
		fields = append(fields, zap.Duration("next_dial", max(0, time.Until(s.NextDial)).Round(time.Millisecond)))
	}
	if w.last.repeats > quietCycles {
		fields = append(fields, zap.Int("repeats", w.last.repeats))
	}
	if s.Session == nil {
		fields = append(fields, w.ended...)
		w.ended = nil
	}
	w.log.write(level, s.State.String(), fields...)
}

// level is the importance of a status: refusals need the operator, the rest
// is the course of things, and its hundredth repetition is for debugging.
func (w *worker) level(s line.Status) zapcore.Level {
	switch {
	case s.State == line.Running:
		w.last = said{}
	case s.State == line.Waiting && s.Reason == w.last.reason:
		w.last.repeats++
	case s.State == line.Waiting, s.State == line.Unplugged, s.State == line.Stopped:
		w.last = said{reason: s.Reason}
	}
	if w.last.repeats > quietCycles {
		if time.Since(w.last.at) < quietFor || s.State != line.Waiting {
			return zapcore.DebugLevel
		}
	}
	w.last.at = time.Now()
	if s.State != line.Waiting {
		return zapcore.InfoLevel
	}
	switch s.Reason.Cause {
	case line.Starting, line.Operator, line.CarrierBack:
		return zapcore.InfoLevel
	}
	if w.ended != nil && !s.NextDial.After(time.Now()) {
		return zapcore.InfoLevel // a session that was up, and is dialled again at once
	}
	return zapcore.WarnLevel
}

func sessionFields(s line.Status) []zap.Field {
	var fields []zap.Field
	x := s.Session
	if x == nil {
		return nil
	}
	fields = append(fields, zap.String("ac", x.ACName), zap.Stringer("ac_mac", x.AC), zap.Uint16("session", x.ID))
	if x.MTU != 0 {
		fields = append(fields, zap.String("device", s.Device), zap.Int("mtu", x.MTU))
	}
	if x.MTULimit != "" {
		fields = append(fields, zap.String("mtu_limit", x.MTULimit))
	}
	if s.IPv4.Local.IsValid() {
		fields = append(fields, zap.Stringer("address", s.IPv4.Local))
		if s.IPv4.Peer.IsValid() {
			fields = append(fields, zap.Stringer("peer", s.IPv4.Peer))
		}
		if len(s.IPv4.DNS) > 0 {
			fields = append(fields, zap.Stringers("dns", s.IPv4.DNS))
		}
	}
	if s.IPv6.Local.IsValid() {
		fields = append(fields, zap.Stringer("ipv6", s.IPv6.Local), zap.Stringer("ipv6_peer", s.IPv6.Peer))
	}
	return fields
}

// settle notes what a session has been good for, before its device goes.
func (w *worker) settle() {
	s := w.latest.Load()
	if s.Session == nil || s.Session.UpSince.IsZero() {
		return
	}
	w.ended = []zap.Field{
		zap.String("ac", s.Session.ACName), zap.Uint16("session", s.Session.ID),
		zap.Duration("up", time.Since(s.Session.UpSince).Round(time.Millisecond)),
	}
	if device, err := w.effects.Host.Link(s.Device); err == nil && device.Exists {
		c := device.Counters
		w.ended = append(w.ended, zap.Uint64("rx_bytes", c.RxBytes), zap.Uint64("tx_bytes", c.TxBytes))
	}
}
