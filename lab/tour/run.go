package tour

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Run builds a lab, takes the tour and takes the lab away. It returns an error unless each step did what it should.
func Run(ctx context.Context, o Options, r Reporter) error {
	return live(ctx, o, r, func(s *stage) error {
		all := steps(o.Lines)
		err := s.play(all)
		if err == nil || len(s.results) > 0 {
			err = errors.Join(err, s.tell(Event{Kind: summary, Steps: len(all), Results: s.results}))
		}
		return err
	})
}

// Hold builds a lab, brings its lines up, and keeps it until the context ends.
func Hold(ctx context.Context, o Options, r Reporter) error {
	return live(ctx, o, r, func(s *stage) error {
		if err := s.play(steps(o.Lines)[:1]); err != nil {
			return err
		}
		s.scene.Saying = "until Ctrl-C"
		if err := s.tell(Event{Kind: note, Text: guide(o)}); err != nil {
			return err
		}
		for tick := time.Tick(pause); ; {
			if err := s.look(); err != nil && s.ctx.Err() == nil {
				return err
			}
			select {
			case <-tick:
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// live is a lab's life, in which somebody acts. When the reporter fails nobody looks any more, and it ends.
func live(ctx context.Context, o Options, r Reporter, act func(*stage) error) (err error) {
	began := time.Now()
	defer func() { err = errors.Join(err, r.Close()) }()
	lab, err := Open(o, began)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }() // also when something below panics
	s := newStage(ctx, lab, r)
	defer func() {
		if failed := s.end(); err == nil {
			err = failed
		}
	}()
	if err := s.tell(Event{Kind: note, Text: introduction(o)}); err != nil {
		return err
	}
	return act(s)
}

// introduction says what there is.
func introduction(o Options) string {
	return fmt.Sprintf("linebond lab: network namespaces with a host in a LAN, a router that runs linebond, and an ISP. Between them are lines "+
		"with a modem and a VLAN each, %.0f Mbit/s down and %.0f up. The ISP gives all of them the same address.\n\n"+
		"  lines %d, bond %s, configuration %s", lineDown/1e6, lineUp/1e6, o.Lines, o.Bond, configDir)
}

// guide tells a person how to play with the lab.
func guide(o Options) string {
	at := " --runtime-dir " + runtimeDir
	rows := columns([][]string{
		{"  ip netns exec " + lan + " ping " + server.String(), "or curl http://" + server.String()},
		{"  ip netns exec " + router + " sh", "a shell in the router"},
		{"  " + o.Program + " status" + at, ""},
		{"  " + o.Program + " redial " + lineName(0) + at, ""},
		{"  " + o.Program + " reload" + at, "after an edit"},
		{"  ip -n " + wire + " link set " + customer(0) + " down", "pulls the cable; up: plugs it in"},
	})
	return "The lab stays until Ctrl-C. In another terminal, as root:\n\n" + strings.Join(rows, "\n") +
		"\n\n  configuration  " + configDir + "\n  log            " + logFile + "\n  socket         " + socket + "\n"
}
