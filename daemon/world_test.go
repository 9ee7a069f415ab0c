package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"linebond/control"
	"linebond/netstate"
)

// world is a daemon with all that it touches, in the bubble of a test.
type world struct {
	t         *testing.T
	host      *fakeHost
	ac        *fakeAC
	resolvers *fakeResolvers
	logs      *observer.ObservedLogs
	options   Options
	reload    chan os.Signal

	daemon *Daemon
	end    context.CancelFunc
	result chan error // nil: not running
}

// bubble runs a test in a world with eth1 and eth2, and ends its daemon. The
// files are those of the configuration.
func bubble(t *testing.T, files map[string]string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for name, text := range files {
			w.write(name, text)
		}
		test(t, w)
		if w.result != nil {
			if err := w.stop(); err != nil {
				t.Errorf("the daemon ended with %v", err)
			}
		}
	})
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, host: newHost("eth1", "eth2"), resolvers: &fakeResolvers{servers: map[string][]netip.Addr{}}, reload: make(chan os.Signal, 1)}
	w.ac = newAC(w.host)
	dir := t.TempDir()
	level := zap.NewAtomicLevelAt(zapcore.InfoLevel)
	core, logs := observer.New(level)
	w.logs = logs
	w.options = Options{
		ConfigDir: filepath.Join(dir, "etc"), RuntimeDir: filepath.Join(dir, "run"), StateDir: filepath.Join(dir, "state"), Version: "v1.2.3",
		Log: &Log{Logger: zap.New(core), level: level}, Reload: w.reload,
		Effects: Effects{
			RuntimeDir: filepath.Join(dir, "run"), IPv6: true, CPUs: 1, Host: w.host, Resolvers: w.resolvers,
			Planes: w.ac,
		},
	}
	return w
}

// lineFile is the file of a line on a device, and more of it.
func lineFile(device, more string) string {
	return fmt.Sprintf("interface = %q\nusername = %q\npassword = %q\n%s\n", device, user, password, more)
}

// one is the usual configuration.
var one = map[string]string{"lines.d/a.toml": lineFile("eth1", "")}

func lineDevice(name string) netstate.Link { return netstate.Link{Name: name, Line: true, MTU: 1500} }

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.options.ConfigDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.options.ConfigDir, name)); err != nil {
		w.t.Fatal(err)
	}
}

// load reads the configuration.
func (w *world) load() {
	w.options.Config, w.options.Problems = loadConfig(w.options.ConfigDir)
}

// start starts the daemon without its socket, which would be real.
func (w *world) start() {
	w.t.Helper()
	w.load()
	d, err := newDaemon(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.end = context.WithCancel(w.t.Context())
	w.daemon, w.result = d, make(chan error, 1)
	go func(result chan<- error) { result <- d.run(ctx) }(w.result)
	synctest.Wait()
}

// stop ends the daemon as SIGTERM does.
func (w *world) stop() error {
	w.end()
	err := <-w.result
	w.result = nil
	return err
}

// up starts the daemon and waits for line a.
func (w *world) up() {
	w.t.Helper()
	w.start()
	w.reaches("a", "up")
}

// workers counts the lines that are alive.
func (w *world) workers() int {
	w.t.Helper()
	n := 0
	if err := w.daemon.do(w.t.Context(), func() error { n = len(w.daemon.workers); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) status() map[string]control.Line {
	w.t.Helper()
	s, err := w.daemon.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	lines := map[string]control.Line{}
	for _, l := range s.Lines {
		lines[l.Name] = l
	}
	return lines
}

// reaches waits for a line's state.
func (w *world) reaches(name, state string) control.Line {
	w.t.Helper()
	for range 10_000 {
		synctest.Wait()
		if l := w.status()[name]; l.State == state {
			return l
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("line %s is %+v, and never %s", name, w.status()[name], state)
	return control.Line{}
}

func (w *world) command(name string, verb control.Verb) {
	w.t.Helper()
	if err := w.daemon.Command(w.t.Context(), name, verb); err != nil {
		w.t.Errorf("%s %s: %v", verb, name, err)
	}
}

// hup is SIGHUP.
func (w *world) hup() {
	w.reload <- syscall.SIGHUP
	synctest.Wait()
}

// logged returns the entries that contain all the texts, each as one text.
func (w *world) logged(texts ...string) []string {
	var found []string
	for _, e := range w.logs.All() {
		text := entryText(e)
		matches := true
		for _, part := range texts {
			matches = matches && strings.Contains(text, part)
		}
		if matches {
			found = append(found, text)
		}
	}
	return found
}

func entryText(e observer.LoggedEntry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Level, e.Message)
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range e.Context {
		f.AddTo(encoder)
		fmt.Fprintf(&b, " %s=%v", f.Key, encoder.Fields[f.Key])
	}
	return b.String()
}

// expect fails the test unless so many entries contain all the texts.
func (w *world) expect(count int, texts ...string) {
	w.t.Helper()
	if found := w.logged(texts...); len(found) != count {
		w.t.Errorf("%d entries with %q, not %d; all:\n%s", len(found), texts, count, strings.Join(w.logged(), "\n"))
	}
}
