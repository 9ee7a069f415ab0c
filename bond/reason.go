package bond

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linebond/line"
)

// membership describes the line's part in its bond, of which so many lines are in.
func (l slot) membership(lines []slot, members int) Membership {
	m := Membership{
		Line: l.Config.Name, Device: l.Config.Device, In: l.in, Fallback: l.Config.Fallback, Since: l.since, Upload: l.Config.Upload, Auto: l.Config.UploadAuto,
	}
	if l.in {
		m.Share = 1 / float64(members)
	}
	others := slices.ContainsFunc(lines, func(o slot) bool { return o.in && !o.Config.Fallback })
	switch {
	case l.in:
		m.Reason = l.presence()
	case !l.running:
		m.Reason = absence(l.Status)
	case l.trouble.rank > noTrouble:
		m.Reason = l.trouble.text
	case l.Config.Fallback && others:
		m.Reason = "fallback: other lines are up"
	default:
		m.Reason, m.Rejoin = fmt.Sprintf("%s; waits %v", l.history(), l.hold()), l.rejoins()
	}
	return m
}

// presence says why the line is in.
func (l slot) presence() string {
	switch {
	case l.trouble.rank > noTrouble:
		return l.trouble.text + "; no other line is better"
	case l.Config.Fallback:
		return "fallback: no other line is up"
	}
	return "up"
}

// welcome says why the line is in from now on.
func (l slot) welcome(now time.Time) string {
	switch {
	case l.trouble.rank > noTrouble || l.Config.Fallback:
		return l.presence()
	case l.falls == 0:
		return "up"
	case now.Before(l.rejoins()):
		return "up again; no other line is"
	}
	return fmt.Sprintf("up again for %v", l.hold())
}

// farewell says why the line is not in from now on. One that waits already has been lost and made anew since the plan before.
func (l slot) farewell(m Membership) string {
	if !m.Rejoin.IsZero() {
		return "session lost: " + l.Status.Ended.String()
	}
	return m.Reason
}

// history tells of the line's falls, each of which came soon after the one before.
func (r *record) history() string {
	if r.falls == 1 {
		return "fell once"
	}
	return fmt.Sprintf("fell %d times of late", r.falls)
}

// absence says why a line does not run.
func absence(s line.Status) string {
	up := s.Session != nil && !s.Session.UpSince.IsZero()
	lost := s.Ended.Cause != line.CauseNone && !ordered(s.Ended)
	switch {
	case s.State == line.Held:
		return "held: " + s.Reason.String()
	case s.State == line.Terminate && up && !ordered(s.Reason):
		return "session lost: " + s.Reason.String()
	case s.State == line.Terminate:
		return "line closes: " + s.Reason.String()
	case up:
		return line.Renegotiated.String()
	case s.State == line.Stopped || s.State == line.Unplugged || s.State == line.Waiting:
		if lost && s.Reason == s.Ended {
			return "session lost: " + s.Reason.String()
		}
		return strings.TrimSuffix(fmt.Sprintf("line is %v: %v", s.State, s.Reason), ": ")
	case lost:
		return "session lost: " + s.Ended.String()
	}
	return "line is being dialled"
}
