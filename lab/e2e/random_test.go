package e2e

import (
	"math/rand/v2"
	"testing"

	"linebond/lab"
)

// TestRandomFaults: whatever happens, in whatever order and at whatever
// moment, the line comes back, and is closed in good order in the end.
func TestRandomFaults(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{ac: lab.ACConfig{IPv6: true}})
	before := l.settled(t)
	l.up(t)
	router := func(args ...string) func() {
		return func() { _ = l.router.Command("ip", args...).Run() } // the device may be gone at the moment
	}
	verb := func(args ...string) func() {
		return func() {
			if out, err := l.linebond.Run(args...); err != nil {
				t.Errorf("%v: %v: %s", args, err, out)
			}
		}
	}
	faults := []struct {
		name string
		do   func()
	}{
		{"the AC is killed and started", func() { l.ac.Kill(t); l.ac.Start(t) }},
		{"the AC is stopped and started", func() { l.ac.Stop(t); l.ac.Start(t) }},
		{"the AC terminates", func() {
			if l.ac.Sessions() > 0 {
				l.ac.Terminate(t)
			}
		}},
		{"the cable is pulled", func() { l.cable.Unplug(t) }},
		{"the cable is plugged in", func() { l.cable.Plug(t) }},
		{"eth1 goes down", router("link", "set", "eth1", "down")},
		{"eth1.101 goes down", router("link", "set", "eth1.101", "down")},
		{"eth1.101 is deleted", router("link", "delete", "eth1.101")},
		{"ppp-a goes down", router("link", "set", "ppp-a", "down")},
		{"ppp-a is deleted", router("link", "delete", "ppp-a")},
		{"addresses are deleted", router("address", "flush", "dev", "ppp-a")},
		{"routes are deleted", router("route", "flush", "proto", "108")},
		{"redial", verb("redial", "a")},
		{"down and up", func() { verb("down", "a")(); verb("up", "a")() }},
		{"reload", verb("reload")},
		{"linebond is killed and started", func() { l.linebond.Kill(t); l.linebond.Start(t); lab.Eventually(t, limit, l.answers) }},
	}
	random := rand.New(rand.NewPCG(7, 11))
	for range 6 {
		for range 1 + random.IntN(4) {
			fault := faults[random.IntN(len(faults))]
			t.Log(fault.name)
			fault.do()
		}
		l.cable.Plug(t)
		l.isUp(t)
	}
	l.linebond.Stop(t)
	if after := l.settled(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// answers returns nil when the daemon does.
func (l *line) answers() error {
	_, err := l.linebond.Line("a")
	return err
}
