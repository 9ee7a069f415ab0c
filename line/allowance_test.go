package line

import (
	"testing"
	"time"

	"linebond/ppp"
)

func TestAllowance(t *testing.T) {
	var a allowance
	now := epoch
	take := func(n int) (taken int) {
		for range n {
			if a.take(now) {
				taken++
			}
		}
		return taken
	}
	for _, step := range []struct {
		after time.Duration
		want  int // of 1000
	}{
		{0, requestBurst},
		{requestPeriod - 1, 0},
		{1, 1},
		{10 * requestPeriod, 10},
		{time.Hour, requestBurst},
	} {
		now = now.Add(step.after)
		if got := take(1000); got != step.want {
			t.Errorf("%v later %d were taken, want %d", step.after, got, step.want)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, test := range []struct {
		protocol ppp.Protocol
		code     ppp.Code
		want     bool
	}{
		{ppp.LCP, ppp.ConfigureRequest, true},
		{ppp.LCP, ppp.ConfigureAck, false},
		{ppp.LCP, ppp.ConfigureNak, false},
		{ppp.LCP, ppp.ConfigureReject, false},
		{ppp.LCP, ppp.TerminateRequest, true},
		{ppp.LCP, ppp.TerminateAck, false},
		{ppp.LCP, ppp.CodeReject, false},
		{ppp.LCP, ppp.ProtocolReject, false},
		{ppp.LCP, ppp.EchoRequest, true},
		{ppp.LCP, ppp.EchoReply, false},
		{ppp.LCP, ppp.DiscardRequest, false},
		{ppp.LCP, ppp.TimeRemaining, false},
		{ppp.LCP, 14, true},
		{ppp.IPCP, ppp.ConfigureRequest, true},
		{ppp.IPCP, ppp.ProtocolReject, true}, // which IPCP does not know
		{ppp.IPv6CP, ppp.EchoReply, true},
		{ppp.CHAP, 1, true},  // Challenge
		{ppp.CHAP, 3, false}, // Success
		{ppp.CHAP, 4, false}, // Failure
		{ppp.PAP, 2, false},  // Authenticate-Ack
		{ppp.PAP, 3, false},  // Authenticate-Nak
	} {
		if got := request(test.protocol, test.code); got != test.want {
			t.Errorf("%v code %d: %v", test.protocol, test.code, got)
		}
	}
}

// TestAnswersAreBounded: a flood of what asks for an answer is answered as fast as a peer may ask, counted, and over when it is over.
func TestAnswersAreBounded(t *testing.T) {
	packet := func(protocol ppp.Protocol, code ppp.Code, n int) func(i int) Event {
		return func(i int) Event {
			return Frame{protocol, ppp.Packet{Code: code, ID: byte(i), Data: make([]byte, n)}.Append(nil)}
		}
	}
	for _, flood := range []struct {
		name  string
		event func(i int) Event
		each  uint64 // frames that one request may lead to
	}{
		{"Echo-Requests", packet(ppp.LCP, ppp.EchoRequest, 4), 1},
		{"unknown codes", packet(ppp.LCP, 200, 4), 1},
		{"unknown codes of IPCP", packet(ppp.IPCP, ppp.EchoReply, 4), 1},
		{"unknown protocols", packet(0x80fd, 1, 0), 1},
		{"CHAP challenges", packet(ppp.CHAP, 1, 0), 1},
		{"IPCP Configure-Requests", packet(ppp.IPCP, ppp.ConfigureRequest, 0), 2},
		{"LCP Configure-Requests", packet(ppp.LCP, ppp.ConfigureRequest, 0), 2},
	} {
		t.Run(flood.name, func(t *testing.T) {
			w := newWorld(t, testConfig(), zeros)
			w.trace.off = true
			reach(w, Running)
			sent, told := uint64(0), 0
			for i := range 10_000 { // in 2 s
				for _, a := range w.line.Handle(epoch.Add(w.now+time.Duration(i)*200*time.Microsecond), flood.event(i)) {
					switch a.(type) {
					case SendFrame:
						sent++
					case StatusChanged:
						told++
					}
				}
			}
			const most uint64 = requestBurst + uint64(2*time.Second/requestPeriod)
			if excess := w.line.Status().Counters.Excess; sent > flood.each*most || told > 2 || excess < 10_000-most {
				t.Errorf("%d frames were sent, %d times something was told, %d too many were counted", sent, told, excess)
			}
		})
	}
}
