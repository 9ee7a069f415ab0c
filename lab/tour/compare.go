package tour

import (
	"errors"
	"fmt"
	"time"

	"linebond/config"
	"linebond/lab/modem"
)

// A contender is a way in which the upload of the comparison goes.
type contender struct {
	title string
	mode  string // of the bond
	alone bool   // the fastest line has it for itself
	news  string // what the configuration says then
}

// fastest is the line that carries most, by unequalUp.
const fastest = 0

// comparison is the step in which one upload goes in several ways.
func comparison(o Options) step {
	return step{
		title: "upload compared",
		say: fmt.Sprintf("The host in the LAN uploads by one connection: over %s alone, which is the fastest; by the kernel's TEQL, if that "+
			"is there; and by the bond of this lab. In between the configuration is edited and read again, and the lines stay up.",
			lineName(fastest)),
		do: (*stage).compare, see: (*stage).compared,
	}
}

// contenders are in the order in which they are tried; the last one is the lab's own bond.
func (l *Lab) contenders() []contender {
	all := []contender{{title: lineName(fastest) + " alone", mode: config.ModeWeighted, alone: true, news: "the other lines have fallback = true"}}
	if l.teql != "" {
		all = append(all, contender{title: config.ModeTEQL, mode: config.ModeTEQL, news: `mode = "teql"`})
	}
	return append(all, contender{title: config.ModeWeighted, mode: config.ModeWeighted, news: `mode = "weighted", and no line is a fallback`})
}

// compare measures the upload of each, and ends with the configuration that it has found.
func (s *stage) compare() error {
	sum := 0
	for i := range s.lab.options.Lines {
		sum += s.lab.options.up(i)
	}
	s.scene.Capacity, s.best = float64(sum), goodput(sum)
	for _, c := range s.lab.contenders() {
		if err := s.reconfigure(c); err != nil {
			return err
		}
		rate, err := s.upload(c)
		if err != nil {
			return err
		}
		s.measure(c.title, rate, "bit/s")
	}
	return nil
}

func (s *stage) compared() (string, error) {
	alone, together := s.measured[0].Value, s.measured[len(s.measured)-1].Value
	return fmt.Sprintf("One connection gets %.1f Mbit/s of %.1f %s, and %.1f over %s alone:",
		together/1e6, s.best/1e6, over(s.lab.options.Lines), alone/1e6, lineName(fastest)), nil
}

// goodput is what TCP can carry in its segments, in bit/s, over lines that carry so much together.
func goodput(sum int) float64 {
	const (
		segment = lineMTU - 8 - 20 - 32             // without the headers of PPPoE, IPv4, and TCP with timestamps
		frame   = lineMTU + 14 + 4 + modem.Overhead // with those of Ethernet and VLAN
	)
	return float64(sum) * segment / frame
}

// reconfigure does what a person would, and waits until the daemon has the lines serve so.
func (s *stage) reconfigure(c contender) error {
	o := s.lab.options
	files := map[string]string{daemonFileName: daemonFile(o, c.mode, s.lab.teql)}
	for i := range o.Lines {
		text := lineFile(o, i)
		if c.alone && i != fastest {
			text += "fallback  = true\n"
		}
		files[lineFileName(i)] = text
	}
	if err := write(files); err != nil {
		return err
	}
	if err := s.insist("reload", func() error { return s.client.Reload(s.ctx) }); err != nil {
		return err
	}
	if _, err := s.await("the lines serve as "+c.title, func() bool { return s.serve(c) }); err != nil {
		return err
	}
	return s.tell(Event{Kind: note, Text: fmt.Sprintf("%6.1fs  linebond reload: %s", time.Since(s.lab.began).Seconds(), c.news)})
}

// serve says whether the lines are in the bond as they should be.
func (s *stage) serve(c contender) bool {
	for i := range s.lab.options.Lines {
		m, ok := s.scene.member(lineName(i))
		if !ok || m.In != (!c.alone || i == fastest) {
			return false
		}
	}
	return s.scene.Status.Bonds[0].Mode == c.mode
}

// upload returns the rate of one, in bit/s, of the seconds after it has found its pace.
func (s *stage) upload(c contender) (rate float64, err error) {
	const pace, window = time.Second, 3 * time.Second
	s.lab.startUpload()
	var begun, marked time.Time
	var before int64
	_, err = s.await("the upload over "+c.title+" has run for some seconds", func() bool {
		moved, now := s.lab.load.moved()[0], time.Now()
		switch {
		case begun.IsZero():
			if moved > 0 {
				begun = now
			}
		case marked.IsZero():
			if now.Sub(begun) > pace {
				marked, before = now, moved
			}
		case now.Sub(marked) > window:
			rate = 8 * float64(moved-before) / now.Sub(marked).Seconds()
			return true
		}
		return false
	})
	return rate, errors.Join(err, s.lab.stopLoad())
}
