package concentrator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
	"linebond/pppoe"
)

var (
	home   = Host{[6]byte{2, 0, 0, 0, 0, 1}, 7}
	nobody = Host{[6]byte{2, 0, 0, 0, 0, 9}, 7}
)

// script is an AC that is spoken to by hand.
type script struct {
	t     *testing.T
	ac    *Concentrator
	now   time.Duration
	timer map[string]Timer  // the last setting of each
	asked map[uint16][]byte // the options of each session's last LCP Configure-Request
}

// counting gives numbers: 1, 2, 3, ...
func counting() func([]byte) {
	n := 0
	return func(b []byte) {
		n++
		clear(b)
		b[len(b)-1] = byte(n)
		if len(b) > 1 {
			b[len(b)-2] = byte(n >> 8)
		}
	}
}

func newScript(t *testing.T, change func(*Config)) *script {
	cfg := testConfig(counting())
	if change != nil {
		change(&cfg)
	}
	return &script{t: t, ac: New(cfg), timer: map[string]Timer{}, asked: map[uint16][]byte{}}
}

func (s *script) time() time.Time { return epoch.Add(s.now) }

// want compares what the AC does, a line each, with what it should.
func (s *script) want(event string, actions []Action, want string) {
	s.t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(s.describe(actions), "\n")); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", event, diff)
	}
}

var timerNames = []string{"lcp", "auth", "ipcp", "ipv6cp", "echo", "setup", "offer"}

func (s *script) describe(actions []Action) []string {
	var lines []string
	for _, a := range actions {
		switch a := a.(type) {
		case SendDiscovery:
			lines = append(lines, fmt.Sprintf("%s to %x/%d", describeDiscovery(a.Payload), a.To.MAC[5], a.To.Circuit))
		case SendFrame:
			p, err := ppp.Parse(a.Payload)
			if err != nil {
				s.t.Fatal(err)
			}
			if a.Protocol == ppp.LCP && p.Code == ppp.ConfigureRequest {
				s.asked[a.Session] = p.Data
			}
			lines = append(lines, fmt.Sprintf("%v %v %v #%d % x", a.Session, a.Protocol, describeCode(a.Protocol, p.Code), p.ID, p.Data))
		case SetTimer:
			name := timerNames[a.Timer.kind]
			s.timer[name] = a.Timer
			lines = append(lines, fmt.Sprintf("timer %s %v", name, a.Delay))
		case SessionUp:
			x := a.Session
			lines = append(lines, fmt.Sprintf("up %d %q %v %v-%v %v-%v %d", x.ID, x.User, x.Auth, x.Local, x.Remote, x.LinkLocal, x.RemoteLink, x.MTU))
		case SessionDown:
			lines = append(lines, fmt.Sprintf("down %d, over %v: %s", a.Session.ID, a.Over, a.Reason))
		}
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

func describeCode(protocol ppp.Protocol, c ppp.Code) string {
	switch protocol {
	case ppp.PAP:
		return [...]string{1: "Authenticate-Request", 2: "Authenticate-Ack", 3: "Authenticate-Nak"}[c]
	case ppp.CHAP:
		return [...]string{1: "Challenge", 2: "Response", 3: "Success", 4: "Failure"}[c]
	}
	return c.String()
}

func describeDiscovery(payload []byte) string {
	p, err := pppoe.Parse(payload)
	if err != nil {
		return err.Error()
	}
	text := p.Code.String()
	if p.SessionID != 0 {
		text += fmt.Sprintf(" %d", p.SessionID)
	}
	for _, t := range p.Tags {
		switch t.Type {
		case pppoe.TagACCookie:
		case pppoe.TagPPPMaxPayload:
			text += fmt.Sprintf(" %v=%x", t.Type, t.Value)
		default:
			text += fmt.Sprintf(" %v=%q", t.Type, t.Value)
		}
	}
	return text
}

func discovery(code pppoe.Code, id uint16, tags ...pppoe.Tag) []byte {
	return pppoe.Packet{Code: code, SessionID: id, Tags: tags}.Append(nil)
}

var anyService = pppoe.Tag{Type: pppoe.TagServiceName}

// padr asks for an offer and returns the PADR that takes it.
func (s *script) padr(from Host) []byte {
	s.t.Helper()
	for _, a := range s.ac.Discovery(s.time(), from, discovery(pppoe.PADI, 0, anyService)) {
		if a, ok := a.(SendDiscovery); ok {
			return accept(s.t, a.Payload)
		}
	}
	s.t.Fatal("no PADO")
	return nil
}

func accept(t *testing.T, pado []byte) []byte {
	t.Helper()
	p, err := pppoe.Parse(pado)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range p.Tags {
		if tag.Type == pppoe.TagACCookie {
			return discovery(pppoe.PADR, 0, anyService, tag)
		}
	}
	t.Fatal("a PADO without a cookie")
	return nil
}

// open opens a session and returns its id.
func (s *script) open(from Host) uint16 {
	s.t.Helper()
	actions := s.ac.Discovery(s.time(), from, s.padr(from))
	s.describe(actions)
	pads, err := pppoe.Parse(actions[0].(SendDiscovery).Payload)
	if err != nil || pads.SessionID == 0 {
		s.t.Fatalf("%+v: %v", pads, err)
	}
	return pads.SessionID
}

// says is a control packet of the session's host; of home, if there is no such session.
func (s *script) says(id uint16, protocol ppp.Protocol, code ppp.Code, number uint8, data ...byte) []Action {
	from := home
	if session := s.ac.sessions[id]; session != nil {
		from = session.Host
	}
	return s.ac.Frame(s.time(), id, from, protocol, ppp.Packet{Code: code, ID: number, Data: data}.Append(nil))
}

// fires lets a timer's time pass.
func (s *script) fires(name string, after time.Duration) []Action {
	s.now += after
	return s.ac.Fired(s.time(), s.timer[name])
}

// up brings a session up without IPv6 and without authentication.
func (s *script) up(id uint16) {
	s.t.Helper()
	s.describe(s.says(id, ppp.LCP, ppp.ConfigureAck, 1, s.asked[id]...))
	s.describe(s.says(id, ppp.LCP, ppp.ConfigureRequest, 1))
	s.describe(s.says(id, ppp.IPCP, ppp.ConfigureAck, 1, 3, 6, 198, 51, 100, 1))
	s.describe(s.says(id, ppp.IPCP, ppp.ConfigureRequest, 1, append([]byte{3, 6}, s.ac.sessions[id].address.AsSlice()...)...))
	if got := s.ac.sessions[id].State; got != Running {
		s.t.Fatal(got)
	}
}
