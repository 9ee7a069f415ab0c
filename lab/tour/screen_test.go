package tour

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudoterminal: what is written to it comes out of screen.
func terminal(t *testing.T, columns, rows uint16) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, screen
}

func TestLive(t *testing.T) {
	terminal, screen := terminal(t, 60, 12)
	if !IsTerminal(terminal) {
		t.Error("it is a terminal")
	}
	l := NewLive(terminal)
	for _, step := range []func() error{
		func() error { return l.Event(events()[1]) },
		func() error { return l.Scene(scene()) }, // has no room for all of it
		func() error { return l.Event(events()[2]) },
		func() error { return l.Event(events()[4]) },
		func() error { return l.Scene(Scene{}) },
		l.Close, terminal.Close,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	written, err := io.ReadAll(screen)
	if err != nil && len(written) == 0 { // the end of a pseudoterminal is EIO
		t.Fatal(err)
	}
	golden(t, "screen.txt", strings.ReplaceAll(strings.ReplaceAll(string(written), "\r\n", "\n"), "\x1b", "ESC"))
}

func TestIsTerminal(t *testing.T) {
	file, err := os.Open("screen_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if IsTerminal(file) {
		t.Error("a file is no terminal")
	}
}
