package auth

import "linebond/ppp"

// What a server tells the client.
const (
	greeting = "welcome"
	refusal  = "wrong user name or password"
)

// Server has clients prove who they are: the RFCs' "authenticator".
type Server struct {
	machine hidden
}

// NewServer returns a server that uses method m, one of the three, and calls
// itself name in its challenges. lookup returns the password of a user; random
// fills its argument with random bytes.
func NewServer(m Method, name string, lookup func(username string) (Secret, bool), random func([]byte)) *Server {
	x := exchange{protocol: m.protocol()}
	switch m {
	case PAP:
		return &Server{hide(&papServer{exchange: x, lookup: lookup})}
	case MSCHAPv2:
		v := mschapVerifier{random: random}
		return &Server{hide(&chapServer{exchange: x, name: name, lookup: lookup, random: random, algorithm: v})}
	default:
		return &Server{hide(&chapServer{exchange: x, name: name, lookup: lookup, random: random, algorithm: md5Verifier{}})}
	}
}

// Start begins the authentication phase; called again, it begins anew: with
// CHAP it challenges the client once more, as RFC 1994 section 2 asks for from
// time to time.
func (s *Server) Start() []Action { return start(s.machine()) }

// Receive takes a packet of PAP or CHAP. What does not fit the method or the
// moment is counted and ignored. A client that repeats its answer after the
// verdict has missed it and is told again, whatever it now says.
func (s *Server) Receive(protocol ppp.Protocol, p ppp.Packet) []Action {
	return receive(s.machine(), protocol, p)
}

// Timeout says that the timer fired.
func (s *Server) Timeout() []Action { return timeout(s.machine()) }

// Counters returns what was ignored so far.
func (s *Server) Counters() Counters { return s.machine().common().counters }
