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
	margin     = 95                     // per cent of a line's upload
	anyRate    = 1_000_000              // bit/s of each line, where not all are known: only their ratios matter
	delayStep  = 100 * time.Microsecond // measured delays are rounded to it, so that not every echo is a change
	deadEchoes = 3                      // unanswered echoes after which a line is passed over
)

func weighted(b config.Bond) bool { return b.Mode == config.ModeWeighted }

// uploads returns what the lines of a weighted bond carry, in bit/s; the same of all if it is not known of one.
func uploads(lines []slot) []uint64 {
	unknown := slices.ContainsFunc(lines, func(l slot) bool { return l.Config.Upload == 0 })
	var rates []uint64
	for _, l := range lines {
		rate := uint64(anyRate)
		if !unknown {
			rate = uint64(l.Config.Upload)
		}
		rates = append(rates, rate)
	}
	return rates
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
			all[i] -= fastest
		}
	}
	return all
}

// schedule wants the packets of a weighted bond to go to the lines that are in.
func (p *planner) schedule(c config.Bond, lines []slot) {
	serving := filter(lines, func(l slot) bool { return l.in && l.Status.Session != nil && l.Status.Session.MTU != 0 })
	s := netstate.Scheduler{Device: c.Device}
	rates, delays := uploads(serving), delays(serving)
	for i, l := range serving {
		s.DeadAfter = max(s.DeadAfter, deadEchoes*l.Config.Keepalive.Interval)
		s.Lines = append(s.Lines, netstate.ScheduledLine{
			Device: l.Status.Device, Rate: rates[i] * margin / 100, Delay: delays[i],
			Overhead: l.Config.Overhead.Bytes, Cells: l.Config.Overhead.Cells,
		})
	}
	p.State.Schedulers = append(p.State.Schedulers, s)
}
