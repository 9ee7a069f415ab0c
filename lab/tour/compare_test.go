package tour

import (
	"math"
	"testing"

	"linebond/control"
)

// TestGoodput: of 1550 bytes that a full frame takes on Ethernet, TCP has 1448.
func TestGoodput(t *testing.T) {
	if got := goodput(15_500_000); math.Abs(got-14_480_000) > 1 {
		t.Errorf("%.0f bit/s", got)
	}
}

func TestContenders(t *testing.T) {
	for teql, lacks := range map[string]bool{"": true, "teql3": false} {
		l := &Lab{options: Options{Lines: 2, Bond: "weighted"}, teql: teql}
		all := l.contenders()
		if len(all) != 3 || all[0].title != "line1 alone" || all[1].title != "teql" || all[2].title != "weighted" || all[1].lacks != lacks {
			t.Errorf("with %q there are %+v", teql, all)
		}
	}
}

// TestWorthIt: a bond that is slower than its fastest line is a failure.
func TestWorthIt(t *testing.T) {
	for together, want := range map[float64]string{
		22e6: "", 17e6: "", 16e6: "one connection gets 16.0 Mbit/s over both lines together, which is less than the 18.0 over line1 alone",
	} {
		s := &stage{lab: &Lab{options: Options{Lines: 2}}, compared: []Way{{Rate: 18e6}, {Absent: true}, {Rate: together}}}
		got := ""
		if _, err := s.seeCompared(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.0f: %s", together, got)
		}
	}
}

func TestLate(t *testing.T) {
	if got := late(control.Scheduler{Packets: 100, Late: 5}, control.Scheduler{Packets: 200, Late: 7}); got == nil || *got != 0.02 {
		t.Errorf("%v", got)
	}
	if got := late(control.Scheduler{Packets: 100, Late: 5}, control.Scheduler{}); got != nil {
		t.Errorf("of another program: %v", *got)
	}
}

func TestGauge(t *testing.T) {
	for share, want := range map[float64]string{
		-1: "░░░░", 0: "░░░░", 0.01: "░░░░", 0.02: "▏░░░", 0.25: "█░░░", 0.5 + 3./32: "██▍░", 0.98: "███▉", 1: "████", 7: "████", math.Inf(1): "████",
	} {
		if got := gauge(share, 4); got != want {
			t.Errorf("%v: %s, not %s", share, got, want)
		}
	}
}

// TestUnequal: each further line is between the fastest and the slowest, and none is like another.
func TestUnequal(t *testing.T) {
	seen := map[int]bool{}
	for i, up := range unequalUp {
		if seen[up] || up > unequalUp[fastest] || up < unequalUp[1] {
			t.Errorf("line %d carries %d bit/s", i+1, up)
		}
		seen[up] = true
	}
}
