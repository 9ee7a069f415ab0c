package tour

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"linebond/control"
	"linebond/lab/internet"
)

const (
	// limit is how long a step waits for something to come about.
	limit = time.Minute
	// pause is between two looks at how things are.
	pause = 50 * time.Millisecond
)

// A step is a part of the tour.
type step struct {
	title string
	say   string                       // what is going to happen
	do    func(*stage) error           // has it happen
	see   func(*stage) (string, error) // waits until what should follow has come about, and says what was seen
}

// A stage is where the tour takes place. One goroutine uses it.
type stage struct {
	ctx      context.Context
	lab      *Lab
	reporter Reporter
	daemon   *daemon
	client   *control.Client
	scene    Scene
	unheard  error                   // why the daemon has not answered when last looked at
	told     map[string]Line         // what each line's state was when it was told
	began    time.Time               // when the step did
	before   Scene                   // how things were then
	pinged   internet.EchoStatistics // until then
	measured []Measure               // in this step
	best     float64                 // bit/s, that the rates that this step compares could be
	compared []Way
	figured  time.Time // when figures were told
	found    []string  // devices of the router before the daemon began
	results  []Result
}

func newStage(ctx context.Context, lab *Lab, r Reporter) *stage {
	return &stage{
		ctx: ctx, lab: lab, reporter: r, client: control.NewClient(socket), told: map[string]Line{},
	}
}

// end ends what the stage has running.
func (s *stage) end() error {
	err := s.lab.stopLoad()
	err = errors.Join(err, s.lab.stopPings())
	if s.daemon != nil {
		err = errors.Join(err, s.daemon.stop())
		s.daemon, s.scene.Status = nil, control.Status{}
	}
	return err
}

// tell reports an event.
func (s *stage) tell(e Event) error {
	e.At = time.Since(s.lab.began).Seconds()
	return s.reporter.Event(e)
}

// play goes through the steps, and ends at the first that fails.
func (s *stage) play(steps []step) error {
	for i, step := range steps {
		s.before, s.measured, s.best, s.compared, s.pinged = s.scene, []Measure{}, 0, nil, s.lab.pinged()
		s.scene.Saying, s.scene.Short = fmt.Sprintf("%d/%d  %s", i+1, len(steps), step.say), fmt.Sprintf("%d/%d  %s", i+1, len(steps), step.title)
		if err := s.tell(Event{Kind: begins, Step: i + 1, Steps: len(steps), Text: step.say}); err != nil {
			return err
		}
		s.began = time.Now()
		s.lab.load.mark()
		seen := ""
		err := step.do(s)
		if err == nil {
			seen, err = step.see(s)
		}
		if s.ctx.Err() != nil {
			return errInterrupted
		}
		r := Result{Title: step.title, Seen: seen, Measured: s.measured, Best: s.best, Compared: s.compared, OK: err == nil}
		if err != nil {
			r.Error = err.Error()
		}
		s.results = append(s.results, r)
		if err := s.tell(Event{Kind: ended, Step: i + 1, Steps: len(steps), Result: &r}); err != nil {
			return err
		}
		if err != nil { // which was told
			return fmt.Errorf("step %d (%s) has failed", i+1, step.title)
		}
	}
	return nil
}

func (s *stage) measure(name string, value float64, unit string) {
	s.measured = append(s.measured, Measure{Name: name, Value: value, Unit: unit})
}

// await looks until something holds, and returns how long that took. what says what is awaited.
func (s *stage) await(what string, holds func() bool) (time.Duration, error) {
	began := time.Now()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for deadline := time.After(limit); ; {
		if err := s.look(); err != nil {
			return 0, err
		}
		if s.unheard == nil && holds() {
			return time.Since(began), nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return 0, s.late(what)
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
}

// late is the error where something has not come about: with all that tells why, as the log goes with the lab.
func (s *stage) late(what string) error {
	err := fmt.Errorf("after %v still not: %s (%s)", limit, what, s.lines())
	if s.unheard != nil {
		err = fmt.Errorf("%w; the daemon does not answer: %w", err, s.unheard)
	}
	if s.scene.Status.Trouble != "" {
		err = fmt.Errorf("%w; the daemon's trouble: %s", err, s.scene.Status.Trouble)
	}
	return errors.Join(err, lastWords())
}

// insist gives the daemon a command until it has taken it: a busy one may have no time at first.
func (s *stage) insist(command string, give func() error) error {
	var refused error
	_, err := s.await("linebond "+command, func() bool {
		refused = give()
		return refused == nil
	})
	return errors.Join(err, refused)
}

// look takes a new scene, and tells what has changed. What a daemon that does not answer has said last stays in it.
func (s *stage) look() error {
	s.unheard = nil
	if s.daemon != nil {
		status, err := s.client.Status(s.ctx)
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		if err == nil {
			s.scene.Status = status
		} else if err := s.daemon.alive(); err != nil {
			return err
		}
		s.unheard = err
	}
	s.scene.Now, s.scene.At = time.Now(), time.Since(s.lab.began)
	s.scene.Load = s.lab.load.scene()
	for _, l := range s.scene.Status.Lines {
		now := Line{l.Name, l.State, l.Reason}
		if s.told[l.Name].State == now.State {
			continue
		}
		s.told[l.Name] = now
		if err := s.tell(Event{Kind: changed, Line: &now}); err != nil {
			return err
		}
	}
	if err := s.figure(); err != nil {
		return err
	}
	return s.reporter.Scene(s.scene)
}

// figure tells each second what weighted bonds carry.
func (s *stage) figure() error {
	if s.scene.Now.Sub(s.figured) < time.Second {
		return nil
	}
	for _, b := range s.scene.Status.Bonds {
		if b.Scheduler == nil {
			continue
		}
		s.figured = s.scene.Now
		if err := s.tell(Event{Kind: figures, Bond: &b}); err != nil {
			return err
		}
	}
	return nil
}

// lines says in short how all lines are.
func (s *stage) lines() string {
	var each []string
	for _, l := range s.scene.Status.Lines {
		each = append(each, fmt.Sprintf("%s is %s: %s", l.Name, l.State, l.Reason))
	}
	return strings.Join(each, "; ")
}

// line is the line of the name in a scene.
func (s Scene) line(name string) control.Line {
	for _, l := range s.Status.Lines {
		if l.Name == name {
			return l
		}
	}
	return control.Line{}
}

// member is the line's part in its bond, if it has one.
func (s Scene) member(name string) (m control.Member, ok bool) {
	for _, b := range s.Status.Bonds {
		for _, m := range b.Members {
			if m.Line == name {
				return m, true
			}
		}
	}
	return m, false
}

// works says whether a line is up and takes packets, as far as the daemon knows.
func (s Scene) works(name string) bool {
	m, bonded := s.member(name)
	return s.line(name).State == "up" && (m.In || !bonded)
}

// whyNot is the reason why a line does not, and since when that is.
func (s Scene) whyNot(name string) (reason string, since time.Time) {
	l := s.line(name)
	m, bonded := s.member(name)
	if bonded && !m.In {
		return m.Reason, m.Since
	}
	return l.Reason, l.Since
}

// session is a line's session id; 0: it has none.
func (s Scene) session(name string) uint16 {
	if x := s.line(name).Session; x != nil {
		return x.ID
	}
	return 0
}
