package auth

import (
	"bytes"

	"linebond/ppp"
)

// responder is what the algorithms differ in on the client's side.
type responder interface {
	// respond returns the value of the Response to a challenge; false if the
	// challenge is not one of the algorithm's.
	respond(id uint8, challenge []byte) (value []byte, ok bool)
	// success judges the Success to the last response: the server's words, or
	// why they are not to be believed.
	success(message []byte) (text string, ok bool)
	// failure returns the words of a Failure and its error code, 0 if none.
	failure(message []byte) (text string, code int)
}

// chapClient answers challenges, and repeats its answer until the verdict.
type chapClient struct {
	exchange
	username  string
	algorithm responder

	id        uint8  // of the last challenge
	challenge []byte // its value
	response  []byte // data of the answer to it; nil before the first challenge
	pending   bool   // the verdict on that answer is due
}

func (c *chapClient) start() {
	c.response, c.pending = nil, false
	if c.fits("user name", c.username) {
		c.setTimer(startWait)
	}
}

func (c *chapClient) timeout() {
	if !c.pending {
		c.conclude(Action{Kind: NoAnswer})
	} else if c.again() {
		c.respond()
	}
}

func (c *chapClient) receive(p ppp.Packet) {
	verdict := p.Code == chapSuccess || p.Code == chapFailure
	switch {
	case c.state == ended:
		c.counters.Unexpected++
	case p.Code == chapChallenge:
		c.answer(p)
	case verdict && c.pending && p.ID == c.id:
		c.judge(p)
	default:
		c.counters.Unexpected++
	}
}

// answer responds to a challenge. A repeated one gets the same response once
// more: a second one with a Peer-Challenge of its own would make the server's
// proof for the first look wrong.
func (c *chapClient) answer(p ppp.Packet) {
	challenge, _, ok := parseCHAP(p.Data)
	if !ok {
		c.counters.Malformed++
		return
	}
	repeated := c.response != nil && p.ID == c.id && bytes.Equal(challenge, c.challenge)
	if !repeated {
		value, ok := c.algorithm.respond(p.ID, challenge)
		if !ok {
			c.counters.Malformed++
			return
		}
		c.id, c.challenge = p.ID, bytes.Clone(challenge)
		c.response = appendCHAP(nil, value, c.username)
		c.rewind()
	}
	c.pending = true
	// After Success the server alone repeats: it is the one who wants to know.
	if c.state == passed || repeated || c.again() {
		c.respond()
	}
}

func (c *chapClient) respond() {
	c.send(ppp.Packet{Code: chapResponse, ID: c.id, Data: c.response})
}

func (c *chapClient) judge(p ppp.Packet) {
	c.pending = false
	if p.Code == chapFailure {
		text, code := c.algorithm.failure(p.Data)
		c.conclude(Action{Kind: Failure, Message: text, Code: code})
		return
	}
	text, ok := c.algorithm.success(p.Data)
	switch {
	case !ok:
		c.conclude(Action{Kind: Failure, Ours: true, Message: text})
	case c.state == open:
		c.conclude(Action{Kind: Success, Message: text})
	}
}
