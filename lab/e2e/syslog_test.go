package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"linebond/lab"
)

// rsyslogd runs Debian's rsyslogd with a socket of its own; it writes each
// entry's name, kind, structured data and text to a file.
type rsyslogd struct {
	directory string
	process   *exec.Cmd
}

func startSyslog(t *testing.T, directory string) *rsyslogd {
	t.Helper()
	r := &rsyslogd{directory: directory}
	conf := fmt.Sprintf(`global(workDirectory=%q)
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket=%q UseSpecialParser="off")
template(name="all" type="string" string="%%app-name%% %%msgid%% %%structured-data%% %%msg%%\n")
action(type="omfile" file=%q template="all")
`, directory, r.path("socket"), r.path("log"))
	if err := os.WriteFile(r.path("conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	r.process = exec.Command("rsyslogd", "-n", "-f", r.path("conf"), "-i", r.path("pid"))
	if err := r.process.Start(); err != nil {
		t.Fatalf("starting rsyslogd (apt-get install rsyslog): %v", err)
	}
	t.Cleanup(r.stop)
	lab.Eventually(t, limit, func() error {
		_, err := os.Stat(r.path("socket"))
		return err
	})
	return r
}

func (r *rsyslogd) path(file string) string { return filepath.Join(r.directory, file) }

func (r *rsyslogd) stop() {
	if r.process != nil {
		_ = r.process.Process.Signal(syscall.SIGTERM)
		_ = r.process.Wait()
		r.process = nil
	}
}

// has returns nil when an entry has all the texts.
func (r *rsyslogd) has(texts ...string) func() error {
	return func() error {
		log, _ := os.ReadFile(r.path("log"))
		for entry := range strings.Lines(string(log)) {
			found := true
			for _, text := range texts {
				found = found && strings.Contains(entry, text)
			}
			if found {
				return nil
			}
		}
		return fmt.Errorf("no entry with %q in:\n%s", texts, log)
	}
}

// TestSyslog: a line's life in the log of a real rsyslogd, which is restarted
// in between.
func TestSyslog(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	directory := t.TempDir()
	r := startSyslog(t, directory)
	l.linebond.Write(t, "linebond.toml", fmt.Sprintf("[log]\nto = \"syslog\"\nsocket = %q\n", r.path("socket")))
	l.up(t)
	lab.Eventually(t, limit, r.has("linebond up [linebond@", `line="a"`, `reason="address assigned: IPv4"`, `ac="AC1"`, `session="`, `address="203.0.113.1`))
	r.stop()
	if _, err := l.linebond.Run("redial", "a"); err != nil {
		t.Error(err)
	}
	startSyslog(t, directory)
	lab.Eventually(t, limit, r.has("linebond", `line="a"`, `reason="by the operator"`, `up="`, `rx_bytes="`))
	l.isUp(t)
	l.linebond.Stop(t)
	lab.Eventually(t, limit, r.has("linebond", "stopped"))
}
