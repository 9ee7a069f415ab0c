package pppoe

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var session = Session{
	AC: ac, ID: 0x1234,
	HostUniq: uniq.Value, Cookie: cookie.Value, RelayID: relay.Value,
}

func TestSessionPADT(t *testing.T) {
	for _, tt := range []struct {
		name    string
		session Session
		message string
		want    []byte
	}{
		{"all that is known after a crash", Session{AC: ac, ID: 0x1234}, "", []byte{
			0x11,       // VER 1, TYPE 1
			0xa7,       // CODE: PADT
			0x12, 0x34, // SESSION_ID
			0x00, 0x00, // LENGTH
		}},
		{"with words", session, "bye\n", []byte{
			0x11,       // VER 1, TYPE 1
			0xa7,       // CODE: PADT
			0x12, 0x34, // SESSION_ID
			0x00, 0x19, // LENGTH: 25
			0x01, 0x03, // Host-Uniq
			0x00, 0x02, // of 2 bytes
			0xaa, 0xbb,
			0x01, 0x04, // AC-Cookie
			0x00, 0x02, // of 2 bytes
			0xc0, 0x0c,
			0x01, 0x10, // Relay-Session-Id
			0x00, 0x02, // of 2 bytes
			0x1e, 0x1a,
			0x02, 0x03, // Generic-Error
			0x00, 0x03, // of 3 bytes
			'b', 'y', 'e',
		}},
		{"too many words", Session{ID: 1}, strings.Repeat("x", 300),
			frame(PADT, 1, words(TagGenericError, strings.Repeat("x", 199)+"…"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.session.PADT(tt.message)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSessionTerminated(t *testing.T) {
	for _, tt := range []struct {
		name    string
		src     net.HardwareAddr
		payload []byte
		message string
		ok      bool
	}{
		{"bare", ac, frame(PADT, 0x1234), "", true},
		{"with words", ac, frame(PADT, 0x1234, words(TagGenericError, "reboot\n")), "reboot", true},
		{"with our Host-Uniq", ac, frame(PADT, 0x1234, uniq), "", true},
		{"of an older session of that number", ac, frame(PADT, 0x1234, foreign), "", false},
		{"of another session", ac, frame(PADT, 0x1233), "", false},
		{"from another station", otherAC, frame(PADT, 0x1234), "", false},
		{"from nowhere", nil, frame(PADT, 0x1234), "", false},
		{"no PADT", ac, frame(PADS, 0x1234), "", false},
		{"malformed", ac, []byte{0x11, 0xa7, 0x12, 0x34, 0, 1}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if message, ok := session.Terminated(tt.src, tt.payload); message != tt.message || ok != tt.ok {
				t.Errorf("got %q, %v, want %q, %v", message, ok, tt.message, tt.ok)
			}
		})
	}
	if _, ok := (Session{AC: ac, ID: 0x1234}).Terminated(ac, frame(PADT, 0x1234, foreign)); !ok {
		t.Error("a session that knows no Host-Uniq cannot tell by it")
	}
}

// A session keeps, whatever becomes of the frame and of the client.
func TestSessionKeeps(t *testing.T) {
	settled := bytes.Clone(uniq.Value)
	c := NewClient(with(func(c *ClientConfig) { c.HostUniq = settled }))
	clear(settled)
	c.Start()
	src := bytes.Clone(ac)
	offer := frame(PADO, 0, acName, cookie, relay)
	c.Receive(src, offer)
	session := c.Receive(ac, frame(PADS, 1))[1].Session
	before := describeSession(session)
	if !bytes.Equal(session.HostUniq, uniq.Value) {
		t.Errorf("Host-Uniq %x", session.HostUniq)
	}
	clear(offer)
	clear(src)
	c.Start()
	c.Receive(otherAC, frame(PADO, 0, words(TagACCookie, "zz"), words(TagRelaySessionID, "zz")))
	if after := describeSession(session); after != before {
		t.Errorf("%s\nbecame %s", before, after)
	}
}

// A session is certainly ours if its PADS says so.
func TestSessionUnique(t *testing.T) {
	for _, tt := range []struct {
		pads []byte
		want bool
	}{{pads, true}, {frame(PADS, 0x1234, anyName), false}} {
		c := NewClient(patient)
		c.Start()
		c.Receive(ac, frame(PADO, 0, acName, anyName))
		if got := c.Receive(ac, tt.pads)[1].Session.Unique; got != tt.want {
			t.Errorf("% x: %v, want %v", tt.pads, got, tt.want)
		}
	}
}
