package daemon

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/config"
	"linebond/lcp"
	"linebond/rate"
)

// doubts are about the rates that are configured, of lines in shaped bonds.
// Workers tell of their echoes; the supervisor asks.
type doubts struct {
	schedulers *schedulers
	changed    func() // tells the supervisor

	mu    sync.Mutex
	lines map[string]doubted // by name of line
}

type doubted struct {
	upload config.Rate
	doubt  *rate.Doubt
}

func newDoubts(s *schedulers, changed func()) *doubts {
	return &doubts{schedulers: s, changed: changed, lines: map[string]doubted{}}
}

// configure takes the lines of a configuration that are in bonds which are
// shaped: without a shaper there is margin enough. Lines whose rate is another
// one are believed again.
func (d *doubts) configure(next *config.Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.lines
	d.lines = map[string]doubted{}
	for _, c := range next.Lines {
		if c.Upload == 0 || !slices.ContainsFunc(next.Bonds, func(b config.Bond) bool {
			return b.Device == c.Bond && b.Mode == config.ModeWeighted && b.Shaping == config.ShapingCake
		}) {
			continue
		}
		l := before[c.Name]
		if l.upload != c.Upload {
			l = doubted{c.Upload, rate.NewDoubt(uint64(c.Upload))}
		}
		d.lines[c.Name] = l
	}
}

// of returns what a line shows instead of what is configured; the zero Estimate
// if there is no doubt.
func (d *doubts) of(now time.Time, name string) rate.Estimate {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.lines[name]
	if !ok || l.doubt.Rate(now) == 0 {
		return rate.Estimate{}
	}
	return rate.Estimate{Rate: l.doubt.Rate(now), Settled: true}
}

// sent tells of an echo request, by its number in the session.
func (d *doubts) sent(now time.Time, name, device string, number uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.lines[name]
	if !ok {
		return
	}
	c, _, ok := d.schedulers.carried(device)
	if !ok {
		return
	}
	for _, o := range c.Lines {
		if o.Device == device {
			l.doubt.Sent(now, number, o.Wire)
		}
	}
}

// answered tells of an answer. It returns what the line shows if that is news,
// else 0.
func (d *doubts) answered(now time.Time, name string, e lcp.EchoStats) config.Rate {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.lines[name]
	if !ok {
		return 0
	}
	was := l.doubt.Rate(now)
	l.doubt.Answered(e.Answered, e.RTT, e.Least)
	is := l.doubt.Rate(now)
	if is == was || is == 0 {
		return 0
	}
	d.changed()
	return config.Rate(is)
}

// doubt takes an answer's round trip.
func (w *worker) doubt(now lcp.EchoStats) {
	if shown := w.rates.doubts.answered(time.Now(), w.cfg.Name, now); shown != 0 {
		w.log.write(zapcore.WarnLevel, "rate", zap.String("rate", shown.String()), zap.String("was", w.cfg.Upload.String()),
			zap.String("reason", "it carries less than its upload says: its echoes take "+now.RTT.Round(time.Millisecond).String()+" under load"))
	}
}

// learned is what is known of what a line carries, besides its configuration.
func (d *Daemon) learned(l config.Line) rate.Estimate {
	if l.UploadAuto {
		return d.rates.of(l.Name)
	}
	return d.rates.doubts.of(time.Now(), l.Name)
}
