package scheduler

import (
	"math"
	"strings"
	"testing"
)

var twentyFive = []lineConfig{{rate: 20e6}, {rate: 5e6}}

// All kinds of packets find their way, one by one and not in bigger ones. Lines that are saturated all the time, as UDP has it, have
// shares as their rates.
func TestTraffic(t *testing.T) {
	for _, test := range []struct {
		name string
		lan  bool
		how  string
		off  float64 // by which the share of the faster line may be
	}{
		{"TCP", false, server + " -t 2", 0.15},
		{"TCP from the LAN", true, server + " -t 2", 0.15},
		{"TCP from the LAN, NAT", true, server + " -t 2", 0.15},
		{"8 flows from the LAN", true, server + " -t 2 -P 8", 0.15},
		{"TCP over IPv6 from the LAN", true, server6 + " -t 2", 0.15},
		{"UDP", false, server + " -t 2 -u -b 40M -l 1400", 0.02},
		{"UDP from the LAN, in fragments", true, server + " -t 2 -u -b 40M -l 4000", 0.02},
		{"UDP over IPv6", false, server6 + " -t 2 -u -b 40M -l 1000", 0.02},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, twentyFive...)
			from := w.router
			if strings.HasSuffix(test.name, "NAT") {
				w.router.sh("nft 'add table inet n; add chain inet n p { type nat hook postrouting priority 100; }; " +
					"add rule inet n p oifname wanbond0 masquerade'")
			}
			if test.lan {
				from = w.lan
			}
			var share float64
			for range 5 { // what a busy machine's sender does not fill goes by the faster line, and says nothing
				before := w.counters()
				r := w.transfer(from, test.how)
				c := w.counters()
				if c.Unsegmented != 0 || c.NoLine != 0 || c.NotIP != 0 || c.Packets == before.Packets {
					t.Errorf("%+v", c)
				}
				on := func(i int) float64 {
					return float64(c.Lines[i].Bytes-before.Lines[i].Bytes) + ethernet*float64(c.Lines[i].Packets-before.Lines[i].Packets)
				}
				share = on(0) / (on(0) + on(1))
				t.Logf("%.1f Mbit/s; %d late of %d; share %.4f", r.End.Received.Rate/1e6, c.Late, c.Packets, share)
				if math.Abs(share-0.8) <= test.off {
					return
				}
			}
			t.Errorf("the line of 20 Mbit/s had %.3f of the bytes, beside one of 5 Mbit/s", share)
		})
	}
}

// Packets that were not cut into segments are counted. (So those of TestTraffic were.)
func TestUnsegmented(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	w.router.sh("ip link set wanbond0 gso_max_segs 65535")
	w.transfer(w.lan, server+" -n 10M")
	if c := w.counters(); c.Unsegmented == 0 {
		t.Errorf("%+v", c)
	}
}

// Single packets of all sizes, whole and in fragments, and back.
func TestPing(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{}, lineConfig{})
	for _, h := range []*host{w.router, w.lan} {
		for _, size := range []int{0, 56, mtu - 28, mtu, 4000, 20000} {
			h.sh("ping -c 3 -i 0.01 -W 10 -s %d %s", size, server)
			h.sh("ping -c 3 -i 0.01 -W 10 -s %d %s", size, server6)
		}
	}
	if c := w.counters(); c.NotIP+c.NoLine+c.Unsegmented != 0 {
		t.Errorf("%+v", c)
	}
}
