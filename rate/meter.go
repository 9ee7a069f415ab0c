package rate

import (
	"cmp"
	"slices"
	"time"
)

// meter adds up what was handed to a line while its queue was not empty.
type meter struct {
	bytes          float64
	span           time.Duration
	answered, lost int // echoes
	highest        time.Duration
}

// finding is a measurement.
type finding struct {
	at    time.Time
	rate  float64 // bit/s
	lossy bool    // a part of what was handed to the line was dropped
}

const (
	inRow    = 3                     // late answers: the queue was not empty between the last two of them
	standing = 20 * time.Millisecond // above the noise, once at least, in a measurement
	enough   = 8                     // echoes from which it can be told what part is lost
	overload = 0.28                  // such a part is more than chance
)

// read adds the time between the echo at i and the last answered one before to the meter, if answers have been late in a row.
func (e *Estimator) read(i int) {
	x := e.echoes[i]
	if !e.isLong(x.trip) {
		e.run = 0
		return
	}
	e.run++
	j := i - 1
	for j >= 0 && e.echoes[j].trip == 0 {
		j--
	}
	if e.run < inRow || j < 0 {
		return
	}
	m, before := &e.busy, e.echoes[j]
	m.bytes += float64(x.bytes - before.bytes)
	m.span += x.answered().Sub(before.answered())
	m.answered++
	m.lost += i - j - 1
	m.highest = max(m.highest, x.trip)
	if e.trial != nil {
		e.trial.answered++
		e.trial.lost += i - j - 1
	}
	if m.span < window || m.answered < intervals || m.lost > 0 && m.answered+m.lost < enough {
		return
	}
	f := finding{x.answered(), 8 * m.bytes / m.span.Seconds(), isLossy(m.answered, m.lost)}
	if f.lossy {
		f.rate *= max(0.5, float64(m.answered)/float64(m.answered+m.lost))
	}
	least := float64(idle)
	if f.lossy {
		least /= 2 // the load counts, of which that is a part
	}
	stands := m.highest > e.base.least()+e.base.noise()+standing
	*m = meter{}
	if stands && f.rate > max(Least, least*e.rate) {
		e.find(f, x)
	}
}

// isLossy says whether more echoes were lost than by chance.
func isLossy(answered, lost int) bool { return float64(lost) >= overload*float64(answered+lost) }

// find takes a measurement. Of the last ones the middle one counts.
func (e *Estimator) find(f finding, x echo) {
	e.found = slices.DeleteFunc(e.found, func(o finding) bool { return f.at.Sub(o.at) > recent })
	if len(e.found) == results {
		e.found = slices.Delete(e.found, 0, 1)
	}
	e.found = append(e.found, f)
	n := len(e.found)
	sorted := slices.SortedFunc(slices.Values(e.found), func(a, b finding) int { return cmp.Compare(a.rate, b.rate) })
	e.measured(sorted[(n-1)/2], n, x)
}
