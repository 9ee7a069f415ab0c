package wire

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/ppp"
)

const sessionID = 0x1234

// echo is a packet that is known by its letter.
func echo(letter byte) []byte {
	return []byte{
		9, letter, // Echo-Request, identifier
		0, 8, // length
		0, 0, 0, 0, // magic number
	}
}

func openTestSession(t *testing.T, config SessionConfig) *Session {
	t.Helper()
	s, err := OpenSession(config)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func testConfig(t *testing.T) SessionConfig {
	t.Helper()
	return SessionConfig{Device: lineDevice, AC: address(t, farDevice), ID: sessionID}
}

// wantFrames takes as many frames as there are and compares them.
func wantFrames(t *testing.T, frames <-chan ppp.Frame, want ...ppp.Frame) {
	t.Helper()
	for _, w := range want {
		if diff := cmp.Diff(w, next(t, frames)); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	}
}

func TestSessionSend(t *testing.T) {
	newPair(t, 1500)
	ac := openFar(t, etherTypeSession)
	s := openTestSession(t, testConfig(t))

	must(t, s.Send(ppp.LCP, echo('a')))

	want := append(append([]byte(nil), ac.own...), ac.line...)
	want = append(want, 0x88, 0x64) // ethertype
	want = append(want, 0x11, 0)    // version and type, session data
	want = append(want, 0x12, 0x34) // session id
	want = append(want, 0, 10)      // length
	want = append(want, 0xc0, 0x21) // LCP
	want = append(want, echo('a')...)
	if diff := cmp.Diff(want, ac.receive(t)); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
}

func TestSessionPriority(t *testing.T) {
	newPair(t, 1500)
	vlan := addVLAN(t, 101)
	for i, priority := range []uint8{0, 6, 7} {
		ac := openTagged(t, etherTypeSession, priority, 101)
		s := openTestSession(t, SessionConfig{Device: vlan, AC: ac.own, ID: uint16(1 + i), Priority: priority})
		must(t, s.CreateUnit(fmt.Sprintf("ppp-%d", i))) // BOUND and with a unit, it still sends by the socket
		must(t, s.Send(ppp.LCP, echo('a')))
		ac.receive(t)
	}
}

func TestSessionReceives(t *testing.T) {
	newPair(t, 1500)
	ac := openFar(t, etherTypeSession)
	s := openTestSession(t, testConfig(t))
	ac.send(t, session(sessionID, ppp.LCP, echo('a'))) // padded to 46 bytes, of which none must be seen
	ac.send(t, session(sessionID+1, ppp.LCP, echo('b')))
	ac.sendFrame(t, ethernet.Frame{
		Destination: ac.line, Source: stranger, EtherType: etherTypeSession, Payload: session(sessionID, ppp.LCP, echo('c')),
	})
	ac.send(t, session(sessionID, ppp.CHAP, echo('d')))
	ac.send(t, session(sessionID, ppp.IPCP, echo('e'))) // too early: there is no unit, so the channel keeps it
	wantFrames(t, s.Frames(),
		ppp.Frame{Protocol: ppp.LCP, Payload: echo('a')}, ppp.Frame{Protocol: ppp.CHAP, Payload: echo('d')}, ppp.Frame{Protocol: ppp.IPCP, Payload: echo('e')})
}

// A frame that is longer than a control frame may be is thrown away, and the next one is received.
func TestSessionReceivesGiant(t *testing.T) {
	newPair(t, 9000)
	ac := openFar(t, etherTypeSession)
	s := openTestSession(t, testConfig(t))
	ac.send(t, session(sessionID, ppp.LCP, make([]byte, frameBuffer)))
	ac.send(t, session(sessionID, ppp.LCP, echo('a')))
	wantFrames(t, s.Frames(), ppp.Frame{Protocol: ppp.LCP, Payload: echo('a')})
}

func TestEarlyFrames(t *testing.T) {
	newPair(t, 1500)
	ac := openFar(t, etherTypeSession)
	early, err := OpenEarly(lineDevice)
	must(t, err)
	defer early.Close()
	frame := func(dst, src net.HardwareAddr, payload []byte) ethernet.Frame {
		return ethernet.Frame{Destination: dst, Source: src, EtherType: etherTypeSession, Payload: payload}
	}
	short := session(sessionID, ppp.LCP, echo('s'))
	short[4] = 0xff                                    // the length runs past the frame
	for letter := byte('0'); letter <= '9'; letter++ { // two more than are kept
		ac.send(t, session(sessionID, ppp.LCP, echo(letter)))
	}
	for _, f := range []ethernet.Frame{
		frame(ac.line, ac.own, session(sessionID+1, ppp.LCP, echo('o'))), // the session before this one
		frame(ac.line, stranger, session(sessionID, ppp.LCP, echo('x'))), // another access concentrator's
		frame(stranger, ac.own, session(sessionID, ppp.LCP, echo('y'))),  // another client's
		frame(ac.line, ac.own, session(sessionID, ppp.IPv4, echo('d'))),  // data
		frame(ac.line, ac.own, discovery(codePADT, sessionID, "code 0xa7")),
		frame(ac.line, ac.own, short),
	} {
		ac.sendFrame(t, f)
	}

	config := testConfig(t)
	config.Early = early
	s := openTestSession(t, config)
	ac.send(t, session(sessionID, ppp.LCP, echo('z')))
	var want []ppp.Frame
	for _, letter := range []byte("23456789z") {
		want = append(want, ppp.Frame{Protocol: ppp.LCP, Payload: echo(letter)})
	}
	wantFrames(t, s.Frames(), want...)
}

func TestOpenEarlyErrors(t *testing.T) {
	want := "listening for early LCP frames on nowhere0: the device nowhere0: "
	if _, err := OpenEarly("nowhere0"); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("OpenEarly() = %v, want %q", err, want)
	}
}

// Each way in which the kernel ends a session closes Frames, with a reason, and makes Send fail.
func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, ac *far){
		"PADT": func(t *testing.T, ac *far) {
			ac.sendFrame(t, ethernet.Frame{
				Destination: ac.line, Source: ac.own, EtherType: etherTypeDiscovery, Payload: discovery(codePADT, sessionID, "bye"),
			})
		},
		"down":    func(t *testing.T, _ *far) { must(t, netlink.LinkSetDown(link(t, lineDevice))) },
		"deleted": func(t *testing.T, _ *far) { must(t, netlink.LinkDel(link(t, lineDevice))) },
		"MTU":     func(t *testing.T, _ *far) { must(t, netlink.LinkSetMTU(link(t, lineDevice), 1400)) },
	} {
		for _, unit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unit %v", name, unit), func(t *testing.T) {
				newPair(t, 1500)
				ac := openFar(t, etherTypeSession)
				s := openTestSession(t, testConfig(t))
				if unit {
					must(t, s.CreateUnit("ppp-a"))
				}
				ac.send(t, session(sessionID, ppp.LCP, echo('a')))
				end(t, ac)
				wantFrames(t, s.Frames(), ppp.Frame{Protocol: ppp.LCP, Payload: echo('a')}) // what came before is not lost
				waitClosed(t, s.Frames())
				want := "the kernel ended session 4660: a PADT came, or line0 went down or changed its MTU or address"
				if err := s.Err(); err == nil || err.Error() != want {
					t.Errorf("Err() = %v, want %q", err, want)
				}
				err := s.Send(ppp.LCP, echo('b'))
				if !errors.Is(err, unix.ENOTCONN) || !strings.HasPrefix(err.Error(), "sending LCP on line0: session 4660 is gone: ") {
					t.Errorf("Send() = %v, want one that says that the session is gone", err)
				}
			})
		}
	}
}

func TestOpenSessionErrors(t *testing.T) {
	newPair(t, 1500)
	open := testConfig(t)
	openTestSession(t, open)
	elsewhere, noAC := open, open
	elsewhere.Device = "nowhere0"
	noAC.AC = nil
	prefix := fmt.Sprintf("opening PPPoE session 4660 with %v on ", open.AC)
	for _, test := range []struct {
		config SessionConfig
		want   string
	}{
		{elsewhere, prefix + "nowhere0: the device nowhere0: "},
		{open, prefix + "line0: another program, or another line, has this very session open: operation already in progress"},
		{noAC, "opening PPPoE session 4660 with  on line0: connecting the PPPoE socket: invalid argument"},
	} {
		if _, err := OpenSession(test.config); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("OpenSession() = %v, want %q", err, test.want)
		}
	}
}

func TestSessionSendTooLong(t *testing.T) {
	newPair(t, 1500)
	s := openTestSession(t, testConfig(t))
	if err := s.Send(ppp.LCP, make([]byte, 2000)); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("Send() = %v, want EMSGSIZE", err)
	}
}

func TestSessionLeavesNothing(t *testing.T) {
	newPair(t, 1500)
	ac := openFar(t, etherTypeSession)
	openTestSession(t, testConfig(t)).Close() // whatever Go makes once and keeps
	noLeak := watchLeaks(t)
	for range leakRounds {
		s := openTestSession(t, testConfig(t))
		must(t, s.CreateUnit("ppp-a"))
		for range 2 * inboxSize { // more than anybody takes
			ac.send(t, session(sessionID, ppp.LCP, echo('a')))
		}
		must(t, s.Close())
		waitClosed(t, s.Frames())
		if s.Err() != nil || exists("ppp-a") {
			t.Fatalf("after Close: Err() = %v, device there: %v", s.Err(), exists("ppp-a"))
		}
	}
	noLeak()
}
