package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linebond/control"
	"linebond/line"
)

// TestReload: only what has changed is touched.
func TestReload(t *testing.T) {
	files := map[string]string{
		"lines.d/same.toml":    lineFile("eth1", ""),
		"lines.d/changed.toml": lineFile("eth1", ""),
		"lines.d/removed.toml": lineFile("eth2", "vlan = 7"),
	}
	for name, reload := range map[string]func(*world){
		"SIGHUP": (*world).hup,
		"socket": func(w *world) {
			if err := w.daemon.Reload(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, files, func(t *testing.T, w *world) {
				w.start()
				before := map[string]uint16{}
				for name := range w.status() {
					before[name] = w.reaches(name, "up").Session.ID
				}
				w.write("lines.d/changed.toml", lineFile("eth1", "mtu = 1400"))
				w.remove("lines.d/removed.toml")
				w.write("lines.d/added.toml", lineFile("eth2", ""))
				reload(w)
				w.reaches("added", "up")
				changed := w.reaches("changed", "up")
				synctest.Wait()
				lines := w.status()
				if len(lines) != 3 || lines["same"].Session.ID != before["same"] {
					t.Errorf("after: %+v", lines)
				}
				if changed.Session.ID == before["changed"] || changed.Session.MTU != 1400 {
					t.Errorf("changed: %+v", changed.Session)
				}
				if strings.Contains(w.host.String(), "eth2.7") {
					t.Errorf("left behind:\n%s", w.host)
				}
				w.expect(1, "info down line=changed reason=configuration changed", "up=")
				w.expect(1, "info down line=removed reason=configuration removed", "up=")
				w.expect(0, "line=same reason=linebond")
				w.expect(1, "info configuration read again lines=3")
			})
		})
	}
}

// TestReloadMistakes: nothing changes, and everything that is wrong is told.
func TestReloadMistakes(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		id := w.status()["a"].Session.ID
		w.write("lines.d/a.toml", lineFile("eth2", "mtu = 1"))
		w.write("lines.d/b.toml", lineFile("eth2", ""))
		w.write("linebond.toml", "[log]\nlevel = \"loud\"\n")
		err := w.daemon.Reload(t.Context())
		var bad *control.ConfigError
		if !errors.As(err, &bad) || len(bad.Problems) != 2 {
			t.Fatalf("Reload returned %v", err)
		}
		for i, key := range []string{"log.level", "mtu"} {
			if !strings.Contains(bad.Problems[i], key) {
				t.Errorf("problem %d is %s", i, bad.Problems[i])
			}
		}
		w.hup()
		w.expect(1, "error configuration not taken", "2 mistakes")
		time.Sleep(time.Minute)
		if lines := w.status(); len(lines) != 1 || lines["a"].Session == nil || lines["a"].Session.ID != id {
			t.Errorf("after: %+v", lines)
		}
	})
}

// TestReloadAgain: further reloads while a line is closing.
func TestReloadAgain(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(*world)
		state string // of line a in the end; "" = gone
		mtu   int
	}{
		"removed":       {func(w *world) { w.remove("lines.d/a.toml"); w.hup() }, "", 0},
		"changed again": {func(w *world) { w.write("lines.d/a.toml", lineFile("eth1", "mtu = 1300")); w.hup() }, "up", 1300},
		"changed back":  {func(w *world) { w.write("lines.d/a.toml", one["lines.d/a.toml"]); w.hup() }, "up", 1500},
		"unchanged":     {(*world).hup, "up", 1400},
		"disabled":      {func(w *world) { w.write("lines.d/a.toml", lineFile("eth1", "enabled = false")); w.hup() }, "down", 0},
		"removed, and added": {func(w *world) {
			w.remove("lines.d/a.toml")
			w.hup()
			w.write("lines.d/a.toml", lineFile("eth1", "mtu = 1200"))
			w.hup()
		}, "up", 1200},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, one, func(t *testing.T, w *world) {
				w.up()
				w.ac.with(func(a *fakeAC) { a.deaf = true }) // closing takes two seconds
				w.write("lines.d/a.toml", lineFile("eth1", "mtu = 1400"))
				w.hup()
				if s := w.status()["a"].State; s != "terminate" {
					t.Fatalf("the line is %s", s)
				}
				c.then(w)
				if w.workers() != 1 {
					t.Error("the successor was started before the old line was closed")
				}
				time.Sleep(5 * time.Second)
				w.ac.with(func(a *fakeAC) { a.deaf = false })
				time.Sleep(time.Minute)
				synctest.Wait()
				a, ok := w.status()["a"]
				if ok != (c.state != "") || a.State != c.state || c.mtu != 0 && a.Session.MTU != c.mtu {
					t.Errorf("after: %+v", a)
				}
			})
		})
	}
}

// TestReloadDaemon: of linebond.toml, the log's level takes effect at once.
func TestReloadDaemon(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.write("linebond.toml", "[log]\nlevel = \"warn\"\n")
		w.hup()
		w.expect(0, "info configuration read again")
		for _, text := range []string{"[log]\nsocket = \"/x\"\n", "[log]\nsocket = \"/x\"\nformat = \"local\"\n", "[log]\nsocket = \"/x\"\nformat = \"local\"\n[dns]\nsystem = \"auto\"\n"} {
			w.logs.TakeAll()
			w.write("linebond.toml", text)
			w.hup()
			w.expect(1, "warn configuration", "started again")
			w.expect(1, "info configuration read again")
			w.hup()
			w.expect(1, "warn configuration", "started again")
		}
	})
}

func TestCommands(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		id := w.status()["a"].Session.ID
		w.command("a", control.Redial)
		if l := w.status()["a"]; l.State == "up" && l.Session.ID == id { // redialling takes no time here
			t.Error("the session is still the old one right after the command")
		}
		if l := w.reaches("a", "up"); l.Session.ID == id {
			t.Error("the session is still the old one")
		}
		w.command("a", control.Down)
		w.reaches("a", "down")
		w.expect(1, "info down line=a reason=by the operator")
		w.command("a", control.Up)
		w.reaches("a", "up")
		for range 50 { // commands come to the line in their order
			w.command("a", control.Down)
			w.command("a", control.Up)
		}
		time.Sleep(time.Minute)
		if s := w.status()["a"].State; s != "up" {
			t.Errorf("the line is %s", s)
		}
		if err := w.daemon.Command(t.Context(), "b", control.Up); !errors.Is(err, control.ErrNoLine) {
			t.Errorf("unknown line: %v", err)
		}
		if err := w.daemon.Command(t.Context(), "a", "sing"); err == nil {
			t.Error("an unknown verb was taken")
		}
	})
}

// TestDisabled: nothing is made for a line that is not wanted.
func TestDisabled(t *testing.T) {
	bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 101\nenabled = false")}, func(t *testing.T, w *world) {
		w.start()
		time.Sleep(time.Minute)
		if l := w.status()["a"]; l.State != "down" || strings.Contains(w.host.String(), "eth1.101") {
			t.Errorf("%+v\n%s", l, w.host)
		}
		w.command("a", control.Up)
		w.reaches("a", "up")
	})
}

// TestClosing: a line that is being closed for good is not brought back, and
// says so.
func TestClosing(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.ac.with(func(a *fakeAC) { a.deaf = true })
		w.remove("lines.d/a.toml")
		w.hup()
		for _, verb := range []control.Verb{control.Up, control.Redial} {
			if err := w.daemon.Command(t.Context(), "a", verb); !errors.Is(err, errClosing) {
				t.Errorf("%s: %v", verb, err)
			}
		}
		// One that was under way when the line was told to close.
		var a *worker
		if err := w.daemon.do(t.Context(), func() error { a = w.daemon.workers["a"]; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := a.post(t.Context(), line.Up{}); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, ok := w.status()["a"]; ok {
			t.Error("the line is still there")
		}
	})
}

// TestStopping: while the daemon stops it answers, and takes no orders.
func TestStopping(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.ac.with(func(a *fakeAC) { a.deaf = true })
		w.end()
		synctest.Wait()
		if s := w.status()["a"]; s.State != "terminate" || s.Reason != "linebond stops" {
			t.Errorf("status: %+v", s)
		}
		w.write("lines.d/b.toml", lineFile("eth2", ""))
		if err := w.daemon.Reload(t.Context()); !errors.Is(err, errStopping) {
			t.Errorf("Reload: %v", err)
		}
		if err := w.daemon.Command(t.Context(), "a", control.Up); !errors.Is(err, errStopping) {
			t.Errorf("Command: %v", err)
		}
		begin := time.Now()
		if err := w.stop(); err != nil || time.Since(begin) >= closeLimit {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.daemon.Status(ctx); !errors.Is(err, errBusy) {
			t.Errorf("Status without a daemon: %v", err)
		}
	})
}

// TestBusy: a line that is busy holds up neither the others nor the status.
func TestBusy(t *testing.T) {
	bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", ""), "lines.d/b.toml": lineFile("eth2", "")}, func(t *testing.T, w *world) {
		w.start()
		w.reaches("a", "up")
		w.reaches("b", "up")
		w.ac.block = make(chan struct{})
		w.command("a", control.Redial)
		time.Sleep(5 * time.Second)
		begin := time.Now()
		if s := w.status(); s["a"].State != "discovery" || s["b"].State != "up" || time.Since(begin) > patience {
			t.Errorf("after %v: %+v", time.Since(begin), s)
		}
		if err := w.daemon.Command(t.Context(), "a", control.Down); !errors.Is(err, errBusy) {
			t.Errorf("Command: %v", err)
		}
		close(w.ac.block)
		w.reaches("a", "up")
	})
}
