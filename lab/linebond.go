package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linebond/control"
)

// Linebond is a linebond daemon in a namespace, with folders of its own.
type Linebond struct {
	Through []string // a program, with its arguments, that starts the daemon; none: it is started itself

	namespace *Namespace
	binary    string
	directory string
	daemon    *exec.Cmd // nil when it does not run
}

// NewLinebond prepares a daemon that is not yet started. It logs to stderr,
// at level debug, unless Write gives it another linebond.toml.
func NewLinebond(t testing.TB, n *Namespace, binary string) *Linebond {
	t.Helper()
	b := &Linebond{namespace: n, binary: binary, directory: t.TempDir()}
	b.mountPins(t)
	b.Write(t, "linebond.toml", "[log]\nto = \"stderr\"\nlevel = \"debug\"\n")
	t.Cleanup(func() {
		if b.daemon != nil {
			b.Kill(t)
		}
		if t.Failed() {
			t.Logf("log of linebond:\n%s", b.Log())
		}
	})
	return b
}

// mountPins mounts a BPF file system, which the daemon is to see at /sys/fs/bpf, where a host has it: a namespace's /sys has none.
func (b *Linebond) mountPins(t testing.TB) {
	t.Helper()
	if err := os.Mkdir(b.Pins(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", b.Pins(), "bpf", 0, ""); err != nil {
		t.Fatalf("mounting a BPF file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(b.Pins(), unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting the BPF file system: %v", err)
		}
	})
}

// Pins is a directory that shows what the daemon has in /sys/fs/bpf.
func (b *Linebond) Pins() string { return filepath.Join(b.directory, "bpf") }

// start starts a process of the daemon's program, in its namespace.
func (b *Linebond) start(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	var err error
	b.namespace.Do(t, func() {
		if err = unix.Mount(b.Pins(), "/sys/fs/bpf", "", unix.MS_BIND, ""); err == nil {
			err = cmd.Start()
		}
	})
	return err
}

// Write writes a file of the configuration: "linebond.toml" or "lines.d/NAME.toml".
func (b *Linebond) Write(t testing.TB, file, text string) {
	t.Helper()
	path := filepath.Join(b.directory, "etc", file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Runtime is the path of a file in the runtime directory.
func (b *Linebond) Runtime(file string) string { return filepath.Join(b.directory, "run", file) }

func (b *Linebond) command(args ...string) *exec.Cmd {
	args = append(args, "--config", filepath.Join(b.directory, "etc"), "--runtime-dir", filepath.Join(b.directory, "run"))
	return exec.Command(b.binary, args...)
}

// Start starts the daemon; it need not have a line up when Start returns.
func (b *Linebond) Start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(b.directory, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := b.command("run")
	if len(b.Through) > 0 {
		daemon = exec.Command(b.Through[0], append(b.Through[1:len(b.Through):len(b.Through)], daemon.Args...)...)
	}
	daemon.Stdout, daemon.Stderr = log, log
	if err := b.start(t, daemon); err != nil {
		t.Fatalf("starting linebond: %v", err)
	}
	b.daemon = daemon
}

// Stop ends the daemon by SIGTERM and returns how long that took. A status
// other than 0 fails the test.
func (b *Linebond) Stop(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	b.signal(t, syscall.SIGTERM)
	if err := b.daemon.Wait(); err != nil {
		t.Errorf("linebond ended with %v", err)
	}
	b.daemon = nil
	return time.Since(begin)
}

// Kill ends the daemon by SIGKILL, as a crash would.
func (b *Linebond) Kill(t testing.TB) {
	t.Helper()
	b.signal(t, syscall.SIGKILL)
	_ = b.daemon.Wait()
	b.daemon = nil
}

// Hangup sends SIGHUP.
func (b *Linebond) Hangup(t testing.TB) { b.signal(t, syscall.SIGHUP) }

// PID is the daemon's.
func (b *Linebond) PID() int { return b.daemon.Process.Pid }

func (b *Linebond) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := b.daemon.Process.Signal(s); err != nil {
		t.Fatalf("signalling linebond: %v", err)
	}
}

// Run runs a verb of the command line to its end, and returns what it printed.
func (b *Linebond) Run(args ...string) (string, error) {
	out, err := b.command(args...).CombinedOutput() // needs no namespace: the socket is a file
	return string(out), err
}

// Cleanup runs the verb cleanup to its end, in the daemon's namespace, and returns what it printed.
func (b *Linebond) Cleanup(t testing.TB) (string, error) {
	t.Helper()
	var out strings.Builder
	cleanup := b.command("cleanup")
	cleanup.Stdout, cleanup.Stderr = &out, &out
	err := b.start(t, cleanup)
	if err == nil {
		err = cleanup.Wait()
	}
	return out.String(), err
}

// Log is what the daemon has written so far, of all its starts.
func (b *Linebond) Log() string {
	text, err := os.ReadFile(filepath.Join(b.directory, "log"))
	if err != nil {
		return "" // not started yet
	}
	return string(text)
}

// Status asks the daemon.
func (b *Linebond) Status() (control.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return control.NewClient(b.Runtime("linebond.sock")).Status(ctx)
}

// Line asks the daemon for one line.
func (b *Linebond) Line(name string) (control.Line, error) {
	status, err := b.Status()
	if err != nil {
		return control.Line{}, err
	}
	for _, l := range status.Lines {
		if l.Name == name {
			return l, nil
		}
	}
	return control.Line{}, fmt.Errorf("linebond has no line %s", name)
}

// Reaches returns nil when the line is in the state, for a reason that
// contains the text given.
func (b *Linebond) Reaches(name, state, reason string) func() error {
	return func() error {
		l, err := b.Line(name)
		switch {
		case err != nil:
			return err
		case l.State != state || !strings.Contains(l.Reason, reason):
			return fmt.Errorf("line %s is %s (%s), not %s (%s)", name, l.State, l.Reason, state, reason)
		}
		return nil
	}
}

// Logged returns nil when the log has an entry that contains all the texts.
func (b *Linebond) Logged(texts ...string) error {
	for line := range strings.Lines(b.Log()) {
		found := true
		for _, text := range texts {
			found = found && strings.Contains(line, text)
		}
		if found {
			return nil
		}
	}
	return errors.New("not in the log: " + strings.Join(texts, " ... "))
}
