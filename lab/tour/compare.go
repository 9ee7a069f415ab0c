package tour

import (
	"errors"
	"fmt"
	"time"

	"linebond/config"
	"linebond/control"
	"linebond/lab/modem"
)

// A contender is a way in which the upload of the comparison goes.
type contender struct {
	title string
	mode  string // of the bond
	alone bool   // the fastest line has it for itself
	lacks bool   // the kernel has it not
	news  string // what the configuration says then
}

// fastest is the line that carries most, by unequalUp.
const fastest = 0

// comparison is the step in which one upload goes in several ways.
func comparison(o Options) step {
	return step{
		title: "upload compared",
		say: fmt.Sprintf("The host in the LAN uploads by one connection, and pings: over %s alone, which is the fastest; by the kernel's TEQL, if that "+
			"is there; and by the bond of this lab. In between the configuration is edited and read again, and the lines stay up.",
			lineName(fastest)),
		do: (*stage).compare, see: (*stage).seeCompared,
	}
}

// contenders are in the order in which they are tried; the last one is the lab's own bond.
func (l *Lab) contenders() []contender {
	all := []contender{{title: lineName(fastest) + " alone", mode: config.ModeWeighted, alone: true, news: "the other lines have fallback = true"}}
	return append(all, contender{title: config.ModeTEQL, mode: config.ModeTEQL, lacks: l.teql == "", news: `mode = "teql"`}, contender{title: config.ModeWeighted, mode: config.ModeWeighted, news: `mode = "weighted", and no line is a fallback`})
}

// compare measures the upload of each, and ends with the configuration that it has found.
func (s *stage) compare() error {
	sum := 0
	for i := range s.lab.options.Lines {
		sum += s.lab.options.up(i)
	}
	s.scene.Capacity, s.best = float64(sum), goodput(sum)
	idle, err := s.idlePing()
	if err != nil {
		return err
	}
	for _, c := range s.lab.contenders() {
		if c.lacks {
			s.compared = append(s.compared, Way{Name: c.title, Absent: true})
			continue
		}
		if err := s.reconfigure(c); err != nil {
			return err
		}
		way, err := s.upload(c, idle)
		if err != nil {
			return err
		}
		s.compared = append(s.compared, way)
		s.measure(c.title, way.Rate, "bit/s")
	}
	return nil
}

// seeCompared says how the upload went. The bond is to be worth it; but a busy machine may have had no time for it.
func (s *stage) seeCompared() (string, error) {
	const enough = 0.9
	alone, together := s.compared[0].Rate, s.compared[len(s.compared)-1].Rate
	if together < enough*alone {
		return "", fmt.Errorf("one connection gets %.1f Mbit/s %s, which is less than the %.1f over %s alone",
			together/1e6, over(s.lab.options.Lines), alone/1e6, lineName(fastest))
	}
	return fmt.Sprintf("One connection gets %.1f Mbit/s of %.1f %s, and %.1f over %s alone. %s "+
		"SHARE is of what all lines can carry, LATE what the bond's program estimates to come out of order, PING how much longer "+
		"a ping takes than in idle lines:", together/1e6, s.best/1e6, over(s.lab.options.Lines), alone/1e6, lineName(fastest), s.shaper()), nil
}

// shaper says where the upload waits.
func (s *stage) shaper() string {
	for _, b := range s.scene.Status.Bonds {
		if b.Scheduler != nil && b.Scheduler.Queue != nil {
			return fmt.Sprintf("What is too much for the lines waits in %s's queue (%s).", b.Device, b.Scheduler.Queue.Kind)
		}
	}
	return "What is too much for the lines waits in the modems."
}

// idlePing is how long a ping takes in idle lines, at least; 0: none has come back.
func (s *stage) idlePing() (time.Duration, error) {
	const enough = 10
	if err := s.lab.startPings(); err != nil {
		return 0, err
	}
	_, err := s.await("pings come back", func() bool { return s.lab.pinged().Received+s.lab.pinged().Lost >= enough })
	return s.lab.pinged().Min, errors.Join(err, s.lab.stopPings())
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

// upload measures one in the seconds after it has found its pace.
func (s *stage) upload(c contender, idle time.Duration) (way Way, err error) {
	const pace, window = time.Second, 3 * time.Second
	s.lab.load = newUpload()
	var begun, marked time.Time
	var before int64
	var counted control.Scheduler
	var pinging error
	way.Name = c.title
	_, err = s.await("the upload over "+c.title+" has run for some seconds", func() bool {
		moved, now := s.lab.load.moved()[0], time.Now()
		switch {
		case begun.IsZero():
			if moved > 0 {
				begun = now
			}
		case marked.IsZero():
			if now.Sub(begun) > pace {
				marked, before, counted = now, moved, s.counted()
				pinging = s.lab.startPings()
			}
		case now.Sub(marked) > window:
			way.Rate = 8 * float64(moved-before) / now.Sub(marked).Seconds()
			return true
		}
		return false
	})
	if c.mode == config.ModeWeighted && !c.alone {
		way.Late = late(counted, s.counted())
	}
	if p := s.lab.pinged(); p.Received > 0 {
		longer := (p.Mean - idle).Seconds()
		way.Ping = &longer
	}
	return way, errors.Join(err, pinging, s.lab.stopPings(), s.lab.stopLoad())
}

// counted is what the scheduler of the bond has counted.
func (s *stage) counted() control.Scheduler {
	for _, b := range s.scene.Status.Bonds {
		if b.Scheduler != nil {
			return *b.Scheduler
		}
	}
	return control.Scheduler{}
}

// late is the share of packets that were late since then; nil if there were none.
func late(then, now control.Scheduler) *float64 {
	if now.Packets <= then.Packets {
		return nil
	}
	share := float64(now.Late-then.Late) / float64(now.Packets-then.Packets)
	return &share
}
