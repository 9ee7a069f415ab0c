package bond

import (
	"fmt"
	"net/netip"
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

	running  bool          // it carried packets when last looked at
	session  time.Time     // by the session that was up since then
	versions int           // of so many versions of IP
	trouble  trouble       // why it is not well although it runs
	well     time.Time     // since when; zero: it is not
	falls    int           // each within damping of the one before
	fell     time.Time     // the last one
	first    time.Duration // how long to be well after the first fall
}

// trouble is why a line that runs is not to be used if there are better ones; zero: it is well.
type trouble struct {
	rank rank
	text string
}

// rank is how bad a trouble is.
type rank uint8

// The ranks, in ascending order: a line may do for the one version of IP, and hosts that answer no pings may be to blame themselves.
const (
	noTrouble rank = iota
	lacking        // a version of IP
	pingless
	echoless
)

// diagnose returns the worst of the line's troubles.
func diagnose(m Member, h config.Health, need4, need6 bool) trouble {
	switch echoes := m.Status.Echo.Silent - 1; { // the newest may yet be answered
	case echoes >= h.Failures:
		return trouble{echoless, fmt.Sprintf("echoes unanswered: %d", echoes)}
	case len(h.Ping) > 0 && m.Ping.Silent >= h.Failures:
		return trouble{pingless, fmt.Sprintf("pings unanswered: %d", m.Ping.Silent)}
	case need4 && !m.Status.IPv4.Local.IsValid():
		return trouble{lacking, "has no IPv4"}
	case need6 && !m.Status.IPv6.Local.IsValid():
		return trouble{lacking, "has no IPv6, which the bond has an address of"}
	}
	return trouble{}
}

// versions counts the versions of IP that a line carries.
func versions(s line.Status) (n int) {
	for _, a := range []netip.Addr{s.IPv4.Local, s.IPv6.Local} {
		if a.IsValid() {
			n++
		}
	}
	return n
}

// look takes the line's state of now.
func (r *record) look(now time.Time, m Member, first time.Duration, t trouble) {
	runs, session, n := m.Status.Carries(), time.Time{}, versions(m.Status)
	if s := m.Status.Session; s != nil {
		session = s.UpSince
	}
	if r.since.IsZero() {
		r.since = now
	}
	if r.running && (!runs || session != r.session) {
		r.stopped(now, m.Status)
	}
	switch {
	case !runs:
	case t.rank == lacking && n >= r.versions: // another line has got what this one never had: it has not fallen
		r.well, r.stays = time.Time{}, false
	case t.rank > noTrouble:
		r.fall(now)
	case r.well.IsZero():
		r.well = now
	}
	r.running, r.session, r.versions, r.trouble, r.first = runs, session, n, t, first
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
// run at all, by rank of their trouble. Of each group, fallback lines are a group of their own behind the others: a line that waits does so
// while a fallback line serves, but one that is unwell is no match for a fallback line that is well, or less unwell. A bad line is better
// than none.
func choose(now time.Time, lines []slot) int {
	groups := []func(slot) bool{
		func(l slot) bool { return l.ready(now) },
		func(l slot) bool { return !l.well.IsZero() },
	}
	for r := lacking; r <= echoless; r++ {
		groups = append(groups, func(l slot) bool { return l.running && l.trouble.rank == r })
	}
	var chosen []slot
	for _, group := range groups {
		for _, fallback := range []bool{false, true} {
			if len(chosen) == 0 {
				chosen = filter(lines, func(l slot) bool { return l.Config.Fallback == fallback && group(l) })
			}
		}
	}
	outage := !slices.ContainsFunc(lines, func(l slot) bool { return l.running })
	for _, l := range lines {
		in := slices.ContainsFunc(chosen, func(c slot) bool { return c.record == l.record })
		if in != l.in {
			l.in, l.since = in, now
		}
		l.stays = in
		if outage { // all are down together: that is not the fault of any of them
			l.falls = min(l.falls, 1)
		}
	}
	return len(chosen)
}

func filter[T any](all []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(x T) bool { return !keep(x) })
}
