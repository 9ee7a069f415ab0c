package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/control"
	"linebond/kernel"
)

// traffic is that of devices that carry so many bytes of each direction in a
// second, in packets of 50 bytes in and 100 out, twice as much in as out.
func traffic(bytes map[string]uint64) func(string, time.Duration) kernel.Counters {
	return func(device string, t time.Duration) kernel.Counters {
		n := bytes[device] * uint64(t.Milliseconds()) / 1000
		return kernel.Counters{RxBytes: 2 * n, TxBytes: n, RxPackets: 2 * n / 100, TxPackets: n / 100}
	}
}

func TestMeter(t *testing.T) {
	start := time.Date(2025, 11, 21, 6, 32, 0, 0, time.UTC)
	type counters = map[string]kernel.Counters
	at := func(seconds int, c counters) reading {
		return reading{at: start.Add(time.Duration(seconds) * time.Second), counters: c}
	}
	sent := func(bytes, packets uint64) kernel.Counters {
		return kernel.Counters{TxBytes: bytes, TxPackets: packets}
	}
	for name, c := range map[string]struct {
		readings []reading
		rates    *control.Rates // of a and b together
		sent     *control.Sent  // by a
	}{
		"none": {},
		"one":  {readings: []reading{at(0, counters{"a": sent(5, 1)})}},
		"two": {
			readings: []reading{at(0, counters{"a": sent(100, 10), "b": sent(0, 0)}), at(2, counters{"a": sent(300, 20), "b": sent(200, 30)})},
			rates:    &control.Rates{TxBits: 1600, TxPackets: 20}, sent: &control.Sent{Packets: 0.25, Bytes: 0.5},
		},
		"of four, the last three": {
			readings: []reading{at(0, counters{"a": sent(0, 0)}), at(2, counters{"a": sent(1000, 1)}), at(4, counters{"a": sent(1000, 1)}), at(6, counters{"a": sent(1004, 5)})},
			rates:    &control.Rates{TxBits: 8, TxPackets: 1}, sent: &control.Sent{Packets: 1, Bytes: 1},
		},
		"a is another device than before": {
			readings: []reading{at(0, counters{"a": sent(1000, 10)}), at(2, counters{"a": sent(10, 1)}), at(4, counters{"a": sent(30, 5)})},
			rates:    &control.Rates{TxBits: 80, TxPackets: 2}, sent: &control.Sent{Packets: 1, Bytes: 1},
		},
		"a is gone": {
			readings: []reading{at(0, counters{"a": sent(0, 0), "b": sent(0, 0)}), at(2, counters{"b": sent(2, 1)})},
			rates:    &control.Rates{TxBits: 8, TxPackets: 0.5}, sent: &control.Sent{},
		},
		"a is new":      {readings: []reading{at(0, nil), at(2, counters{"a": sent(2, 1)})}},
		"all are quiet": {readings: []reading{at(0, counters{"a": sent(2, 1)}), at(2, counters{"a": sent(2, 1)})}, rates: &control.Rates{}},
	} {
		t.Run(name, func(t *testing.T) {
			var m meter
			for _, r := range c.readings {
				m = m.with(r)
			}
			if diff := cmp.Diff(c.rates, m.rates("a", "b")); diff != "" {
				t.Errorf("rates:\n%s", diff)
			}
			if diff := cmp.Diff(c.sent, m.sent("a", []string{"a", "b"})); diff != "" {
				t.Errorf("sent:\n%s", diff)
			}
		})
	}
}

// TestMeterIsShared: a status that takes a reading more does not alter the
// supervisor's readings.
func TestMeterIsShared(t *testing.T) {
	m := make(meter, 2, 8)
	_ = m.with(reading{counters: map[string]kernel.Counters{"a": {}}})
	if m[:3][2].counters != nil {
		t.Error("the reading was put into the same array")
	}
}
