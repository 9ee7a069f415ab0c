package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/control"
)

// TestUp is the main job: lines come up, and the host is as they need it.
func TestUp(t *testing.T) {
	files := map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 101"), "lines.d/b.toml": lineFile("eth2", "ipv6 = false\nmetric = 300")}
	bubble(t, files, func(t *testing.T, w *world) {
		w.start()
		a, b := w.reaches("a", "up"), w.reaches("b", "up")
		if a.IPv6 == nil || b.IPv6 != nil || a.Session.Auth != "chap" || a.Traffic == nil {
			t.Errorf("a %+v\nb %+v", a, b)
		}
		synctest.Wait()
		got := w.host.String()
		for _, want := range []string{
			"link eth1.101@eth1 up mtu 1508 vlan protocol 802.1Q id 101 alias linebond",
			"link ppp-a up mtu 1500 line",
			"address " + a.IPv4.Address + " peer 198.51.100.1/32 dev ppp-a",
			"route default dev ppp-a proto 108 metric 200",
			"sysctl net/ipv6/conf/ppp-a/accept_ra=2",
			"route default dev ppp-b proto 108 metric 300",
		} {
			if !strings.Contains(got, want+"\n") && !strings.HasSuffix(got, want) {
				t.Errorf("missing: %s; there is\n%s", want, got)
			}
		}
		if len(w.resolvers.of("a")) != 1 || len(w.resolvers.of("b")) != 1 {
			t.Error("DNS servers were not published")
		}
	})
}

// TestShutdown: nothing is left behind, and the AC has heard of it.
func TestShutdown(t *testing.T) {
	bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 101")}, func(t *testing.T, w *world) {
		before := w.host.String()
		w.up()
		begin := time.Now()
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("it took %v", d)
		}
		before = strings.Replace(before, "link eth1 mtu", "link eth1 up mtu", 1) // no device is taken down
		if diff := cmp.Diff(before, w.host.String()); diff != "" {
			t.Errorf("left behind:\n%s", diff)
		}
		if len(w.ac.peers) != 0 || w.resolvers.of("a") != nil {
			t.Errorf("left behind: %d sessions, DNS %v", len(w.ac.peers), w.resolvers.of("a"))
		}
		w.expect(1, "info down line=a reason=linebond stops", "up=", "rx_bytes=1000", "tx_bytes=2000")
		w.expect(1, "info stopped")
	})
}

// TestShutdownUnanswered: a silent AC does not keep the daemon.
func TestShutdownUnanswered(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.ac.with(func(a *fakeAC) { a.silent = true })
		begin := time.Now()
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > closeLimit {
			t.Errorf("it took %v", d)
		}
		if len(w.ac.padts) != 1 || strings.Contains(w.host.String(), "ppp-a") {
			t.Errorf("PADTs for %v; left behind:\n%s", w.ac.padts, w.host)
		}
	})
}

// TestShutdownBusy: at the limit even a line that cannot act is let go.
func TestShutdownBusy(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.ac.block = make(chan struct{})
		time.AfterFunc(20*time.Second, func() { close(w.ac.block) })
		w.start()
		time.Sleep(time.Second)
		begin := time.Now()
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d != 19*time.Second {
			t.Errorf("it took %v", d)
		}
		w.expect(1, "warn lines closed without an answer", "lines=1")
	})
}

// TestMistakes: lines without a mistake are dialled, and all mistakes are told.
func TestMistakes(t *testing.T) {
	files := map[string]string{"lines.d/a.toml": lineFile("eth1", ""), "lines.d/b.toml": lineFile("eth2", "mtu = 9000\nspeed = 1")}
	bubble(t, files, func(t *testing.T, w *world) {
		w.up()
		w.expect(1, "error configuration", "b.toml:4:7: mtu")
		w.expect(1, "error configuration", "b.toml:5:1: speed")
		if _, ok := w.status()["b"]; ok {
			t.Error("line b was started")
		}
	})
}

func TestNoUsableLine(t *testing.T) {
	w := newWorld(t)
	w.write("lines.d/a.toml", "")
	w.load()
	if err := Run(t.Context(), w.options); err == nil || !strings.Contains(err.Error(), "linebond check") {
		t.Errorf("Run returned %v", err)
	}
	w.expect(1, "error configuration", "a.toml:1:1: interface: is missing")
	w.options.ConfigDir += "/elsewhere"
	w.load()
	if err := Run(t.Context(), w.options); err == nil {
		t.Error("ran without a configuration")
	}
}

// TestNoLines: an empty folder is no mistake; lines may be added later.
func TestNoLines(t *testing.T) {
	bubble(t, map[string]string{"linebond.toml": ""}, func(t *testing.T, w *world) {
		w.start()
		if len(w.status()) != 0 {
			t.Error("there are lines")
		}
		w.expect(1, "warn configuration", "there is no line to dial")
	})
}

// TestLeftovers: what a process that crashed has left is taken away.
func TestLeftovers(t *testing.T) {
	bubble(t, map[string]string{"linebond.toml": ""}, func(t *testing.T, w *world) {
		w.resolvers.servers["old"] = nil
		w.start()
		if len(w.resolvers.servers) != 0 {
			t.Error("published servers were not taken back")
		}
	})
}

// TestFatal: what the daemon cannot do without ends it, in an orderly way.
func TestFatal(t *testing.T) {
	for name, breaks := range map[string]func(*world){
		"the kernel's announcements": func(w *world) { w.host.die(w.host.news) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, one, func(t *testing.T, w *world) {
				w.up()
				breaks(w)
				err := <-w.result
				w.result = nil
				w.end()
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("run returned %v", err)
				}
				if len(w.ac.peers) != 0 {
					t.Error("the session was left open")
				}
				w.expect(1, "error stopped", name)
			})
		})
	}
}

// TestSocket is a whole daemon, with the real socket: it answers, and a second
// one does not start beside it.
func TestSocket(t *testing.T) {
	heard := hearNotifications(t)
	w := newWorld(t)
	w.write("lines.d/a.toml", lineFile("eth1", ""))
	w.load()
	ctx, end := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Run(ctx, w.options) }()
	if got := heard(); got != "READY=1" {
		t.Fatal(got)
	}
	client := control.NewClient(filepath.Join(w.options.RuntimeDir, "linebond.sock"))
	s, err := client.Status(t.Context())
	if err != nil || s.Version != "v1.2.3" || s.Started.IsZero() || len(s.Lines) != 1 || s.Lines[0].Link != "eth1" {
		t.Errorf("status: %+v, %v", s, err)
	}
	if err := errors.Join(client.Reload(t.Context()), client.Command(t.Context(), "a", control.Down)); err != nil {
		t.Error(err)
	}
	if err := Run(t.Context(), w.options); err == nil || !strings.Contains(err.Error(), "another linebond is running") {
		t.Errorf("the second: %v", err)
	}
	end()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no linebond is running") {
		t.Errorf("after the end: %v", err)
	}
}

func TestRuntimeDirectoryUnusable(t *testing.T) {
	w := newWorld(t)
	w.write("linebond.toml", "")
	w.load()
	w.options.RuntimeDir = filepath.Join(w.options.ConfigDir, "linebond.toml", "run") // below a file
	err := Run(t.Context(), w.options)
	if err == nil || !strings.Contains(err.Error(), "making the runtime directory") || !strings.Contains(err.Error(), w.options.ConfigDir) {
		t.Errorf("Run returned %v", err)
	}
}

// hearNotifications takes systemd's part, and returns what reads its socket.
func hearNotifications(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		b := make([]byte, 100)
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// TestNotify: systemd hears of the start, of the end, and in between that the
// daemon lives.
func TestNotify(t *testing.T) {
	heard := hearNotifications(t)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		time.Sleep(31 * time.Second)
	})
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"} {
		if got := heard(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
