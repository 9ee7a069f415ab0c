package datapath

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"linebond/ppp"
	"linebond/pppoe"
)

// echo is a packet of any kind that is told apart by its letter.
func echo(letter byte) []byte { return []byte{9, 1, 0, 8, 0, 0, 0, letter} }

// within takes one frame, or fails when Frames is closed or nothing comes.
func next[T any](t *testing.T, frames <-chan T) T {
	t.Helper()
	select {
	case f, ok := <-frames:
		if ok {
			return f
		}
		t.Fatal("Frames was closed")
	case <-time.After(patience):
		t.Fatal("no frame came")
	}
	panic("unreachable")
}

// waitClosed throws frames away until there can be no more.
func waitClosed[T any](t *testing.T, frames <-chan T) {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case _, ok := <-frames:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("Frames was not closed")
		}
	}
}

// A dial is a client at home, on a link, and somebody at the ISP's who can send what he likes.
type dial struct {
	*world
	link Link
	far  *tap
	tags []byte
}

func newDial(t *testing.T, tags []Tag, bytes []byte) *dial {
	t.Helper()
	d := &dial{world: newWorld(t, 1500), link: Link{"eth1", tags}, tags: bytes}
	d.far = d.isp.tap("eth1", packet.Raw, unix.ETH_P_ALL)
	return d
}

func (d *dial) open() *Session {
	d.t.Helper()
	var s *Session
	d.home.in(func() {
		var err error
		s, err = d.home.path.OpenSession(SessionConfig{Link: d.link, AC: d.isp.mac, ID: sessionID, Priority: 6})
		must(d.t, err)
	})
	d.t.Cleanup(func() { d.home.in(func() { s.Close() }) })
	return s
}

func (d *dial) discover() *Discovery {
	d.t.Helper()
	var c *Discovery
	d.home.in(func() {
		var err error
		c, err = d.home.path.OpenDiscovery(d.link, 6)
		must(d.t, err)
	})
	d.t.Cleanup(func() { c.Close() })
	return c
}

func (d *dial) unit(s *Session, name string) {
	d.t.Helper()
	d.home.in(func() { must(d.t, s.CreateUnit(name)) })
}

// send sends a control packet of the session.
func (d *dial) send(protocol ppp.Protocol, packet []byte) {
	d.t.Helper()
	d.far.send(session(d.home.mac, d.isp.mac, d.tags, sessionID, uint16(protocol), packet))
}

// prioritised is a tag's bytes with priority 6.
func prioritised(tags []byte) []byte {
	b := bytes.Clone(tags)
	for i := 2; i < len(b); i += 4 {
		b[i] |= 6 << 5
	}
	return b
}

// Control frames go both ways before there is a unit and with one, of this session alone; data packets never come to Frames.
func TestSession(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			d := newDial(t, link.tags, link.bytes)
			s := d.open()
			for _, unit := range []string{"", "ppp-a"} {
				if unit != "" {
					d.unit(s, unit)
				}
				for _, stray := range [][]byte{
					session(d.home.mac, d.isp.mac, d.tags, sessionID+1, uint16(ppp.LCP), echo('1')),
					session(d.home.mac, stranger, d.tags, sessionID, uint16(ppp.LCP), echo('2')),
					session(stranger, d.isp.mac, d.tags, sessionID, uint16(ppp.LCP), echo('3')),
					session(broadcast, d.isp.mac, d.tags, sessionID, uint16(ppp.LCP), echo('4')),
					session(d.home.mac, d.isp.mac, append([]byte{0x81, 0, 0, 77}, d.tags...), sessionID, uint16(ppp.LCP), echo('5')),
					session(d.home.mac, d.isp.mac, d.tags, sessionID, protocolIPv4, ipv4(100)),
					session(d.home.mac, d.isp.mac, d.tags, sessionID, protocolIPv6, ipv6(100)),
				} {
					d.far.send(stray)
				}
				for _, protocol := range []ppp.Protocol{ppp.LCP, ppp.PAP, ppp.CHAP, ppp.IPCP, ppp.IPv6CP, 0x80fd, 0x0281} {
					d.send(protocol, echo('a'))
					if diff := cmp.Diff(ppp.Frame{Protocol: protocol, Payload: echo('a')}, next(t, s.Frames())); diff != "" {
						t.Errorf("received (-want +got):\n%s", diff)
					}
					must(t, s.Send(protocol, echo('b')))
					want := session(d.isp.mac, d.home.mac, prioritised(d.tags), sessionID, uint16(protocol), echo('b'))
					if diff := cmp.Diff(want, d.far.receiveTagged()); diff != "" {
						t.Errorf("sent (-want +got):\n%s", diff)
					}
				}
			}
		})
	}
}

// arrived waits until there are so many early frames.
func (d *dial) arrived(n int) {
	d.t.Helper()
	trunk := d.home.path.trunks[place{index(d.home.host, "eth1"), len(d.link.Tags)}]
	eventually(d.t, "early frames", func() bool {
		trunk.mu.Lock()
		defer trunk.mu.Unlock()
		return len(trunk.early.frames) == n
	})
}

// Frames that come before the session, and between it and its unit, are not lost; those of other sessions are not its.
func TestEarlyFrames(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			d := newDial(t, link.tags, link.bytes)
			discovery := d.discover()
			d.far.send(session(d.home.mac, d.isp.mac, d.tags, 99, uint16(ppp.LCP), echo('x')))
			d.far.send(session(d.home.mac, stranger, d.tags, sessionID, uint16(ppp.LCP), echo('y')))
			d.send(ppp.LCP, echo('a'))
			d.arrived(3)
			s := d.open()
			must(t, discovery.Close()) // the session goes on
			d.send(ppp.PAP, echo('b'))
			d.unit(s, "ppp-a")
			d.send(ppp.IPCP, echo('c'))
			for _, want := range []ppp.Frame{{Protocol: ppp.LCP, Payload: echo('a')}, {Protocol: ppp.PAP, Payload: echo('b')}, {Protocol: ppp.IPCP, Payload: echo('c')}} {
				if diff := cmp.Diff(want, next(t, s.Frames())); diff != "" {
					t.Errorf("received (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A session ends, with a reason, when one of its devices goes.
func TestSessionEnds(t *testing.T) {
	for lines, want := range map[string]string{
		"ip link set eth1 down":  "the device eth1 went down or away: ",
		"ip link delete eth1":    "the device eth1 went down or away: ",
		"ip link delete ppp-a":   "the device ppp-a was deleted by another program: ",
		"ip link set ppp-a name": "", // renamed: it goes on
	} {
		t.Run(lines, func(t *testing.T) {
			d := newDial(t, []Tag{{ID: 101}}, []byte{0x81, 0, 0, 101})
			before := d.home.state()
			s := d.open()
			d.unit(s, "ppp-a")
			if want != "" {
				d.home.sh("%s", lines)
				waitClosed(t, s.Frames())
				if err := s.Err(); !errors.Is(err, unix.ENETDOWN) || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("Err() = %v, want %q", err, want)
				}
			} else {
				d.home.sh("%s other", lines)
				d.send(ppp.LCP, echo('a'))
				next(t, s.Frames())
			}
			d.home.in(func() { must(t, s.Close()) })
			if strings.Contains(lines, "ppp-a") {
				if diff := cmp.Diff(before, d.home.state()); diff != "" {
					t.Errorf("what is left (-before +after):\n%s", diff)
				}
			}
		})
	}
}

// What is dropped is told, by the reason; before there is a device, nothing.
func TestSessionDropped(t *testing.T) {
	d := newDial(t, nil, nil)
	s := d.open()
	dropped := func() map[string]uint64 {
		t.Helper()
		all, err := s.Dropped()
		must(t, err)
		return all
	}
	if got := dropped(); got != nil {
		t.Errorf("before CreateUnit: %v", got)
	}
	d.unit(s, "ppp-a")
	d.send(protocolIPv4, echo('x')) // no IPv4
	d.send(ppp.LCP, echo('a'))
	next(t, s.Frames())
	want := map[string]uint64{
		"tx_not_ip": 0, "tx_too_long": 0, "tx_failed": 0, "rx_bad_header": 0, "rx_bad_length": 0, "rx_not_ip": 1, "rx_too_long": 0, "rx_failed": 0,
		"rx_control": 0, "device_too_short": 0, "device_control": 0, "device_floods": 0,
	}
	if diff := cmp.Diff(want, dropped()); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

func TestSessionClose(t *testing.T) {
	d := newDial(t, nil, nil)
	before := d.home.state()
	s := d.open()
	d.unit(s, "ppp-a")
	d.home.in(func() { must(t, s.Close()) })
	waitClosed(t, s.Frames())
	if err := s.Err(); err != nil {
		t.Errorf("Err() after Close = %v", err)
	}
	if err := s.Send(ppp.LCP, echo('a')); err == nil || !strings.HasPrefix(err.Error(), "sending LCP on eth1: ") {
		t.Errorf("Send() after Close = %v", err)
	}
	if diff := cmp.Diff(before, d.home.state()); diff != "" {
		t.Errorf("what is left (-before +after):\n%s", diff)
	}
}

// A flood that nobody reads costs a bounded inbox, and the session goes on after it.
func TestSessionFlood(t *testing.T) {
	d := newDial(t, nil, nil)
	s := d.open()
	for range 20 * inboxSize {
		d.send(ppp.LCP, echo('a'))
	}
	eventually(t, "dropped frames", func() bool { return s.lost() == 19*inboxSize })
	for letter := byte('a'); letter != 'z'; letter = next(t, s.Frames()).Payload[7] {
		d.send(ppp.LCP, echo('z'))
	}
}

func TestDiscovery(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			d := newDial(t, link.tags, link.bytes)
			c := d.discover()
			frame := func(dst, src net.HardwareAddr, tags []byte, code byte) []byte {
				b := append(append(append([]byte(nil), dst...), src...), tags...)
				b = append(b, 0x88, 0x63, 0x11, code, 0, 1, 0, 4, 1, 1, 0, 0) // ethertype, version and type, code, id, length, Service-Name
				return append(b, make([]byte, 36)...)                         // padding
			}
			payload := frame(nil, nil, nil, byte(pppoe.PADS))[2:]
			must(t, c.Send(broadcast, payload[:10]))
			want := frame(broadcast, d.home.mac, prioritised(d.tags), byte(pppoe.PADS))
			if diff := cmp.Diff(want, d.far.receiveTagged()); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			d.far.send(frame(d.home.mac, d.isp.mac, d.tags, 0x19))
			d.far.send(frame(stranger, d.isp.mac, d.tags, byte(pppoe.PADS)))
			d.far.send(frame(d.home.mac, d.isp.mac, append([]byte{0x81, 0, 0, 77}, d.tags...), byte(pppoe.PADS)))
			d.far.send(session(d.home.mac, d.isp.mac, d.tags, 1, uint16(ppp.LCP), echo('a')))
			d.far.send(frame(d.home.mac, d.isp.mac, d.tags, byte(pppoe.PADS)))
			if diff := cmp.Diff(pppoe.Frame{Src: d.isp.mac, Payload: payload}, next(t, c.Frames())); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
			d.home.sh("ip link set eth1 down")
			waitClosed(t, c.Frames())
			if err := c.Err(); !errors.Is(err, unix.ENETDOWN) {
				t.Errorf("Err() = %v, want ENETDOWN", err)
			}
		})
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add(session(nil, nil, nil, sessionID, uint16(ppp.LCP), echo('a'))[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, id, ok := parseSession(b)
		if !ok {
			return
		}
		again := session(nil, nil, nil, id, uint16(frame.Protocol), frame.Payload)[2:]
		if !bytes.HasPrefix(b, again) {
			t.Errorf("% x is parsed as %v", b, frame)
		}
	})
}
