package tour

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Live is a terminal: what has happened runs up, and below it stands how things are.
type Live struct {
	terminal *os.File
	drawn    int // rows of the picture, above which the cursor goes before the next
}

// The control sequences that are used (ECMA-48, and xterm's private modes).
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	noWrap     = "\x1b[?7l" // of lines longer than the terminal is wide, as they are while that is made narrower
	doWrap     = "\x1b[?7h"
	clearDown  = "\x1b[J"
)

// IsTerminal says whether a file is one.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// NewLive takes the terminal over, until Close.
func NewLive(terminal *os.File) *Live { return &Live{terminal: terminal} }

// size is the terminal's, at this moment.
func (l *Live) size() (columns, rows int) {
	size, err := unix.IoctlGetWinsize(int(l.terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// Event implements Reporter. A line's new state, and what a bond carries, is in the picture.
func (l *Live) Event(e Event) error {
	if e.Kind == changed || e.Kind == figures {
		return nil
	}
	columns, _ := l.size()
	return l.write(l.erase() + text(e, columns))
}

// Scene implements Reporter.
func (l *Live) Scene(s Scene) error {
	columns, rows := l.size()
	picture := append([]string{""}, View(s, columns)...)
	picture = picture[:min(len(picture), rows-1)]
	frame := hideCursor + noWrap + l.erase() + strings.Join(picture, "\n") + "\n" + doWrap
	l.drawn = len(picture)
	return l.write(frame)
}

// erase is what takes the picture away.
func (l *Live) erase() string {
	drawn := l.drawn
	l.drawn = 0
	if drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r", drawn) + clearDown
}

// Close gives the terminal back: the picture goes, and what has happened stays.
func (l *Live) Close() error { return l.write(l.erase() + doWrap + showCursor) }

func (l *Live) write(s string) error {
	if _, err := l.terminal.WriteString(s); err != nil {
		return fmt.Errorf("writing to the terminal: %w", err)
	}
	return nil
}
