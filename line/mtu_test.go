package line

import (
	"testing"
)

func TestMTU(t *testing.T) {
	for _, c := range []struct {
		name                         string
		mtu, link, grants, mru, mtu2 int
		limit                        string
	}{
		{"RFC 4638", 1500, 1508, 1500, 1500, 1500, ""},
		{"as configured", 1400, 1508, 1500, 1500, 1400, ""},
		{"standard by configuration", 1492, 1500, 1500, 1492, 1492, ""},
		{"small link", 1500, 1500, 1500, 1500, 1492, "eth1 has MTU 1500; 1508 are needed for 1500"},
		{"jumbo link", 1500, 9000, 1500, 1500, 1500, ""},
		{"AC without RFC 4638", 1500, 1508, 1492, 1500, 1492, "the access concentrator does not know PPP-Max-Payload (RFC 4638)"},
		{"AC grants less", 1500, 1508, 1496, 1500, 1496, "the access concentrator grants a PPP-Max-Payload of 1496"},
		{"peer's MRU", 1500, 1508, 1500, 1480, 1480, "the peer receives no more than 1480 bytes"},
		{"tunnelled link", 1500, 1450, 1492, 1500, 1442, "eth1 has MTU 1450; 1508 are needed for 1500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.MTU = c.mtu
			w := newWorld(t, cfg, zeros)
			w.link.MTU = c.link
			w.ac.maxPayload, w.ac.mru = uint16(c.grants), uint16(c.mru)
			w.ac.boot()
			w.up()
			s := w.line.Status().Session
			if s.MTU != c.mtu2 || s.MTULimit != c.limit {
				t.Errorf("MTU %d (%s), want %d (%s)", s.MTU, s.MTULimit, c.mtu2, c.limit)
			}
			if got := w.ac.sessions[s.ID].lcp.PeerMRU(); got > c.link-overhead || got > max(1492, c.grants) {
				t.Errorf("asks to be sent %d bytes over a link of %d", got, c.link)
			}
		})
	}
}
