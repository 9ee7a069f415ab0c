package bond

import (
	"fmt"
	"slices"
	"time"

	"linebond/config"
	"linebond/line"
)

const (
	// damping is how soon after another a fall has to come to make the line wait longer.
	damping = 10 * time.Minute
	// longestHold bounds the wait.
	longestHold = 5 * time.Minute
)

// record is what is known of a line in a bond from earlier.
type record struct {
	bond  string // device of the bond
	in    bool
	stays bool      // it was in when last looked at and has not fallen since: it need not wait
	since time.Time // when in became what it is

	running bool          // it carried packets when last looked at
	session time.Time     // by the session that was up since then
	trouble string        // why it is not well although it runs; "": it is
	well    time.Time     // since when; zero: it is not
	falls   int           // each within damping of the one before
	fell    time.Time     // the last one
	first   time.Duration // how long to be well after the first fall
}

// trouble says why a line that runs is not to be used if there are better ones; "": it is well.
func trouble(m Member, h config.Health, need4, need6 bool) string {
	switch echoes := m.Status.Echo.Silent - 1; { // the newest may yet be answered
	case need4 && !m.Status.IPv4.Local.IsValid():
		return "has no IPv4"
	case need6 && !m.Status.IPv6.Local.IsValid():
		return "has no IPv6, which the bond has an address of"
	case echoes >= h.Failures:
		return fmt.Sprintf("echoes unanswered: %d", echoes)
	case len(h.Ping) > 0 && m.Ping.Silent >= h.Failures:
		return fmt.Sprintf("pings unanswered: %d", m.Ping.Silent)
	}
	return ""
}

// look takes the line's state of now.
func (r *record) look(now time.Time, m Member, first time.Duration, trouble string) {
	runs, session := m.Status.Carries(), time.Time{}
	if s := m.Status.Session; s != nil {
		session = s.UpSince
	}
	if r.since.IsZero() {
		r.since = now
	}
	if r.running && (!runs || session != r.session) {
		r.stopped(now, m.Status)
	}
	if runs && trouble != "" {
		r.fall(now)
	}
	if runs && trouble == "" && r.well.IsZero() {
		r.well = now
	}
	r.running, r.session, r.trouble, r.first = runs, session, trouble, first
}

// stopped notes that the line has run no longer. If we have wanted that ourselves, earlier falls are forgotten as well.
func (r *record) stopped(now time.Time, s line.Status) {
	if !ordered(ending(s)) {
		r.fall(now)
		return
	}
	r.falls, r.well, r.stays = 0, time.Time{}, false
}

// fall counts the end of being well.
func (r *record) fall(now time.Time) {
	if r.well.IsZero() {
		return
	}
	if now.Sub(r.fell) > damping {
		r.falls = 0
	}
	r.falls++
	r.fell, r.well, r.stays = now, time.Time{}, false
}

// hold is how long the line has to be well before it is used again.
func (r *record) hold() time.Duration {
	if r.falls == 0 {
		return 0
	}
	d := r.first
	for range r.falls - 1 {
		d = min(2*d, longestHold)
	}
	return d
}

// ending says why a line that was running does not run any more, or does so by another session.
func ending(s line.Status) line.Reason {
	up := s.Session != nil && !s.Session.UpSince.IsZero()
	switch {
	case up && s.State == line.Terminate:
		return s.Reason
	case up && s.State != line.Running: // or held: that is no wish of ours either
		return line.Reason{Cause: line.Renegotiated}
	}
	return s.Ended // none: the line was begun anew, by a reload
}

// ordered says whether it was ourselves who closed the line.
func ordered(r line.Reason) bool {
	switch r.Cause {
	case line.CauseNone, line.Disabled, line.Operator, line.Reloaded, line.Removed, line.Shutdown:
		return true
	}
	return false
}

// ready says whether the line may be used beside others; rejoins is when it may, if it stays well.
func (r *record) ready(now time.Time) bool {
	return !r.well.IsZero() && (r.stays || !now.Before(r.rejoins()))
}

func (r *record) rejoins() time.Time { return r.well.Add(r.hold()) }

// choose decides which lines are in, and returns how many.
//
// The first of these groups in which there is any line is in: those that are ready, those that are well but would have to wait, those that
// run at all. Of each group, fallback lines are a group of their own behind the others: a line that waits does so while a fallback line
// serves, but one that is unwell is no match for a fallback line that is well. A bad line is better than none.
func choose(now time.Time, lines []slot) int {
	ready := func(l slot) bool { return l.ready(now) }
	well := func(l slot) bool { return !l.well.IsZero() }
	runs := func(l slot) bool { return l.running }
	var chosen []slot
	for _, group := range []func(slot) bool{ready, well, runs} {
		for _, fallback := range []bool{false, true} {
			if len(chosen) == 0 {
				chosen = filter(lines, func(l slot) bool { return l.Config.Fallback == fallback && group(l) })
			}
		}
	}
	outage := !slices.ContainsFunc(lines, well)
	for _, l := range lines {
		in := slices.ContainsFunc(chosen, func(c slot) bool { return c.record == l.record })
		if in != l.in {
			l.in, l.since = in, now
		}
		l.stays = in
		if outage { // all fell together: that is not the fault of any of them
			l.falls = min(l.falls, 1)
		}
	}
	return len(chosen)
}

func filter(lines []slot, keep func(slot) bool) []slot {
	return slices.DeleteFunc(slices.Clone(lines), func(l slot) bool { return !keep(l) })
}
