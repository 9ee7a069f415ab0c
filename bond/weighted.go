package bond

import (
	"slices"
	"time"

	"linebond/config"
	"linebond/netstate"
)

// What a weighted bond's scheduler is told. Without a queue that keeps the bond below the sum of the rates, a line that is believed to be
// slower than it is does less harm than one that is believed to be faster: so a little is taken off what the user says.
const (
	margin    = 95                     // per cent of a line's upload
	anyRate   = 1_000_000              // bit/s of each line, where not all are known: only their ratios matter
	delayStep = 100 * time.Microsecond // measured delays are rounded to it, so that not every echo is a change
	maxDelay  = time.Second            // no packet takes so much longer: an access concentrator that answers late does not make it so
)

// A line is passed over after three unanswered echoes, which at random are lost in a row on a line that is full, but not overloaded, once in
// many hours. To echoes every 100 ms that is 350 ms. Where more is sent than a line carries, most of the echoes may be lost in its modem: then
// the scheduler has patience, as far as the load can be known.
func deadAfter(echoes time.Duration) time.Duration { return 7 * echoes / 2 }

const (
	patience    = 10 // times deadAfter, where all rates are known
	maxPatience = 10 * time.Second
)

func weighted(b config.Bond) bool { return b.Mode == config.ModeWeighted }

// upload returns what a line carries, in bit/s: as configured, or as little as that is in doubt; else as learned, be that a first guess; 0 if
// nothing is known.
func (l slot) upload() uint64 {
	if l.Config.UploadAuto || l.Learned.Rate != 0 {
		return l.Learned.Rate
	}
	return uint64(l.Config.Upload)
}

// echoes returns what a line's echo requests take of it, in bit/s. The scheduler does not see them, and what it believes is to be what is left:
// a line that is always busy would add up the difference.
func (l slot) echoes() uint64 {
	const length = 8 // of a request (RFC 1661 section 5.8), on top of what each packet has
	if l.Config.Keepalive.Interval == 0 {
		return 0
	}
	return uint64(8 * float64(length+l.Config.Overhead.Bytes) / l.Config.Keepalive.Interval.Seconds())
}

// known says whether it is known of all lines what they carry.
func known(lines []slot) bool {
	return !slices.ContainsFunc(lines, func(l slot) bool { return l.upload() == 0 || l.Config.UploadAuto && !l.Learned.Settled })
}

// uploads returns what the lines of a weighted bond carry of its packets, in bit/s; the same of all if nothing is known of one.
func uploads(lines []slot) []uint64 {
	unknown := slices.ContainsFunc(lines, func(l slot) bool { return l.upload() == 0 })
	var rates []uint64
	for _, l := range lines {
		rate := uint64(anyRate)
		if !unknown {
			rate = l.upload() - l.echoes()
		}
		rates = append(rates, rate)
	}
	return rates
}

// believe tells of the members that are in by which rates packets go to them, if something is known of all.
func (v *Bond) believe(in []slot) {
	if slices.ContainsFunc(in, func(l slot) bool { return l.upload() == 0 }) {
		return
	}
	for _, l := range in {
		m := slices.IndexFunc(v.Members, func(m Membership) bool { return m.Line == l.Config.Name })
		v.Members[m].Believed = config.Rate(l.upload())
		v.Members[m].Learned = l.Config.UploadAuto && l.Learned.Settled
	}
}

// delays returns how much longer than on the fastest of the lines a packet is on its way, as far as the echoes tell; none as long as they do
// not tell of all.
func delays(lines []slot) []time.Duration {
	all := make([]time.Duration, len(lines))
	for i, l := range lines {
		least := l.Status.Echo.Least
		if least == 0 {
			return make([]time.Duration, len(lines))
		}
		all[i] = (least / 2).Round(delayStep)
	}
	if len(all) > 0 {
		fastest := slices.Min(all)
		for i := range all {
			all[i] = min(all[i]-fastest, maxDelay)
		}
	}
	return all
}

// schedule wants the packets of a weighted bond to go to the lines that are in, and where they wait. They are up to mtu bytes long.
func (p *planner) schedule(c config.Bond, mtu int, lines []slot) {
	serving := filter(lines, func(l slot) bool { return l.in && l.Status.Session != nil && l.Status.Session.MTU != 0 })
	s := netstate.Scheduler{Device: c.Device}
	rates, delays, share := uploads(serving), delays(serving), believedShare(c, serving)
	for i, l := range serving {
		s.DeadAfter = max(s.DeadAfter, deadAfter(l.Config.Keepalive.Interval))
		s.Lines = append(s.Lines, netstate.ScheduledLine{
			Device: l.Status.Device, Rate: rates[i] * share / 100, Delay: delays[i],
			Overhead: l.Config.Overhead.Bytes, Cells: l.Config.Overhead.Cells,
		})
	}
	s.Patience = s.DeadAfter
	if known(serving) {
		s.Patience = min(patience*s.DeadAfter, maxPatience)
	}
	p.State.Schedulers = append(p.State.Schedulers, s)
	p.shape(c, mtu, serving)
}
