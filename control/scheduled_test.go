package control

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// unequal is a status with weighted bonds: one with rates and a line that is
// silent and one that is out, one without rates.
func unequal() Status {
	s := bonded()
	member := func(line string, x *ScheduledLine) Member {
		return Member{Line: line, Device: "ppp-" + line, In: x != nil, Reason: "up", Since: ago(time.Minute), Scheduled: x}
	}
	s.Bonds = []Bond{
		{Device: "wanbond0", Mode: "weighted", Addresses: []string{"203.0.113.200/32"}, MTU: 1492,
			Scheduler: &Scheduler{Packets: 1000, Late: 12, Disorder: 0.0124, NoLine: 3, NotIP: 1},
			Members: []Member{
				member("fast", &ScheduledLine{Rate: 20e6, Share: 0.8, TxBits: 18.7e6, Backlog: 0.0123, Packets: 800, Bytes: 1_200_000}),
				member("out", nil),
				member("slow", &ScheduledLine{Rate: 5e6, Share: 0.2, TxBits: 4.6e6, Backlog: 0.02, Packets: 200, Bytes: 300_000, Passed: 17, Silent: true}),
			}},
		{Device: "equal", Mode: "weighted", Addresses: []string{}, MTU: 1492, Scheduler: &Scheduler{},
			Members: []Member{member("one", &ScheduledLine{}), member("two", &ScheduledLine{Rate: 5e6})}},
		{Device: "teql0", Mode: "teql", Addresses: []string{}, Members: []Member{member("other", nil)}},
	}
	return s
}

func TestScheduled(t *testing.T) {
	var b strings.Builder
	if err := unequal().WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "weighted.txt", b.String())
	text, err := json.MarshalIndent(unequal().Bonds[0], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "weighted.json", string(text)+"\n")
}
