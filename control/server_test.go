package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// fakeDaemon answers what it is told to, and remembers what it was asked.
type fakeDaemon struct {
	status func(context.Context) (Status, error)
	err    error
	asked  chan string
}

func (d *fakeDaemon) Status(ctx context.Context) (Status, error) {
	if d.status == nil {
		return Status{Version: "v1", Lines: []Line{{Name: "a", State: "up"}}}, d.err
	}
	return d.status(ctx)
}

func (d *fakeDaemon) Command(_ context.Context, name string, verb Verb) error {
	d.asked <- fmt.Sprintf("%s %q", verb, name)
	return d.err
}

func (d *fakeDaemon) Reload(context.Context) error {
	d.asked <- "reload"
	return d.err
}

// serve starts a server on a real socket.
func serve(t *testing.T, d *fakeDaemon) (*Client, string) {
	t.Helper()
	d.asked = make(chan string, 1)
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, d)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(s.Serve)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		served.Wait()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return NewClient(path), path
}

func TestVerbs(t *testing.T) {
	var d fakeDaemon
	c, _ := serve(t, &d)
	for _, name := range []string{"a", "fast-1_B", "..", ".", "a/b", "a b", "%2e", "?x=1#y", "zwölf"} {
		for _, verb := range []Verb{Up, Down, Redial} {
			if err := c.Command(t.Context(), name, verb); err != nil {
				t.Errorf("%s %q: %v", verb, name, err)
				continue
			}
			if got, want := <-d.asked, fmt.Sprintf("%s %q", verb, name); got != want {
				t.Errorf("the daemon was asked to %s, not to %s", got, want)
			}
		}
	}
	if err := c.Reload(t.Context()); err != nil || <-d.asked != "reload" {
		t.Errorf("reload: %v", err)
	}
	s, err := c.Status(t.Context())
	if err != nil || s.Version != "v1" || len(s.Lines) != 1 || s.Lines[0].State != "up" {
		t.Errorf("status: %+v, %v", s, err)
	}
}

func TestRefusals(t *testing.T) {
	d := fakeDaemon{err: ErrNoLine}
	c, _ := serve(t, &d)
	for _, name := range []string{"b", ""} {
		err := c.Command(t.Context(), name, Up)
		<-d.asked
		if !errors.Is(err, ErrNoLine) || err.Error() != name+": there is no line of that name (see `linebond status`)" {
			t.Errorf("unknown line %q: %v", name, err)
		}
	}
	if err := c.Command(t.Context(), "a", "sing"); err == nil || err.Error() != `unknown verb "sing"` {
		t.Errorf("unknown verb: %v", err)
	}
	d.err = errors.New("not today")
	if _, err := c.Status(t.Context()); err == nil || err.Error() != "not today" {
		t.Errorf("status: %v", err)
	}
	problems := []string{"/x/a.toml:1:1: mtu: no", "/x/b.toml: no"}
	d.err = &ConfigError{Problems: problems}
	err := c.Reload(t.Context())
	<-d.asked
	var bad *ConfigError
	if !errors.As(err, &bad) || !cmp.Equal(bad.Problems, problems) || err.Error() != "the configuration has 2 mistakes; nothing was changed" {
		t.Errorf("reload: %v", err)
	}
	if err := (&ConfigError{Problems: problems[:1]}); err.Error() != "the configuration has a mistake; nothing was changed" {
		t.Error(err)
	}
}

// TestProtocol is the socket as a program without this package sees it.
func TestProtocol(t *testing.T) {
	d := fakeDaemon{err: &ConfigError{Problems: []string{"p"}}}
	d.status = func(context.Context) (Status, error) { return Status{}, errors.New("not now") }
	_, path := serve(t, &d)
	for _, c := range []struct{ request, answer string }{
		{`{"verb":"reload"}`, `{"error":"the configuration has a mistake; nothing was changed","problems":["p"]}`},
		{`{"verb":"status"}`, `{"error":"not now"}`},
		{`{"verb":"sing"}`, `{"error":"unknown verb \"sing\""}`},
		{`{}`, `{"error":"unknown verb \"\""}`},
		{`GET / HTTP/1.1`, `{"error":"not a request: invalid character 'G' looking for beginning of value"}`},
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.request+"\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn) // to the end: the server closes
		_ = conn.Close()
		if err != nil || string(got) != c.answer+"\n" {
			t.Errorf("%s: %v\n%s", c.request, err, got)
		}
	}
}

// TestHanging: neither a client that says nothing nor one whose answer takes
// long keeps others waiting, and both are let go at the end.
func TestHanging(t *testing.T) {
	entered := make(chan struct{})
	var d fakeDaemon
	d.status = func(ctx context.Context) (Status, error) {
		close(entered)
		<-ctx.Done()
		return Status{}, ctx.Err()
	}
	c, path := serve(t, &d)
	mute, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	ctx, cancel := context.WithCancel(t.Context())
	slow := make(chan error, 1)
	go func() { _, err := c.Status(ctx); slow <- err }()
	<-entered
	if err := c.Command(t.Context(), "a", Up); err != nil {
		t.Error(err)
	}
	cancel() // the server ends the request, too, or serve's cleanup would not return
	if err := <-slow; !errors.Is(err, context.Canceled) {
		t.Errorf("status: %v", err)
	}
}

func TestOversized(t *testing.T) {
	var d fakeDaemon
	c, _ := serve(t, &d)
	if err := c.Command(t.Context(), strings.Repeat("x", 1<<20), Up); err == nil {
		t.Error("a line's name of a megabyte was taken")
	}
	if err := c.Command(t.Context(), strings.Repeat("x", maxRequest), Up); err == nil || err.Error() != "a request may have 4096 bytes" {
		t.Errorf("a long name: %v", err)
	}
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	abandon(t, dead)
	for _, path := range []string{dead, filepath.Join(dir, "none")} {
		_, err := NewClient(path).Status(t.Context())
		want := "no linebond is running (nothing answers at " + path + "); start it with `linebond run`, or name its --runtime-dir"
		if err == nil || err.Error() != want {
			t.Errorf("%v", err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewClient(filepath.Join(file, "s")).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "asking the daemon at") {
		t.Errorf("below a file: %v", err)
	}
}

// TestExplain words what cannot be had on purpose: tests run as root, and a
// client's patience is long.
func TestExplain(t *testing.T) {
	c := NewClient("/run/s")
	for _, e := range []struct {
		err  error
		want string
	}{
		{os.ErrPermission, "may not use /run/s: run this as root"},
		{context.DeadlineExceeded, "linebond does not answer at /run/s"},
		{io.ErrUnexpectedEOF, "asking the daemon at /run/s: dial unix: unexpected EOF"},
	} {
		if got := c.explain(&net.OpError{Op: "dial", Net: "unix", Err: e.err}).Error(); got != e.want {
			t.Errorf("%s\nnot %s", got, e.want)
		}
	}
}

// tiredListener fails as many times as it has errors.
type tiredListener struct {
	net.Listener
	errs []error
}

func (l *tiredListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.Listener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

// TestAcceptFails: want of descriptors or memory passes.
func TestAcceptFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(&tiredListener{l, []error{syscall.EMFILE, syscall.ENOMEM}}, &fakeDaemon{})
	var served sync.WaitGroup
	served.Go(s.Serve)
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	served.Wait()
}

// pipes is a listener whose clients are at the other ends of pipes.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return nil }

// TestCrowd: those that there is no room for wait, without a descriptor of the
// daemon's.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside atomic.Int32
		var d fakeDaemon
		release := make(chan struct{})
		d.status = func(context.Context) (Status, error) {
			inside.Add(1)
			<-release
			return Status{}, nil
		}
		l := make(pipes)
		s := newServer(l, &d)
		var all sync.WaitGroup
		all.Go(s.Serve)
		const more = 2
		for range maxExchanges + more {
			all.Go(func() {
				client, server := net.Pipe()
				l <- server
				if _, err := io.WriteString(client, "{\"verb\":\"status\"}\n"); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadAll(client); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := inside.Load(); n != maxExchanges {
			t.Errorf("%d exchanges at a time", n)
		}
		close(release)
		synctest.Wait()
		if n := inside.Load(); n != maxExchanges+more {
			t.Errorf("%d exchanges", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}
