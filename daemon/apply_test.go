package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/bond"
	"linebond/config"
	"linebond/netstate"
)

// guarded is a bond of two lines with a firewall, and nat the same with NAT
// alone.
func guarded() map[string]string {
	return map[string]string{"linebond.toml": bondFile + "[host]\nfirewall = true\n", "lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": two["lines.d/b.toml"]}
}

func nat() map[string]string {
	return map[string]string{"linebond.toml": bondFile + "[lan]\ninterfaces = [\"lan0\"]\n", "lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": two["lines.d/b.toml"]}
}

func (w *world) trouble() string {
	w.t.Helper()
	s, err := w.daemon.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Trouble
}

var errTables = errors.New("the kernel has no nf_tables")

const closed = "lines that come up are kept from the internet, because the firewall cannot be set up: "

// TestTableUnread: what has nothing to do with the table goes on when that
// cannot be read, unless it has the firewall.
func TestTableUnread(t *testing.T) {
	const reading = "reading the nftables table inet linebond: the kernel has no nf_tables"
	bonded(t, nat(), func(t *testing.T, w *world) {
		w.host.unread = errTables
		w.bothUp()
		w.joins("a", true)
		time.Sleep(2 * retryAfter)
		if got := w.trouble(); got != reading {
			t.Errorf("status: %q", got)
		}
		w.expect(1, "info joined line=b")
		w.expect(1, "warn host networking is not as it should be", reading)
		if w.tableHas("") {
			t.Error("a table was set without a look at what is there")
		}
		w.host.change(func(h *fakeHost) { h.unread = nil })
		time.Sleep(2 * settleTime)
		synctest.Wait()
		if !w.tableHas("lan0") || w.trouble() != "" {
			t.Errorf("after that, %q:\n%s", w.trouble(), w.host)
		}
		w.host.change(func(h *fakeHost) { h.unread = errTables })
		if err := w.stop(); err == nil || err.Error() != reading {
			t.Errorf("the daemon ended with %v", err)
		}
		if text := w.host.String(); strings.Contains(text, "proto 108") || strings.Contains(text, "alias linebond") {
			t.Errorf("left behind:\n%s", text)
		}
	})
	bonded(t, guarded(), func(t *testing.T, w *world) {
		w.host.unread = errTables
		before := w.host.String()
		w.start()
		time.Sleep(2 * retryAfter)
		if got := w.trouble(); got != closed+reading {
			t.Errorf("status: %q", got)
		}
		w.expect(1, "warn host networking is not as it should be", closed+reading)
		if after := w.host.String(); after != before {
			t.Errorf("without the firewall this was done:\n%s", after)
		}
		w.host.change(func(h *fakeHost) { h.unread = nil })
		w.joins("a", true)
		w.joins("b", true)

		w.host.change(func(h *fakeHost) { h.unread = errTables; dropRoutes(h) })
		w.ac.with(func(a *fakeAC) { a.deafTo = "ppp-a" })
		w.joins("a", false)
		synctest.Wait()
		if !w.has("qdisc teql0 dev ppp-b root") || w.has("route default dev teql0 proto 108 metric 100") {
			t.Errorf("more was done than to let a dead line leave, or less:\n%s", w.host)
		}
		time.Sleep(2 * retryAfter)
		w.expect(1, "info left line=a bond=teql0")
		w.host.change(func(h *fakeHost) { h.unread = nil })
	})
}

// TestRetreat: a dead line leaves a multipath bond too without its firewall's
// table; the lines that are left have its connections, and none comes in.
func TestRetreat(t *testing.T) {
	files := map[string]string{"linebond.toml": "[bond]\nmode = \"multipath\"\n[host]\nfirewall = true\n"}
	for i, name := range []string{"a", "b", "c"} {
		files["lines.d/"+name+".toml"] = lineFile(fmt.Sprintf("eth%d", 1+i%2), patient)
	}
	routes := func(w *world) string {
		time.Sleep(time.Minute)
		synctest.Wait()
		var found []string
		for _, line := range strings.Split(w.host.String(), "\n") {
			if route, is := strings.CutPrefix(line, "route default "); is && !strings.Contains(line, "table") {
				found = append(found, route)
			}
		}
		return strings.Join(found, "\n")
	}
	for name, fail := range map[string]func(*fakeHost){
		"unread":  func(h *fakeHost) { h.unread = errTables },
		"refused": func(h *fakeHost) { h.noTable, h.state.Table = errTables, nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, files, func(t *testing.T, w *world) {
				w.start()
				all := `dev ppp-a proto 108 metric 101
dev ppp-b proto 108 metric 101
dev ppp-c proto 108 metric 101
proto 108 metric 100 nexthop dev ppp-a weight 1 nexthop dev ppp-b weight 1 nexthop dev ppp-c weight 1`
				if diff := cmp.Diff(all, routes(w)); diff != "" {
					t.Fatalf("before:\n%s", diff)
				}
				w.host.change(fail)
				w.ac.with(func(a *fakeAC) { a.deafTo = "ppp-a" })
				want := `dev ppp-b proto 108 metric 101
dev ppp-c proto 108 metric 101
proto 108 metric 100 nexthop dev ppp-b weight 1 nexthop dev ppp-c weight 1`
				if diff := cmp.Diff(want, routes(w)); diff != "" {
					t.Errorf("without a:\n%s", diff)
				}
				w.expect(1, "info left line=a bond=multipath")
				w.ac.with(func(a *fakeAC) { a.deafTo = "ppp-b" })
				if diff := cmp.Diff("dev ppp-c proto 108 metric 100\ndev ppp-c proto 108 metric 101", routes(w)); diff != "" {
					t.Errorf("without b, or with a again:\n%s", diff)
				}
				w.host.change(func(h *fakeHost) { h.unread, h.noTable = nil, nil })
			})
		})
	}
}

// TestTableRefused: likewise when it cannot be set.
func TestTableRefused(t *testing.T) {
	const setting = "nft -f - # replaces table inet linebond: the kernel has no nf_tables"
	bonded(t, nat(), func(t *testing.T, w *world) {
		w.host.noTable = errTables
		w.bothUp()
		w.joins("b", true)
		if got := w.trouble(); got != setting {
			t.Errorf("status: %q", got)
		}
	})
	bonded(t, guarded(), func(t *testing.T, w *world) {
		w.host.noTable = errTables
		w.start()
		time.Sleep(2 * retryAfter)
		if got := w.trouble(); got != closed+setting {
			t.Errorf("status: %q", got)
		}
		if ops := w.host.ops; fmt.Sprint(ops) != "[modprobe sch_teql max_equalizers=1 ip link set dev teql0 alias linebond]" {
			t.Errorf("without the firewall this was done: %v", ops)
		}
		w.host.mu.Lock()
		w.host.noTable = nil // nobody announces that
		w.host.mu.Unlock()
		w.joins("a", true)
		if !w.tableHas("drop") {
			t.Errorf("a line has joined without the firewall:\n%s", w.host)
		}
	})
	bonded(t, guarded(), func(t *testing.T, w *world) { // what fails before the table does not keep the rest away
		w.host.missing = true
		w.bothUp()
		if !w.tableHas("drop") {
			t.Errorf("no firewall:\n%s", w.host)
		}
	})
}

// TestEndIsTriedAgain: a device that is busy at SIGTERM is so for a moment.
func TestEndIsTriedAgain(t *testing.T) {
	busy := errors.New("device or resource busy")
	for name, c := range map[string]struct {
		free time.Duration
		err  error
	}{"for a moment": {900 * time.Millisecond, nil}, "for good": {time.Hour, busy}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 7")}, func(t *testing.T, w *world) {
				w.up()
				w.host.change(func(h *fakeHost) { h.refuse = busy })
				free := time.AfterFunc(c.free, func() { w.host.change(func(h *fakeHost) { h.refuse = nil }) })
				defer free.Stop()
				begin := time.Now()
				if err := w.stop(); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
					t.Errorf("the daemon ended with %v", err)
				}
				if d := time.Since(begin); d > 1500*time.Millisecond {
					t.Errorf("it took %v", d)
				}
				if left := strings.Contains(w.host.String(), "eth1.7"); left != (c.err != nil) {
					t.Errorf("left behind:\n%s", w.host)
				}
			})
		})
	}
}

// TestToldWhenTrue: a line that is to join has not until the kernel has done it.
func TestToldWhenTrue(t *testing.T) {
	bonded(t, two, func(t *testing.T, w *world) {
		w.host.missing = true
		w.bothUp()
		w.expect(0, "joined")
		const want = "modprobe sch_teql max_equalizers=1: no such module"
		if got := w.trouble(); got != want {
			t.Errorf("status: %q", got)
		}
		w.command("b", "down")
		w.reaches("b", "down")
		w.host.change(func(h *fakeHost) { h.missing, h.noJoin = false, errors.New("invalid argument") })
		time.Sleep(2 * retryAfter)
		w.expect(0, "joined")
		w.host.mu.Lock()
		w.host.noJoin = nil // nobody announces that
		w.host.mu.Unlock()
		w.joins("a", true)
		synctest.Wait()
		w.expect(1, "info joined line=a bond=teql0 reason=up")
		w.expect(0, "line=b bond=") // it was never in
		if got := w.trouble(); got != "" {
			t.Errorf("status: %q", got)
		}

		// What fails beside it delays the entry to the next round, which sees it done.
		w.host.change(func(h *fakeHost) { h.blind["eth1"] = true; h.noTable = errTables })
		w.write("linebond.toml", nat()["linebond.toml"])
		w.hup()
		w.command("b", "up")
		w.joins("b", true)
		time.Sleep(2 * retryAfter)
		w.expect(1, "info joined line=b bond=teql0")
		if got := w.trouble(); got != "nft -f - # replaces table inet linebond: the kernel has no nf_tables; looking up eth1: netlink is tired" {
			t.Errorf("status: %q", got)
		}
	})
}

// TestCleanupUnread: what can be told is taken away.
func TestCleanupUnread(t *testing.T) {
	h := newHost("eth1")
	h.unread = errTables
	var out strings.Builder
	if err := Cleanup(h, nil, false, &out); !errors.Is(err, errTables) || strings.Contains(out.String(), "nothing") {
		t.Errorf("%v\n%s", err, &out)
	}
	h.state.Routes = []netstate.Route{{Destination: netstate.DefaultIPv4, Device: "eth1", Metric: 100}}
	if err := Cleanup(h, nil, false, &out); !errors.Is(err, errTables) || len(h.state.Routes) > 0 {
		t.Errorf("%v\n%s", err, h)
	}
}

// TestTellBonds goes round by round: the events, what the host was like before
// ("in", "out", "?") and whether all succeeded.
func TestTellBonds(t *testing.T) {
	joined, left := []bond.Event{{Kind: bond.Joined, Line: "a", Bond: "teql0"}}, []bond.Event{{Kind: bond.Left, Line: "a", Bond: "teql0"}}
	type round struct {
		events    []bond.Event
		before    string
		succeeded bool
		log       string
	}
	for name, rounds := range map[string][]round{
		"done":                  {{joined, "out", true, "joined"}, {nil, "in", true, ""}},
		"done, others failed":   {{joined, "out", false, ""}, {nil, "in", false, "joined"}},
		"failed, then done":     {{joined, "out", false, ""}, {nil, "out", false, ""}, {nil, "out", true, "joined"}},
		"never was":             {{joined, "out", false, ""}, {left, "out", true, ""}},
		"nothing seen":          {{left, "?", false, ""}, {nil, "?", false, ""}, {nil, "in", true, "left"}},
		"gone with its device":  {{left, "out", false, "left"}},
		"left and back at once": {{left, "in", false, ""}, {joined, "out", true, "left joined"}},
	} {
		w := newWorld(t)
		d := &Daemon{log: &logger{Logger: w.options.Log.Logger}, workers: map[string]*worker{"a": {cfg: config.Line{Name: "a", Device: "ppp-a"}}}}
		for i, r := range rounds {
			before := map[string]*netstate.State{
				"in": {Qdiscs: []netstate.Qdisc{{Device: "ppp-a", Kind: "teql0"}}}, "out": {Qdiscs: []netstate.Qdisc{{Device: "ppp-a", Kind: "teql1"}}},
			}[r.before]
			d.tellBonds(r.events, before, r.succeeded)
			var log []string
			for _, entry := range w.logs.TakeAll() {
				log = append(log, entry.Message)
			}
			if got := strings.Join(log, " "); got != r.log {
				t.Errorf("%s, round %d: %q, want %q", name, i, got, r.log)
			}
		}
	}
}
