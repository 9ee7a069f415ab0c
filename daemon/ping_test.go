package daemon

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linebond/probe"
)

// fakeProber answers pings, but for those by a device.
type fakeProber struct {
	mu      sync.Mutex
	refuse  error  // what openProber answers
	mute    string // the device by which nothing is answered
	opened  int
	open    bool
	sources []netip.Addr // of all requests
	devices []string
	asked   []netip.Addr
	replies chan probe.Reply
}

func (p *fakeProber) openProber() (probe.Sender, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return nil, p.refuse
	}
	p.opened++
	p.open, p.replies = true, make(chan probe.Reply, queue)
	return p, nil
}

func (p *fakeProber) Send(device string, source, target netip.Addr, sequence uint16) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources, p.devices, p.asked = append(p.sources, source), append(p.devices, device), append(p.asked, target)
	if p.mute == device {
		return nil
	}
	replies := p.replies
	time.AfterFunc(20*time.Millisecond, func() {
		p.with(func(p *fakeProber) {
			if p.replies == replies { // else that one has died
				replies <- probe.Reply{Target: target, Sequence: sequence, At: time.Now()}
			}
		})
	})
	return nil
}

func (p *fakeProber) Replies() <-chan probe.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replies
}

func (p *fakeProber) Close() error {
	p.with(func(p *fakeProber) { p.open = false })
	return nil
}

func (p *fakeProber) with(f func(*fakeProber)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

const health = "[health]\nping = [\"192.0.2.1\", \"192.0.2.2\"]\n"

// pinging is bonded with pings.
func pinging(t *testing.T, linebond string, test func(t *testing.T, w *world, p *fakeProber)) {
	t.Helper()
	files := map[string]string{"linebond.toml": linebond, "lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": two["lines.d/b.toml"]}
	bonded(t, files, func(t *testing.T, w *world) {
		p := &fakeProber{}
		w.options.Effects.OpenProber = p.openProber
		test(t, w, p)
	})
}

// TestPings: a line through which nothing answers leaves the bond, although
// its peer does answer, and comes back.
func TestPings(t *testing.T) {
	pinging(t, bondFile+health, func(t *testing.T, w *world, p *fakeProber) {
		w.bothUp()
		time.Sleep(10 * time.Second)
		if a := w.bond().Members[0]; !a.In || a.Ping == nil || a.Ping.RTT != 0.02 || a.Ping.Loss != 0 || a.Ping.Silent != 0 {
			t.Errorf("%+v, %+v", a, a.Ping)
		}
		p.with(func(p *fakeProber) { p.mute = "ppp-a" })
		if d := w.joins("a", false); d < 3*time.Second || d > 4100*time.Millisecond {
			t.Errorf("the line has left after %v", d)
		}
		w.expect(1, "info left line=a bond=teql0 reason=pings unanswered: 3 lines=1")
		if a := w.bond().Members[0]; a.Ping == nil || a.Ping.Silent != 3 || a.Ping.Loss == 0 {
			t.Errorf("%+v, %+v", a, a.Ping)
		}
		time.Sleep(10 * time.Second)
		p.with(func(p *fakeProber) { p.mute = "" })
		if d := w.joins("a", true); d < 5*time.Second || d > 6100*time.Millisecond {
			t.Errorf("the line is back after %v", d)
		}
		p.with(func(p *fakeProber) {
			if i := slices.IndexFunc(p.sources, func(s netip.Addr) bool { return s != shared }); i >= 0 || !slices.Contains(p.asked, netip.MustParseAddr("192.0.2.2")) || p.opened != 1 {
				t.Errorf("sources %v; asked %v; opened %d times", p.sources, p.asked, p.opened)
			}
		})
	})
}

// TestPingSource: a line that has an address of its own is asked through from
// that, and one that has not, from the bond's; a line by itself not at all.
func TestPingSource(t *testing.T) {
	for lineAddresses, want := range map[string][]string{
		"keep":   {"ppp-a 203.0.113.1", "ppp-b 203.0.113.2"},
		"remove": {"ppp-a 198.51.100.77", "ppp-b 198.51.100.77"},
	} {
		linebond := bondFile + "addresses = [\"2001:db8::1\", \"198.51.100.77\"]\nline_addresses = \"" + lineAddresses + "\"\n" + health
		pinging(t, linebond, func(t *testing.T, w *world, p *fakeProber) {
			w.write("lines.d/c.toml", lineFile("eth2", "bond = \"none\""))
			w.ac.address = netip.Addr{} // each line has one
			w.start()
			for _, name := range []string{"a", "b", "c"} {
				w.reaches(name, "up")
			}
			addresses := map[string]string{}
			for name, l := range w.status() {
				addresses[l.IPv4.Address] = map[string]string{"a": "203.0.113.1", "b": "203.0.113.2"}[name] // whoever was first
			}
			time.Sleep(time.Second)
			p.with(func(p *fakeProber) { p.sources, p.devices = nil, nil }) // the bond has had the first line's address while it was the only one
			time.Sleep(10 * time.Second)
			var got []string
			p.with(func(p *fakeProber) {
				for i, source := range p.sources {
					got = append(got, p.devices[i]+" "+cmp.Or(addresses[source.String()], source.String()))
				}
			})
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Errorf("%s: pings by %q", lineAddresses, got)
			}
		})
	}
}

// TestPingReload: pings begin and end with the configuration.
func TestPingReload(t *testing.T) {
	pinging(t, bondFile, func(t *testing.T, w *world, p *fakeProber) {
		w.bothUp()
		time.Sleep(10 * time.Second)
		w.write("linebond.toml", bondFile+health)
		w.hup()
		time.Sleep(10 * time.Second)
		p.with(func(p *fakeProber) {
			if n := len(p.asked); n < 40 || n > 44 || !p.open { // two lines, two hosts, once a second
				t.Errorf("%d pings in 10 s; open: %v", n, p.open)
			}
		})
		w.write("linebond.toml", bondFile)
		w.hup()
		p.with(func(p *fakeProber) { p.asked = nil })
		time.Sleep(10 * time.Second)
		if w.bond().Members[0].Ping != nil {
			t.Error("there are still pings in the status")
		}
		p.with(func(p *fakeProber) {
			if len(p.asked) > 0 || p.open {
				t.Errorf("%d pings that were not asked for; open: %v", len(p.asked), p.open)
			}
		})
	})
}

// TestPingFails: without a socket nothing is known, which is told of once, and
// harms no line; one that dies is replaced.
func TestPingFails(t *testing.T) {
	pinging(t, bondFile+health, func(t *testing.T, w *world, p *fakeProber) {
		p.refuse = errors.New("no CAP_NET_RAW")
		w.bothUp()
		time.Sleep(time.Minute)
		w.expect(1, "warn pings cannot be sent", "no CAP_NET_RAW")
		w.expect(0, "info left")
		p.with(func(p *fakeProber) { p.refuse = nil })
		time.Sleep(2 * time.Second)
		w.expect(1, "info pings can be sent")
		p.with(func(p *fakeProber) { close(p.replies); p.replies = make(chan probe.Reply) })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.expect(0, "info left")
		if a := w.bond().Members[0]; p.opened != 2 || a.Ping == nil || a.Ping.Silent != 0 {
			t.Errorf("opened %d times; %+v", p.opened, a.Ping)
		}
	})
}

// TestPingRedialled: another session has no past.
func TestPingRedialled(t *testing.T) {
	pinging(t, bondFile+health, func(t *testing.T, w *world, p *fakeProber) {
		p.mute = "ppp-a"
		w.bothUp()
		w.joins("a", false)
		p.with(func(p *fakeProber) { p.mute = "" })
		w.command("a", "redial")
		w.reaches("a", "up")
		if d := w.joins("a", true); d > 2*time.Second { // what the operator ends is no fall
			t.Errorf("after %v", d)
		}
		if a := w.bond().Members[0]; a.Ping != nil && a.Ping.Silent != 0 {
			t.Errorf("%+v", a.Ping)
		}
	})
}
