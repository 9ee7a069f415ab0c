package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
)

// keys are the names of an entry's fields, but for its line and reason.
func (w *world) keys(message, reason string) string {
	w.t.Helper()
	for _, e := range w.logs.FilterMessage(message).All() {
		fields := e.ContextMap()
		if fields["line"] != "a" || !strings.HasPrefix(fields["reason"].(string), reason) {
			continue
		}
		var keys []string
		for _, f := range e.Context {
			keys = append(keys, f.Key)
		}
		return strings.Join(keys, " ")
	}
	w.t.Errorf("no entry %s for %s:\n%s", message, reason, strings.Join(w.logged(), "\n"))
	return ""
}

// TestLife: a person can follow a line's life by its entries.
func TestLife(t *testing.T) {
	bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "ipv6 = false")}, func(t *testing.T, w *world) {
		w.up()
		time.Sleep(time.Minute)
		w.ac.hangUp("out of order")
		synctest.Wait()
		time.Sleep(time.Second)
		w.ac.with(func(a *fakeAC) { a.silent = true })
		time.Sleep(40 * time.Second)
		var got []string
		for _, e := range w.logs.All() {
			if fields := e.ContextMap(); fields["line"] == "a" {
				got = append(got, e.Level.String()+" "+e.Message+": "+fields["reason"].(string))
			}
		}
		want := []string{
			"info data plane: for a test",
			"info waiting: starting",
			"info discovery: dialling",
			"info establish: session given",
			"info authenticate: LCP opened: chap",
			"info network: authenticated",
			"info up: address assigned: IPv4",
			"info waiting: PADT: out of order",
			"info discovery: dialling",
			"info establish: session given",
			"info authenticate: LCP opened: chap",
			"info network: authenticated",
			"info up: address assigned: IPv4",
			"info waiting: echo lost 5 of 5",
			"info discovery: dialling",
			"warn waiting: PADO timeout",
			"info discovery: dialling",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, c := range []struct{ message, reason, fields string }{
			{"waiting", "starting", "line reason next_dial"},
			{"establish", "session given", "line reason ac ac_mac session"},
			{"network", "authenticated", "line reason ac ac_mac session device mtu"},
			{"up", "address", "line reason ac ac_mac session device mtu address peer dns"},
			{"waiting", "PADT", "line reason next_dial ac session up rx_bytes tx_bytes"},
		} {
			if got := w.keys(c.message, c.reason); got != c.fields {
				t.Errorf("%s has the fields %s, not %s", c.message, got, c.fields)
			}
		}
		w.expect(1, "info waiting", "PADT: out of order", "session=1", "up=1m", "rx_bytes=1000", "tx_bytes=2000")
	})
}

// TestNoSecrets: whatever is logged at whatever level, no password.
func TestNoSecrets(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.options.Log.SetLevel("debug")
		w.up()
		w.write("lines.d/a.toml", lineFile("eth1", "mtu = 1\npassword_file = \"x\""))
		w.hup()
		w.write("lines.d/a.toml", strings.Replace(lineFile("eth1", ""), password, "wrong horse", 1))
		w.hup()
		time.Sleep(time.Minute)
		w.expect(3, "warn waiting", "authentication refused")
		for _, e := range w.logged() {
			if strings.Contains(e, "horse") {
				t.Errorf("the log has the password: %s", e)
			}
		}
	})
}

// TestDamping: a line that is dead for a week does not fill the log, and is not
// forgotten either.
func TestDamping(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.ac.silent = true
		w.start()
		time.Sleep(7 * 24 * time.Hour)
		failures := w.status()["a"].Failures
		entries := w.logged("line=a")
		if failures < 5000 || len(entries) > 30+7*24 || len(entries) < 7*24 {
			t.Errorf("%d failures made %d entries", failures, len(entries))
		}
		if last := entries[len(entries)-1]; !strings.Contains(last, "repeats=") || !strings.Contains(last, "warn waiting line=a reason=PADO timeout") {
			t.Errorf("the last is %s", last)
		}
		w.logs.TakeAll()
		w.ac.with(func(a *fakeAC) { a.silent = false })
		w.reaches("a", "up")
		w.expect(2, "info up line=a") // with IPv4, then with IPv6 as well
	})
}

// TestThrottle: what a peer can have us say is bounded, per line, and what is
// missing is counted.
func TestThrottle(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		l := &logger{Logger: w.options.Log.Logger}
		other := &logger{Logger: w.options.Log.Logger}
		for range 10 * burst {
			l.write(zapcore.InfoLevel, "flood")
			l.write(zapcore.DebugLevel, "flood") // not enabled: does not count
		}
		other.write(zapcore.InfoLevel, "other")
		w.expect(burst, "flood")
		w.expect(1, "other")
		time.Sleep(period)
		l.write(zapcore.InfoLevel, "flood")
		l.write(zapcore.InfoLevel, "flood")
		w.expect(1, "flood entries_dropped=1080")
		w.expect(burst+2, "flood")
	})
}
