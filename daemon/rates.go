package daemon

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/config"
	"linebond/lcp"
	"linebond/netstate"
	"linebond/rate"
	"linebond/scheduler"
)

const (
	// rateStep is by how much, as a part of it, an estimate has to move to be
	// told to the scheduler, rateNews to be told to people.
	rateStep = 0.02
	rateNews = 0.10
	// busyPart is what part of all the rates that a scheduler goes by makes its
	// bond busy.
	busyPart = 0.9
)

// rates learns what the lines carry whose configuration leaves that open.
// Workers tell it of their echoes; the supervisor asks what has been learned.
type rates struct {
	schedulers *schedulers
	changed    func() // tells the supervisor of an estimate that has moved
	doubts     *doubts

	mu    sync.Mutex
	lines map[string]*learner // by name of line
	kept  map[string]uint64   // what was known before, of lines that are not there yet: bit/s
}

// learner is one line's estimator.
type learner struct {
	estimator *rate.Estimator
	sampled   bool          // it is in a bond whose packets are counted
	told      rate.Estimate // to the supervisor
	logged    rate.Estimate
	kept      rate.Estimate // the last one that was not just tried
	all       uint64        // bytes that its bond had sent at the last echo
	at        time.Time
}

func newRates(s *schedulers, changed func()) *rates {
	return &rates{schedulers: s, changed: changed, doubts: newDoubts(s, changed), lines: map[string]*learner{}, kept: map[string]uint64{}}
}

// configure takes the lines of a configuration. What is known of others is
// forgotten.
func (r *rates) configure(lines []config.Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.lines
	r.lines = map[string]*learner{}
	for _, c := range lines {
		l := before[c.Name]
		if l == nil {
			estimator := rate.New(rate.Estimate{Rate: r.kept[c.Name], Settled: r.kept[c.Name] != 0})
			was := estimator.Estimate()
			l = &learner{estimator: estimator, told: was, logged: was, kept: was}
		}
		if c.UploadAuto {
			r.lines[c.Name] = l
		}
	}
	clear(r.kept)
}

// of returns what is known of a line; the zero Estimate if that is nothing.
func (r *rates) of(name string) rate.Estimate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lines[name]; l != nil && (l.sampled || l.told.Settled) {
		return l.told
	}
	return rate.Estimate{}
}

// settled returns the rates that are worth keeping, in bit/s.
func (r *rates) settled() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]uint64{}
	for name, l := range r.lines {
		if l.kept.Settled {
			all[name] = l.kept.Rate
		}
	}
	return all
}

// sent tells of an echo request, by its number in the session. Where a line's
// packets are not counted nothing is learned.
func (r *rates) sent(now time.Time, name, device string, number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[name]
	if l == nil {
		return
	}
	c, bits, ok := r.schedulers.carried(device)
	if !ok {
		return
	}
	var all, own uint64
	for _, o := range c.Lines {
		all += o.Wire
		if o.Device == device {
			own = o.Wire
		}
	}
	busy := all >= l.all && 8*float64(all-l.all) >= busyPart*float64(bits)*now.Sub(l.at).Seconds()
	l.all, l.at = all, now
	l.estimator.Sent(now, number, own, busy)
	if !l.sampled {
		l.sampled, l.told = true, l.estimator.Estimate()
		r.changed()
	}
}

// answered tells of an answer. It returns what there is to log, if anything.
func (r *rates) answered(name string, e lcp.EchoStats) []zap.Field {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[name]
	if l == nil {
		return nil
	}
	l.estimator.Answered(e.Answered, e.RTT)
	now := l.estimator.Estimate()
	if now.Settled != l.told.Settled || moved(l.told.Rate, now.Rate, rateStep) {
		l.told = now
		r.changed()
	}
	tried := now.Trial || now.Probe
	if !tried {
		l.kept = l.told
	}
	if !now.Settled || tried || l.logged.Settled && !moved(l.logged.Rate, now.Rate, rateNews) {
		return nil
	}
	was := l.logged
	l.logged = now
	fields := []zap.Field{zap.String("rate", config.Rate(now.Rate).String())}
	if was.Settled {
		fields = append(fields, zap.String("was", config.Rate(was.Rate).String()))
	}
	return append(fields, zap.String("reason", why(l.estimator.Why())))
}

func moved(from, to uint64, part float64) bool {
	return math.Abs(float64(to)-float64(from)) >= part*float64(from)
}

// why puts the cause of a change into words.
func why(c rate.Cause, trip time.Duration) string {
	took := trip.Round(time.Millisecond)
	switch c {
	case rate.Measured:
		return fmt.Sprintf("its echoes take %v under load", took)
	case rate.Carried:
		return fmt.Sprintf("it carries that much, and its echoes take no more than %v", took)
	case rate.Acquitted:
		return fmt.Sprintf("its echoes take %v with less load, too", took)
	}
	return "known from before"
}

// asked notes that the line has sent an echo request.
func (w *worker) asked() {
	w.check(w.bond.echoed(w.cfg.Device))
	w.rates.sent(time.Now(), w.cfg.Name, w.cfg.Device, w.line.Echo().Sent)
	w.rates.doubts.sent(time.Now(), w.cfg.Name, w.cfg.Device, w.line.Echo().Sent)
}

// learn takes the round trip of an answer.
func (w *worker) learn(before, now lcp.EchoStats) {
	if now.Received == before.Received {
		return
	}
	w.doubt(now)
	if news := w.rates.answered(w.cfg.Name, now); news != nil {
		w.log.write(zapcore.InfoLevel, "rate", news...)
	}
}

// carried returns what the bond of a line has counted, and the sum of the rates
// that it goes by, in bit/s.
func (s *schedulers) carried(device string) (scheduler.Counters, uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for bond, told := range s.told {
		if !slices.ContainsFunc(told.Lines, func(l netstate.ScheduledLine) bool { return l.Device == device }) {
			continue
		}
		var bits uint64
		for _, l := range told.Lines {
			bits += l.Rate
		}
		c, err := s.taken[bond].Counters()
		counted := slices.ContainsFunc(c.Lines, func(l scheduler.LineCounters) bool { return l.Device == device })
		return c, bits, err == nil && counted
	}
	return scheduler.Counters{}, 0, false
}
