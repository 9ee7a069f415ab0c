// Package daemon joins the pure rooms to those that touch the machine: a
// goroutine per line (worker.go), and a supervisor that keeps the host's
// networking as the lines and their bonds need it (reconcile.go), and that
// starts and stops lines as the configuration says (lines.go).
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"linebond/bond"
	"linebond/config"
	"linebond/control"
	"linebond/line"
	"linebond/netstate"
	"linebond/probe"
)

// Options is what a daemon is started with.
type Options struct {
	ConfigDir  string // absolute
	Config     *config.Config
	Problems   []config.Problem // of the configuration
	RuntimeDir string           // absolute; created if missing
	StateDir   string           // absolute; created if there is something to keep
	Version    string
	Effects    Effects
	Log        *Log
	Reload     <-chan os.Signal // SIGHUP
}

const (
	// closeLimit is how long lines may take to close in an orderly way.
	closeLimit = 4 * time.Second
	// settleTime gathers changes of the network that come in a burst;
	// settleLong those of a program that undoes what we do, again and again.
	settleTime = 10 * time.Millisecond
	settleLong = 250 * time.Millisecond
	// maxRepairs is how often in a second the host may be put right before that
	// is believed.
	maxRepairs = 10
	// retryAfter is the pause before a failed reconciliation is tried again,
	// checkEvery how often the host is looked at although nothing was heard:
	// the kernel does not announce changes of its settings.
	retryAfter = time.Second
	checkEvery = time.Minute
)

// Daemon is the supervisor. All its fields belong to the goroutine of run;
// others reach it by requests.
type Daemon struct {
	options    Options
	live       context.Context // of the workers: longer than run's, for an orderly close
	log        *logger
	config     *config.Config
	workers    map[string]*worker
	bonds      *bond.Bonds
	planned    []bond.Bond  // of the last plan
	untold     []bond.Event // that are still to become true
	schedulers *schedulers
	rates      *rates
	keeper     keeper
	shapers    map[string]netstate.ShaperKind // as last seen, by device
	refused    bool                           // by the kernel: weighted bonds do without eBPF
	meter      meter
	hearings   []*hearing // of the lines of weighted bonds
	pings      *probe.Watcher
	publisher  *publisher
	finished   chan *worker
	requests   chan func()
	changed    chan struct{} // a line's status is new
	again      *time.Timer   // for the next reconciliation
	settling   bool          // again is set by settle
	repairs    []time.Time   // in the last second: what others undid was done again
	started    time.Time
	stopping   bool
	trouble    trouble // with reconciliations
}

// Run dials the lines and keeps them up until ctx ends; then it closes them
// and takes away what it made.
func Run(ctx context.Context, o Options) error {
	d, err := newDaemon(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.RuntimeDir, 0o755); err != nil {
		return fmt.Errorf("making the runtime directory: %w", err)
	}
	server, err := control.Listen(filepath.Join(o.RuntimeDir, "linebond.sock"), d)
	if err != nil {
		return err
	}
	go server.Serve()
	return errors.Join(d.run(ctx), server.Close())
}

// newDaemon tells of the configuration's problems. Lines without mistakes are
// dialled even if others have some.
func newDaemon(o Options) (*Daemon, error) {
	d := &Daemon{
		options:   o,
		log:       &logger{Logger: o.Log.Logger},
		config:    o.Config,
		workers:   map[string]*worker{},
		bonds:     bond.New(o.Config, o.Effects.CPUs),
		publisher: newPublisher(o.Effects.Resolvers, o.Log.Logger),
		finished:  make(chan *worker),
		requests:  make(chan func()),
		changed:   make(chan struct{}, 1),
		again:     time.NewTimer(checkEvery),
		started:   time.Now(),
		trouble:   trouble{begins: "host networking is not as it should be; trying again", ends: "host networking is as it should be"},
	}
	d.schedulers = newSchedulers(o.Effects, d.log)
	d.rates = newRates(d.schedulers, d.announce)
	d.keeper = keeper{path: filepath.Join(o.StateDir, ratesFile), log: d.log}
	d.rates.kept = d.keeper.load()
	d.rates.configure(d.config.Lines)
	d.rates.doubts.configure(d.config)
	d.pings = d.newPings()
	for _, p := range o.Problems {
		d.logProblem(p)
	}
	if len(d.config.Lines) == 0 && len(failures(o.Problems)) > 0 {
		return nil, errors.New("no line can be used: see `linebond check`")
	}
	return d, nil
}

// run is the daemon without its socket.
func (d *Daemon) run(ctx context.Context) error {
	defer d.again.Stop()
	var end context.CancelFunc
	d.live, end = context.WithCancel(context.Background())
	defer end()
	watch, err := d.options.Effects.Host.Watch(d.live)
	if err != nil {
		return err
	}
	if err := d.options.Effects.Planes.Cleanup(); err != nil {
		d.log.Warn("cleaning up after the last run", zap.Error(err))
	}
	d.log.Info("started", zap.String("version", d.options.Version), zap.String("config", d.options.ConfigDir), zap.Int("lines", len(d.config.Lines)))
	go d.publisher.run()
	go d.pings.Run(d.live)
	d.start(d.config.Lines...)
	d.tellStrict()
	notify("READY=1")
	err = d.supervise(ctx, watch)
	notify("STOPPING=1")
	d.closeLines(end)
	d.keeper.keep(d.rates.settled(), true)
	err = errors.Join(err, d.takeAway(), d.schedulers.close())
	d.publisher.end()
	if err != nil {
		d.log.Error("stopped", zap.Error(err))
		return err
	}
	d.log.Info("stopped")
	return nil
}

// supervise is the daemon's life.
func (d *Daemon) supervise(ctx context.Context, watch <-chan struct{}) error {
	watchdog := newWatchdog()
	defer watchdog.Stop()
	readings := time.NewTicker(meterEvery)
	defer readings.Stop()
	hearings := time.NewTicker(listenEvery)
	defer hearings.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-watch:
			if !ok {
				return errors.New("the kernel's announcements of network changes have ended; linebond has to be started again")
			}
			d.settle()
		case <-d.changed:
			_ = d.reconcile() // has logged its error, and is tried again
		case <-d.again.C:
			_ = d.reconcile()
		case request := <-d.requests:
			request()
		case w := <-d.finished:
			d.replace(w)
		case <-d.options.Reload:
			if err := d.reload(); err != nil {
				d.log.Error("configuration not taken", zap.Error(err))
			}
		case <-readings.C:
			d.read()
			d.keeper.keep(d.rates.settled(), false)
		case <-hearings.C:
			d.listen()
		case <-watchdog.C:
			notify("WATCHDOG=1")
		}
	}
}

// closeLines closes all lines in an orderly way, or at the end of the limit
// without. Until the last is closed the bonds stay as they are.
func (d *Daemon) closeLines(end context.CancelFunc) {
	d.stopping = true
	for _, w := range d.workers {
		w.halt(line.Shutdown)
	}
	limit := time.After(closeLimit)
	for len(d.workers) > 0 {
		select {
		case w := <-d.finished:
			delete(d.workers, w.cfg.Name)
		case request := <-d.requests:
			request()
		case <-d.changed:
		case <-limit:
			d.log.Warn("lines closed without an answer from the access concentrator", zap.Int("lines", len(d.workers)))
			end()
		}
	}
}

// loadConfig reads the configuration from the real file system.
func loadConfig(dir string) (*config.Config, []config.Problem) {
	return config.Load(os.DirFS("/"), dir)
}

// failures picks the problems that are more than warnings.
func failures(problems []config.Problem) []string {
	var texts []string
	for _, p := range problems {
		if !p.Warning {
			texts = append(texts, p.String())
		}
	}
	return texts
}

func (d *Daemon) logProblem(p config.Problem) {
	if p.Warning {
		d.log.Warn("configuration", zap.String("problem", p.String()))
	} else {
		d.log.Error("configuration", zap.String("problem", p.String()))
	}
}
