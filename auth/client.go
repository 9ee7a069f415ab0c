package auth

import "linebond/ppp"

// Client proves to a server who we are: the RFCs' "peer".
type Client struct {
	machine hidden
}

// NewClient returns a client that uses method m, one of the three. random
// fills its argument with random bytes.
func NewClient(m Method, username string, password Secret, random func([]byte)) *Client {
	x := exchange{protocol: m.protocol()}
	switch m {
	case PAP:
		return &Client{hide(&papClient{exchange: x, username: username, password: password, random: random})}
	case MSCHAPv2:
		r := &mschapResponder{username: username, password: password, random: random}
		return &Client{hide(&chapClient{exchange: x, username: username, algorithm: r})}
	default:
		return &Client{hide(&chapClient{exchange: x, username: username, algorithm: md5Responder{password}})}
	}
}

// Start begins the authentication phase; called again, it begins anew, as
// after LCP came up once more.
func (c *Client) Start() []Action { return start(c.machine()) }

// Receive takes a packet of PAP or CHAP. What does not fit the method or the
// moment is counted and ignored. A challenge is answered also after Success,
// which is not repeated then; a Failure may still follow.
func (c *Client) Receive(protocol ppp.Protocol, p ppp.Packet) []Action {
	return receive(c.machine(), protocol, p)
}

// Timeout says that the timer fired.
func (c *Client) Timeout() []Action { return timeout(c.machine()) }

// Counters returns what was ignored so far.
func (c *Client) Counters() Counters { return c.machine().common().counters }
