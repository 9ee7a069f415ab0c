package pppoe

import (
	"bytes"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzClient feeds a client a frame in every state. By ours, the frame gets our
// Host-Uniq, so that the fuzzer need not guess it.
func FuzzClient(f *testing.F) {
	for _, tt := range packets {
		f.Add(tt.bytes, true, true)
		f.Add(tt.bytes, false, false)
	}
	f.Add(frame(PADS, 0xffff, anyName), true, true)
	f.Add(frame(PADO, 0, words(TagACCookie, "\x00\xff"), words(TagRelaySessionID, "")), false, true)
	f.Fuzz(func(t *testing.T, b []byte, fromAC, ours bool) {
		src := otherAC
		if fromAC {
			src = ac
		}
		if p, err := Parse(b); err == nil && ours {
			p.Tags = append(p.Tags, uniq)
			b = p.Append(nil)
		}
		toState := [][][]byte{{}, {pado}, {pado, pads}}
		for _, frames := range toState {
			c := NewClient(with(func(c *ClientConfig) { c.MaxPayload = 1500 }))
			checkActions(t, c, c.Receive(src, b)) // at rest
			c.Start()
			for _, before := range frames {
				c.Receive(ac, before)
			}
			checkActions(t, c, c.Receive(src, b))
			checkActions(t, c, c.Receive(src, b))
			checkActions(t, c, c.Timeout())
		}
		session.Terminated(src, b)
	})
}

// checkActions checks what must hold of whatever a client does.
func checkActions(t *testing.T, c *Client, actions []Action) {
	t.Helper()
	for i, a := range actions {
		switch a.Kind {
		case Send:
			p, err := Parse(a.Payload)
			if err != nil || len(a.Payload) > maxLen || p.Code != PADI && p.Code != PADR {
				t.Errorf("sends % x: %v", a.Payload, err)
			}
			if (p.Code == PADI) != bytes.Equal(a.Dst, broadcast) {
				t.Errorf("sends %v to %v", p.Code, a.Dst)
			}
			if actions[i+1].Kind != SetTimer {
				t.Error("waits for nothing")
			}
		case Done:
			if !legal(a.Session.ID) || !bytes.Equal(a.Session.AC, c.offer.ac) {
				t.Errorf("accepts %s", describeSession(a.Session))
			}
			if a.Session.MaxPayload < StandardPayload || a.Session.MaxPayload > 1500 {
				t.Errorf("accepts %d bytes", a.Session.MaxPayload)
			}
			checkWords(t, a.Session.ACName)
			checkWords(t, a.Session.ServiceName)
		case Fail:
			checkWords(t, a.Failure.Message)
		}
		if rests := a.Kind == Done || a.Kind == Fail; rests && (c.state != resting || i != len(actions)-1) {
			t.Errorf("goes on after %v", describe(t, actions))
		}
	}
}

func checkWords(t *testing.T, s string) {
	t.Helper()
	if utf8.RuneCountInString(s) > maxWords || !utf8.ValidString(s) {
		t.Errorf("%q is too long, or no text", s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			t.Errorf("%q is not printable", s)
		}
	}
}
