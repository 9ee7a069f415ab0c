package tour

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// passedOver is a step in which a line of a weighted bond becomes a black hole, with an upload that the bond's program is to take out of it.
func passedOver(hole step, line int) step {
	fall := hole.do
	hole.say += " A host uploads as well, and the bond's program is to pass the line over before the daemon takes it out. " +
		"The download is spread by the ISP, which goes on sending into the hole until it notices."
	hole.do = func(s *stage) error {
		if err := s.startBeside(lineName(line)); err != nil {
			return err
		}
		s.began = time.Now()
		return fall(s)
	}
	hole.see = func(s *stage) (string, error) {
		passed, err := s.passed(lineName(line))
		if err != nil {
			return "", err
		}
		seen, err := fails(line)(s)
		return passed + seen, errors.Join(err, s.lab.stopUpload())
	}
	return hole
}

// startBeside starts an upload beside the download, and waits until it goes by a line.
func (s *stage) startBeside(name string) error {
	const rate = 1_000_000 // bit/s: more than the download's answers
	s.lab.upload = newUpload()
	_, err := s.await("the upload goes by "+name, func() bool {
		m, _ := s.scene.member(name)
		return m.Rates != nil && m.Rates.TxBits > rate
	})
	return err
}

// passed waits until a line is taken out, and says when the last packet was sent into it, by the program's counters, and how many went
// elsewhere.
func (s *stage) passed(name string) (string, error) {
	before, _ := s.scene.member(name)
	if before.Scheduled == nil {
		return "", nil // without eBPF nobody counts
	}
	last := *before.Scheduled
	began, at := last.Passed, s.began
	_, err := s.await("the line is taken out", func() bool {
		m, _ := s.scene.member(name)
		if x := m.Scheduled; x != nil {
			if x.Packets > last.Packets {
				at = s.scene.Now
			}
			last = *x
		}
		return !m.In
	})
	after, elsewhere := max(0, at.Sub(s.began)).Seconds(), last.Passed-began
	s.measure("passed over after", after, "s")
	s.measure("packets elsewhere", float64(elsewhere), "")
	return fmt.Sprintf("The last packet went into the line %.2f s after the fault; %d that it would have got went elsewhere. ", after, elsewhere), err
}

// killed is the step in which the daemon is killed under an upload.
func killed() step {
	return step{
		title: "daemon killed",
		say: "The daemon is killed (kill -9) under an upload, and started again. It is to take over the bond that it finds, with its " +
			"addresses and routes, and has to dial the lines anew.",
		do: func(s *stage) error {
			if err := s.startBeside(lineName(0)); err != nil {
				return err
			}
			s.began = time.Now()
			s.lab.upload.mark()
			return s.restart()
		},
		see: (*stage).adopted,
	}
}

// adopted waits until a new daemon's lines carry what they did before.
func (s *stage) adopted() (string, error) {
	_, err := s.await("all lines are used again", func() bool { return s.scene.Status.Started.After(s.began) && s.allWork() })
	if err != nil {
		return "", err
	}
	used := time.Since(s.began)
	const more = 256 << 10
	before := s.lab.upload.moved()[0]
	if _, err := s.await("the upload goes on", func() bool { return s.lab.upload.moved()[0] > before+more }); err != nil {
		return "", err
	}
	longest := s.lab.upload.longestPause()
	s.measure("used after", used.Seconds(), "s")
	s.measure("longest pause", longest.Seconds(), "s")
	how, err := tookOver()
	return fmt.Sprintf("%s used again after %.2f s. The upload goes on, after a pause of %.2f s. %s",
		are(s.lab.options.Lines), used.Seconds(), longest.Seconds(), how), errors.Join(err, s.lab.stopUpload())
}

// tookOver says what the daemon's log says last of how it came by the bond.
func tookOver() (string, error) {
	const event, adopted = "  scheduler  ", `"adopted": true`
	text, err := os.ReadFile(logFile)
	if err != nil {
		return "", err
	}
	log := string(text)
	i := strings.LastIndex(log, event)
	if i < 0 {
		return "There was no program to take over.", nil
	}
	said, _, _ := strings.Cut(log[i+len(event):], "\n")
	if strings.Contains(said, adopted) {
		return "The bond, its program and what that has counted were taken over.", nil
	}
	return "The bond was made anew: " + said, nil
}
