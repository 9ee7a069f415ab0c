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

// TestTour is `linebond lab` with the bond that this kernel has, and its data
// plane. It gives the TEQL device back that it has borrowed.
func TestTour(t *testing.T) {
	lab.LoadTEQL(t)
	before := teqlDevices(t)
	cmd := exec.Command(os.Getenv(binaryVariable), "lab", "--bond", "teql", "--json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	for line := range strings.Lines(string(out)) {
		var e tour.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Result != nil {
			t.Logf("%s: %s%s", e.Result.Title, e.Result.Seen, e.Result.Error)
		}
	}
	if after := teqlDevices(t); after != before {
		t.Errorf("TEQL devices: %s, and before %s", after, before)
	}
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
