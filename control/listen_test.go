package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// abandon leaves a socket behind, as a daemon that was killed does.
func abandon(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListen(t *testing.T) {
	_, live := serve(t, &fakeDaemon{})
	if info, err := os.Stat(live); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Listen(live, nil); err == nil || !strings.Contains(err.Error(), "another linebond is running") {
		t.Errorf("beside a live daemon: %v", err)
	}
	dead := filepath.Join(t.TempDir(), "s")
	abandon(t, dead)
	s, err := Listen(dead, nil)
	if err != nil {
		t.Fatalf("after a dead daemon: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", maxPath))
	if _, err := Listen(long, nil); err == nil || !strings.Contains(err.Error(), "may have 107 bytes; give a shorter --runtime-dir") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), "none", "s"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

// TestListenBesideBusy: a daemon whose queue of clients is full is alive.
func TestListenBesideBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd := unixSocket(t)
	address := &syscall.SockaddrUnix{Name: path}
	if err := errors.Join(syscall.Bind(fd, address), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); !errors.Is(err, syscall.EAGAIN); {
		if err = syscall.Connect(unixSocket(t), address); err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
	}
	if _, err := Listen(path, nil); err == nil || !strings.Contains(err.Error(), "resource temporarily unavailable") {
		t.Errorf("Listen: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket has gone: %v", err)
	}
}

func unixSocket(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	return fd
}
