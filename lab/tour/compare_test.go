package tour

import (
	"math"
	"testing"
)

// TestGoodput: of 1550 bytes that a full frame takes on Ethernet, TCP has 1448.
func TestGoodput(t *testing.T) {
	if got := goodput(15_500_000); math.Abs(got-14_480_000) > 1 {
		t.Errorf("%.0f bit/s", got)
	}
}

func TestContenders(t *testing.T) {
	for teql, want := range map[string][]string{"": {"line1 alone", "weighted"}, "teql3": {"line1 alone", "teql", "weighted"}} {
		l := &Lab{options: Options{Lines: 2, Bond: "weighted"}, teql: teql}
		all := l.contenders()
		if len(all) != len(want) {
			t.Fatalf("with %q there are %+v", teql, all)
		}
		for i, c := range all {
			if c.title != want[i] {
				t.Errorf("with %q number %d is %+v", teql, i, c)
			}
		}
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
