package auth

import (
	"strings"
	"testing"
	"time"

	"linebond/ppp"
)

func papBytesClient() *Client { return NewClient(PAP, "bob", NewSecret("pw"), zeros) }

// papBytes is the client's request with the given identifier.
func papBytes(id uint8) []byte {
	return []byte{
		1,     // Code: Authenticate-Request
		id,    // Identifier
		0, 11, // Length
		3,             // Peer-ID Length
		'b', 'o', 'b', // Peer-ID
		2,        // Passwd-Length
		'p', 'w', // Password
	}
}

func TestPAPRequestIsRepeatedEarly(t *testing.T) {
	c := papBytesClient()
	want(t, c.Start(), timer(300*time.Millisecond), send(ppp.PAP, papBytes(0)...))
	for i, d := range []time.Duration{600, 1200, 2400, 3000, 3000, 3000, 3000, 3000, 3000} {
		want(t, c.Timeout(), timer(d*time.Millisecond), send(ppp.PAP, papBytes(uint8(i+1))...))
	}
	want(t, c.Timeout(), Action{Kind: NoAnswer})
	want(t, c.Timeout()) // late firing
	want(t, c.Receive(ppp.PAP, ppp.Packet{Code: papAck, ID: 9}))
}

func TestPAPVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet ppp.Packet
		want   []Action
	}{
		{"ack", ppp.Packet{Code: papAck, Data: []byte{
			2,        // Msg-Length
			'o', 'k', // Message
		}}, []Action{stop(), {Kind: Success, Message: "ok"}}},
		{"nak", ppp.Packet{Code: papNak, Data: []byte{
			2,        // Msg-Length
			'n', 'o', // Message
		}}, []Action{stop(), {Kind: Failure, Message: "no"}}},
		{"no message length", ppp.Packet{Code: papAck}, []Action{stop(), {Kind: Success}}},
		{"message cut short", ppp.Packet{Code: papNak, Data: []byte{
			200,      // Msg-Length
			'n', 'o', // Message
		}}, []Action{stop(), {Kind: Failure, Message: "no"}}},
		{"message and padding", ppp.Packet{Code: papNak, Data: []byte{
			2,             // Msg-Length
			'n', 'o', '!', // Message, and a byte that is none of it
		}}, []Action{stop(), {Kind: Failure, Message: "no"}}},
		{"identifier of no request", ppp.Packet{Code: papAck, ID: 2}, nil},
		{"identifier before the first", ppp.Packet{Code: papAck, ID: 255}, nil},
		{"identifier of a copy", ppp.Packet{Code: papAck, ID: 1}, []Action{stop(), {Kind: Success}}},
		{"request", ppp.Packet{Code: papRequest}, nil},
		{"code that PAP has not", ppp.Packet{Code: 9}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := papBytesClient()
			client.Start()
			client.Timeout()
			want(t, client.Receive(ppp.PAP, c.packet), c.want...)
			ignored := Counters{}
			if c.want == nil {
				ignored.Unexpected = 1
			}
			if got := client.Counters(); got != ignored {
				t.Errorf("counters %+v, want %+v", got, ignored)
			}
		})
	}
}

func TestPAPFirstVerdictCounts(t *testing.T) {
	c := papBytesClient()
	want(t, c.Receive(ppp.PAP, ppp.Packet{Code: papAck})) // before the start
	c.Start()
	c.Receive(ppp.PAP, ppp.Packet{Code: papAck})
	want(t, c.Receive(ppp.PAP, ppp.Packet{Code: papNak}))
	want(t, c.Receive(ppp.CHAP, ppp.Packet{Code: chapFailure}))
	if got := c.Counters(); got != (Counters{Unexpected: 3}) {
		t.Errorf("counters %+v", got)
	}
	want(t, c.Start(), timer(firstWait), send(ppp.PAP, papBytes(0)...)) // LCP came up again
}

// TestStartOnARunningMachine: the old timer must not fire into the new exchange.
func TestStartOnARunningMachine(t *testing.T) {
	c := papBytesClient()
	c.Start()
	c.Timeout()
	want(t, c.Start(), stop(), timer(firstWait), send(ppp.PAP, papBytes(0)...))
}

func TestCredentialsTooLongToSend(t *testing.T) {
	fits, tooLong := strings.Repeat("x", 255), strings.Repeat("x", 256)
	for _, m := range methods {
		want(t, NewClient(m, tooLong, NewSecret("p"), zeros).Start(),
			Action{Kind: Failure, Ours: true, Message: "the user name is longer than 255 bytes"})
		if got := NewClient(m, fits, NewSecret(fits), zeros).Start(); got[0].Kind != SetTimer {
			t.Errorf("%v: 255 bytes refused: %v", m, got)
		}
	}
	want(t, NewClient(PAP, "u", NewSecret(tooLong), zeros).Start(),
		Action{Kind: Failure, Ours: true, Message: "the password is longer than 255 bytes"})
}

func TestPAPServer(t *testing.T) {
	request := func(id uint8, data ...byte) ppp.Packet { return ppp.Packet{Code: papRequest, ID: id, Data: data} }
	welcome := append([]byte{
		2, 7, // Code: Authenticate-Ack, Identifier
		0, 12, // Length
		7, // Msg-Length
	}, "welcome"...)
	refused := append([]byte{
		3, 7, // Code: Authenticate-Nak, Identifier
		0, 32, // Length
		27, // Msg-Length
	}, "wrong user name or password"...)
	for _, c := range []struct {
		name   string
		packet ppp.Packet
		want   []Action
	}{
		{"right", request(7, 3, 'b', 'o', 'b', 2, 'p', 'w'),
			[]Action{stop(), {Kind: Success, Username: "bob", Message: greeting}, send(ppp.PAP, welcome...)}},
		{"wrong password", request(7, 3, 'b', 'o', 'b', 2, 'p', 'x'),
			[]Action{stop(), {Kind: Failure, Username: "bob", Message: refusal}, send(ppp.PAP, refused...)}},
		{"unknown user, no password", request(7, 3, 'b', 'o', 'p', 0),
			[]Action{stop(), {Kind: Failure, Username: "bop", Message: refusal}, send(ppp.PAP, refused...)}},
		{"no data", request(7), nil},
		{"name cut short", request(7, 3, 'b', 'o'), nil},
		{"no password length", request(7, 3, 'b', 'o', 'b'), nil},
		{"password cut short", request(7, 3, 'b', 'o', 'b', 2, 'p'), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewServer(PAP, "ac", onlyUser("bob", "pw"), zeros)
			want(t, s.Start(), timer(10*time.Second))
			want(t, s.Receive(ppp.PAP, c.packet), c.want...)
			if malformed := s.Counters().Malformed == 1; malformed != (c.want == nil) {
				t.Errorf("counters %+v", s.Counters())
			}
		})
	}
}

// TestPAPServerKeepsItsVerdict: RFC 1334 section 2.2.1 wants the same reply
// for every request that follows.
func TestPAPServerKeepsItsVerdict(t *testing.T) {
	s := NewServer(PAP, "ac", onlyUser("bob", "pw"), zeros)
	s.Start()
	wrong := ppp.Packet{Code: papRequest, ID: 1, Data: []byte{1, 'x', 0}}
	right := ppp.Packet{Code: papRequest, ID: 2, Data: []byte{3, 'b', 'o', 'b', 2, 'p', 'w'}}
	s.Receive(ppp.PAP, wrong)
	got := s.Receive(ppp.PAP, right)
	if p := sent(t, got); len(got) != 1 || p.Code != papNak || p.ID != 2 {
		t.Errorf("got %v, want one Nak with identifier 2", got)
	}
}

func TestPAPServerHearsNothing(t *testing.T) {
	s := NewServer(PAP, "ac", onlyUser("bob", "pw"), zeros)
	s.Start()
	want(t, s.Timeout(), Action{Kind: NoAnswer})
	want(t, s.Receive(ppp.PAP, ppp.Packet{Code: papRequest, Data: []byte{3, 'b', 'o', 'b', 2, 'p', 'w'}}))
}
