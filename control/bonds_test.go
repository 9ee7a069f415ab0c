package control

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// bonded is a status with bonds whose lines are in every situation.
func bonded() Status {
	back := now.Add(7500 * time.Millisecond)
	in := func(line string, share, packets, bytes, down, up float64) Member {
		return Member{
			Line: line, Device: "ppp-" + line, In: true, Reason: "up", Since: ago(3*time.Minute + 12*time.Second), Share: share,
			Sent: &Sent{Packets: packets, Bytes: bytes}, RTT: 0.0081, Loss: 0.0625,
			Rates: &Rates{RxBits: down, TxBits: up, RxPackets: down / 12000, TxPackets: up / 12000},
		}
	}
	stick := Member{Line: "stick", Device: "ppp-stick", Fallback: true, Reason: "fallback: other lines are up", Since: ago(26 * time.Hour), RTT: 0.0456}
	falls := Member{Line: "vdsl2", Device: "ppp-vdsl2", Reason: "fell 2 times in 10 minutes; waits 10s", Since: ago(2500 * time.Millisecond), Rejoin: &back,
		RTT: 0.0094, Loss: 0.25, Ping: &Ping{Silent: 3, RTT: 0.0102, Loss: 0.375}}
	s := everyState()
	s.Lines = s.Lines[:1]
	s.Lines[0].Rates = &Rates{RxBits: 18_500_000, TxBits: 2_100_000, RxPackets: 1541, TxPackets: 175}
	s.Bonds = []Bond{
		{Device: "teql0", Mode: "teql", Addresses: []string{"203.0.113.200/32", "2001:db8::1/128"}, MTU: 1492,
			Rates:   &Rates{RxBits: 37_020_000, TxBits: 4_150_000, RxPackets: 3085, TxPackets: 346},
			Members: []Member{stick, in("vdsl", 0.5, 0.5, 0.51, 18_500_000, 2_100_000), in("vdsl1", 0.5, 0.5, 0.49, 18_520_000, 2_050_000), falls}},
		{Device: "teql1", Mode: "teql", Addresses: []string{}, Members: []Member{{Line: "new", Reason: "line is waiting: starting", Since: now, Ping: &Ping{Loss: 1}}}},
	}
	return s
}

// TestBondTables: with pings, and without.
func TestBondTables(t *testing.T) {
	var b strings.Builder
	s := bonded()
	if err := s.WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	s.Bonds[0].Members[3].Ping, s.Bonds[1].Members[0].Ping = nil, nil
	s.Trouble = "modprobe sch_teql max_equalizers=2: no such module; and more"
	if err := s.WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "bonds.txt", b.String())
}

// TestBondJSON: the names of the fields are for programs and do not change.
func TestBondJSON(t *testing.T) {
	text, err := json.MarshalIndent(bonded(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "bonds.json", string(text)+"\n")
}

func TestRate(t *testing.T) {
	for bits, want := range map[float64]string{
		0: "0bit/s", 0.4: "0bit/s", 999.4: "999bit/s", 999.5: "1.0kbit/s", 18_500_000: "18.5Mbit/s", 99_949_999: "99.9Mbit/s",
		99_950_000: "100Mbit/s", 940e6: "940Mbit/s", 9.5e9: "9.5Gbit/s", 2e15: "2000Tbit/s",
	} {
		if got := Rate(bits); got != want {
			t.Errorf("Rate(%v) = %s, not %s", bits, got, want)
		}
	}
}
