package daemon

import (
	"slices"

	"linebond/bond"
	"linebond/config"
	"linebond/control"
	"linebond/scheduler"
)

// scheduled returns what the scheduler of a weighted bond has counted, of which
// the last seconds are looked at where that says more.
func (m meter) scheduled(b bond.Bond) *control.Scheduler {
	if len(m) == 0 {
		return nil
	}
	now, ok := m[len(m)-1].bonds[b.Device]
	if !ok {
		return nil
	}
	s := &control.Scheduler{Packets: now.Packets, Late: now.Late, NoLine: now.NoLine, NotIP: now.NotIP, Unsegmented: now.Unsegmented}
	if q, ok := m[len(m)-1].shapers[b.Device]; ok {
		s.Queue = &control.Queue{Kind: string(q.Kind), Rate: float64(q.Rate), Backlog: q.Backlog, Drops: q.Drops, Marks: q.Marks}
	}
	for _, r := range m[:len(m)-1] {
		then, ok := r.bonds[b.Device]
		if ok && then.Packets < now.Packets && then.Late <= now.Late { // else it is another by now, or was idle
			s.Disorder = float64(now.Late-then.Late) / float64(now.Packets-then.Packets)
			break
		}
	}
	return s
}

// waits says whether a weighted bond has no queue because the rate of a line that
// is in is still to be learned.
func waits(c config.Bond, b bond.Bond) bool {
	learns := false
	for _, m := range b.Members {
		if m.In && m.Upload == 0 && !m.Auto {
			return false
		}
		learns = learns || m.In && m.Auto && !m.Learned
	}
	return learns && c.Shaping == config.ShapingCake
}

// passedOver is the reason of a line that is in a weighted bond and silent, as
// far as the program goes by that: if all are silent, no one is passed over.
func passedOver(b control.Bond) string {
	speaks := func(m control.Member) bool { return m.Scheduled != nil && !m.Scheduled.Silent }
	if slices.ContainsFunc(b.Members, speaks) {
		return "silent: passed over"
	}
	return "silent"
}

// scheduledLine returns what it has counted of one of its lines, whose rate may
// be on trial; nil if it is not in.
func (m meter) scheduledLine(b bond.Bond, member bond.Membership, trial bool) *control.ScheduledLine {
	if len(m) == 0 {
		return nil
	}
	now, ok := m[len(m)-1].line(b.Device, member.Device)
	if !ok {
		return nil
	}
	l := &control.ScheduledLine{
		Rate: float64(member.Upload), Auto: member.Auto, Believed: float64(member.Believed), Learned: member.Learned, Trial: trial,
		Packets: now.Packets, Bytes: now.Bytes, Passed: now.Passed, Silent: now.Silent, Backlog: now.Backlog.Seconds(),
		Drops: m[len(m)-1].counters[member.Device].TxDropped,
	}
	var all float64
	for _, o := range b.Members {
		bits, _ := m.scheduledBits(b.Device, o.Device)
		all += bits
	}
	l.TxBits, l.WireBits = m.scheduledBits(b.Device, member.Device)
	if all > 0 {
		l.Share = l.TxBits / all
	}
	return l
}

// scheduledBits is what went to a line in each of the last seconds, in bits: of
// IP, and on the line.
func (m meter) scheduledBits(device, line string) (ip, wire float64) {
	if len(m) == 0 {
		return 0, 0
	}
	last := m[len(m)-1]
	now, ok := last.line(device, line)
	if !ok {
		return 0, 0
	}
	for _, r := range m[:len(m)-1] {
		then, ok := r.line(device, line)
		if seconds := last.at.Sub(r.at).Seconds(); ok && then.Bytes <= now.Bytes && seconds > 0 { // else it has come in since
			return 8 * float64(now.Bytes-then.Bytes) / seconds, 8 * float64(now.Wire-then.Wire) / seconds
		}
	}
	return 0, 0
}

// line finds a line of a bond.
func (r reading) line(device, line string) (scheduler.LineCounters, bool) {
	lines := r.bonds[device].Lines
	i := slices.IndexFunc(lines, func(l scheduler.LineCounters) bool { return l.Device == line })
	if i < 0 {
		return scheduler.LineCounters{}, false
	}
	return lines[i], true
}
