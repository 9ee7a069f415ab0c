package lcp_test

import (
	"testing"

	"linebond/auth"
	"linebond/lcp"
	"linebond/ppp"
	"linebond/ppp/ppptest"
)

// FuzzOptions hands arbitrary options to both sides' policies.
func FuzzOptions(f *testing.F) {
	f.Add([]byte{1, 4, 5, 0xd4, 3, 4, 0xc0, 0x23, 5, 6, 0, 0, 0, 1})
	f.Add([]byte{1, 4, 0, 1, 3, 5, 0xc2, 0x23, 0x81, 7, 2, 8, 2})
	f.Add([]byte{1, 3, 5, 3, 3, 0xc2, 5, 2, 0, 2, 255, 2})
	methods := []auth.Method{auth.MSCHAPv2, auth.CHAPMD5}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, cfg := range []lcp.Config{{MRU: 1492, Allowed: methods}, {MRU: 1500, Demand: methods}} {
			l := newLink(cfg)
			for range 3 {
				if err := ppptest.Judge(l, b); err != nil {
					t.Error(err)
				}
			}
			if err := ppptest.Refuse(l, b); err != nil {
				t.Error(err)
			}
			if l.MRU() < 128 || l.PeerMRU() < 128 {
				t.Errorf("MRU %d and %d", l.MRU(), l.PeerMRU())
			}
		}
	})
}

// FuzzReceive hands an arbitrary packet to an opened link: what it sends must
// parse, and be no longer than the peer can receive.
func FuzzReceive(f *testing.F) {
	for code := range byte(16) {
		f.Add(append([]byte{code, 1, 0, 12}, 0, 0, 0, 1, 0xc0, 0x21, 1, 4))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ppp.Parse(b)
		if err != nil {
			return
		}
		l := opened(t, lcp.Config{MRU: 1492, Allowed: []auth.Method{auth.PAP}}, 0x01, 0x04, 0x00, 0x80)
		l.SetPeerMRU(l.PeerMRU())
		for _, a := range l.Receive(p) {
			if a.Kind != ppp.Send {
				continue
			}
			if _, err := ppp.Parse(a.Packet); err != nil {
				t.Errorf("sent % x: %v", a.Packet, err)
			}
			if p.Code != ppp.ConfigureRequest && len(a.Packet) > l.PeerMRU() {
				t.Errorf("sent %d bytes to a peer that takes %d", len(a.Packet), l.PeerMRU())
			}
		}
	})
}
