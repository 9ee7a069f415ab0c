package tour

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// errInterrupted is the error of a tour whose context has ended.
var errInterrupted = errors.New("interrupted")

// Run builds a lab, takes the tour and takes the lab away. It returns an error unless each step did what it should.
func Run(ctx context.Context, o Options, r Reporter) error {
	return live(ctx, o, r, func(s *stage) error {
		all := steps(o)
		err := s.play(all)
		interrupted := errors.Is(err, errInterrupted)
		if err == nil || len(s.results) > 0 || interrupted {
			told := s.tell(Event{Kind: summary, Steps: len(all), Results: s.results, Interrupted: interrupted})
			if !errors.Is(err, told) { // the reporter's error is told once
				err = errors.Join(err, told)
			}
		}
		return err
	})
}

// Hold builds a lab, brings its lines up, and keeps it until the context ends.
func Hold(ctx context.Context, o Options, r Reporter) error {
	return live(ctx, o, r, func(s *stage) error {
		if err := s.play(steps(o)[:1]); err != nil {
			return err
		}
		s.scene.Saying, s.scene.Short = "until Ctrl-C", ""
		if err := s.tell(Event{Kind: note, Text: guide(o), Config: configDir, Socket: socket}); err != nil {
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
	r = &listener{Reporter: r}
	defer func() { err = errors.Join(err, r.Close()) }()
	lab, err := Open(o, began)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }() // also when something below panics
	s := newStage(ctx, lab, r)
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.tell(Event{Kind: note, Text: introduction(o)}); err != nil {
		return err
	}
	return act(s)
}

// introduction says what there is.
func introduction(o Options) string {
	lines, same := "are lines with a modem and a VLAN each", " The ISP gives all of them the same address."
	if o.Lines == 1 {
		lines, same = "is a line with a modem and a VLAN", ""
	}
	return fmt.Sprintf("linebond lab: network namespaces with a host in a LAN, a router that runs linebond, and an ISP. Between them %s, "+
		"%d Mbit/s down%s up.%s\n\n  lines %d, bond %s, configuration %s", lines, lineDown/1_000_000, o.uplinks(), same, o.Lines, o.Bond, configDir)
}

// guide tells a person how to play with the lab.
func guide(o Options) string {
	at := " --runtime-dir " + runtimeDir
	rows := columns([][]string{
		{"  ip netns exec " + lan + " ping " + server.String(), "or curl"},
		{"  ip netns exec " + lan + " curl -o /dev/null http://" + server.String() + "/download", "a download"},
		{"  ip netns exec " + lan + " curl -X POST -T - http://" + server.String() + "/upload < /dev/zero", "an upload"},
		{"  ip netns exec " + router + " sh", "a shell in the router"},
		{"  " + o.Program + " status" + at, ""},
		{"  " + o.Program + " redial " + lineName(0) + at, ""},
		{"  " + o.Program + " reload" + at, "after an edit"},
		{"  ip -n " + wire + " link set " + customer(0) + " down", "cable out; up: in"},
		{"  ip -n " + wire + " link set " + carrier(0) + " down", "black hole; up: ended"},
	})
	return "The lab stays until Ctrl-C. In another terminal, as root:\n\n" + strings.Join(rows, "\n") +
		"\n\n  Debian's packages for this: iproute2, curl, iputils-ping. Processes in there end with the lab." +
		"\n\n  configuration  " + configDir + "\n  log            " + logFile + "\n  socket         " + socket + "\n  learned rates  " + stateDir + "\n"
}
