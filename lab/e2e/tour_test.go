package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"linebond/lab"
	"linebond/lab/tour"
)

// TestTour is `linebond lab` with this kernel's data plane. Its weighted bond is
// compared with one of TEQL, whose device it gives back.
func TestTour(t *testing.T) {
	lab.LoadTEQL(t)
	before := teqlDevices(t)
	if got, want := tourOf(t, "weighted"), "line1 alone, teql, weighted"; got != want {
		t.Errorf("compared are %q, want %q", got, want)
	}
	if after := teqlDevices(t); after != before {
		t.Errorf("TEQL devices: %s, and before %s", after, before)
	}
}

// tourOf takes the tour of a bond, and returns what it has compared.
func tourOf(t *testing.T, bond string) string {
	t.Helper()
	cmd := exec.Command(os.Getenv(lab.BinaryVariable), "lab", "--bond", bond, "--json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	var compared []string
	for line := range strings.Lines(string(out)) {
		var e tour.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Result == nil {
			continue
		}
		t.Logf("%s: %s%s", e.Result.Title, e.Result.Seen, e.Result.Error)
		if e.Result.Best == 0 {
			continue
		}
		for _, m := range e.Result.Measured {
			t.Logf("%s, %.0f%%", m, 100*m.Value/e.Result.Best)
			compared = append(compared, m.Name)
		}
	}
	return strings.Join(compared, ", ")
}

func teqlDevices(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "teql") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}
