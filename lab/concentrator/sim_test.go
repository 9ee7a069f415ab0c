package concentrator

import (
	"net/netip"
	"testing"
	"time"

	"linebond/auth"
	"linebond/config"
	"linebond/line"
	"linebond/ppp"
)

// faults are what may happen to the AC while lines are up; it is over when
// they return.
var faults = []struct {
	name string
	do   func(w *world)
}{
	{"crash", func(w *world) {
		w.dead = true
		w.run(w.upTo(time.Minute), never)
		w.boot(w.settings())
	}},
	{"restart", func(w *world) { w.boot(w.settings()) }},
	{"PADT", func(w *world) {
		for _, s := range w.ac.Sessions() {
			w.atAC(w.ac.PADT(w.time(), s.ID, "maintenance"))
		}
	}},
	{"terminate", func(w *world) {
		for _, s := range w.ac.Sessions() {
			w.atAC(w.ac.Terminate(w.time(), s.ID, "maintenance"))
		}
	}},
	{"deaf", func(w *world) {
		w.dead = true
		w.run(w.upTo(3*time.Minute), never)
		w.dead = false
	}},
	{"redial", func(w *world) { w.atHost(w.lines[w.random.IntN(len(w.lines))], line.Redial{}) }},
	{"slow PADO", func(w *world) { w.ac.SetOfferDelay(w.upTo(300 * time.Millisecond)) }},
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d))) }

// settings changes the configuration at random.
func (w *world) settings() func(*Config) {
	methods := [][]auth.Method{{auth.PAP}, {auth.CHAPMD5}, {auth.MSCHAPv2}, {auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}}
	method, shared := methods[w.random.IntN(len(methods))], w.random.IntN(2) == 0
	return func(c *Config) {
		c.Auth = method
		if shared {
			c.Shared = netip.MustParseAddr("203.0.113.200")
		}
		c.EchoInterval, c.EchoFailures = time.Second, 5
	}
}

// TestSimulation: linebond's own lines come up over a bad wire, by the same
// numbers on both sides, and come back whatever happens to the AC; after Down
// it has nothing left.
func TestSimulation(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed, nil)
		w.boot(w.settings())
		w.loss, w.duplicate = w.random.Float64()*0.15, w.random.Float64()*0.2
		w.delay, w.jitter = w.upTo(30*time.Millisecond), w.upTo(20*time.Millisecond)
		for range 1 + w.random.IntN(3) {
			w.addLine(nil)
		}
		story := "start"
		w.await(15*time.Minute, story, w.allAgreed)
		for range 3 {
			w.run(w.upTo(20*time.Second), never)
			fault := faults[w.random.IntN(len(faults))]
			story += ", " + fault.name
			fault.do(w)
			w.run(10*time.Second, never)
			w.await(15*time.Minute, story, w.allAgreed)
		}
		w.loss = 0
		for _, h := range w.lines {
			w.atHost(h, line.Down{Cause: line.Shutdown})
		}
		w.await(2*time.Minute, story+", down", func() bool { return len(w.ac.Sessions())+len(w.up)+len(w.ac.pool.taken) == 0 })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestMethods: what AC and line agree on.
func TestMethods(t *testing.T) {
	all := []auth.Method{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}
	for _, tt := range []struct {
		demand, allowed []auth.Method
		want            auth.Method
	}{
		{[]auth.Method{auth.PAP}, all, auth.PAP},
		{[]auth.Method{auth.CHAPMD5}, all, auth.CHAPMD5},
		{[]auth.Method{auth.MSCHAPv2}, all, auth.MSCHAPv2},
		{all, all, auth.MSCHAPv2},
		{all, []auth.Method{auth.PAP}, auth.PAP},
		{all, []auth.Method{auth.CHAPMD5}, auth.CHAPMD5},
		{[]auth.Method{auth.PAP, auth.CHAPMD5}, []auth.Method{auth.MSCHAPv2, auth.CHAPMD5}, auth.CHAPMD5},
		{nil, all, 0},
	} {
		w := newWorld(t, 1, func(c *Config) { c.Auth = tt.demand })
		h := w.addLine(func(c *config.Line) { c.Auth = tt.allowed })
		w.await(10*time.Second, "up", func() bool { return h.Status().State == line.Running && len(w.up) == 1 })
		for _, s := range w.up {
			if s.Auth != tt.want || h.Status().Session.Auth != tt.want || (s.User == "bob") != (tt.want != 0) {
				t.Errorf("%v and %v: the AC says %v of %q, the line %v, want %v", tt.demand, tt.allowed, s.Auth, s.User, h.Status().Session.Auth, tt.want)
			}
		}
	}
}

// TestRefused: who may not prove who it is, or does so wrongly, gets nothing.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*config.Line)
		reason string
	}{
		{"a wrong password", func(c *config.Line) { c.Password = auth.NewSecret("other") }, "wrong user name or password: bob"},
		{"nobody's name", func(c *config.Line) { c.Username = "eve\x1b" }, "wrong user name or password: eve?"},
		{"no method in common", func(c *config.Line) { c.Auth = []auth.Method{auth.PAP} }, "the host does not want to prove who it is"},
		{"none at all", func(c *config.Line) { c.Auth = nil }, "the host does not want to prove who it is"},
	} {
		w := newWorld(t, 1, nil)
		h := w.addLine(tt.change)
		w.await(3*time.Minute, tt.name, func() bool { return len(w.ended) > 0 })
		if got := w.ended[0]; got.Reason != tt.reason || !got.Over || h.Status().State == line.Running {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.reason)
		}
		if len(w.up) > 0 {
			t.Errorf("%s: up", tt.name)
		}
	}
}

// TestMTU: the host is sent no more than it takes, or than discovery agreed on.
func TestMTU(t *testing.T) {
	for _, tt := range []struct{ grants, asks, want int }{
		{1500, 1500, 1500}, {1500, 1492, 1492}, {1492, 1500, 1492}, {0, 1500, 1492}, {1496, 1500, 1496}, {1500, 1400, 1400},
	} {
		w := newWorld(t, 1, func(c *Config) { c.MaxPayload = uint16(tt.grants) })
		h := w.addLine(func(c *config.Line) { c.MTU = tt.asks })
		w.await(time.Minute, "up", w.allAgreed)
		if s := w.ac.Sessions()[0]; s.MTU != tt.want || h.Status().Session.MTU != tt.want {
			t.Errorf("grants %d, asks %d: the AC says %d, the line %d, want %d", tt.grants, tt.asks, s.MTU, h.Status().Session.MTU, tt.want)
		}
	}
}

// TestAddresses: fixed, shared, of the pool, or none.
func TestAddresses(t *testing.T) {
	fixed := netip.MustParseAddr("203.0.113.77")
	bob := User{Name: "bob", Password: auth.NewSecret(password), Address: fixed}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string // of the first lines
	}{
		{"of the pool", func(c *Config) { c.Local = netip.MustParseAddr("203.0.113.2") }, []string{"203.0.113.1", "203.0.113.3"}},
		{"of a pool that is too small", func(c *Config) { c.Pool = netip.MustParsePrefix("203.0.113.8/30") },
			[]string{"203.0.113.9", "203.0.113.10", "invalid IP"}},
		{"of two", func(c *Config) { c.Pool = netip.MustParsePrefix("203.0.113.8/31") }, []string{"203.0.113.8", "203.0.113.9", "invalid IP"}},
		{"shared", func(c *Config) { c.Shared = netip.MustParseAddr("203.0.113.200") }, []string{"203.0.113.200", "203.0.113.200"}},
		{"fixed", func(c *Config) { c.Users = []User{bob}; c.Shared = fixed.Next() }, []string{"203.0.113.77", "203.0.113.77"}},
		{"none", func(c *Config) { c.Pool = netip.Prefix{} }, []string{"invalid IP"}},
	} {
		w := newWorld(t, 1, tt.change)
		for _, want := range tt.want {
			h := w.addLine(nil)
			w.await(time.Minute, tt.name, func() bool { return h.Status().IPv6.Local.IsValid() && w.agreed(h) || want == "invalid IP" })
			w.run(time.Second, never)
			if got := h.Status().IPv4.Local.String(); got != want {
				t.Errorf("%s: %s, want %s", tt.name, got, want)
			}
		}
	}
}

// TestPoolIsFreed: an address is another session's when the first is over,
// however it ended, and the one that was free for longest goes first.
func TestPoolIsFreed(t *testing.T) {
	w := newWorld(t, 1, func(c *Config) { c.Pool = netip.MustParsePrefix("203.0.113.8/30") })
	h := w.addLine(nil)
	for _, want := range []string{"203.0.113.9", "203.0.113.10", "203.0.113.9"} {
		w.await(time.Minute, want, func() bool { return h.Status().IPv4.Local.String() == want && w.agreed(h) })
		w.run(time.Minute, never)
		w.atAC(w.ac.PADT(w.time(), w.ac.Sessions()[0].ID, ""))
	}
	if len(w.ac.pool.taken) != 0 {
		t.Errorf("taken: %v", w.ac.pool.taken)
	}
}

// TestEchoes: a host that does not answer is given up.
func TestEchoes(t *testing.T) {
	w := newWorld(t, 1, func(c *Config) { c.EchoInterval, c.EchoFailures = time.Second, 3 })
	w.addLine(nil)
	w.await(time.Minute, "up", w.allAgreed)
	w.run(time.Minute, never)
	if len(w.ended) > 0 {
		t.Fatalf("%+v", w.ended)
	}
	w.drop = func(toAC bool, p ppp.Protocol, payload []byte) bool {
		return p == ppp.LCP && ppp.Code(payload[0]) == ppp.EchoReply
	}
	w.await(5*time.Second, "noticed", func() bool { return len(w.ended) > 0 })
	if got := w.ended[0]; got.Reason != "echoes unanswered" || !got.Over {
		t.Errorf("%+v", got)
	}
}

// TestSilentHost: a host that opens a session and says nothing more does not
// keep it.
func TestSilentHost(t *testing.T) {
	for _, protocol := range []ppp.Protocol{ppp.LCP, ppp.CHAP, ppp.IPCP} {
		w := newWorld(t, 1, func(c *Config) { c.IPv6 = false })
		w.drop = func(toAC bool, p ppp.Protocol, _ []byte) bool { return toAC && p == protocol }
		h := w.addLine(nil)
		w.await(time.Minute, "a session", func() bool { return len(w.ac.Sessions()) > 0 })
		w.atHost(h, line.LinkChanged{}) // it is gone
		w.await(65*time.Second, "its end", func() bool { return len(w.ac.Sessions()) == 0 })
	}
}

// TestRestart: a host that has a session of before learns it by its next
// frame, as the new AC does not know the id.
func TestRestart(t *testing.T) {
	w := newWorld(t, 1, nil)
	h := w.addLine(func(c *config.Line) { c.Keepalive = config.Keepalive{Interval: time.Second, Failures: 1000} })
	w.await(time.Minute, "up", w.allAgreed)
	w.run(time.Minute, never)
	w.boot(nil)
	w.await(5*time.Second, "up again", w.allAgreed)
	if got := h.Status().Ended.String(); got != "PADT: no such session" {
		t.Errorf("ended: %s", got)
	}
}
