package syslog

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// listenDatagram is a syslog server's socket of the usual kind.
func listenDatagram(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// receive returns the next datagram.
func receive(t *testing.T, conn net.Conn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2*maxMessage)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func closeCore(t *testing.T, c *Core) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestCore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server := listenDatagram(t, path)
	core := New(Options{Path: path, Facility: 17, Level: zapcore.DebugLevel})
	log := zap.New(core, zap.AddCaller()).Named("fast").With(zap.Int("try", 2))
	log.Debug("sending", zap.String("what", "PADI"))

	m, err := parse5424([]byte(receive(t, server)))
	if err != nil {
		t.Fatal(err)
	}
	if m.priority != "143" { // 17 * 8 + 7
		t.Errorf("PRI is %s", m.priority)
	}
	if at, err := time.Parse(time.RFC3339Nano, m.timestamp); err != nil || at.IsZero() {
		t.Errorf("TIMESTAMP is %s: %v", m.timestamp, err)
	}
	if len(m.params) != 4 || m.params[3].name != "caller" || !strings.HasPrefix(m.params[3].value, "syslog/writer_test.go:") {
		t.Fatalf("no caller in %v", m.params)
	}
	if diff := cmp.Diff([]pair{{"logger", "fast"}, {"try", "2"}, {"what", "PADI"}}, m.params[:3], cmp.AllowUnexported(pair{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(m.msg, "fast: sending try=2 what=PADI caller=") {
		t.Errorf("MSG is %q", m.msg)
	}
	closeCore(t, core)
}

func TestLevel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server := listenDatagram(t, path)
	core := New(Options{Path: path})
	log := zap.New(core, zap.AddStacktrace(zapcore.ErrorLevel))
	log.Debug("not this")
	log.Error("this")
	if got := receive(t, server); !strings.HasPrefix(got, "<27>1 ") || !strings.Contains(got, `stack="linebond/syslog.TestLevel#012`) {
		t.Errorf("received %q", got)
	}
	closeCore(t, core)
}

// The entry that explains a crash is in the server's hands when Write returns.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server := listenDatagram(t, path)
	core := New(Options{Path: path})
	func() {
		defer func() { _ = recover() }()
		zap.New(core).Panic("broken")
	}()
	select {
	case <-core.out.idle:
	default:
		t.Error("Write did not wait")
	}
	if got := receive(t, server); !strings.HasPrefix(got, "<26>1 ") {
		t.Errorf("received %q", got)
	}
	closeCore(t, core)
}

func TestJournald(t *testing.T) {
	dir := t.TempDir()
	server := listenDatagram(t, filepath.Join(dir, "dev-log"))
	link := filepath.Join(dir, "log")
	if err := os.Symlink("dev-log", link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		format Format
		want   string
	}{
		{"auto", Auto, `^<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d linebond\[\d+\]: hello$`},
		{"forced", RFC5424, `^<30>1 .* hello$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			core := &Core{LevelEnabler: zapcore.InfoLevel, out: newWriter(Options{Path: link, Format: tt.format})}
			core.out.journald = filepath.Join(dir, "dev-log")
			go core.out.run()
			zap.New(core).Info("hello")
			if got := receive(t, server); !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("received %q, want %s", got, tt.want)
			}
			closeCore(t, core)
		})
	}
}

func TestStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	core := New(Options{Path: path, Format: Local})
	log := zap.New(core)
	log.Info("one\ntwo")
	log.Info("three")
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for _, want := range []string{": one#012two", ": three"} {
		if !lines.Scan() || !strings.HasSuffix(lines.Text(), want) {
			t.Errorf("received %q, want it to end in %q", lines.Text(), want)
		}
	}

	conn.Close() // the server restarts
	log.Info("four")
	conn, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if lines = bufio.NewScanner(conn); !lines.Scan() || !strings.HasSuffix(lines.Text(), ": four") {
		t.Errorf("received %q after the restart", lines.Text())
	}
	closeCore(t, core)
}

func TestNoServer(t *testing.T) {
	core := New(Options{Path: filepath.Join(t.TempDir(), "log")})
	log := zap.New(core)
	for range queueLength + 500 { // would block forever if Write waited
		log.Info("nobody listens")
	}
	err := log.Sync()
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "entries wait for") {
		t.Errorf("Sync: %v", err)
	}
	if err := core.Close(); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "1524 entries lost") {
		t.Errorf("Close: %v", err)
	}
	if err := core.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if err := core.Write(zapcore.Entry{}, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := core.Sync(); err != nil {
		t.Errorf("Sync after Close: %v", err)
	}
}

// The count of dropped entries stands between what was logged before and after.
func TestLossInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server := listenDatagram(t, path)
	w := newWriter(Options{Path: path})
	for range queueLength + 3 {
		w.enqueue(record{message: "early"})
	}
	<-w.queue // the server takes one
	w.finish()
	w.enqueue(record{message: "late"})
	go w.run()
	for _, want := range append(slices.Repeat([]string{"early"}, queueLength-1), "log-entries-dropped", "late") {
		m, err := parse5424([]byte(receive(t, server)))
		if err != nil {
			t.Fatal(err)
		}
		if m.msgID != want {
			t.Fatalf("received %v, want %s", m, want)
		}
		if want == "log-entries-dropped" && (len(m.params) != 1 || m.params[0] != (pair{"dropped", "3"})) {
			t.Errorf("the count is %v", m.params)
		}
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

// A message that the socket can never take must not stop those behind it.
func TestTooBig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listenDatagram(t, path)
	w := newWriter(Options{Path: path})
	if err := w.connect(); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.(*net.UnixConn).SetWriteBuffer(1); err != nil { // the kernel makes it 4608 bytes, about half for data
		t.Fatal(err)
	}
	w.deliver(record{message: strings.Repeat("x", maxMessage)}, 1)
	w.disconnect()
	if w.lost != 1 {
		t.Errorf("%d entries counted as lost", w.lost)
	}
}
