package pppoe

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newServer(change func(*ServerConfig)) *Server {
	cfg := ServerConfig{AC: ac, ACName: "bras1", Random: counting()}
	if change != nil {
		change(&cfg)
	}
	return NewServer(cfg)
}

// offered lets a server make a PADO, and returns its cookie.
func offered(t *testing.T, s *Server, src net.HardwareAddr) Tag {
	t.Helper()
	p, err := Parse(s.Receive(src, frame(PADI, 0, anyName))[0].Payload)
	value, ok := p.lookup(TagACCookie)
	if err != nil || !ok {
		t.Fatalf("no cookie in %v: %v", p, err)
	}
	return Tag{TagACCookie, bytes.Clone(value)}
}

func TestServerPADI(t *testing.T) {
	// What every answer has: the first nonce after the key's 32 bytes.
	const cookieHead = " AC-Cookie=2122232425262728"
	two := []string{"net", "tv"}
	for _, tt := range []struct {
		name     string
		services []string
		max      uint16
		src      net.HardwareAddr
		padi     []byte
		want     string // up to the cookie; "": no answer
		wantTail string // behind the cookie
	}{
		{"any service", nil, 0, host, frame(PADI, 0, anyName), `AC-Name="bras1" Service-Name=""`, ""},
		{"whatever is asked for", nil, 0, host, frame(PADI, 0, words(TagServiceName, "x")), `AC-Name="bras1" Service-Name="x"`, ""},
		{"all services", two, 0, host, frame(PADI, 0, anyName), `AC-Name="bras1" Service-Name="" Service-Name="net" Service-Name="tv"`, ""},
		{"one of them", two, 0, host, frame(PADI, 0, words(TagServiceName, "tv")), `AC-Name="bras1" Service-Name="tv" Service-Name="net"`, ""},
		{"none of them", two, 0, host, frame(PADI, 0, words(TagServiceName, "x")), "", ""},
		{"the host's and the relay's tags", nil, 0, host, frame(PADI, 0, relay, anyName, words(TagVendorSpecific, "?"), uniq),
			`AC-Name="bras1" Service-Name=""`, " Host-Uniq=aabb Relay-Session-Id=1e1a"},
		{"1500 bytes granted", nil, 1500, host, frame(PADI, 0, anyName, maxPayloadTag(1500)),
			`AC-Name="bras1" Service-Name=""`, " PPP-Max-Payload=05dc"},
		{"as much as can be had", nil, 1496, host, frame(PADI, 0, anyName, maxPayloadTag(1500)),
			`AC-Name="bras1" Service-Name=""`, " PPP-Max-Payload=05d8"},
		{"1500 bytes not to be had", nil, 0, host, frame(PADI, 0, anyName, maxPayloadTag(1500)),
			`AC-Name="bras1" Service-Name=""`, ""},
		{"no Service-Name", nil, 0, host, frame(PADI, 0, uniq), "", ""},
		{"two Service-Names", nil, 0, host, frame(PADI, 0, anyName, anyName), "", ""},
		{"a session id", nil, 0, host, frame(PADI, 1, anyName), "", ""},
		{"from a group", nil, 0, broadcast, frame(PADI, 0, anyName), "", ""},
		{"malformed", nil, 0, host, []byte{0x11, 0x09, 0, 0, 0, 1}, "", ""},
		{"another AC's offer", nil, 0, otherAC, pado, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(func(c *ServerConfig) { c.ServiceNames, c.MaxPayload = tt.services, tt.max })
			got := describe(t, s.Receive(tt.src, tt.padi))
			if tt.want == "" {
				if got != nil {
					t.Errorf("got %q, want no answer", got)
				}
				return
			}
			want := "PADO to " + tt.src.String() + " " + tt.want + cookieHead
			if len(got) != 1 || !strings.HasPrefix(got[0], want) || got[0][len(want)+32:] != tt.wantTail {
				t.Errorf("got %q, want %q ... %q", got, want, tt.wantTail)
			}
		})
	}
}

// The life of three sessions.
func TestServerSessions(t *testing.T) {
	s := newServer(func(c *ServerConfig) { c.ServiceNames, c.MaxPayload = []string{"net"}, 1500 })
	mine, others := offered(t, s, host), offered(t, s, otherAC)
	mineHex, othersHex := hex(mine), hex(others)
	for i, tt := range []struct {
		src     net.HardwareAddr
		payload []byte
		want    []string
	}{
		// Without a cookie, or with one that is not its own, a host is nobody.
		{host, frame(PADR, 0, anyName), nil},
		{host, frame(PADR, 0, anyName, others), nil},
		{host, frame(PADR, 0, anyName, Tag{TagACCookie, mine.Value[:cookieLen-1]}), nil},
		{host, frame(PADR, 0, anyName, anyName, mine), nil},
		{host, frame(PADR, 0, words(TagServiceName, "x"), mine, uniq), []string{
			`PADS to 02:00:00:00:00:01 Service-Name="x" Service-Name-Error="no such service" Host-Uniq=aabb`,
		}},
		{host, frame(PADR, 0, words(TagServiceName, "net"), mine, uniq, relay, maxPayloadTag(1500)), []string{
			`open 02:00:00:00:00:01 0x0001 of 02:00:00:00:00:ac "bras1" service "net", 1500 bytes Host-Uniq=aabb AC-Cookie=` + mineHex + ` Relay-Session-Id=1e1a`,
			`PADS to 02:00:00:00:00:01 0x0001 Service-Name="net" Host-Uniq=aabb Relay-Session-Id=1e1a PPP-Max-Payload=05dc`,
		}},
		// Once more, for the PADS was lost: the same session.
		{host, frame(PADR, 0, words(TagServiceName, "net"), mine, uniq, relay), []string{
			`PADS to 02:00:00:00:00:01 0x0001 Service-Name="net" Host-Uniq=aabb Relay-Session-Id=1e1a`,
		}},
		{otherAC, frame(PADR, 0, anyName, others), []string{
			`open 02:00:00:00:00:ad 0x0002 of 02:00:00:00:00:ac "bras1" service "", 1492 bytes AC-Cookie=` + othersHex,
			`PADS to 02:00:00:00:00:ad 0x0002 Service-Name=""`,
		}},
		{otherAC, frame(PADT, 1), nil},
		{host, frame(PADT, 3), nil},
		{host, frame(PADT, 1, words(TagGenericError, "bye\n")), []string{`close 02:00:00:00:00:01 0x0001 "bye"`}},
		{host, frame(PADT, 1), nil},
		{host, frame(PADR, 0, words(TagServiceName, "net"), mine), []string{
			`open 02:00:00:00:00:01 0x0003 of 02:00:00:00:00:ac "bras1" service "net", 1492 bytes AC-Cookie=` + mineHex,
			`PADS to 02:00:00:00:00:01 0x0003 Service-Name="net"`,
		}},
	} {
		if diff := cmp.Diff(tt.want, describe(t, s.Receive(tt.src, tt.payload))); diff != "" {
			t.Errorf("frame %d (-want +got):\n%s", i, diff)
		}
	}
	want := []string{`PADT to 02:00:00:00:00:ad 0x0002 AC-Cookie=` + othersHex + ` Generic-Error="maintenance"`}
	if diff := cmp.Diff(want, describe(t, s.Close(2, "maintenance"))); diff != "" {
		t.Errorf("Close (-want +got):\n%s", diff)
	}
	if got := s.Close(2, ""); got != nil {
		t.Errorf("closed twice: %v", got)
	}
}

// hex prints a tag's value as describe does.
func hex(t Tag) string {
	_, value, _ := strings.Cut(describeSession(Session{Cookie: t.Value}), "AC-Cookie=")
	return value
}

// Two ACs, or one before and after a restart, do not take each other's cookies.
func TestServerForeignCookie(t *testing.T) {
	cookie := offered(t, newServer(nil), host)
	random := counting()
	random(make([]byte, 1))
	s := newServer(func(c *ServerConfig) { c.Random = random })
	if got := s.Receive(host, frame(PADR, 0, anyName, cookie)); got != nil {
		t.Errorf("got %v", describe(t, got))
	}
}

// All legal ids are used, none twice, and the next host is refused in words.
func TestServerFull(t *testing.T) {
	s := newServer(func(c *ServerConfig) {
		n := uint64(0)
		c.Random = func(b []byte) {
			n++
			for i := range b {
				b[i] = byte(n >> (8 * (i % 8)))
			}
		}
	})
	for range maxSessions {
		actions := s.Receive(host, frame(PADR, 0, anyName, offered(t, s, host)))
		if actions[0].Kind != Open || !legal(actions[0].Session.ID) {
			t.Fatalf("%v", describe(t, actions))
		}
	}
	padr := frame(PADR, 0, anyName, offered(t, s, host))
	want := []string{`PADS to 02:00:00:00:00:01 Service-Name="" AC-System-Error="no session is free"`}
	if diff := cmp.Diff(want, describe(t, s.Receive(host, padr))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Close(0xabcd, "")
	if got := s.Receive(host, padr)[0]; got.Kind != Open || got.Session.ID != 0xabcd {
		t.Errorf("a freed id: %+v", got)
	}
}

// Session ids count on from where they are told to, past the illegal ones.
func TestServerFirstID(t *testing.T) {
	s := newServer(func(c *ServerConfig) { c.FirstID = 0xfffe })
	for _, want := range []uint16{0xfffe, 1, 2} {
		got := s.Receive(host, frame(PADR, 0, anyName, offered(t, s, host)))[0]
		if got.Kind != Open || got.Session.ID != want {
			t.Errorf("%+v, want %#x", got, want)
		}
	}
}

// One host cannot take all sessions; its own end makes room.
func TestServerPerHost(t *testing.T) {
	s := newServer(func(c *ServerConfig) { c.MaxSessions, c.MaxPerHost = 3, 2 })
	ask := func(src net.HardwareAddr) string {
		actions := s.Receive(src, frame(PADR, 0, anyName, offered(t, s, src)))
		return describe(t, actions)[len(actions)-1]
	}
	for i, tt := range []struct {
		src  net.HardwareAddr
		want string
	}{
		{host, `PADS to 02:00:00:00:00:01 0x0001 Service-Name=""`},
		{host, `PADS to 02:00:00:00:00:01 0x0002 Service-Name=""`},
		{host, `PADS to 02:00:00:00:00:01 Service-Name="" AC-System-Error="this host has as many sessions as it may have"`},
		{otherAC, `PADS to 02:00:00:00:00:ad 0x0003 Service-Name=""`},
		{otherAC, `PADS to 02:00:00:00:00:ad Service-Name="" AC-System-Error="no session is free"`},
	} {
		if got := ask(tt.src); got != tt.want {
			t.Errorf("%d: %s\nwant %s", i, got, tt.want)
		}
	}
	s.Receive(host, frame(PADT, 1))
	if got, want := ask(host), `PADS to 02:00:00:00:00:01 0x0004 Service-Name=""`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A session that is not there is told to be over; one that is, is let alone.
func TestServerUnknown(t *testing.T) {
	s := newServer(nil)
	s.Receive(host, frame(PADR, 0, anyName, offered(t, s, host)))
	for _, tt := range []struct {
		src  net.HardwareAddr
		id   uint16
		want []string
	}{
		{host, 2, []string{`PADT to 02:00:00:00:00:01 0x0002 Generic-Error="no such session"`}},
		{otherAC, 1, nil},
		{host, 0, nil},
		{host, 0xffff, nil},
		{broadcast, 2, nil},
	} {
		if diff := cmp.Diff(tt.want, describe(t, s.Unknown(tt.src, tt.id))); diff != "" {
			t.Errorf("%v, %d (-want +got):\n%s", tt.src, tt.id, diff)
		}
	}
}

// A server remembers nothing of hosts that only ask.
func TestServerStateless(t *testing.T) {
	s := newServer(nil)
	for range 1000 {
		offered(t, s, host)
	}
	if len(s.sessions)+len(s.byCookie) != 0 {
		t.Errorf("%d sessions, %d cookies", len(s.sessions), len(s.byCookie))
	}
}

func FuzzServer(f *testing.F) {
	for _, tt := range packets {
		f.Add(tt.bytes, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, cookie bool) {
		s := newServer(func(c *ServerConfig) { c.MaxPayload = 1500 })
		if cookie { // else no frame but one in 2^128 opens a session
			p, err := Parse(b)
			if err != nil {
				return
			}
			p.Tags = append([]Tag{offered(t, s, host)}, p.Tags...)
			b = p.Append(nil)
		}
		for _, a := range s.Receive(host, b) {
			if a.Kind == Open && !legal(a.Session.ID) {
				t.Errorf("opens %#04x", a.Session.ID)
			}
		}
	})
}
