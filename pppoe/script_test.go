package pppoe

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The stations of the tests.
var (
	ac      = net.HardwareAddr{0x02, 0, 0, 0, 0, 0xac}
	otherAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0xad}
	host    = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
)

// counting is a Random that gives 1, 2, 3, ...
func counting() func([]byte) {
	var n byte
	return func(b []byte) {
		for i := range b {
			n++
			b[i] = n
		}
	}
}

// frame builds an Ethernet payload.
func frame(code Code, id uint16, tags ...Tag) []byte {
	return Packet{Code: code, SessionID: id, Tags: tags}.Append(nil)
}

// words makes a tag of text.
func words(t TagType, value string) Tag { return Tag{t, []byte(value)} }

// A step is one event at a client, and what the client does, in lines as
// printed by describe. A step without an event is a Start.
type step struct {
	timeout bool
	src     net.HardwareAddr // with payload: Receive
	payload []byte
	want    []string
}

// play runs the steps at a new client.
func play(t *testing.T, cfg ClientConfig, steps []step) *Client {
	t.Helper()
	c := NewClient(cfg)
	for i, s := range steps {
		var actions []Action
		switch {
		case s.payload != nil:
			actions = c.Receive(s.src, s.payload)
		case s.timeout:
			actions = c.Timeout()
		default:
			actions = c.Start()
		}
		if diff := cmp.Diff(s.want, describe(t, actions)); diff != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, diff)
		}
	}
	return c
}

// describe prints actions, a line each.
func describe(t *testing.T, actions []Action) []string {
	t.Helper()
	var lines []string
	for _, a := range actions {
		switch a.Kind {
		case Send:
			lines = append(lines, describePacket(t, a.Dst, a.Payload))
		case SetTimer:
			lines = append(lines, "timer "+a.Delay.String())
		case StopTimer:
			lines = append(lines, "stop timer")
		case Done:
			lines = append(lines, "done "+describeSession(a.Session))
		case Fail:
			lines = append(lines, fmt.Sprintf("fail: %v %q", a.Failure.Kind, a.Failure.Message))
		case Open:
			lines = append(lines, fmt.Sprintf("open %v %s", a.Host, describeSession(a.Session)))
		case Close:
			lines = append(lines, fmt.Sprintf("close %v %#04x %q", a.Host, a.Session.ID, a.Failure.Message))
		}
	}
	return lines
}

func describePacket(t *testing.T, dst net.HardwareAddr, payload []byte) string {
	t.Helper()
	p, err := Parse(payload)
	if err != nil {
		t.Fatalf("sends % x: %v", payload, err)
	}
	line := fmt.Sprintf("%v to %v", p.Code, dst)
	if p.SessionID != 0 {
		line += fmt.Sprintf(" %#04x", p.SessionID)
	}
	for _, tag := range p.Tags {
		switch tag.Type {
		case TagHostUniq, TagACCookie, TagRelaySessionID, TagPPPMaxPayload:
			line += fmt.Sprintf(" %v=%x", tag.Type, tag.Value)
		default:
			line += fmt.Sprintf(" %v=%q", tag.Type, tag.Value)
		}
	}
	return line
}

func describeSession(s Session) string {
	line := fmt.Sprintf("%#04x of %v %q service %q, %d bytes", s.ID, s.AC, s.ACName, s.ServiceName, s.MaxPayload)
	for _, tag := range []Tag{{TagHostUniq, s.HostUniq}, {TagACCookie, s.Cookie}, {TagRelaySessionID, s.RelayID}} {
		if tag.Value != nil {
			line += fmt.Sprintf(" %v=%x", tag.Type, tag.Value)
		}
	}
	return strings.TrimSpace(line)
}
