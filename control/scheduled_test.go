package control

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// unequal is a status with weighted bonds: one with rates, a queue, a line that
// is silent and one that is out; and two without rates of all lines.
func unequal() Status {
	s := bonded()
	member := func(line string, x *ScheduledLine) Member {
		m := Member{Line: line, Device: "ppp-" + line, In: x != nil, Reason: "up", Since: ago(time.Minute), Scheduled: x, RTT: 0.0123, Loss: 0.01}
		if x != nil {
			m.Share, m.Rates = x.Share, &Rates{RxBits: 18.2e6, TxBits: x.TxBits}
			if x.Silent {
				m.Reason = "silent: passed over"
			}
		}
		return m
	}
	s.Bonds = []Bond{
		{Device: "wanbond0", Mode: "weighted", Addresses: []string{"203.0.113.200/32"}, MTU: 1492,
			Scheduler: &Scheduler{Packets: 1000, Late: 12, Disorder: 0.0124, NoLine: 3, NotIP: 1,
				Queue: &Queue{Kind: "cake", Rate: 22.5e6, Backlog: 12_300, Drops: 17, Marks: 4}},
			Members: []Member{
				member("fast", &ScheduledLine{Rate: 20e6, Believed: 20e6, Share: 0.8, TxBits: 18.7e6, WireBits: 19.5e6, Backlog: 0.0123,
					Packets: 800, Bytes: 1_200_000}),
				member("out", nil),
				member("slow", &ScheduledLine{Auto: true, Believed: 4.8e6, Learned: true, Share: 0.2, TxBits: 4.6e6, WireBits: 4.7e6, Backlog: 0.02,
					Packets: 200, Bytes: 300_000, Passed: 17, Silent: true}),
			}},
		{Device: "wanbond1", Mode: "weighted", Addresses: []string{}, MTU: 1492, Scheduler: &Scheduler{},
			Members: []Member{member("one", &ScheduledLine{}), member("two", &ScheduledLine{Rate: 5e6}), member("three", &ScheduledLine{})}},
		{Device: "wanbond2", Mode: "weighted", Addresses: []string{}, MTU: 1492, Scheduler: &Scheduler{Waits: true},
			Members: []Member{member("four", &ScheduledLine{Auto: true, Believed: 2e6}), member("six", &ScheduledLine{Auto: true, Believed: 3e6, Learned: true, Trial: true}), member("five", &ScheduledLine{Rate: 5e6, Believed: 5e6})}},
		{Device: "wanbond3", Mode: "weighted", Addresses: []string{}, MTU: 1492, Scheduler: &Scheduler{}, Members: []Member{member("alone", &ScheduledLine{})}},
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

// TestScheduledBeside: a bond of another mode beside a weighted one, whose line's
// device drops, and one without eBPF, and host networking that is in trouble.
func TestScheduledBeside(t *testing.T) {
	s := unequal()
	s.Bonds = append(s.Bonds[1:2], bonded().Bonds...)
	s.Bonds[0].Members[1].Scheduled.Drops = 5
	s.Bonds = append(s.Bonds, Bond{Device: "wanbond4", Mode: "weighted", Addresses: []string{}, Numgen: true})
	s.Trouble = "no room"
	var b strings.Builder
	if err := s.WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "beside.txt", b.String())
}

// TestScheduledOut: of a bond without a line in there is no table of lines.
func TestScheduledOut(t *testing.T) {
	s := unequal()
	s.Bonds = s.Bonds[:1]
	for i := range s.Bonds[0].Members {
		s.Bonds[0].Members[i].Scheduled = nil
	}
	var b strings.Builder
	if err := s.WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "USED") || !strings.Contains(b.String(), "QUEUE") {
		t.Error(b.String())
	}
}

// TestNarrow: what concerns weighted bonds alone fits into 80 columns, if reasons
// are short.
func TestNarrow(t *testing.T) {
	s := unequal()
	s.Lines = s.Lines[:1]
	s.Bonds = s.Bonds[:1]
	for i := range s.Bonds[0].Members {
		s.Bonds[0].Members[i].Reason = "up"
	}
	var b strings.Builder
	if err := s.WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(b.String(), "\n\n")
	for line := range strings.Lines(after) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
