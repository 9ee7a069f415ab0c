package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// pppd gives a session up for a busy machine, too, and does not redial.
var (
	patient  = ACConfig{Options: []string{"lcp-echo-interval 0"}}
	noEchoes = []string{"lcp-echo-interval", "0"}
)

// TestBond bonds lines by hand: what goes up is spread, and what comes down, and the modems are as slow as they are told to be.
func TestBond(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{2, 3} {
		b := NewBond(t, BondConfig{Lines: slices.Repeat([]ModemConfig{{Up: 5, Down: 5, Delay: 20 * time.Millisecond}}, lines), AC: patient})
		b.ReferenceBond(t, noEchoes...)
		Eventually(t, time.Minute, func() error { return b.LAN.Ping("", BondServer, 56) })
		var before []Traffic
		for _, l := range b.Lines {
			traffic, err := l.Up(b.Router, "ppp-"+l.Name)
			if err != nil {
				t.Fatal(err)
			}
			before = append(before, traffic)
		}
		talk := NewTalk(t, b.LAN, b.ISP, BondServer)
		flow := NewFlow(t, b.LAN, b.ISP, BondServer)
		begin := time.Now()
		flow.GoesOn(t, 4<<20)
		rate := 8 * float64(flow.Received()) / 1e6 / time.Since(begin).Seconds()
		flow.Stop()
		if rate > 5*float64(lines) {
			t.Errorf("%.1f Mbit/s over %d lines of 5", rate, lines)
		}
		asked := time.Now()
		if err := talk.Say(time.Minute); err != nil || time.Since(asked) < 40*time.Millisecond {
			t.Errorf("the answer came after %v: %v", time.Since(asked), err)
		}
		var sent, down []uint64
		for i, l := range b.Lines {
			sent = append(sent, l.Arrived(t, b.Router, "ppp-"+l.Name, before[i]))
			received, _, err := b.Router.Packets("ppp-" + l.Name)
			if err != nil {
				t.Fatal(err)
			}
			down = append(down, received)
		}
		t.Logf("%d lines: %.1f Mbit/s; packets up %d, down %d", lines, rate, sent, down)
		if err := Spread(sent, 0.01); err != nil {
			t.Error(err)
		}
		if err := Spread(down, 0.05); err != nil { // a few are not of the bond: IPCP's
			t.Error(err)
		}
	}
}

// TestBlackHole: the carrier stays, and nothing comes through until the end of it.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	b := NewBond(t, BondConfig{Lines: make([]ModemConfig, 1), AC: patient})
	b.ReferenceBond(t, noEchoes...)
	Eventually(t, time.Minute, func() error { return b.LAN.Ping("", BondServer, 56) })
	b.Lines[0].Modem.BlackHole(t)
	if b.LAN.Ping("", BondServer, 56) == nil {
		t.Error("a packet came through")
	}
	if out := b.Router.Run(t, "ip", "link", "show", "dev", "eth1"); !strings.Contains(out, "LOWER_UP") {
		t.Errorf("the carrier is gone: %s", out)
	}
	b.Lines[0].Modem.Restore(t)
	Eventually(t, time.Minute, func() error { return b.LAN.Ping("", BondServer, 56) })
}
