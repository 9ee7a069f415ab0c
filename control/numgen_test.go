package control

import (
	"strings"
	"testing"
	"time"
)

// TestNumgen: a weighted bond without eBPF has no counters of a program, and says
// so.
func TestNumgen(t *testing.T) {
	s := bonded()
	s.Bonds = []Bond{{Device: "wanbond0", Mode: "weighted", Addresses: []string{"203.0.113.10"}, MTU: 1492, Numgen: true, Members: []Member{
		{Line: "fast", Device: "ppp-fast", In: true, Reason: "up", Since: ago(time.Minute), Share: 0.8, Sent: &Sent{Packets: 0.8, Bytes: 0.79}},
		{Line: "slow", Device: "ppp-slow", In: true, Reason: "up", Since: ago(time.Minute), Share: 0.2, Sent: &Sent{Packets: 0.2, Bytes: 0.21}},
	}}}
	var b strings.Builder
	if err := s.WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "numgen.txt", b.String())
}
