package line

import (
	"time"

	"linebond/ppp"
)

// How many requests of the peer a line takes: so many at once, and then one in each period. RFC 1661 has each of them answered. A peer needs
// some twenty for a session and no more than ten echoes a second; one that floods must not make a flood of us, nor have its line change its
// state, which the whole host follows, as fast as it likes.
const (
	requestBurst  = 100
	requestPeriod = 20 * time.Millisecond
)

// allowance is the time until which the requests that were taken are paid for, at one each period.
type allowance time.Time

// take says whether one more may be taken now.
func (a *allowance) take(now time.Time) bool {
	until := time.Time(*a)
	if until.Before(now) {
		until = now
	}
	if until.Sub(now) > (requestBurst-1)*requestPeriod {
		return false
	}
	*a = allowance(until.Add(requestPeriod))
	return true
}

// request says whether a packet asks for an answer, as the unknown do; or is a challenge, whose code is a Configure-Request's.
func request(protocol ppp.Protocol, code ppp.Code) bool {
	switch code {
	case ppp.ConfigureAck, ppp.ConfigureNak, ppp.ConfigureReject, ppp.TerminateAck, ppp.CodeReject:
		return false
	case ppp.ProtocolReject, ppp.EchoReply, ppp.DiscardRequest, ppp.Identification, ppp.TimeRemaining:
		return protocol != ppp.LCP // others do not know these
	}
	return true
}
