package auth

import "linebond/ppp"

// Codes of PAP (RFC 1334 section 2.2).
const (
	papRequest ppp.Code = 1 // Authenticate-Request
	papAck     ppp.Code = 2 // Authenticate-Ack
	papNak     ppp.Code = 3 // Authenticate-Nak
)

// appendCounted appends a length byte and s, which has at most 255 bytes.
func appendCounted(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

// cutCounted is the reverse of appendCounted. The result aliases b.
func cutCounted(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

// parsePAPRequest reads the data of an Authenticate-Request (RFC 1334 section
// 2.2.1); false if a length runs past its end. The results alias data.
func parsePAPRequest(data []byte) (username, password []byte, ok bool) {
	username, rest, ok := cutCounted(data)
	if !ok {
		return nil, nil, false
	}
	password, _, ok = cutCounted(rest)
	return username, password, ok
}

// papMessage reads the data of an Authenticate-Ack or -Nak (section 2.2.2).
// The verdict is in the code: it counts even where the message is cut short,
// or left out with its length byte, as some servers do.
func papMessage(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return ppp.Printable(data[1:min(len(data), 1+int(data[0]))], maxMessage)
}

// papClient sends Authenticate-Requests until one is answered.
type papClient struct {
	exchange
	username string
	password Secret
	random   func([]byte)
	firstID  uint8 // identifier of the first copy of the request
}

func (c *papClient) start() {
	if !c.fits("user name", c.username) || !c.fits("password", c.password.Reveal()) {
		return
	}
	var id [1]byte
	c.random(id[:])
	c.firstID = id[0]
	c.timeout()
}

// timeout sends the next copy. Each has an identifier of its own (RFC 1334
// section 2.2.1).
func (c *papClient) timeout() {
	if !c.again() {
		return
	}
	data := appendCounted(nil, c.username)
	data = appendCounted(data, c.password.Reveal())
	c.send(ppp.Packet{Code: papRequest, ID: c.firstID + uint8(c.tries-1), Data: data})
}

// receive takes the answer to any of the copies, as all say the same.
func (c *papClient) receive(p ppp.Packet) {
	ours := int(p.ID-c.firstID) < c.tries
	switch {
	case c.state != open || !ours:
		c.counters.Unexpected++
	case p.Code == papAck:
		c.conclude(Action{Kind: Success, Message: papMessage(p.Data)})
	case p.Code == papNak:
		c.conclude(Action{Kind: Failure, Message: papMessage(p.Data)})
	default:
		c.counters.Unexpected++
	}
}

// papServer waits for an Authenticate-Request and judges the first.
type papServer struct {
	exchange
	lookup  func(username string) (Secret, bool)
	verdict ppp.Code // papAck, papNak, or 0 as long as there is none
}

func (s *papServer) start() {
	s.verdict = 0
	s.setTimer(startWait)
}

func (s *papServer) timeout() { s.conclude(Action{Kind: NoAnswer}) }

func (s *papServer) receive(p ppp.Packet) {
	if p.Code != papRequest || s.verdict == 0 && s.state != open {
		s.counters.Unexpected++
		return
	}
	username, password, ok := parsePAPRequest(p.Data)
	if !ok {
		s.counters.Malformed++
		return
	}
	if s.verdict == 0 {
		s.judge(username, NewSecret(string(password)))
	}
	text := refusal
	if s.verdict == papAck {
		text = greeting
	}
	s.send(ppp.Packet{Code: s.verdict, ID: p.ID, Data: appendCounted(nil, text)})
}

func (s *papServer) judge(username []byte, given Secret) {
	want, known := s.lookup(string(username))
	a := Action{Kind: Failure, Username: ppp.Printable(username, maxMessage), Message: refusal}
	s.verdict = papNak
	if want.Equal(given) && known {
		s.verdict = papAck
		a.Kind, a.Message = Success, greeting
	}
	s.conclude(a)
}
