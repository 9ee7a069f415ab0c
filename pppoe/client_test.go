package pppoe

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patient is a host whose Host-Uniq is settled, so that tests can write it.
var patient = ClientConfig{
	HostUniq:   []byte{0xaa, 0xbb},
	Timeout:    time.Second,
	MaxTimeout: 3 * time.Second,
	Attempts:   4,
}

// with returns patient, changed.
func with(change func(*ClientConfig)) ClientConfig {
	cfg := patient
	change(&cfg)
	return cfg
}

var (
	uniq    = Tag{TagHostUniq, []byte{0xaa, 0xbb}}
	foreign = Tag{TagHostUniq, []byte{0xaa, 0xbc}}
	acName  = words(TagACName, "bras1")
	anyName = words(TagServiceName, "")
	cookie  = Tag{TagACCookie, []byte{0xc0, 0x0c}}
	relay   = Tag{TagRelaySessionID, []byte{0x1e, 0x1a}}

	pado = frame(PADO, 0, acName, anyName, uniq)
	pads = frame(PADS, 0x1234, anyName, uniq)
)

// The lines that begin most scripts.
var (
	start = step{want: []string{
		"PADI to ff:ff:ff:ff:ff:ff Service-Name=\"\" Host-Uniq=aabb",
		"timer 1s",
	}}
	request = []string{
		"PADR to 02:00:00:00:00:ac Service-Name=\"\" Host-Uniq=aabb",
		"timer 1s",
	}
	done = []string{
		"stop timer",
		"done 0x1234 of 02:00:00:00:00:ac \"bras1\" service \"\", 1492 bytes Host-Uniq=aabb",
	}
)

func TestClient(t *testing.T) {
	for _, tt := range []struct {
		name     string
		cfg      ClientConfig
		steps    []step
		counters Counters
	}{
		{
			name:  "the plain way",
			cfg:   patient,
			steps: []step{start, {src: ac, payload: pado, want: request}, {src: ac, payload: pads, want: done}},
		},
		{
			name: "a Host-Uniq of its own, a new one at each start",
			cfg:  with(func(c *ClientConfig) { c.HostUniq, c.Random = nil, counting() }),
			steps: []step{
				{want: []string{"PADI to ff:ff:ff:ff:ff:ff Service-Name=\"\" Host-Uniq=0102030405060708", "timer 1s"}},
				{want: []string{"PADI to ff:ff:ff:ff:ff:ff Service-Name=\"\" Host-Uniq=090a0b0c0d0e0f10", "timer 1s"}},
				{src: ac, payload: frame(PADO, 0, acName, anyName, Tag{TagHostUniq, []byte{1, 2, 3, 4, 5, 6, 7, 8}})},
			},
			counters: Counters{Foreign: 1},
		},
		{
			name: "cookie and relay id go back as they came, unknown tags do not",
			cfg:  patient,
			steps: []step{
				start,
				{src: ac, payload: frame(PADO, 0, relay, words(0x1234, "?"), cookie, acName, anyName, uniq), want: []string{
					"PADR to 02:00:00:00:00:ac Service-Name=\"\" Host-Uniq=aabb AC-Cookie=c00c Relay-Session-Id=1e1a",
					"timer 1s",
				}},
				{src: ac, payload: frame(PADS, 0x1234, anyName, uniq, relay), want: []string{
					"stop timer",
					"done 0x1234 of 02:00:00:00:00:ac \"bras1\" service \"\", 1492 bytes Host-Uniq=aabb AC-Cookie=c00c Relay-Session-Id=1e1a",
				}},
			},
		},
		{
			name: "an empty cookie is a cookie",
			cfg:  patient,
			steps: []step{start, {src: ac, payload: frame(PADO, 0, words(TagACCookie, "")), want: []string{
				"PADR to 02:00:00:00:00:ac Service-Name=\"\" Host-Uniq=aabb AC-Cookie=",
				"timer 1s",
			}}},
		},
		{
			name: "an AC that returns no Host-Uniq at all",
			cfg:  patient,
			steps: []step{
				start,
				{src: ac, payload: frame(PADO, 0, acName, anyName), want: request},
				{src: ac, payload: frame(PADS, 0x9999, anyName, foreign)},
				{src: ac, payload: frame(PADS, 0x1234, anyName), want: done},
			},
			counters: Counters{Foreign: 1},
		},
		{
			name: "an AC that returned the Host-Uniq does so again",
			cfg:  patient,
			steps: []step{
				start,
				{src: ac, payload: frame(PADO, 0, acName, anyName, foreign)},
				{src: ac, payload: pado, want: request},
				{src: ac, payload: frame(PADS, 0x9999, anyName)},
				{src: ac, payload: frame(PADS, 0x9998, anyName, foreign)},
				{src: ac, payload: pads, want: done},
			},
			counters: Counters{Foreign: 3},
		},
		{
			name: "the first offer wins",
			cfg:  patient,
			steps: []step{
				start,
				{src: ac, payload: pado, want: request},
				{src: otherAC, payload: frame(PADO, 0, words(TagACName, "bras2"), anyName, uniq)},
				{src: otherAC, payload: frame(PADS, 0x9999, anyName, uniq)},
				{src: otherAC, payload: frame(PADS, 0, words(TagGenericError, "forged"), uniq)},
				{src: ac, payload: pads, want: done},
			},
			counters: Counters{Unexpected: 1, WrongAC: 2},
		},
		{
			name: "AC-Name and Service-Name filters",
			cfg:  with(func(c *ClientConfig) { c.ACName, c.ServiceName = "bras1", "net" }),
			steps: []step{
				{want: []string{"PADI to ff:ff:ff:ff:ff:ff Service-Name=\"net\" Host-Uniq=aabb", "timer 1s"}},
				{src: otherAC, payload: frame(PADO, 0, words(TagACName, "bras"), words(TagServiceName, "net"), uniq)},
				{src: otherAC, payload: frame(PADO, 0, words(TagServiceName, "net"), uniq)},
				{src: ac, payload: frame(PADO, 0, acName, anyName, words(TagServiceName, "tv"), uniq)},
				{src: ac, payload: frame(PADO, 0, acName, uniq)},
				{src: ac, payload: frame(PADO, 0, acName, words(TagServiceName, "tv"), words(TagServiceName, "net"), uniq), want: []string{
					"PADR to 02:00:00:00:00:ac Service-Name=\"net\" Host-Uniq=aabb",
					"timer 1s",
				}},
				{src: ac, payload: frame(PADS, 0x1234, words(TagServiceName, "net"), uniq), want: []string{
					"stop timer",
					"done 0x1234 of 02:00:00:00:00:ac \"bras1\" service \"net\", 1492 bytes Host-Uniq=aabb",
				}},
			},
			counters: Counters{Filtered: 4},
		},
		{
			name: "names of the AC's are shown safely and compared exactly",
			cfg:  with(func(c *ClientConfig) { c.ACName = "br\x00s" }),
			steps: []step{
				start,
				{src: ac, payload: frame(PADO, 0, words(TagACName, "br\x00s"), anyName, uniq), want: request},
				{src: ac, payload: frame(PADS, 0x1234, words(TagServiceName, "\x1b[m"), uniq), want: []string{
					"stop timer",
					"done 0x1234 of 02:00:00:00:00:ac \"br s\" service \"?[m\", 1492 bytes Host-Uniq=aabb",
				}},
			},
		},
		{
			name: "PADI and PADR are repeated at doubled intervals, up to the greatest",
			cfg:  patient,
			steps: []step{
				start,
				{timeout: true, want: []string{start.want[0], "timer 2s"}},
				{timeout: true, want: []string{start.want[0], "timer 3s"}},
				{src: ac, payload: pado, want: request},
				{timeout: true, want: []string{request[0], "timer 2s"}},
				{timeout: true, want: []string{request[0], "timer 3s"}},
				{timeout: true, want: []string{request[0], "timer 3s"}},
				{timeout: true, want: []string{"fail: PADS timeout \"\""}},
				{timeout: true},
				{src: ac, payload: pads},
				start, // by broadcast, again
			},
			counters: Counters{Unexpected: 1},
		},
		{
			name: "no doubling for the eager",
			cfg:  with(func(c *ClientConfig) { c.MaxTimeout, c.Attempts = c.Timeout, 2 }),
			steps: []step{
				start,
				{timeout: true, want: start.want},
				{timeout: true, want: []string{"fail: PADO timeout \"\""}},
				{timeout: true},
				{src: ac, payload: pado},
			},
			counters: Counters{Unexpected: 1},
		},
		{
			name: "no greatest interval said: the first one",
			cfg:  with(func(c *ClientConfig) { c.MaxTimeout = 0 }),
			steps: []step{
				start,
				{timeout: true, want: start.want},
			},
		},
		{
			name: "an AC that refuses by PADO: another may serve, else its words are kept",
			cfg:  with(func(c *ClientConfig) { c.Attempts = 1 }),
			steps: []step{
				start,
				{src: ac, payload: frame(PADO, 0, acName, anyName, uniq, words(TagGenericError, "no ports\n"))},
				{timeout: true, want: []string{"fail: PADO timeout \"no ports\""}},
				start,
				{src: ac, payload: frame(PADO, 0, acName, anyName, uniq, words(TagACSystemError, "no ports"))},
				{src: ac, payload: pado, want: request},
				{timeout: true, want: []string{"fail: PADS timeout \"\""}},
				start,
				{timeout: true, want: []string{"fail: PADO timeout \"\""}},
			},
			counters: Counters{Refused: 2},
		},
		{
			name: "a start in the midst begins from the beginning",
			cfg:  patient,
			steps: []step{
				start,
				{src: ac, payload: frame(PADO, 0, acName, cookie, uniq), want: []string{request[0] + " AC-Cookie=c00c", "timer 1s"}},
				start,
				{src: ac, payload: pads},
				{src: ac, payload: pado, want: request},
			},
			counters: Counters{Unexpected: 1},
		},
		{
			name: "what a host does not wait for",
			cfg:  patient,
			steps: []step{
				{timeout: true},
				{src: ac, payload: pado},
				start,
				{src: host, payload: frame(PADI, 0, anyName)},
				{src: host, payload: frame(PADR, 0, anyName)},
				{src: ac, payload: pads},
				{src: ac, payload: frame(PADT, 0x1234)},
				{src: ac, payload: frame(0x42, 0)},
				{src: ac, payload: []byte{0x11, 0x07, 0, 0, 0, 9}},
				{src: ac, payload: pado, want: request},
				{src: ac, payload: frame(PADT, 0x1234)},
				{src: ac, payload: pads, want: done},
				{src: ac, payload: pads},
			},
			counters: Counters{Unexpected: 8, Malformed: 1},
		},
		{
			name: "addresses that no station has",
			cfg:  patient,
			steps: []step{
				start,
				{src: broadcast, payload: pado},
				{src: net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 1}, payload: pado},
				{src: make(net.HardwareAddr, 6), payload: pado},
				{src: ac[:5], payload: pado},
				{src: nil, payload: pado},
			},
			counters: Counters{BadSource: 5},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := play(t, tt.cfg, tt.steps)
			if diff := cmp.Diff(tt.counters, c.Counters()); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClientRefusedByPADS(t *testing.T) {
	for _, tt := range []struct {
		name string
		pads []byte
		want string
	}{
		{"Service-Name-Error", frame(PADS, 0, words(TagServiceNameError, "no service\tfor you"), uniq), "fail: Service-Name-Error \"no service for you\""},
		{"AC-System-Error", frame(PADS, 0, anyName, uniq, words(TagACSystemError, "too many sessions")), "fail: AC-System-Error \"too many sessions\""},
		{"Generic-Error without words", frame(PADS, 0, anyName, uniq, words(TagGenericError, "")), "fail: Generic-Error \"\""},
		{"error with a session id", frame(PADS, 7, uniq, words(TagGenericError, "no")), "fail: Generic-Error \"no\""},
		{"session id 0", frame(PADS, 0, anyName, uniq), "fail: illegal session id in PADS \"\""},
		{"session id 0xffff", frame(PADS, 0xffff, anyName, uniq), "fail: illegal session id in PADS \"\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, patient, []step{
				start,
				{src: ac, payload: pado, want: request},
				{src: ac, payload: tt.pads, want: []string{"stop timer", tt.want}},
				{src: ac, payload: pads},
				{timeout: true},
				start,
			})
		})
	}
}

func TestClientMaxPayload(t *testing.T) {
	payload := func(size uint16) Tag { return maxPayloadTag(size) }
	for _, tt := range []struct {
		name     string
		ask      uint16
		inPADO   []Tag
		inPADS   []Tag
		wantTags string
		want     uint16
	}{
		{"echoed", 1500, []Tag{payload(1500)}, []Tag{payload(1500)}, " PPP-Max-Payload=05dc", 1500},
		{"echoed by the PADS alone", 1500, nil, []Tag{payload(1500)}, " PPP-Max-Payload=05dc", 1500},
		{"echoed by the PADO alone", 1500, []Tag{payload(1500)}, nil, " PPP-Max-Payload=05dc", 1492},
		{"not echoed", 1500, nil, nil, " PPP-Max-Payload=05dc", 1492},
		{"granted in part", 1500, nil, []Tag{payload(1496)}, " PPP-Max-Payload=05dc", 1496},
		{"granted more than asked for", 1500, nil, []Tag{payload(9000)}, " PPP-Max-Payload=05dc", 1500},
		{"granted less than anyone has", 1500, nil, []Tag{payload(64)}, " PPP-Max-Payload=05dc", 1492},
		{"malformed", 1500, nil, []Tag{words(TagPPPMaxPayload, "\x05\xdc\x00")}, " PPP-Max-Payload=05dc", 1492},
		{"not asked for", 1492, nil, nil, "", 1492},
		{"granted unasked", 0, nil, []Tag{payload(1500)}, "", 1492},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := NewClient(with(func(c *ClientConfig) { c.MaxPayload = tt.ask }))
			padi := describe(t, c.Start())[0]
			padr := describe(t, c.Receive(ac, frame(PADO, 0, append(tt.inPADO, uniq)...)))[0]
			if padi != start.want[0]+tt.wantTags || padr != request[0]+tt.wantTags {
				t.Errorf("%s\n%s\nwant tags %q", padi, padr, tt.wantTags)
			}
			actions := c.Receive(ac, frame(PADS, 1, append(tt.inPADS, uniq)...))
			if got := actions[1].Session.MaxPayload; got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// A flood of offers costs one PADR, and nothing is kept of the rest.
func TestClientPADOFlood(t *testing.T) {
	c := NewClient(with(func(c *ClientConfig) { c.ACName = "bras1" }))
	c.Start()
	unwanted := frame(PADO, 0, words(TagACName, "bras2"), anyName, uniq)
	sent := 0
	for i := range 1000 {
		for _, b := range [][]byte{unwanted, pado} {
			if i < 500 {
				b = unwanted
			}
			sent += len(c.Receive(ac, b))
		}
	}
	if sent != 2 { // the PADR and its timer
		t.Errorf("%d actions", sent)
	}
	if want := (Counters{Filtered: 1001, Unexpected: 998}); c.Counters() != want {
		t.Errorf("got %+v, want %+v", c.Counters(), want)
	}
	if n := testing.AllocsPerRun(100, func() { c.Receive(ac, pado) }); n > 1 { // Parse's tags
		t.Errorf("%v allocations per frame", n)
	}
}

// No AC can make the host send what Ethernet does not carry.
func TestClientGiantCookie(t *testing.T) {
	giant := func(size int) []byte { return frame(PADO, 0, Tag{TagACCookie, make([]byte, size)}, uniq) }
	room := maxLen - headerLen - 3*tagLen - len(uniq.Value)
	c := NewClient(patient)
	c.Start()
	if actions := c.Receive(ac, giant(room+1)); len(actions) != 0 || c.Counters().Malformed != 1 {
		t.Errorf("%v, %+v", describe(t, actions), c.Counters())
	}
	actions := c.Receive(ac, giant(room))
	if len(actions) != 2 || len(actions[0].Payload) != maxLen {
		t.Fatalf("%v", describe(t, actions))
	}
	session := c.Receive(ac, pads)[1].Session
	if padt := session.PADT("good-bye"); len(padt) > maxLen || !bytes.Contains(padt, session.Cookie) {
		t.Errorf("PADT of %d bytes", len(padt))
	}
}

// TestRequests: an AC that has answered once is not asked for as long as one
// is looked for.
func TestRequests(t *testing.T) {
	play(t, ClientConfig{Timeout: time.Second, Attempts: 9, Requests: 2, HostUniq: []byte{1}, Random: counting()}, []step{
		{want: []string{`PADI to ff:ff:ff:ff:ff:ff Service-Name="" Host-Uniq=01`, "timer 1s"}},
		{src: ac, payload: frame(PADO, 0, words(TagACName, "bras1")), want: []string{
			`PADR to 02:00:00:00:00:ac Service-Name="" Host-Uniq=01`, "timer 1s"}},
		{timeout: true, want: []string{`PADR to 02:00:00:00:00:ac Service-Name="" Host-Uniq=01`, "timer 1s"}},
		{timeout: true, want: []string{`fail: PADS timeout ""`}},
	})
}
