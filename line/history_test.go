package line

import (
	"bytes"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/auth"
	"linebond/config"
	"linebond/ppp"
	"linebond/pppoe"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

// history is what happens to a line, told by a script.
type history struct {
	name  string
	brief bool
	cfg   func(*config.Line)
	play  func(w *world)
}

// TestHistory compares what the line does, in testdata/*.txt, with what it did
// when somebody last looked.
func TestHistory(t *testing.T) {
	for _, histories := range [][]history{setupHistories, authHistories, runningHistories, closeHistories, redialHistories} {
		for _, h := range histories {
			t.Run(h.name, func(t *testing.T) {
				cfg := testConfig()
				if h.cfg != nil {
					h.cfg(&cfg)
				}
				w := newWorld(t, cfg, zeros)
				w.trace.brief = h.brief
				h.play(w)
				golden(t, filepath.Join("testdata", h.name+".txt"), w.trace.String())
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func only(m ...auth.Method) func(*config.Line) {
	return func(c *config.Line) { c.Auth = m }
}

// quiet brings the line up without telling how.
func quiet(w *world) {
	w.t.Helper()
	w.trace.off = true
	w.up()
	w.trace.off = false
}

// control sends the line a control packet out of the peer's hand.
func (w *world) control(protocol ppp.Protocol, p ppp.Packet) { w.event(Frame{protocol, p.Append(nil)}) }

// fromAC sends the line a discovery packet.
func (w *world) fromAC(src net.HardwareAddr, p pppoe.Packet) {
	w.event(DiscoveryFrame{src, p.Append(nil)})
}

// drops makes a world.hold of what is to be lost.
func drops(toAC bool, protocol ppp.Protocol, codes ...ppp.Code) func(bool, ppp.Protocol, []byte) bool {
	return func(up bool, p ppp.Protocol, payload []byte) bool {
		return up == toAC && p == protocol && (len(codes) == 0 || bytes.IndexByte(payload[:1], byte(codes[0])) == 0)
	}
}

var setupHistories = []history{
	{name: "up_and_down", play: func(w *world) {
		w.up()
		w.run(1500 * time.Millisecond)
		w.event(Down{Cause: Operator})
		w.run(5 * time.Second)
	}},
	{name: "pado_timeout", play: func(w *world) {
		w.ac.dead = true
		w.start()
		w.run(17 * time.Second)
	}},
	{name: "pado_refused", brief: true, play: func(w *world) {
		w.ac.dead = true
		w.start()
		w.run(time.Second)
		w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACSystemError, Value: []byte("all ports are taken")}}})
		w.run(15 * time.Second)
	}},
	{name: "pads_error", play: func(w *world) {
		w.trace.off = true
		w.start()
		w.trace.off = false
		for _, tag := range []pppoe.TagType{pppoe.TagServiceNameError, pppoe.TagACSystemError, pppoe.TagGenericError} {
			w.ac.dead = true
			w.event(Redial{})
			w.runUntil(time.Second, func() bool { return w.state() == Discovery })
			w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACName, Value: []byte("bras1")}}})
			w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADS, Tags: []pppoe.Tag{{Type: tag, Value: []byte("not\x1btoday")}}})
		}
	}},
	{name: "lcp_before_session", play: func(w *world) {
		w.start()
		w.runUntil(time.Second, func() bool { return w.state() == Establish })
		w.trace.note("begun anew, by hand: the AC's LCP comes before the kernel has opened the session")
		l := New(testConfig(), zeros)
		w.line, w.check = l, checker{}
		w.queue = nil
		w.trace.off = true
		w.start()
		w.line.Handle(epoch, TimerFired{TimerDial, 1})
		w.line.Handle(epoch, DiscoveryFrame{acMAC, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACName, Value: []byte("b")}}}.Append(nil)})
		w.line.Handle(epoch, DiscoveryFrame{acMAC, pppoe.Packet{Code: pppoe.PADS, SessionID: 7}.Append(nil)})
		w.trace.off = false
		w.session, w.check.open, w.check.state = &pppoe.Session{ID: 7}, true, Establish
		w.control(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 1})
		w.event(SessionOpened{})
		w.control(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 1})
		if got := w.line.Status().Counters.Unexpected; got != 1 {
			w.t.Errorf("%d frames counted", got)
		}
	}},
	{name: "loopback", play: func(w *world) {
		w.hold = func(toAC bool, protocol ppp.Protocol, payload []byte) bool {
			if toAC {
				payload = bytes.Clone(payload)
				w.after(w.delay, func() { w.event(Frame{protocol, payload}) })
			}
			return true
		}
		w.start()
		w.runUntil(10*time.Second, func() bool { return w.state() == Establish })
		w.runUntil(10*time.Second, func() bool { return w.state() == Waiting })
	}},
	{name: "lcp_silent", brief: true, play: func(w *world) {
		w.ac.mute = true
		w.start()
		w.run(time.Minute)
	}},
	{name: "lcp_haggles_for_ever", brief: true, play: func(w *world) {
		w.ac.mute = true
		w.hold = func(toAC bool, protocol ppp.Protocol, payload []byte) bool {
			if toAC && payload[0] == byte(ppp.ConfigureRequest) {
				nak := bytes.Clone(payload)
				nak[0] = byte(ppp.ConfigureNak)
				w.after(50*time.Millisecond, func() {
					if w.session != nil {
						w.event(Frame{protocol, nak})
					}
				})
			}
			return true
		}
		w.start()
		w.run(2 * time.Minute)
	}},
	{name: "no_address", brief: true, cfg: func(c *config.Line) { c.IPv6 = false }, play: func(w *world) {
		w.ac.noAddress = true
		w.start()
		w.run(4 * time.Second)
	}},
	{name: "open_session_fails", brief: true, play: func(w *world) {
		w.openErr = errors.New("no PPPoE in this kernel")
		w.start()
		w.run(10 * time.Second)
	}},
	{name: "session_of_another_line", play: func(w *world) { // the AC echoes no Host-Uniq
		w.ac.dead = true
		w.openErr = errors.New("operation already in progress")
		w.start()
		w.run(time.Millisecond)
		w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACName, Value: []byte("bras1")}}})
		w.fromAC(acMAC, pppoe.Packet{Code: pppoe.PADS, SessionID: 7})
		w.run(time.Second)
	}},
	{name: "session_of_ours_fails", play: func(w *world) {
		w.openErr = errors.New("no PPPoE in this kernel")
		w.start()
		w.run(10 * time.Millisecond)
	}},
	{name: "create_unit_fails", brief: true, play: func(w *world) {
		w.unitErr = errors.New("ppp-a exists")
		w.start()
		w.run(3 * time.Second)
	}},
	{name: "discovery_socket_fails", brief: true, play: func(w *world) {
		w.ac.dead = true
		w.start()
		w.run(time.Second)
		w.event(DiscoveryFailed{errors.New("network is down")})
		w.run(2 * time.Second)
	}},
	{name: "stale_session", play: func(w *world) {
		w.ac.dead = true
		w.event(LinkChanged{w.link})
		w.event(Start{Stale: &pppoe.Session{AC: acMAC, ID: 0x99}})
		w.run(2 * time.Second)
		w.trace.note("the AC is there")
		w.ac.dead = false
		w.runUntil(2*time.Second, func() bool { return w.state() == Establish })
		w.trace.off = true
		w.awaitUp(time.Second)
		w.trace.off = false
		w.event(Redial{})
		w.run(10 * time.Millisecond)
	}},
	{name: "stale_session_no_socket", play: func(w *world) {
		w.discoveryErr = errors.New("network is down")
		w.event(LinkChanged{w.link})
		w.event(Start{Stale: &pppoe.Session{AC: acMAC, ID: 0x99}})
		w.run(time.Second)
		w.trace.note("now there is one; the AC does not listen")
		w.discoveryErr, w.ac.dead = nil, true
		w.run(20 * time.Second)
	}},
	{name: "stale_session_down_at_once", play: func(w *world) {
		w.ac.dead = true
		w.event(LinkChanged{w.link})
		w.event(Start{Stale: &pppoe.Session{AC: acMAC, ID: 0x99}})
		w.run(500 * time.Millisecond)
		w.event(Down{Cause: Shutdown})
	}},
	{name: "vlan_device_missing", brief: true, cfg: func(c *config.Line) { c.VLAN = []uint16{101} }, play: func(w *world) {
		w.link = Link{}
		w.start()
		w.setLink(Link{Exists: true, MTU: 1500})
		w.setLink(Link{})
	}},
}

var authHistories = []history{
	{name: "chap_refused", play: refused("")},
	{name: "terminate_before_chap_failure", play: refused("terminate first")},
	{name: "padt_instead_of_chap_failure", play: refused("padt")},
	{name: "mschapv2_refused", brief: true, play: func(w *world) {
		w.ac.method = auth.MSCHAPv2
		refused("")(w)
	}},
	{name: "pap_refused", cfg: only(auth.PAP), brief: true, play: func(w *world) {
		w.ac.method = auth.PAP
		refused("")(w)
	}},
	{name: "auth_schedule", brief: true, play: func(w *world) {
		w.ac.password = "other"
		w.start()
		w.run(75 * time.Minute)
	}},
	{name: "auth_cut_schedule", brief: true, play: func(w *world) { // without a word, from the beginning
		w.ac.password = "other"
		w.hold = drops(false, ppp.CHAP, 4)
		w.start()
		w.run(4 * time.Minute)
	}},
	{name: "auth_cut_after_success", brief: true, play: func(w *world) {
		quiet(w)
		w.run(time.Minute)
		w.trace.note("RADIUS is out")
		w.ac.password = "other"
		w.hold = drops(false, ppp.CHAP, 4)
		w.event(Redial{})
		w.run(2 * time.Minute)
		w.ac.bye = "padt"
		w.run(2 * time.Minute)
		w.trace.note("it is back")
		w.ac.password, w.ac.bye = password, ""
		w.awaitUp(31 * time.Second)
		w.trace.note("the password is another indeed")
		w.ac.password, w.hold = "other", nil
		w.event(Redial{})
		w.run(4 * time.Minute)
	}},
	{name: "auth_pause_outlasts_the_carrier", brief: true, play: func(w *world) {
		w.ac.password = "other"
		w.start()
		w.run(10 * time.Second)
		w.carrier(false)
		w.run(10 * time.Second)
		w.carrier(true)
		w.run(10 * time.Second)
		w.event(Up{})
		w.run(100 * time.Millisecond)
	}},
	{name: "server_without_password", brief: true, cfg: only(auth.MSCHAPv2), play: func(w *world) {
		w.ac.method = auth.MSCHAPv2
		w.ac.bye = "trust me"
		w.hold = func(toAC bool, protocol ppp.Protocol, payload []byte) bool {
			if toAC || protocol != ppp.CHAP || payload[0] != 3 {
				return false
			}
			success := ppp.Packet{Code: 3, ID: payload[1], Data: []byte("S=0123456789012345678901234567890123456789 M=hi")}
			w.after(w.delay, func() { w.control(ppp.CHAP, success) })
			return true
		}
		w.start()
		w.run(10 * time.Second)
	}},
	{name: "auth_silent", brief: true, play: func(w *world) {
		w.hold = drops(false, ppp.CHAP)
		w.start()
		w.run(20 * time.Second)
	}},
	{name: "method_not_allowed", cfg: only(auth.MSCHAPv2, auth.CHAPMD5), play: func(w *world) {
		w.ac.method = auth.PAP
		w.start()
		w.runUntil(time.Minute, func() bool { return w.state() == Establish })
		w.runUntil(time.Minute, func() bool { return w.state() == Waiting })
	}},
	{name: "eap", brief: true, play: func(w *world) {
		w.hold = func(toAC bool, protocol ppp.Protocol, payload []byte) bool {
			if toAC && payload[0] == byte(ppp.ConfigureRequest) {
				w.after(w.delay, func() {
					w.control(ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: 1, Data: []byte{3, 4, 0xc2, 0x27}})
				})
			}
			return true
		}
		w.start()
		w.run(500 * time.Millisecond)
		w.control(ppp.LCP, ppp.Packet{Code: ppp.TerminateRequest, ID: 9, Data: []byte("EAP or nothing")})
	}},
	{name: "down_while_authenticating", play: func(w *world) {
		w.trace.off = true
		reach(w, Authenticate)
		w.trace.off = false
		w.trace.note("not in this phase: silently discarded")
		w.event(Frame{0x80fd, []byte{1, 1, 0, 4}})
		w.event(Down{Cause: Operator})
		w.trace.note("closing: no answer, and no other reason")
		w.control(ppp.CHAP, ppp.Packet{Code: 1, ID: 1, Data: []byte{1, 2}})
		w.control(ppp.CHAP, ppp.Packet{Code: 4, ID: 1})
		w.run(10 * time.Millisecond)
	}},
	{name: "rechallenge_refused", play: func(w *world) {
		quiet(w)
		w.run(500 * time.Millisecond)
		w.ac.password = "changed"
		p := w.ac.sessions[1]
		p.authenticate(p.auth.Start())
		w.run(100 * time.Millisecond)
	}},
}

// refused is a dial with a wrong password.
func refused(bye string) func(*world) {
	return func(w *world) {
		w.ac.password, w.ac.bye = "other", bye
		w.start()
		w.runUntil(time.Minute, func() bool { return w.state() == Authenticate })
		w.runUntil(time.Minute, func() bool { return w.state() == Waiting })
	}
}
