package ppp_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
)

// Section 5.5, Terminate-Request in each state.
func TestTerminateRequest(t *testing.T) {
	ack := "Terminate-Ack #42"
	tests := []struct {
		from, to ppp.State
		want     []string
	}{
		{ppp.Initial, ppp.Initial, nil},
		{ppp.Starting, ppp.Starting, nil},
		{ppp.Closed, ppp.Closed, []string{ack}},
		{ppp.Stopped, ppp.Stopped, []string{ack}},
		{ppp.Closing, ppp.Closing, []string{ack}},
		{ppp.Stopping, ppp.Stopping, []string{ack}},
		{ppp.ReqSent, ppp.ReqSent, []string{ack}},
		{ppp.AckRcvd, ppp.ReqSent, []string{ack}},
		{ppp.AckSent, ppp.ReqSent, []string{ack}},
		{ppp.Opened, ppp.Stopping, []string{"layer down", ack, "timer 1s"}},
	}
	for _, tt := range tests {
		t.Run(tt.from.String(), func(t *testing.T) {
			a := reach(t, asking(), tt.from)
			expect(t, a, a.Receive(packet(ppp.TerminateRequest, 42)), tt.to, tt.want...)
		})
	}
	// zrc: one pause for the peer to be done, and no Terminate-Request of ours.
	a := reach(t, asking(), ppp.Opened)
	a.Receive(packet(ppp.TerminateRequest, 42))
	expect(t, a, a.Timeout(), ppp.Stopped, "stop timer", "layer finished")
}

// Section 5.5, Terminate-Ack in each state. To a Terminate-Request of ours it
// must carry its identifier.
func TestTerminateAck(t *testing.T) {
	tests := []struct {
		from, to ppp.State
		id       uint8
		want     []string
	}{
		{ppp.Initial, ppp.Initial, 2, nil},
		{ppp.Starting, ppp.Starting, 2, nil},
		{ppp.Closed, ppp.Closed, 2, nil},
		{ppp.Stopped, ppp.Stopped, 2, nil},
		{ppp.Closing, ppp.Closed, 2, []string{"stop timer", "layer finished"}},
		{ppp.Closing, ppp.Closing, 1, nil},
		{ppp.Stopping, ppp.Stopped, 2, []string{"stop timer", "layer finished"}},
		{ppp.Stopping, ppp.Stopping, 1, nil},
		{ppp.ReqSent, ppp.ReqSent, 2, nil},
		{ppp.AckRcvd, ppp.ReqSent, 2, nil},
		{ppp.AckSent, ppp.AckSent, 2, nil},
		{ppp.Opened, ppp.ReqSent, 2, []string{"layer down", "Configure-Request #2 01 03 05", "timer 3s"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.from, " #", tt.id), func(t *testing.T) {
			a := reach(t, asking(), tt.from)
			expect(t, a, a.Receive(packet(ppp.TerminateAck, tt.id)), tt.to, tt.want...)
		})
	}
}

// Section 4.6, Max-Terminate; Terminate-Requests are sent at a steady pace.
func TestMaxTerminate(t *testing.T) {
	for _, s := range []ppp.State{ppp.ReqSent, ppp.AckRcvd, ppp.AckSent, ppp.Opened} {
		a := reach(t, asking(), s)
		a.Close()
		for a.State() == ppp.Closing {
			actions := show(t, a.Timeout())
			if a.State() == ppp.Closing {
				if d := cmp.Diff("timer 1s", actions[len(actions)-1]); d != "" {
					t.Error(d)
				}
				continue
			}
			if d := cmp.Diff([]string{"stop timer", "layer finished"}, actions); d != "" {
				t.Error(d)
			}
		}
		if a.State() != ppp.Closed {
			t.Errorf("from %v to %v", s, a.State())
		}
	}
}

// Section 5.6: without the basic codes there is no link, without an extension
// there is.
func TestCodeReject(t *testing.T) {
	t.Run("fatal", func(t *testing.T) {
		for code := ppp.ConfigureRequest; code <= ppp.CodeReject; code++ {
			a := reach(t, asking(), ppp.Opened)
			expect(t, a, a.Receive(packet(ppp.CodeReject, 1, byte(code), 1, 0, 4)), ppp.Stopping,
				"layer down", "Terminate-Request #2", "timer 1s")
			a = reach(t, asking(), ppp.ReqSent)
			expect(t, a, a.Receive(packet(ppp.CodeReject, 1, byte(code), 1, 0, 4)), ppp.Stopped,
				"stop timer", "layer finished")
		}
	})
	t.Run("harmless", func(t *testing.T) {
		x := &extended{script: *asking()}
		a := reach(t, x, ppp.Opened)
		expect(t, a, a.Receive(packet(ppp.CodeReject, 1, byte(ppp.Identification), 1, 0, 4)), ppp.Opened)
		if d := cmp.Diff([]ppp.Code{ppp.Identification}, x.rejected); d != "" {
			t.Error(d)
		}
	})
	t.Run("empty", func(t *testing.T) {
		a := reach(t, asking(), ppp.Opened)
		expect(t, a, a.Receive(packet(ppp.CodeReject, 1)), ppp.Opened)
		if a.Counters().Malformed != 1 {
			t.Error("not counted")
		}
	})
}

// Section 5.6: the rejected packet is quoted whole, or cut to the peer's MRU.
func TestUnknownCode(t *testing.T) {
	p := ppp.Packet{Code: 200, ID: 3, Data: bytes.Repeat([]byte{0x55}, 300)}
	whole := p.Append(nil)
	tests := []struct {
		mru  int
		want []byte
	}{
		{1500, whole},
		{len(whole) + 4, whole},
		{len(whole) + 3, whole[:len(whole)-1]},
		{128, whole[:124]},
	}
	for _, tt := range tests {
		a := reach(t, asking(), ppp.Opened)
		a.SetPeerMRU(tt.mru)
		actions := a.Receive(p)
		want := ppp.Packet{Code: ppp.CodeReject, ID: 2, Data: tt.want}.Append(nil)
		if len(actions) != 1 || !bytes.Equal(actions[0].Packet, want) {
			t.Errorf("MRU %d: % x", tt.mru, actions[0].Packet)
		}
	}
}

// Sections 5.7 to 5.9: the codes of an Extension.
func TestExtension(t *testing.T) {
	p := packet(ppp.EchoRequest, 6, 0, 0, 0, 0)
	for s := ppp.Initial; s <= ppp.Opened; s++ {
		t.Run(s.String(), func(t *testing.T) {
			x := &extended{script: *asking(), meaning: ppp.Ignore}
			a := reach(t, x, s)
			expect(t, a, a.Receive(p), s)

			x.meaning = ppp.Echo
			var reply []string
			if s == ppp.Opened {
				reply = []string{"Echo-Reply #6 00 00 00 00"}
			}
			expect(t, a, a.Receive(p), s, reply...)

			// Section 5.7: Protocol-Rejects in any state but Opened should be
			// silently discarded.
			x.meaning = ppp.HarmlessReject
			expect(t, a, a.Receive(p), s)
			x.meaning = ppp.FatalReject
			if s != ppp.Opened {
				expect(t, a, a.Receive(p), s)
				return
			}
			expect(t, a, a.Receive(p), ppp.Stopping, "layer down", "Terminate-Request #2", "timer 1s")
		})
	}
}
