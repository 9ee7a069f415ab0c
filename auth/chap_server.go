package auth

import "linebond/ppp"

// challengeLen is the size of our challenges in bytes. MS-CHAPv2 demands it
// (RFC 2759 section 3), and it is MD5's own (RFC 1994 section 2.3).
const challengeLen = 16

// verifier is what the algorithms differ in on the server's side.
type verifier interface {
	// responseLen is the size of a Response's value in bytes.
	responseLen() int
	// verify judges a Response's value, of that size; message is for Success.
	verify(id uint8, challenge, value []byte, username string, password Secret) (message string, ok bool)
	// refuse returns the message for Failure.
	refuse() string
}

// chapServer repeats its challenge until it is answered, and judges the first
// answer.
type chapServer struct {
	exchange
	name      string
	lookup    func(username string) (Secret, bool)
	random    func([]byte)
	algorithm verifier

	started   bool
	id        uint8
	challenge [challengeLen]byte
	verdict   *ppp.Packet // Success or Failure; nil as long as there is none
}

// start makes a challenge with an identifier and a value of its own. A copy
// of it keeps both, so that a late response to the copy before still counts.
func (s *chapServer) start() {
	if !s.started {
		var id [1]byte
		s.random(id[:])
		s.id, s.started = id[0], true
	}
	s.id++
	s.random(s.challenge[:])
	s.verdict = nil
	s.timeout()
}

func (s *chapServer) timeout() {
	if s.again() {
		s.send(ppp.Packet{Code: chapChallenge, ID: s.id, Data: appendCHAP(nil, s.challenge[:], s.name)})
	}
}

func (s *chapServer) receive(p ppp.Packet) {
	if p.Code != chapResponse || p.ID != s.id || s.verdict == nil && s.state != open {
		s.counters.Unexpected++
		return
	}
	value, name, ok := parseCHAP(p.Data)
	if !ok || len(value) != s.algorithm.responseLen() {
		s.counters.Malformed++
		return
	}
	if s.verdict == nil {
		s.judge(value, name)
	}
	s.send(*s.verdict)
}

// judge decides once per challenge, so that nobody can try passwords against
// it (RFC 1994 section 4.1).
func (s *chapServer) judge(value, name []byte) {
	username := string(name)
	password, known := s.lookup(username)
	message, ok := s.algorithm.verify(s.id, s.challenge[:], value, username, password)
	if ok && known {
		s.verdict = &ppp.Packet{Code: chapSuccess, ID: s.id, Data: []byte(message)}
		s.conclude(Action{Kind: Success, Message: greeting, Username: ppp.Printable(name, maxMessage)})
		return
	}
	s.verdict = &ppp.Packet{Code: chapFailure, ID: s.id, Data: []byte(s.algorithm.refuse())}
	s.conclude(Action{Kind: Failure, Message: refusal, Username: ppp.Printable(name, maxMessage)})
}
