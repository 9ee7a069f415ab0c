package ppp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
)

func TestOpen(t *testing.T) { // RFC 1661 section 4.1: the plain way up and down
	a := ppp.New(asking(), times)
	expect(t, a, a.Open(), ppp.Starting, "layer started")
	expect(t, a, a.Up(), ppp.ReqSent, "Configure-Request #1 01 03 05", "timer 200ms")
	expect(t, a, a.Receive(packet(ppp.ConfigureAck, 1, our...)), ppp.AckRcvd, "timer 3s")
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 77, 2, 2)), ppp.Opened,
		"Configure-Ack #77 02 02", "stop timer", "layer up")
	expect(t, a, a.Open(), ppp.Opened)
	expect(t, a, a.Close(), ppp.Closing, "layer down", "Terminate-Request #2", "timer 1s")
	expect(t, a, a.Receive(packet(ppp.TerminateAck, 2)), ppp.Closed, "stop timer", "layer finished")
	expect(t, a, a.Down(), ppp.Initial)
}

func TestDown(t *testing.T) { // section 4.1, the row Down
	down := map[ppp.State][]string{
		ppp.Stopped: {"layer started"}, ppp.Opened: {"layer down"},
		ppp.Closing: {"stop timer"}, ppp.Stopping: {"stop timer"},
		ppp.ReqSent: {"stop timer"}, ppp.AckRcvd: {"stop timer"}, ppp.AckSent: {"stop timer"},
	}
	for s := ppp.Closed; s <= ppp.Opened; s++ {
		t.Run(s.String(), func(t *testing.T) {
			a := reach(t, asking(), s)
			want := ppp.Starting
			if s == ppp.Closed || s == ppp.Closing {
				want = ppp.Initial
			}
			expect(t, a, a.Down(), want, down[s]...)
		})
	}
}

// Section 5.2: the identifier must match that of the last request, the options
// must be its options; invalid packets are silently discarded.
func TestConfigureAck(t *testing.T) {
	tests := []struct {
		name  string
		state ppp.State
		ack   ppp.Packet
		want  ppp.Counters
	}{
		{"stale identifier", ppp.ReqSent, packet(ppp.ConfigureAck, 0, our...), ppp.Counters{Stale: 1}},
		{"stale identifier, half way", ppp.AckSent, packet(ppp.ConfigureAck, 2, our...), ppp.Counters{Stale: 1}},
		{"duplicate", ppp.AckRcvd, packet(ppp.ConfigureAck, 1, our...), ppp.Counters{Stale: 1}},
		{"duplicate when opened", ppp.Opened, packet(ppp.ConfigureAck, 1, our...), ppp.Counters{Stale: 1}},
		{"other value", ppp.ReqSent, packet(ppp.ConfigureAck, 1, 1, 3, 6), ppp.Counters{Malformed: 1}},
		{"option left out", ppp.AckSent, packet(ppp.ConfigureAck, 1), ppp.Counters{Malformed: 1}},
		{"option added", ppp.ReqSent, packet(ppp.ConfigureAck, 1, 1, 3, 5, 7, 2), ppp.Counters{Malformed: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := reach(t, asking(), tt.state)
			expect(t, a, a.Receive(tt.ack), tt.state)
			if d := cmp.Diff(tt.want, a.Counters()); d != "" {
				t.Error(d)
			}
		})
	}
}

// Sections 5.3 and 5.4: what a Nak or Reject must be to be heard.
func TestConfigureNakReject(t *testing.T) {
	tests := []struct {
		name           string
		state          ppp.State
		p              ppp.Packet
		naks, rejects  int
		malformed, old uint64
	}{
		{"nak", ppp.ReqSent, packet(ppp.ConfigureNak, 1, 1, 3, 6), 1, 0, 0, 0},
		{"nak appends an option", ppp.AckSent, packet(ppp.ConfigureNak, 1, 2, 3, 6), 1, 0, 0, 0},
		{"stale nak", ppp.ReqSent, packet(ppp.ConfigureNak, 3, 1, 3, 6), 0, 0, 0, 1},
		{"late nak when opened", ppp.Opened, packet(ppp.ConfigureNak, 1, 1, 3, 6), 0, 0, 0, 1},
		{"nak that does not parse", ppp.ReqSent, packet(ppp.ConfigureNak, 1, 1, 9, 6), 0, 0, 1, 0},
		{"reject", ppp.ReqSent, packet(ppp.ConfigureReject, 1, our...), 0, 1, 0, 0},
		{"stale reject", ppp.AckRcvd, packet(ppp.ConfigureReject, 1, our...), 0, 0, 0, 1},
		{"reject of what was not asked", ppp.ReqSent, packet(ppp.ConfigureReject, 1, 2, 3, 5), 0, 0, 1, 0},
		{"reject of another value", ppp.ReqSent, packet(ppp.ConfigureReject, 1, 1, 3, 6), 0, 0, 1, 0},
		{"reject of nothing", ppp.ReqSent, packet(ppp.ConfigureReject, 1), 0, 0, 1, 0},
		{"reject that does not parse", ppp.ReqSent, packet(ppp.ConfigureReject, 1, 1), 0, 0, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := asking()
			a := reach(t, s, tt.state)
			var want []string
			if tt.naks+tt.rejects > 0 { // irc, scr: a new request has a new identifier
				want = []string{"Configure-Request #2 01 03 05", "timer 200ms"}
			}
			expect(t, a, a.Receive(tt.p), tt.state, want...)
			if s.naks != tt.naks || s.rejects != tt.rejects {
				t.Errorf("%d Naks and %d Rejects reached the policy", s.naks, s.rejects)
			}
			if d := cmp.Diff(ppp.Counters{Malformed: tt.malformed, Stale: tt.old}, a.Counters()); d != "" {
				t.Error(d)
			}
		})
	}
}

// Section 4.6: the period may begin small and grow to its final value;
// Max-Configure requests without an answer end in This-Layer-Finished. Section
// 5.1: a repetition may keep its identifier. (The RFC would have the period
// double at least; Times says why it grows by a quarter here.)
func TestRestartTimer(t *testing.T) {
	tm := times
	tm.First, tm.MaxConfigure = 1600*time.Millisecond, 6
	a := ppp.New(asking(), tm)
	a.Open()
	expect(t, a, a.Up(), ppp.ReqSent, "Configure-Request #1 01 03 05", "timer 1.6s")
	for _, delay := range []string{"2s", "2.5s", "3s", "3s", "3s"} {
		expect(t, a, a.Timeout(), ppp.ReqSent, "Configure-Request #1 01 03 05", "timer "+delay)
	}
	expect(t, a, a.Timeout(), ppp.Stopped, "stop timer", "layer finished")
	expect(t, a, a.Timeout(), ppp.Stopped)

	// The peer is there after all (Stopped, RCR+): the period begins anew.
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 5)), ppp.AckSent,
		"Configure-Request #2 01 03 05", "Configure-Ack #5", "timer 1.6s")
}

// A late answer to the first copy of a request is an answer.
func TestLateAck(t *testing.T) {
	a := reach(t, asking(), ppp.ReqSent)
	a.Timeout()
	expect(t, a, a.Receive(packet(ppp.ConfigureAck, 1, our...)), ppp.AckRcvd, "timer 3s")
	// The peer's own request is lost: section 4.1, TO+ in Ack-Rcvd asks anew.
	expect(t, a, a.Timeout(), ppp.ReqSent, "Configure-Request #2 01 03 05", "timer 250ms")
}

// Section 4.4: irc resets the counter and the period, as a Nak or Ack calls for.
func TestInitializeRestartCount(t *testing.T) {
	a := reach(t, asking(), ppp.ReqSent)
	for range times.MaxConfigure - 1 {
		a.Timeout()
	}
	expect(t, a, a.Receive(packet(ppp.ConfigureNak, 1, 1, 3, 6)), ppp.ReqSent, "Configure-Request #2 01 03 05", "timer 200ms")
	for range times.MaxConfigure - 1 {
		a.Timeout()
	}
	expect(t, a, a.Timeout(), ppp.Stopped, "stop timer", "layer finished")
}

// A peer that refuses whatever we ask is asked by the restart timer after a
// while, and not for ever. This-Layer-Up and a new link begin the count anew.
func TestRefusedForEver(t *testing.T) {
	a := reach(t, asking(), ppp.Opened)
	id := uint8(2) // of our outstanding request
	request := func() string { return fmt.Sprintf("Configure-Request #%d 01 03 05", id) }
	refuse := func() { // ten times; each is answered at once
		t.Helper()
		for range 10 {
			nak := packet(ppp.ConfigureNak, id, 1, 3, 6)
			id++
			expect(t, a, a.Receive(nak), ppp.AckSent, request(), "timer 200ms")
		}
	}
	a.Receive(packet(ppp.ConfigureRequest, 1))
	refuse()
	a.Receive(packet(ppp.ConfigureAck, id, our...))
	a.Receive(packet(ppp.ConfigureRequest, 2))
	id++
	refuse()
	a.Down()
	a.Up()
	a.Receive(packet(ppp.ConfigureRequest, 3))
	id++
	refuse()
	for range times.MaxConfigure - 1 {
		reject := packet(ppp.ConfigureReject, id, our...)
		expect(t, a, a.Receive(reject), ppp.AckSent, "timer 3s")
		expect(t, a, a.Receive(reject), ppp.AckSent)
		id++
		expect(t, a, a.Timeout(), ppp.AckSent, request(), "timer 3s")
	}
	expect(t, a, a.Receive(packet(ppp.ConfigureNak, id, 1, 3, 6)), ppp.AckSent, "timer 3s")
	expect(t, a, a.Timeout(), ppp.Stopped, "stop timer", "layer finished")
}

// A refusal while the link closes leaves the timer alone.
func TestRefusedWhileClosing(t *testing.T) {
	for _, s := range []ppp.State{ppp.Closing, ppp.Stopping} {
		a := reach(t, asking(), s)
		expect(t, a, a.Receive(packet(ppp.ConfigureNak, 1, 1, 3, 6)), s)
	}
}

// Section 4.6, Max-Failure: further Naks become Rejects of the peer's own
// options, bit for bit.
func TestMaxFailure(t *testing.T) {
	s := asking()
	s.answer, s.reply = ppp.ConfigureNak, []ppp.Option{{Type: 2, Data: []byte{9}}, {Type: 4, Data: []byte{1}}}
	a := reach(t, s, ppp.ReqSent)
	request := func(id uint8) ppp.Packet { return packet(ppp.ConfigureRequest, id, 2, 4, 0xaa, 0xbb, 3, 2) }
	check := func(id uint8, want string) {
		t.Helper()
		if got := show(t, a.Receive(request(id)))[0]; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for range 20 { // repetitions: the Nak may have been lost
		check(0, "Configure-Nak #0 02 03 09 04 03 01")
	}
	check(1, "Configure-Nak #1 02 03 09 04 03 01")
	check(2, "Configure-Nak #2 02 03 09 04 03 01")
	check(3, "Configure-Reject #3 02 04 aa bb")
	check(3, "Configure-Reject #3 02 04 aa bb")
	check(4, "Configure-Reject #4 02 04 aa bb")
	s.answer = ppp.ConfigureAck
	check(5, "Configure-Ack #5 02 04 aa bb 03 02")
	s.answer = ppp.ConfigureNak // an Ack resets the count
	check(6, "Configure-Nak #6 02 03 09 04 03 01")
}

// Section 4.6, Max-Failure: "locally desired options are no longer appended".
func TestMaxFailureAppended(t *testing.T) {
	s := asking()
	s.answer, s.reply = ppp.ConfigureNak, []ppp.Option{{Type: 4, Data: []byte{1}}}
	a := reach(t, s, ppp.ReqSent)
	for id := range uint8(times.MaxFailure) {
		a.Receive(packet(ppp.ConfigureRequest, id, 2, 2))
	}
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 8, 2, 2)), ppp.AckSent, "Configure-Ack #8 02 02")
}

// Section 4.6, Max-Failure counts within one negotiation: a new link starts afresh.
func TestMaxFailureNewLink(t *testing.T) {
	s := asking()
	s.answer, s.reply = ppp.ConfigureNak, []ppp.Option{{Type: 2, Data: []byte{9}}}
	a := reach(t, s, ppp.ReqSent)
	for id := range uint8(times.MaxFailure) {
		a.Receive(packet(ppp.ConfigureRequest, id, 2, 2))
	}
	a.Down()
	a.Up()
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 8, 2, 2))[:1], ppp.ReqSent, "Configure-Nak #8 02 03 09")
}

// The peer's first request shows that it has only now begun to listen: ours is
// repeated soon, once.
func TestKick(t *testing.T) {
	a := reach(t, asking(), ppp.ReqSent)
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 9)), ppp.AckSent, "Configure-Ack #9", "timer 50ms")
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 9)), ppp.AckSent, "Configure-Ack #9")
	expect(t, a, a.Timeout(), ppp.AckSent, "Configure-Request #1 01 03 05", "timer 250ms")

	// Not if the peer has answered ours.
	a = reach(t, asking(), ppp.AckRcvd)
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 9)), ppp.Opened, "Configure-Ack #9", "stop timer", "layer up")
}

// Section 4.3: a Configure-Request on an opened link takes it down, and is
// answered in place.
func TestRenegotiation(t *testing.T) {
	t.Run("accepted", func(t *testing.T) {
		a := reach(t, asking(), ppp.Opened)
		expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 1)), ppp.AckSent,
			"layer down", "Configure-Request #2 01 03 05", "Configure-Ack #1", "timer 3s")
		expect(t, a, a.Receive(packet(ppp.ConfigureAck, 1, our...)), ppp.AckSent) // of the former negotiation
		expect(t, a, a.Receive(packet(ppp.ConfigureAck, 2, our...)), ppp.Opened, "stop timer", "layer up")
	})
	t.Run("refused", func(t *testing.T) {
		s := asking()
		a := reach(t, s, ppp.Opened)
		s.answer, s.reply = ppp.ConfigureReject, []ppp.Option{{Type: 7}}
		expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 1, 7, 2)), ppp.ReqSent,
			"layer down", "Configure-Request #2 01 03 05", "Configure-Reject #1 07 02", "timer 3s")
		s.answer = ppp.ConfigureAck
		expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 2)), ppp.AckSent, "Configure-Ack #2")
	})
	t.Run("counts afresh", func(t *testing.T) {
		a := reach(t, asking(), ppp.ReqSent)
		for range times.MaxConfigure - 1 {
			a.Timeout()
		}
		a.Receive(packet(ppp.ConfigureRequest, 1))
		a.Receive(packet(ppp.ConfigureAck, 1, our...))
		a.Receive(packet(ppp.ConfigureRequest, 2))
		for range times.MaxConfigure - 1 {
			expect(t, a, a.Timeout(), ppp.AckSent, "Configure-Request #2 01 03 05", "timer 3s")
		}
		expect(t, a, a.Timeout(), ppp.Stopped, "stop timer", "layer finished")
	})
}

// A request that cannot be parsed, or is due no answer, changes nothing.
func TestRequestDiscarded(t *testing.T) {
	s := asking()
	a := reach(t, s, ppp.ReqSent)
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 1, 2, 1)), ppp.ReqSent)
	if got := a.Counters().Malformed; got != 1 || s.judged != 0 {
		t.Errorf("malformed %d, judged %d", got, s.judged)
	}
	for _, state := range []ppp.State{ppp.Initial, ppp.Starting, ppp.Closing, ppp.Stopping} {
		s := asking()
		a := reach(t, s, state)
		expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 1, 2, 2)), state)
		if s.judged != 0 {
			t.Errorf("%v: the policy took it as granted", state)
		}
	}
	a = reach(t, asking(), ppp.Closed)
	expect(t, a, a.Receive(packet(ppp.ConfigureRequest, 1)), ppp.Closed, "Terminate-Ack #1")
}

func TestTimesFor(t *testing.T) {
	for _, tt := range []struct {
		roundTrip time.Duration
		want      string
	}{{time.Millisecond, "timer " + times.First.String()}, {250 * time.Millisecond, "timer 1s"}, {time.Minute, "timer 3s"}} {
		a := ppp.New(asking(), times.For(tt.roundTrip))
		a.Open()
		expect(t, a, a.Up(), ppp.ReqSent, "Configure-Request #1 01 03 05", tt.want)
	}
}
