package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

// TestWrongPassword: the reason in the server's words, and the schedule that
// keeps an ISP from locking us out: three tries, then a pause of five minutes.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"pap", "chap", "mschapv2"} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, set{ac: lab.ACConfig{Auth: auth}})
			l.linebond.Write(t, "lines.d/a.toml", file([]uint16{101}, "guess", ""))
			l.linebond.Start(t)
			lab.Eventually(t, limit, func() error {
				s, err := l.linebond.Line("a")
				if err != nil {
					return err
				}
				if s.Failures != 3 || s.NextDial == nil || time.Until(*s.NextDial) < 4*time.Minute || !strings.Contains(s.Reason, "authentication refused") {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			if tries := strings.Count(l.linebond.Log(), `  waiting  {"line": "a", "reason": "authentication refused`); tries != 3 {
				t.Errorf("%d tries", tries)
			}
			l.linebond.Write(t, "lines.d/a.toml", file([]uint16{101}, password, ""))
			if out, err := l.linebond.Run("reload"); err != nil {
				t.Errorf("reload: %v: %s", err, out)
			}
			l.isUp(t)
		})
	}
}

// TestPeerEnds has the other end close the session in each way that it can,
// and come back.
func TestPeerEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		end    func(*testing.T, *line)
		back   func(*testing.T, *line)
		reason string
	}{
		{name: "killed and started again", end: func(t *testing.T, l *line) { l.ac.Kill(t) }, back: func(t *testing.T, l *line) { l.ac.Start(t) }, reason: "echo lost 5 of 5"},
		{name: "PADT", end: func(t *testing.T, l *line) { l.ac.Stop(t) }, back: func(t *testing.T, l *line) { l.ac.Start(t) }, reason: "PADT"},
		{name: "terminated", end: func(t *testing.T, l *line) { l.ac.Terminate(t) }, back: func(*testing.T, *line) {}, reason: "terminated by peer"},
		{name: "link down", end: func(t *testing.T, l *line) { l.router.Run(t, "ip", "link", "set", "eth1", "down") },
			back: func(*testing.T, *line) {}, reason: "session dropped by the kernel"},
		{name: "device deleted", end: func(t *testing.T, l *line) { l.router.Run(t, "ip", "link", "delete", "eth1.101") },
			back: func(*testing.T, *line) {}, reason: "session dropped by the kernel"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, set{})
			first := l.up(t)
			test.end(t, l)
			lab.Eventually(t, limit, func() error { return l.linebond.Logged(test.reason) })
			test.back(t, l)
			back := time.Now()
			lab.Eventually(t, limit, func() error {
				s, err := l.linebond.Line("a")
				if err == nil && (s.State != "up" || s.Session.UpSince.Equal(*first.Session.UpSince)) {
					err = fmt.Errorf("%s: %s", s.State, s.Reason)
				}
				return err
			})
			s := l.isUp(t)
			t.Logf("up again %v after the return", s.Session.UpSince.Sub(back).Round(time.Millisecond))
		})
	}
}

// TestCarrier: a session outlives a short loss of carrier.
func TestCarrier(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	first := l.up(t)
	l.cable.Unplug(t)
	lab.Eventually(t, limit, l.linebond.Reaches("a", "held", "carrier lost"))
	if routes := l.router.Run(t, "ip", "route", "show", "default"); routes != "" {
		t.Errorf("a line without carrier keeps its route: %s", routes)
	}
	l.cable.Plug(t)
	lab.Eventually(t, limit, l.linebond.Reaches("a", "up", "carrier back"))
	if s := l.isUp(t); s.Session.ID != first.Session.ID || !s.Session.UpSince.Equal(*first.Session.UpSince) {
		t.Errorf("another session: %+v, before %+v", s.Session, first.Session)
	}
}

// TestReusedIDs: two lines on one wire, and an AC that gives out the same
// session ids again after a crash. What one line says of its old session must
// not end the other's new one.
func TestReusedIDs(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{ac: lab.ACConfig{ReuseIDs: true}})
	l.linebond.Write(t, "lines.d/b.toml", file([]uint16{101}, password, "metric = 300\n"))
	l.linebond.Start(t)
	both := func(since time.Time) {
		t.Helper()
		for _, name := range []string{"a", "b"} {
			lab.Eventually(t, limit, func() error {
				s, err := l.linebond.Line(name)
				if err == nil && (s.State != "up" || s.Session.UpSince == nil || s.Session.UpSince.Before(since) || s.Echo.Received < 3) {
					err = fmt.Errorf("%s is %s: %s, %+v", name, s.State, s.Reason, s.Echo)
				}
				return err
			})
		}
	}
	both(time.Time{})
	l.ac.Kill(t)
	lab.Eventually(t, limit, func() error { return l.linebond.Logged("echo lost") })
	back := time.Now()
	l.ac.Start(t)
	both(back)
	if n := strings.Count(l.linebond.Log(), "PADT"); n != 0 {
		t.Errorf("sessions ended by a PADT %d times", n)
	}
}

// TestMTURaised: the advice of the log entry is all that is needed.
func TestMTURaised(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{cable: lab.CableConfig{MTU: 1508}})
	l.router.Run(t, "ip", "link", "set", "eth1", "mtu", "1500")
	if s := l.up(t); s.Session.MTU != 1492 {
		t.Errorf("%+v", s.Session)
	}
	l.router.Run(t, "ip", "link", "set", "eth1", "mtu", "1508")
	lab.Eventually(t, limit, func() error {
		s, err := l.linebond.Line("a")
		if err == nil && (s.State != "up" || s.Session.MTU != 1500) {
			err = fmt.Errorf("%s: %+v", s.State, s.Session)
		}
		return err
	})
	l.isUp(t)
	if err := l.router.Ping("", server, 1500-28); err != nil {
		t.Error(err)
	}
}

// TestForeignHand: what somebody else takes away comes back.
func TestForeignHand(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	l.up(t)
	for _, args := range []string{
		"route delete default", "address flush dev ppp-a", "link set ppp-a down", "link set ppp-a mtu 1000",
	} {
		before := l.settled(t)
		l.router.Run(t, "ip", strings.Fields(args)...)
		lab.Eventually(t, limit, func() error {
			if after := l.network(t); after != before {
				return fmt.Errorf("after ip %s:\n%s\nbefore:\n%s", args, after, before)
			}
			return l.router.Ping("", server, 56)
		})
	}
	if s, err := l.linebond.Line("a"); err != nil || s.State != "up" {
		t.Errorf("%v: %+v", err, s)
	}
}

// TestKilled: after kill -9 the next linebond ends the old session first.
func TestKilled(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	first := l.up(t)
	l.linebond.Kill(t)
	padts := padts(t, l.isp, l.cable.ISPLink())
	second := l.up(t)
	if padts() == 0 {
		t.Error("the server saw no PADT for the old session")
	}
	if first.Session.ID == second.Session.ID {
		t.Errorf("both sessions are number %d", first.Session.ID)
	}
}

// TestSilentServer: SIGTERM ends linebond in time, even when nobody answers.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	before := l.settled(t)
	l.up(t)
	l.ac.Kill(t)
	t.Logf("stopped in %v", l.linebond.Stop(t))
	if after := l.network(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestOperator: up, down, redial and reload touch the line that they name.
func TestOperator(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	l.linebond.Write(t, "lines.d/b.toml", file([]uint16{101}, password, "metric = 300\n"))
	b := func() *time.Time {
		t.Helper()
		var since *time.Time
		lab.Eventually(t, limit, func() error {
			s, err := l.linebond.Line("b")
			if err == nil && (s.State != "up" || s.Session.UpSince == nil) {
				err = fmt.Errorf("%s: %s", s.State, s.Reason)
			}
			if err == nil {
				since = s.Session.UpSince
			}
			return err
		})
		return since
	}
	l.up(t)
	untouched := b()
	run := func(args ...string) {
		t.Helper()
		if out, err := l.linebond.Run(args...); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	run("down", "a")
	lab.Eventually(t, limit, l.linebond.Reaches("a", "down", "by the operator"))
	run("up", "a")
	first := l.isUp(t)
	run("redial", "a")
	lab.Eventually(t, limit, func() error {
		s, err := l.linebond.Line("a")
		if err == nil && (s.State != "up" || s.Session.ID == first.Session.ID) {
			err = fmt.Errorf("%s: %s", s.State, s.Reason)
		}
		return err
	})
	l.linebond.Write(t, "lines.d/a.toml", file([]uint16{101}, password, "mtu = 1400\n"))
	l.linebond.Hangup(t)
	lab.Eventually(t, limit, func() error {
		s, err := l.linebond.Line("a")
		if err == nil && (s.State != "up" || s.Session.MTU != 1400) {
			err = fmt.Errorf("%s: %s: %+v", s.State, s.Reason, s.Session)
		}
		return err
	})
	l.linebond.Write(t, "lines.d/a.toml", "interface = 3\n")
	if out, err := l.linebond.Run("reload"); err == nil || !strings.Contains(out, "a.toml:1:13: interface:") {
		t.Errorf("reload of a bad file: %v: %s", err, out)
	}
	l.linebond.Write(t, "lines.d/a.toml", file([]uint16{101}, password, "enabled = false\n"))
	run("reload")
	lab.Eventually(t, limit, l.linebond.Reaches("a", "down", "disabled"))
	if now := b(); !now.Equal(*untouched) {
		t.Errorf("line b was up since %v, and is now since %v", untouched, now)
	}
}
