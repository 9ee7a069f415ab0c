package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"linebond/config"
	"linebond/control"
	"linebond/line"
)

// start begins the lives of lines: what they run on is made first.
func (d *Daemon) start(lines ...config.Line) {
	var started []*worker
	for _, c := range lines {
		if c.IPv6 && !d.options.Effects.IPv6 {
			d.log.Info("IPv6 is switched off in this kernel", zap.String("line", c.Name))
			c.IPv6 = false
		}
		c.Dataplane = d.choosePlane(c)
		w := newWorker(c, d.options.Effects, d.log.Logger, d.announce, d.schedulers, d.rates)
		d.workers[c.Name] = w
		started = append(started, w)
	}
	d.tellMixed(started)
	_ = d.reconcile() // has logged its error, and is tried again
	for _, w := range started {
		go func() {
			w.run(d.live)
			d.finished <- w
		}()
	}
}

// choosePlane returns a line's data plane, and logs it.
func (d *Daemon) choosePlane(c config.Line) string {
	dataplane, reason, lack := d.options.Effects.Planes.Choose(c)
	about := []zap.Field{zap.String("line", c.Name), zap.String("dataplane", dataplane), zap.String("reason", reason)}
	if lack != nil {
		d.log.Error("data plane", append(about, zap.Error(lack))...)
	} else {
		d.log.Info("data plane", about...)
	}
	return dataplane
}

// tellMixed warns of TEQL bonds that these lines make ones of two data planes:
// "auto" can have each line's own. TEQL takes the lines of one of the two.
func (d *Daemon) tellMixed(started []*worker) {
	for _, b := range d.config.Bonds {
		if b.Mode != config.ModeTEQL || !slices.ContainsFunc(started, func(w *worker) bool { return w.member.Bond == b.Device }) {
			continue
		}
		lines := map[string][]string{} // by data plane
		for _, w := range d.sorted() {
			if w.member.Bond == b.Device {
				lines[w.cfg.Dataplane] = append(lines[w.cfg.Dataplane], w.cfg.Name)
			}
		}
		kernel, ebpf := lines[config.DataplaneKernel], lines[config.DataplaneEBPF]
		if len(kernel) > 0 && len(ebpf) > 0 {
			d.log.Warn(`lines of one bond have different data planes, which TEQL does not take together; write dataplane = "ebpf" in the files of all`,
				zap.String("bond", b.Device), zap.Strings("kernel", kernel), zap.Strings("ebpf", ebpf))
		}
	}
}

// announce tells the supervisor that a line's status is new.
func (d *Daemon) announce() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// replace takes a worker that has ended off the list, and starts the line
// again if the configuration still has it.
func (d *Daemon) replace(w *worker) {
	delete(d.workers, w.cfg.Name)
	var again []config.Line
	for _, c := range d.config.Lines {
		if c.Name == w.cfg.Name {
			again = append(again, c)
		}
	}
	d.start(again...)
}

// reload reads the configuration again. Lines whose files say what they said
// before are not touched.
func (d *Daemon) reload() error {
	if d.stopping {
		return errStopping
	}
	next, problems := loadConfig(d.options.ConfigDir)
	for _, p := range problems {
		d.logProblem(p)
	}
	if texts := failures(problems); len(texts) > 0 {
		return &control.ConfigError{Problems: texts}
	}
	before := d.config
	d.config = next
	d.bonds.Configure(next)
	d.rates.configure(next.Lines)
	d.rates.doubts.configure(next)
	d.options.Log.SetLevel(next.Log.Level)
	if needsRestart(before, next) {
		d.log.Warn("configuration", zap.String("problem", "what [dns] says, and [log] except for level, takes effect when linebond is started again"))
	}
	d.log.Info("configuration read again", zap.Int("lines", len(next.Lines)))
	d.change(before.Lines, next.Lines)
	return nil
}

// needsRestart says whether something is new that is not acted upon while the
// daemon runs.
func needsRestart(before, next *config.Config) bool {
	log := next.Log
	log.Level = before.Log.Level
	return log != before.Log || next.DNS != before.DNS
}

// change closes the lines that are gone or other than before, and starts those
// that are new. A changed one is started by replace when the old has closed, and
// so is a new one whose name belongs to a line that is still closing.
func (d *Daemon) change(before, next []config.Line) {
	old := map[string]config.Line{}
	for _, c := range before {
		old[c.Name] = c
	}
	var added []config.Line
	for _, c := range next {
		was, had := old[c.Name]
		delete(old, c.Name)
		switch w := d.workers[c.Name]; {
		case w == nil:
			added = append(added, c)
		case had && !c.Equal(was):
			w.halt(line.Reloaded)
		}
		if w := d.workers[c.Name]; w != nil {
			w.member = w.member.InBond(c)
		}
	}
	for name := range old {
		if w := d.workers[name]; w != nil {
			w.halt(line.Removed)
		}
	}
	d.start(added...)
}

// patience is how long an operator waits for lines that are busy.
const patience = time.Second

// Why an operator's wish is refused.
var (
	errStopping = errors.New("linebond is stopping")
	errBusy     = errors.New("linebond is busy; try again in a moment")
	errClosing  = errors.New("the line is closing because its configuration has changed; try again in a moment")
)

// do runs f on the supervisor's goroutine and returns its error.
func (d *Daemon) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case d.requests <- func() { result <- f() }:
		return <-result
	case <-ctx.Done():
		return errBusy
	}
}

// Reload implements control.Daemon.
func (d *Daemon) Reload(ctx context.Context) error { return d.do(ctx, d.reload) }

// Command implements control.Daemon. When it returns, the line has the command:
// the next one, and the next Status, come after it.
func (d *Daemon) Command(ctx context.Context, name string, verb control.Verb) error {
	event, ok := map[control.Verb]line.Event{
		control.Up: line.Up{}, control.Down: line.Down{Cause: line.Operator}, control.Redial: line.Redial{},
	}[verb]
	if !ok {
		return fmt.Errorf("a line cannot be told to %q", verb)
	}
	var w *worker
	err := d.do(ctx, func() error {
		w = d.workers[name]
		switch {
		case w == nil:
			return control.ErrNoLine
		case d.stopping:
			return errStopping
		case w.halted:
			return errClosing
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return w.post(ctx, event)
}
