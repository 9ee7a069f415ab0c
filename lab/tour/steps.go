package tour

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"linebond/config"
	"linebond/control"
	"linebond/lab/concentrator"
)

// steps is the tour of a lab: the story.
func steps(o Options) []step {
	all := []step{{
		title: "lines dialled",
		say: fmt.Sprintf("The daemon starts in the router. It is to find an access concentrator on %s, prove who it is, and get an address.",
			each(o.Lines)),
		do: (*stage).start, see: (*stage).allUp,
	}}
	if o.compares() {
		all = append(all, comparison(o))
	}
	return append(all, o.faultSteps()...)
}

// compares says whether the tour compares modes.
func (o Options) compares() bool { return o.Bond == config.ModeWeighted && o.Lines > 1 }

// faultSteps is the part of the tour in which things go wrong.
func (o Options) faultSteps() []step {
	lines := o.Lines
	first, last := 0, lines-1
	hole := step{
		title: "black hole",
		say:   fmt.Sprintf("%s becomes a black hole: its carrier stays, but nothing gets through. Only unanswered echoes can tell.", lineName(first)),
		do:    blackHole(first, true),
		see:   fails(first),
	}
	if o.compares() {
		hole = passedOver(hole, first)
	}
	all := []step{{
		title: "download",
		say: fmt.Sprintf("A host in the LAN downloads from a server on the internet, over %d connections, and pings it ten times a second. "+
			"There are %.0f Mbit/s to be had, %s.",
			connections(lines), float64(lines*lineDown)/1e6, over(lines)),
		do: (*stage).download, see: (*stage).flows,
	}, {
		title: "cable pulled",
		say:   fmt.Sprintf("The cable of %s is pulled, while the download runs.", lineName(last)),
		do:    func(s *stage) error { return s.lab.modems[last].Cut(true) },
		see:   fails(last),
	}, {
		title: "cable back",
		say:   "The cable is plugged in again.",
		do:    func(s *stage) error { return s.lab.modems[last].Cut(false) },
		see:   returns(last),
	}, hole, {
		title: "black hole ends",
		say:   fmt.Sprintf("%s gets through again.", lineName(first)),
		do:    blackHole(first, false),
		see:   returns(first),
	}, {
		title: "AC crashes",
		say: fmt.Sprintf("The access concentrator of %s loses its power, and with it all that it knew of sessions.",
			lineName(last)),
		do:  func(s *stage) error { return s.lab.isp.Crash(acName(last)) },
		see: fails(last),
	}, {
		title: "AC restarts",
		say:   "The access concentrator has its power again. The line has to be dialled anew.",
		do:    func(s *stage) error { return s.lab.isp.Restart(acName(last)) },
		see:   redialled(last),
	}, {
		title: "PADT",
		say:   fmt.Sprintf("The access concentrator of %s ends the session by a PADT, as before maintenance.", lineName(first)),
		do:    func(s *stage) error { return s.lab.isp.PADT(acName(first), "maintenance") },
		see:   redialled(first),
	}, {
		title: "password refused",
		say:   fmt.Sprintf("The ISP ends the session of %s, and knows its customer no more: it refuses the password.", lineName(last)),
		do:    refuse(last),
		see:   refused(last),
	}, {
		title: "linebond redial",
		say: "The ISP has found its customer again, and the operator has the line dialled at once: `linebond redial`. A bond uses it later than " +
			"before: each fall that comes soon after another doubles rejoin_after.",
		do:  redial(last),
		see: redialled(last),
	}}
	if o.compares() {
		all = append(all, killed())
	}
	return append(all, step{
		title: "all closed",
		say:   "The daemon gets a SIGTERM. It is to close its sessions in good order, and to leave nothing behind in the router.",
		do:    (*stage).end,
		see:   (*stage).nothingLeft,
	})
}

func (s *stage) start() (err error) {
	if s.found, err = devices(router); err != nil {
		return err
	}
	s.daemon, err = s.lab.startDaemon()
	return err
}

// allWork says whether every line is up and takes packets.
func (s *stage) allWork() bool {
	for i := range s.lab.options.Lines {
		if !s.scene.works(lineName(i)) {
			return false
		}
	}
	return true
}

func (s *stage) allUp() (string, error) {
	took, err := s.await("all lines are up", s.allWork)
	if err != nil {
		return "", err
	}
	all := time.Since(s.lab.began)
	s.measure("all up after", took.Seconds(), "s")
	s.measure("since the command", all.Seconds(), "s")
	return fmt.Sprintf("%s up %.2f s after the daemon's start, which is %.2f s after the command.",
		are(s.lab.options.Lines), took.Seconds(), all.Seconds()), nil
}

func (s *stage) download() error {
	s.scene.Capacity = float64(lineDown * s.lab.options.Lines)
	s.lab.startDownload()
	return s.lab.startPings()
}

// flows waits until the download has run for some seconds, over all lines that are to share it.
func (s *stage) flows() (string, error) {
	const seconds = 3
	carries := map[string]bool{}
	_, err := s.await("the download comes in by all lines", func() bool {
		for _, l := range s.scene.Status.Lines {
			if l.Rates != nil && l.Rates.RxBits > lineDown/100 {
				carries[l.Name] = true
			}
		}
		return len(carries) == s.lab.options.Lines && len(s.scene.Load.Rates) > seconds*ratesASecond
	})
	if err != nil {
		return "", err
	}
	rate := s.scene.Load.Rate()
	s.measure("rate", rate, "bit/s")
	return fmt.Sprintf("It runs at %.1f Mbit/s, %s.", rate/1e6, over(s.lab.options.Lines)), nil
}

func blackHole(line int, on bool) func(*stage) error {
	return func(s *stage) error {
		s.lab.modems[line].BlackHole(on)
		return nil
	}
}

// refuse has the ISP know nobody, and end the session.
func refuse(line int) func(*stage) error {
	return func(s *stage) error {
		if err := s.lab.isp.SetUsers(acName(line), nil); err != nil {
			return err
		}
		return s.lab.isp.PADT(acName(line), "")
	}
}

// redial has the ISP know its customer, and the daemon dial at once.
func redial(line int) func(*stage) error {
	return func(s *stage) error {
		if err := s.lab.isp.SetUsers(acName(line), []concentrator.User{user(line)}); err != nil {
			return err
		}
		return s.insist("redial", func() error { return s.client.Command(s.ctx, lineName(line), control.Redial) })
	}
}

// fails waits until the daemon has noticed that a line does not work, and the download goes on without it, if there is another line.
func fails(line int) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		_, err := s.await("the line's failure is noticed", func() bool { return !s.scene.works(lineName(line)) })
		if err != nil {
			return "", err
		}
		return s.without(line)
	}
}

// refused waits until the daemon knows that its password is refused.
func refused(line int) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		_, err := s.await("the refusal is told", func() bool {
			l := s.scene.line(lineName(line))
			return l.State == "waiting" && strings.HasPrefix(l.Reason, "authentication refused")
		})
		if err != nil {
			return "", err
		}
		return s.without(line)
	}
}

// without says why a line does not work, and waits until the download goes on by other lines, if there are any.
func (s *stage) without(line int) (string, error) {
	reason, since := s.scene.whyNot(lineName(line))
	after := max(0, since.Sub(s.began)).Seconds()
	s.measure("out after", after, "s")
	seen := fmt.Sprintf("%s is out after %.2f s: %s. ", lineName(line), after, reason)
	if s.lab.options.Lines == 1 {
		return seen + "There is no other line, so the download waits.", nil
	}
	went, err := s.goesOn()
	return seen + went, err
}

// returns waits until a line works again.
func returns(line int) func(*stage) (string, error) {
	return func(s *stage) (string, error) { return s.back(lineName(line), func() bool { return true }) }
}

// redialled waits until a line works again, by another session.
func redialled(line int) func(*stage) (string, error) {
	return func(s *stage) (string, error) {
		name := lineName(line)
		return s.back(name, func() bool { return s.scene.session(name) != s.before.session(name) })
	}
}

// back waits until a line is used again and the download has gone on.
func (s *stage) back(name string, also func() bool) (string, error) {
	_, err := s.await("the line is used again", func() bool { return s.scene.works(name) && also() })
	if err != nil {
		return "", err
	}
	used := time.Since(s.began)
	up := max(0, s.scene.line(name).Since.Sub(s.began))
	session := "the session has outlived it"
	if s.scene.session(name) != s.before.session(name) {
		session = fmt.Sprintf("by a new session, %d", s.scene.session(name))
	}
	s.measure("up after", up.Seconds(), "s")
	s.measure("used after", used.Seconds(), "s")
	went, err := s.goesOn()
	return fmt.Sprintf("%s is up again after %.2f s (%s), and used after %.2f s. %s", name, up.Seconds(), session, used.Seconds(), went), err
}

// goesOn waits until each connection of the download has received more, and says for how long one of them did not, since the step began.
func (s *stage) goesOn() (string, error) {
	const more = 256 << 10
	before := s.lab.load.moved()
	_, err := s.await("the download goes on", func() bool {
		for i, n := range s.lab.load.moved() {
			if n < before[i]+more {
				return false
			}
		}
		return true
	})
	if err != nil {
		return "", err
	}
	longest := s.lab.load.longestPause()
	s.measure("longest pause", longest.Seconds(), "s")
	text := fmt.Sprintf("The download goes on; the longest pause of a connection was %.2f s", longest.Seconds())
	if broken := s.scene.Load.Broken - s.before.Load.Broken; broken > 0 {
		s.measure("connections broken", float64(broken), "")
		text += fmt.Sprintf(", and %d had to begin anew", broken)
	}
	lost, of := s.pingsLost()
	s.measured = append(s.measured, Measure{Name: "pings lost", Value: float64(lost), Of: float64(of)})
	return fmt.Sprintf("%s. Pings lost: %d of %d.", text, lost, of), nil
}

// pingsLost counts those of the pings that were answered or given up since the step began.
func (s *stage) pingsLost() (lost, of int) {
	now := s.lab.pinged()
	lost = now.Lost - s.pinged.Lost
	return lost, lost + now.Received - s.pinged.Received
}

func (s *stage) nothingLeft() (string, error) {
	took := time.Since(s.began)
	s.measure("closed after", took.Seconds(), "s")
	_, err := s.await("the ISP has no session any more", func() bool { return len(s.lab.isp.Sessions()) == 0 })
	if err != nil {
		return "", err
	}
	left, err := devices(router)
	if err == nil && !slices.Equal(left, s.found) {
		err = fmt.Errorf("the router has the devices %v, and had %v before", left, s.found)
	}
	if err == nil {
		err = s.lab.cleanedUp()
	}
	return fmt.Sprintf("Done in %.2f s: the ISP has no session any more, and in the router's kernel nothing of linebond's is left.", took.Seconds()), err
}

// cleanedUp asks `linebond cleanup` whether the daemon has left something in the router.
func (l *Lab) cleanedUp() error {
	const nothing = "nothing of linebond's is in the kernel\n"
	var out []byte
	err := l.house.Do(func() (err error) {
		out, err = exec.Command(l.options.Program, append([]string{"cleanup", "--dry-run"}, folders()...)...).CombinedOutput()
		return err
	})
	if err != nil || string(out) != nothing {
		return errors.Join(fmt.Errorf("in the router `linebond cleanup --dry-run` should find nothing, but says:\n%s", out), err)
	}
	return nil
}

// connections is how many the download has: two for each line.
func connections(lines int) int { return 2 * lines }

// over says by which lines the download comes.
func over(lines int) string {
	switch lines {
	case 1:
		return "over the line"
	case 2:
		return "over both lines together"
	}
	return fmt.Sprintf("over all %d lines together", lines)
}

// are begins a sentence about all lines.
func are(lines int) string {
	switch lines {
	case 1:
		return "The line is"
	case 2:
		return "Both lines are"
	}
	return fmt.Sprintf("All %d lines are", lines)
}

// each names all lines.
func each(lines int) string {
	if lines == 1 {
		return "the line"
	}
	return fmt.Sprintf("each of the %d lines", lines)
}
