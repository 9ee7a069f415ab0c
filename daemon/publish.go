package daemon

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"linebond/bond"
)

// publishLimit is how long the end waits for DNS servers to be taken back.
const publishLimit = 900 * time.Millisecond

// publisher tells the rest of the host of DNS servers, on a goroutine of its
// own: the programs that it runs may be slow, or hang.
type publisher struct {
	resolvers Resolvers
	log       *logger
	trouble   trouble
	wanted    newest[[]bond.Resolver]
	ending    chan struct{} // closed: there will be no more, and no pauses
	done      chan struct{}
}

func newPublisher(r Resolvers, log *zap.Logger) *publisher {
	return &publisher{
		resolvers: r, log: &logger{Logger: log},
		trouble: trouble{begins: "DNS servers are not published as they should be; trying again", ends: "DNS servers are published as they should be"},
		wanted:  make(newest[[]bond.Resolver], 1),
		ending:  make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// run publishes what is wanted, and what has failed again after a pause, until
// end.
func (p *publisher) run() {
	defer close(p.done)
	if err := p.resolvers.Cleanup(); err != nil {
		p.log.Warn("cleaning up after the last run", zap.Error(err))
	}
	want, more := <-p.wanted
	for more {
		err := p.publish(want)
		p.trouble.report(p.log, err)
		if err == nil {
			want, more = <-p.wanted
			continue
		}
		select {
		case <-time.After(retryAfter):
		case <-p.ending:
		}
		select {
		case want, more = <-p.wanted:
		default:
		}
	}
}

// publish tells of the DNS servers of the lines that are up, and first takes
// back those of the others.
func (p *publisher) publish(want []bond.Resolver) error {
	var names []string
	for _, r := range want {
		names = append(names, r.Line)
	}
	errs := []error{p.resolvers.Keep(names...)}
	for _, r := range want {
		errs = append(errs, p.resolvers.Set(r.Device, r.Line, r.Servers))
	}
	return errors.Join(errs...)
}

// end waits until all has been taken back that is not wanted any more, but not
// for ever. For the supervisor.
func (p *publisher) end() {
	close(p.wanted)
	close(p.ending)
	select {
	case <-p.done:
	case <-time.After(publishLimit):
		p.log.Warn("DNS servers were not taken back in time; the next start will")
	}
}
