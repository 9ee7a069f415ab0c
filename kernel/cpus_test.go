package kernel

import "testing"

func TestHighest(t *testing.T) {
	for list, want := range map[string]int{"0\n": 0, "0-3\n": 3, "0,2-11\n": 11, "0-3,8\n": 8, "\n": -1, "0-\n": -1, "all\n": -1} {
		got, err := highest(list)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
}

func TestCPUs(t *testing.T) {
	if n := CPUs(); n < 1 {
		t.Errorf("%d CPUs", n)
	}
}
