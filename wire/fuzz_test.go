package wire

import (
	"bytes"
	"testing"

	"github.com/mdlayher/ethernet"

	"linebond/ppp"
)

// FuzzParseEarly: nothing but whole frames of the session is taken, and they
// lie within what came.
func FuzzParseEarly(f *testing.F) {
	frame := ethernet.Frame{Destination: broadcast, Source: stranger, EtherType: etherTypeSession, Payload: session(sessionID, ppp.LCP, echo('a'))}
	whole, err := frame.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, length := range []int{0, 14, 19, 20, 21, 22} {
		f.Add(whole[:length])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseEarly(b, stranger, sessionID)
		if !ok {
			return
		}
		if !bytes.Equal(b[6:12], stranger) || !bytes.Contains(b, got.Payload) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

// FuzzParseSessionFrame: a frame is its protocol and its payload.
func FuzzParseSessionFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xc0})
	f.Add([]byte{0xc0, 0x21})
	f.Add([]byte{0xc0, 0x21, 9, 1, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseSessionFrame(b)
		if ok != (len(b) >= 2) {
			t.Fatalf("%x: %v", b, ok)
		}
		if ok && !bytes.Equal(append([]byte{byte(got.Protocol >> 8), byte(got.Protocol)}, got.Payload...), b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}
