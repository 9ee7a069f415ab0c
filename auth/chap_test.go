package auth

import (
	"bytes"
	"testing"
	"time"

	"linebond/ppp"
)

// md5Challenge is a CHAP-MD5 Challenge with identifier 7; to the password
// "secret" the answer is md5Answer (reckoned by md5sum).
var (
	md5Challenge = ppp.Packet{Code: chapChallenge, ID: 7, Data: []byte{
		8,                      // Value-Size
		1, 2, 3, 4, 5, 6, 7, 8, // Value
		'a', 'c', // Name
	}}
	md5Answer = []byte{
		2, 7, // Code: Response, Identifier
		0, 24, // Length
		16,                                             // Value-Size
		0x5b, 0xcc, 0x06, 0xf5, 0x18, 0xa0, 0xd6, 0x25, // Value
		0x62, 0xac, 0x86, 0x64, 0x01, 0x26, 0x37, 0x9c,
		'b', 'o', 'b', // Name
	}
)

func md5Client() *Client { return NewClient(CHAPMD5, "bob", NewSecret("secret"), zeros) }

func TestCHAPResponse(t *testing.T) {
	c := md5Client()
	want(t, c.Start(), timer(10*time.Second))
	want(t, c.Receive(ppp.CHAP, md5Challenge), timer(300*time.Millisecond), send(ppp.CHAP, md5Answer...))
	for _, d := range []time.Duration{600, 1200, 2400, 3000, 3000, 3000, 3000, 3000, 3000} {
		want(t, c.Timeout(), timer(d*time.Millisecond), send(ppp.CHAP, md5Answer...))
	}
	want(t, c.Timeout(), Action{Kind: NoAnswer})
	want(t, c.Receive(ppp.CHAP, md5Challenge))
}

func TestCHAPNoChallenge(t *testing.T) {
	c := md5Client()
	want(t, c.Receive(ppp.CHAP, md5Challenge)) // before the start
	c.Start()
	want(t, c.Timeout(), Action{Kind: NoAnswer})
}

func TestCHAPVerdicts(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet ppp.Packet
		want   []Action
	}{
		{"success", ppp.Packet{Code: chapSuccess, ID: 7, Data: []byte("hi\n")},
			[]Action{stop(), {Kind: Success, Message: "hi"}}},
		{"failure", ppp.Packet{Code: chapFailure, ID: 7, Data: []byte("no\x07")},
			[]Action{stop(), {Kind: Failure, Message: "no?"}}},
		{"no message", ppp.Packet{Code: chapSuccess, ID: 7}, []Action{stop(), {Kind: Success}}},
		{"success, wrong identifier", ppp.Packet{Code: chapSuccess, ID: 8}, nil},
		{"failure, wrong identifier", ppp.Packet{Code: chapFailure, ID: 6}, nil},
		{"response", ppp.Packet{Code: chapResponse, ID: 7, Data: []byte{1, 2}}, nil},
		{"code that CHAP has not", ppp.Packet{Code: 5, ID: 7}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := md5Client()
			client.Start()
			client.Receive(ppp.CHAP, md5Challenge)
			want(t, client.Receive(ppp.CHAP, c.packet), c.want...)
			if ignored := client.Counters().Unexpected == 1; ignored != (c.want == nil) {
				t.Errorf("counters %+v", client.Counters())
			}
		})
	}
}

func TestCHAPMalformedChallenges(t *testing.T) {
	whole := make([]byte, 1+challengeLen)
	whole[0] = challengeLen
	for _, c := range []struct {
		name   string
		method Method
		data   []byte
	}{
		{"no data", CHAPMD5, nil},
		{"empty value", CHAPMD5, []byte{0, 'a', 'c'}},
		{"value cut short", CHAPMD5, []byte{3, 1, 2}},
		{"MS-CHAPv2, 8 bytes", MSCHAPv2, md5Challenge.Data},
		{"MS-CHAPv2, cut short", MSCHAPv2, whole[:challengeLen]},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := testClient(c.method, testPassword)
			client.Start()
			want(t, client.Receive(ppp.CHAP, ppp.Packet{Code: chapChallenge, Data: c.data}))
			want(t, client.Receive(ppp.CHAP, ppp.Packet{Code: chapSuccess})) // nothing is pending
			if got := client.Counters(); got != (Counters{Malformed: 1, Unexpected: 1}) {
				t.Errorf("counters %+v", got)
			}
			client.Receive(ppp.CHAP, ppp.Packet{Code: chapChallenge, Data: whole}) // the exchange goes on
			if got := client.Counters().Malformed; got != 1 {
				t.Error("a good challenge after a bad one is not answered")
			}
		})
	}
}

// TestCHAPRepeatedChallenge: the copy must get the very same response, also
// where each response has random bytes in it.
func TestCHAPRepeatedChallenge(t *testing.T) {
	s, c := testServer(MSCHAPv2), testClient(MSCHAPv2, testPassword)
	c.Start()
	challenge := sent(t, s.Start())
	copied := sent(t, s.Timeout())
	if copied.ID != challenge.ID || !bytes.Equal(copied.Data, challenge.Data) {
		t.Fatal("the server's second copy is another challenge")
	}
	first := sent(t, c.Receive(ppp.CHAP, challenge))
	again := c.Receive(ppp.CHAP, copied)
	if p := sent(t, again); len(again) != 1 || !bytes.Equal(p.Data, first.Data) {
		t.Error("the client answers the copy differently")
	}
	other := copied
	other.Data = bytes.Clone(copied.Data)
	other.Data[1] ^= 1
	if p := sent(t, c.Receive(ppp.CHAP, other)); bytes.Equal(p.Data, first.Data) {
		t.Error("the client answers another challenge alike")
	}
}

// TestRechallenge: a server may ask again at any time (RFC 1994 section 2).
func TestRechallenge(t *testing.T) {
	for _, m := range []Method{CHAPMD5, MSCHAPv2} {
		t.Run(m.String(), func(t *testing.T) {
			s, c := testServer(m), testClient(m, testPassword)
			c.Start()
			answer := sent(t, c.Receive(ppp.CHAP, sent(t, s.Start())))
			c.Receive(ppp.CHAP, sent(t, s.Receive(ppp.CHAP, answer)))

			challenge := sent(t, s.Start())
			if challenge.ID == answer.ID {
				t.Error("the second challenge has the identifier of the first")
			}
			actions := c.Receive(ppp.CHAP, challenge)
			response := sent(t, actions)
			if len(actions) != 1 {
				t.Errorf("got %v, want the response alone: the server repeats", actions)
			}
			verdict := s.Receive(ppp.CHAP, response)
			success := sent(t, verdict)
			if verdict[1].Kind != Success || success.Code != chapSuccess {
				t.Errorf("the server says %v", verdict)
			}
			want(t, c.Receive(ppp.CHAP, success)) // no second Success
			want(t, c.Receive(ppp.CHAP, success)) // nothing is pending any more

			third := sent(t, s.Start())
			c.Receive(ppp.CHAP, third)
			want(t, c.Receive(ppp.CHAP, ppp.Packet{Code: chapFailure, ID: third.ID, Data: []byte("gone")}),
				Action{Kind: Failure, Message: "gone"})
			want(t, c.Receive(ppp.CHAP, sent(t, s.Timeout()))) // it is over
		})
	}
}

func TestCHAPServer(t *testing.T) {
	s := NewServer(CHAPMD5, "ac", onlyUser("bob", "secret"), zeros)
	challenge := append(append([]byte{
		1, 1, // Code: Challenge, Identifier
		0, 23, // Length
		16, // Value-Size
	}, make([]byte, 16)...), // Value
		'a', 'c') // Name
	want(t, s.Start(), timer(300*time.Millisecond), send(ppp.CHAP, challenge...))
	want(t, s.Timeout(), timer(600*time.Millisecond), send(ppp.CHAP, challenge...))

	value := md5Value(1, NewSecret("secret"), make([]byte, 16))
	response := func(id uint8, value []byte, name string) ppp.Packet {
		return ppp.Packet{Code: chapResponse, ID: id, Data: appendCHAP(nil, value, name)}
	}
	want(t, s.Receive(ppp.CHAP, response(2, value[:], "bob")))
	want(t, s.Receive(ppp.CHAP, response(1, value[:15], "bob")))
	want(t, s.Receive(ppp.CHAP, ppp.Packet{Code: chapSuccess, ID: 1}))
	if got := s.Counters(); got != (Counters{Malformed: 1, Unexpected: 2}) {
		t.Errorf("counters %+v", got)
	}
	welcome := append([]byte{
		3, 1, // Code: Success, Identifier
		0, 11, // Length
	}, "welcome"...)
	want(t, s.Receive(ppp.CHAP, response(1, value[:], "bob")),
		stop(), Action{Kind: Success, Username: "bob", Message: greeting}, send(ppp.CHAP, welcome...))
	// Whatever follows to the same challenge gets the same reply.
	want(t, s.Receive(ppp.CHAP, response(1, make([]byte, 16), "eve")), send(ppp.CHAP, welcome...))
}

func TestCHAPServerHearsNothing(t *testing.T) {
	s := testServer(MSCHAPv2)
	s.Start()
	for range maxTries - 1 {
		sent(t, s.Timeout())
	}
	want(t, s.Timeout(), Action{Kind: NoAnswer})
}

// TestUnknownUser: an empty password must not open the door to a user whom
// the server does not know.
func TestUnknownUser(t *testing.T) {
	for _, m := range methods {
		s := testServer(m)
		c := NewClient(m, "nobody", Secret{}, seeded(1))
		actions, challenge := c.Start(), s.Start()
		if m != PAP {
			actions = c.Receive(m.protocol(), sent(t, challenge))
		}
		verdict := s.Receive(m.protocol(), sent(t, actions))
		if verdict[1].Kind != Failure || verdict[1].Username != "nobody" {
			t.Errorf("%v: %v", m, verdict)
		}
	}
}

// TestCHAPNewChallenge: another identifier makes another challenge, whose
// response is repeated afresh.
func TestCHAPNewChallenge(t *testing.T) {
	c := md5Client()
	c.Start()
	c.Receive(ppp.CHAP, md5Challenge)
	c.Timeout()
	next := md5Challenge
	next.ID++
	got := c.Receive(ppp.CHAP, next)
	if p := sent(t, got); got[0].Delay != firstWait || p.ID != next.ID || bytes.Equal(p.Data, md5Answer[4:]) {
		t.Errorf("got %v, identifier %d", got, p.ID)
	}
	want(t, c.Receive(ppp.CHAP, ppp.Packet{Code: chapFailure, ID: md5Challenge.ID})) // an old verdict
}

// TestStartForgets: nothing of the exchange before decides the new one.
func TestStartForgets(t *testing.T) {
	c := md5Client()
	c.Start()
	c.Receive(ppp.CHAP, md5Challenge)
	want(t, c.Start(), stop(), timer(startWait))
	want(t, c.Receive(ppp.CHAP, ppp.Packet{Code: chapFailure, ID: md5Challenge.ID}))

	s := NewServer(PAP, "ac", onlyUser("bob", "pw"), zeros)
	s.Start()
	s.Receive(ppp.PAP, ppp.Packet{Code: papRequest, Data: []byte{3, 'b', 'o', 'b', 2, 'n', 'o'}})
	s.Start()
	verdict := s.Receive(ppp.PAP, ppp.Packet{Code: papRequest, Data: []byte{3, 'b', 'o', 'b', 2, 'p', 'w'}})
	if p := sent(t, verdict); p.Code != papAck {
		t.Errorf("code %d after the new start", p.Code)
	}
}
