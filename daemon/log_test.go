package daemon

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"linebond/config"
)

// TestSyslog: entries get to the socket that the configuration names, from the
// level on that it names.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l := OpenLog(config.Log{To: "syslog", Level: "warn", Facility: "local3", Socket: path, Format: "rfc5424"})
	l.Info("not to be seen")
	l.SetLevel("info")
	l.Info("hello")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	b := make([]byte, 1000)
	n, err := server.Read(b)
	if got := string(b[:n]); err != nil || !strings.HasPrefix(got, "<158>1 ") || !strings.HasSuffix(got, " hello") { // 158 = local3.info
		t.Errorf("%q, %v", got, err)
	}
}

func TestStderr(t *testing.T) {
	l := OpenLog(config.Log{To: "stderr", Level: "error"})
	l.Ready()
	if l.core != nil || l.Core().Enabled(zapcore.WarnLevel) || !l.Core().Enabled(zapcore.ErrorLevel) {
		t.Errorf("%+v", l)
	}
	l.SetLevel("nonsense") // package config does not let it through
	if !l.Core().Enabled(zapcore.InfoLevel) || l.Core().Enabled(zapcore.DebugLevel) {
		t.Error("an unknown level is not info")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
