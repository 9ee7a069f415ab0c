package syslog

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

const rsyslogd = "/usr/sbin/rsyslogd"

// rsyslogConf gives rsyslogd three sockets. "system" is what Debian's own
// rsyslog.conf has, module(load="imuxsock"), but for the path. "parsed" uses the
// parsers for network messages, "stream" is of the other kind. The file
// "syslog" is in Debian's default layout; "fields" is what was understood, one
// entry per line, tabs between: no message contains one.
const rsyslogConf = `
global(workDirectory="%[1]s")
module(load="imuxsock" SysSock.Name="%[1]s/system")
module(load="imptcp")
module(load="mmpstrucdata")
input(type="imuxsock" Socket="%[1]s/parsed" UseSpecialParser="off")
input(type="imptcp" Path="%[1]s/stream" Unlink="on")
template(name="fields" type="string"
  string="%%app-name%%\t%%procid%%\t%%hostname%%\t%%syslogfacility-text%%.%%syslogseverity-text%%\t%%msgid%%\t%%structured-data%%\t%%$!rfc5424-sd%%\t%%msg%%\n")
action(type="mmpstrucdata")
action(type="omfile" file="%[1]s/fields" template="fields")
action(type="omfile" file="%[1]s/syslog")
`

// A server is one rsyslogd, or several one after the other, with a directory.
type server struct {
	dir string
	cmd *exec.Cmd
}

func startServer(t *testing.T) *server {
	t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		t.Fatalf("this test needs rsyslogd: apt-get install rsyslog (%v)", err)
	}
	s := &server{dir: t.TempDir()}
	conf := fmt.Sprintf(rsyslogConf, s.dir)
	if err := os.WriteFile(s.path("conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		if s.cmd != nil { // may stand still, if the test failed
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
	return s
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// start returns when all sockets take connections.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(rsyslogd, "-n", "-i", s.path("pid"), "-f", s.path("conf"))
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for name, network := range map[string]string{"system": "unixgram", "parsed": "unixgram", "stream": "unix"} {
		poll(t, "rsyslogd's socket "+name, func() bool {
			conn, err := net.Dial(network, s.path(name))
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
}

// stop lets rsyslogd write what it has, and waits for its end.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
	s.cmd = nil
}

func (s *server) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// lines returns a file's lines, none if there is no file yet.
func (s *server) lines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.SplitAfter(string(b), "\n")
}

// find waits for a line of a file that contains all words, and returns it.
func (s *server) find(t *testing.T, name string, words ...string) string {
	t.Helper()
	var found string
	poll(t, fmt.Sprintf("%q in %s", words, name), func() bool {
		for _, line := range s.lines(t, name) {
			if strings.HasSuffix(line, "\n") && containsAll(line, words) {
				found = strings.TrimSuffix(line, "\n")
				return true
			}
		}
		return false
	})
	return found
}

func containsAll(s string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(s, word) {
			return false
		}
	}
	return true
}

// poll asks until the answer is yes.
func poll(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// logSession writes an entry with all that is hard to carry.
func logSession(core *Core) {
	zap.New(core).Named("fast").Warn("session up: welcome",
		zap.String("line", "fast"),
		zap.Uint16("session", 4660),
		zap.String("ac", `BRAS "7" [a\b] Zürich`),
		zap.String("reason", "two\nlines"))
}

// Each socket that understands RFC 5424 takes every field apart.
func TestRsyslogdParses(t *testing.T) {
	s := startServer(t)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{"parsed", "stream"} {
		t.Run(socket, func(t *testing.T) {
			core := New(Options{Path: s.path(socket)})
			logSession(core)
			closeCore(t, core)
			got := strings.Split(s.find(t, "fields", "linebond\t"), "\t")
			want := []string{
				"linebond", strconv.Itoa(os.Getpid()), hostname, "daemon.warning", "session-up",
				`[linebond@0 logger="fast" line="fast" session="4660" ac="BRAS \"7\" [a\\b\] Zürich" reason="two#012lines"]`,
				`{ "linebond@0": { "logger": "fast", "line": "fast", "session": "4660", "ac": "BRAS \"7\" [a\\b] Zürich", "reason": "two#012lines" } }`,
				`fast: session up: welcome line=fast session=4660 ac="BRAS \"7\" [a\\b] Zürich" reason="two\nlines"`,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			s.find(t, "syslog", "linebond["+strconv.Itoa(os.Getpid())+"] fast: session up: welcome line=fast session=4660")
			for _, file := range []string{"fields", "syslog"} {
				if err := os.Truncate(s.path(file), 0); err != nil { // rsyslogd appends
					t.Fatal(err)
				}
			}
		})
	}
}

// Debian's default socket does not know RFC 5424: it takes VERSION for the tag
// and the rest for text. All is there to read nevertheless; and in the local
// format it is pleasant to read.
func TestRsyslogdDefault(t *testing.T) {
	s := startServer(t)
	pid := strconv.Itoa(os.Getpid())

	core := New(Options{Path: s.path("system")})
	logSession(core)
	closeCore(t, core)
	if got := s.find(t, "fields", "welcome"); !strings.HasPrefix(got, "1\t-\t") || !strings.Contains(got, "\tdaemon.warning\t-\t-\t") {
		t.Errorf("the default parser has learned RFC 5424: %q", got)
	}
	s.find(t, "syslog", ` 1 `, ` linebond `+pid+` session-up [linebond@0 `, `] fast: session up: welcome line=fast session=4660 ac="BRAS \"7\"`)

	core = New(Options{Path: s.path("system"), Format: Local})
	logSession(core)
	closeCore(t, core)
	got := s.find(t, "fields", "linebond\t", "welcome")
	if !strings.HasPrefix(got, "linebond\t"+pid+"\t") || !strings.HasSuffix(got, `fast: session up: welcome line=fast session=4660 ac="BRAS \"7\" [a\\b] Zürich" reason="two\nlines"`) {
		t.Errorf("understood as %q", got)
	}
	s.find(t, "syslog", ` linebond[`+pid+`]: fast: session up: welcome line=fast session=4660 `)
}

// The longest message that is ever sent arrives whole, on each kind of socket.
func TestRsyslogdLongest(t *testing.T) {
	s := startServer(t)
	for _, socket := range []string{"system", "parsed", "stream"} {
		core := New(Options{Path: s.path(socket)})
		zap.New(core).Info("long " + socket + " " + strings.Repeat("x", 2*maxMessage))
		closeCore(t, core)
		if got := s.find(t, "fields", "long "+socket); !strings.HasSuffix(got, "xxx...") {
			t.Errorf("%s: ends in %q", socket, got[len(got)-8:])
		}
	}
}

func TestRsyslogdRestart(t *testing.T) {
	for _, socket := range []string{"parsed", "stream"} {
		t.Run(socket, func(t *testing.T) {
			s := startServer(t)
			core := New(Options{Path: s.path(socket)})
			log := zap.New(core)
			log.Info("before")
			s.find(t, "fields", "before")
			s.stop(t)
			log.Info("between")
			s.start(t)
			log.Info("after")
			s.find(t, "fields", "between")
			s.find(t, "fields", "after")
			closeCore(t, core)
		})
	}
}

// While rsyslogd is away, or stands still, Write returns at once. Afterwards
// each entry has either arrived or been counted, and the count stands where
// the entries would have stood.
func TestRsyslogdLoss(t *testing.T) {
	tests := []struct {
		name     string
		away     func(*server, *testing.T)
		back     func(*server, *testing.T)
		obstacle error
	}{
		{"away", (*server).stop, (*server).start, syscall.ENOENT},
		{"stands still", func(s *server, t *testing.T) { s.signal(t, syscall.SIGSTOP) },
			func(s *server, t *testing.T) { s.signal(t, syscall.SIGCONT) }, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t)
			core := New(Options{Path: s.path("parsed")})
			log := zap.New(core)
			log.Info("before")
			s.find(t, "fields", "before")

			tt.away(s, t)
			const total = 4 * queueLength
			for i := range total {
				log.Info("entry", zap.Int("number", i))
			}
			if err := log.Sync(); !errors.Is(err, tt.obstacle) {
				t.Errorf("Sync: %v, want %v", err, tt.obstacle)
			}
			tt.back(s, t)
			s.find(t, "fields", "log-entries-dropped")
			closeCore(t, core)
			s.stop(t)

			arrived, dropped, last := 0, 0, ""
			for _, line := range s.lines(t, "fields") {
				if strings.Contains(line, "\tentry\t") {
					arrived++
				}
				if _, after, ok := strings.Cut(line, `[linebond@0 dropped="`); ok {
					number, _, _ := strings.Cut(after, `"`)
					n, err := strconv.Atoi(number)
					if err != nil {
						t.Errorf("no count in %q", line)
					}
					dropped += n
				}
				if line != "" {
					last = line
				}
			}
			if dropped == 0 || arrived+dropped != total {
				t.Errorf("%d arrived and %d were dropped, of %d", arrived, dropped, total)
			}
			if !strings.Contains(last, "log-entries-dropped") {
				t.Errorf("the count is not last: %q", last)
			}
		})
	}
}
