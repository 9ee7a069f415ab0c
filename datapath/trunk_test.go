package datapath

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
	"linebond/pppoe"
)

// on is the dial of another line, with these tags, in the same world.
func (d *dial) on(tags []Tag, bytes []byte) *dial {
	return &dial{world: d.world, link: Link{"eth1", tags}, far: d.far, tags: bytes}
}

// ask has a discovery send a PADI with a Host-Uniq, and a PADR.
func (d *dial) ask(c *Discovery, uniq string) {
	d.t.Helper()
	p := pppoe.Packet{Code: pppoe.PADI, Tags: []pppoe.Tag{{Type: pppoe.TagHostUniq, Value: []byte(uniq)}}}
	must(d.t, c.Send(broadcast, p.Append(nil)))
	p.Code = pppoe.PADR
	must(d.t, c.Send(d.isp.mac, p.Append(nil)))
}

// answer sends a discovery packet to home.
func (d *dial) answer(code pppoe.Code, id uint16, uniq ...string) {
	d.t.Helper()
	d.answerFrom(d.isp.mac, code, id, uniq...)
}

// answerFrom is answer, from another access concentrator.
func (d *dial) answerFrom(ac net.HardwareAddr, code pppoe.Code, id uint16, uniq ...string) {
	d.t.Helper()
	p := pppoe.Packet{Code: code, SessionID: id}
	for _, u := range uniq {
		p.Tags = append(p.Tags, pppoe.Tag{Type: pppoe.TagHostUniq, Value: []byte(u)})
	}
	frame := append(append(append([]byte(nil), d.home.mac...), ac...), d.tags...)
	d.far.send(p.Append(append(frame, 0x88, 0x63)))
}

// sharers are two lines on one trunk.
var sharers = []struct {
	name  string
	links [2]int // of links
}{{"untagged", [2]int{0, 0}}, {"one VLAN", [2]int{1, 1}}, {"two VLANs", [2]int{1, 2}}, {"QinQ", [2]int{3, 3}}, {"VLAN and QinQ", [2]int{1, 3}}}

// Of lines on one trunk, each is told what answers it, and what is for its session; all of a VLAN that are dialling, what does not say.
func TestSharedDiscovery(t *testing.T) {
	for _, test := range sharers {
		t.Run(test.name, func(t *testing.T) {
			var dials []*dial
			var lines []*Discovery
			first := newDial(t, nil, nil)
			for i, l := range test.links {
				d := first.on(links[l].tags, links[l].bytes)
				dials, lines = append(dials, d), append(lines, d.discover())
				d.ask(lines[i], fmt.Sprint("line", i))
			}
			same := test.links[0] == test.links[1]
			told := func(step string, want ...string) {
				t.Helper()
				for i, d := range dials {
					d.answer(pppoe.PADO, 0, fmt.Sprint("line", i)) // a fence
					var got []string
					for f := next(t, lines[i].Frames()); f.Payload[1] != byte(pppoe.PADO) || len(f.Payload) == 6; f = next(t, lines[i].Frames()) {
						got = append(got, pppoe.Code(f.Payload[1]).String())
					}
					if text := strings.Join(got, " "); text != want[i] {
						t.Errorf("%s: line %d was told %q, want %q", step, i, text, want[i])
					}
				}
			}
			dials[0].answer(pppoe.PADO, 0)
			dials[0].answer(pppoe.PADS, 7, "nobody")
			dials[1].answer(pppoe.PADT, 7)
			told("without a Host-Uniq", "PADO", map[bool]string{true: "PADO"}[same])
			dials[0].answer(pppoe.PADS, 7, "line0")
			dials[1].answer(pppoe.PADS, 8, "line1")
			told("the PADS", "PADS", "PADS")
			other := net.HardwareAddr{2, 0, 0, 0, 0, 99}
			dials[0].answerFrom(other, pppoe.PADS, 9, "line0")
			dials[0].answerFrom(other, pppoe.PADT, 9)
			told("another's PADS, and PADT", "PADS", "")
			dials[0].answer(pppoe.PADT, 7)
			told("a PADT before the session", "PADT", "")
			s := dials[0].openSession(7)
			dials[0].answer(pppoe.PADO, 0)
			dials[1].answer(pppoe.PADO, 0)
			dials[0].answer(pppoe.PADT, 9)
			told("beside a session", "", map[bool]string{true: "PADO PADO", false: "PADO"}[same])
			dials[0].answer(pppoe.PADT, 7)
			told("the PADT", "PADT", "")
			must(t, s.Close())
		})
	}
}

func (d *dial) openSession(id uint16) *Session {
	d.t.Helper()
	var s *Session
	d.home.in(func() {
		var err error
		s, err = d.home.path.OpenSession(SessionConfig{Link: d.link, AC: d.isp.mac, ID: id})
		must(d.t, err)
	})
	d.t.Cleanup(func() { s.Close() })
	return s
}

// Sessions on one trunk are told apart by their ids and VLANs.
func TestSharedSessions(t *testing.T) {
	for _, test := range sharers {
		t.Run(test.name, func(t *testing.T) {
			first := newDial(t, nil, nil)
			a, b := test.links[0], test.links[1]
			dials := []*dial{first.on(links[a].tags, links[a].bytes), first.on(links[b].tags, links[b].bytes)}
			ids := []uint16{7, 7}
			if a == b {
				ids[1] = 8
			}
			var sessions []*Session
			for i, d := range dials {
				sessions = append(sessions, d.openSession(ids[i]))
			}
			for i, d := range dials {
				d.far.send(session(d.home.mac, d.isp.mac, d.tags, ids[i], uint16(ppp.LCP), echo(byte('a'+i))))
			}
			for i, s := range sessions {
				if diff := cmp.Diff(ppp.Frame{Protocol: ppp.LCP, Payload: echo(byte('a' + i))}, next(t, s.Frames())); diff != "" {
					t.Errorf("session %d received (-want +got):\n%s", i, diff)
				}
			}
			first.home.in(func() {
				_, err := first.home.path.OpenSession(SessionConfig{Link: dials[0].link, AC: first.isp.mac, ID: ids[0]})
				if err == nil || !strings.Contains(err.Error(), "another line has this very session open") {
					t.Errorf("a second session of the same name: %v", err)
				}
			})
		})
	}
}

// However many lines there are: two sockets for all that are untagged, and two for all on VLANs; and none when they are gone.
func TestSockets(t *testing.T) {
	const lines = 20
	d := newDial(t, nil, nil)
	sockets := func() string { return strings.TrimSpace(d.home.sh("tail -n +2 /proc/net/packet | wc -l")) }
	var all []interface{ Close() error }
	for n := range lines {
		some := d.on([]Tag{{ID: uint16(n/2 + 1)}}, nil)
		if n%2 == 0 {
			some = d.on(nil, nil)
		}
		all = append(all, some.discover(), some.openSession(uint16(n+1)))
	}
	if got := sockets(); got != "4" {
		t.Errorf("%d lines have %s packet sockets, want 4", lines, got)
	}
	for _, c := range all {
		must(t, c.Close())
		must(t, c.Close())
	}
	if got := sockets(); got != "0" {
		t.Errorf("%s packet sockets are left", got)
	}
	if n := len(d.home.path.trunks); n > 0 {
		t.Errorf("%d trunks are left", n)
	}
}

// Lines that are closed together, from many goroutines, leave nothing.
func TestCloseTogether(t *testing.T) {
	w := newWorld(t, 1500)
	before := w.home.state()
	var lines []*Line
	w.home.in(func() {
		for n := range 3 * removalsAtOnce / 2 {
			l, err := w.home.path.CreateLine(LineConfig{
				Device: fmt.Sprintf("ppp-%d", n), Link: Link{Ethernet: "eth1"}, AC: w.isp.mac, Session: uint16(n + 1),
			})
			must(t, err)
			lines = append(lines, l)
		}
	})
	var closing sync.WaitGroup
	for _, l := range lines {
		closing.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
	if diff := cmp.Diff(before, w.home.state()); diff != "" {
		t.Errorf("what is left (-before +after):\n%s", diff)
	}
}

// What the kernel's announcements have not told, a look at all devices does.
func TestLookAtAll(t *testing.T) {
	w := newWorld(t, 1500)
	must(t, w.home.path.watch.file.SetReadDeadline(time.Unix(1, 0))) // it hears no more
	ended := make(chan struct{}, 1)
	var l *Line
	w.home.in(func() {
		var err error
		config := LineConfig{Device: "ppp-a", Link: Link{Ethernet: "eth1"}, AC: w.isp.mac, Session: sessionID}
		l, err = w.home.path.newLine(config, func() { ended <- struct{}{} })
		must(t, err)
	})
	w.home.sh("ip link set ppp-a mtu 1300")
	w.home.path.lookAtAll()
	if l.value.Receive != 1300 {
		t.Errorf("the program was told of an MTU of %d", l.value.Receive)
	}
	w.home.sh("ip link delete ppp-a")
	w.home.path.lookAtAll()
	next(t, ended)
	w.home.in(func() { must(t, l.Close()) })
}

// Early frames are bounded by what they cost, the newest stay, and an old one is not taken for one of a new session of the same name.
func TestEarlyFramesAreBounded(t *testing.T) {
	var e earlyFrames
	now := time.Unix(0, 0)
	frame := ppp.Frame{Protocol: ppp.LCP, Payload: make([]byte, 1000)}
	key := func(id uint16) programsSession {
		return programsSession{Id: id, Ac: [6]uint8(net.HardwareAddr{2, 0, 0, 0, 0, 1})}
	}
	for id := range uint16(2000) {
		e.add(key(id), frame, now)
	}
	if most := earlyBytes / (earlyCost + 1000); len(e.frames) != most || e.bytes > earlyBytes {
		t.Errorf("%d frames of %d bytes wait, want %d", len(e.frames), e.bytes, most)
	}
	if got := len(e.take(key(0), time.Time{})); got != 0 {
		t.Errorf("%d of the oldest", got)
	}
	if got := len(e.take(key(1999), now)); got != 1 {
		t.Errorf("%d of the newest", got)
	}
	if got := len(e.take(key(1998), now.Add(1))); got != 0 {
		t.Errorf("%d that are too old", got)
	}
	e.add(key(1), frame, now.Add(earlyLife+1))
	if len(e.frames) != 1 || e.bytes != earlyCost+1000 {
		t.Errorf("%d frames of %d bytes are left, want 1", len(e.frames), e.bytes)
	}
}
