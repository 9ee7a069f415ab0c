//go:build bench

package tour

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// TestBenchLab measures how long somebody waits for the lab: from the command until two lines are up, on this machine's kernel.
func TestBenchLab(t *testing.T) {
	const rounds = 3
	var all []float64
	for range rounds {
		all = append(all, timeToUp(t))
	}
	slices.Sort(all)
	fmt.Printf("`linebond lab` from command to lines up: %.2f s (2 lines, median of %d)\n", all[rounds/2], rounds)
	nothingIsLeft(t)
}

// timeToUp runs a lab until it has told of its first step, and returns the seconds since the command that were measured.
func timeToUp(t *testing.T) float64 {
	t.Helper()
	lab := exec.Command(program, "lab", "--json", "--lines", "2")
	var stderr bytes.Buffer
	lab.Stderr = &stderr
	out, err := lab.StdoutPipe()
	must(t, err)
	must(t, lab.Start())
	t.Cleanup(func() { _ = lab.Process.Kill() }) // if it has not ended below
	var first Event
	decoder := json.NewDecoder(out)
	for first.Kind != ended {
		first = Event{}
		if err := decoder.Decode(&first); err != nil {
			t.Fatalf("%v: %v\n%s", err, lab.Wait(), &stderr)
		}
	}
	must(t, lab.Process.Signal(syscall.SIGTERM))
	for decoder.More() { // or it would wait for its reader
		must(t, decoder.Decode(new(Event)))
	}
	_ = lab.Wait() // its exit status tells of the steps that it has left out
	for _, m := range first.Result.Measured {
		if m.Name == "since the command" {
			return m.Value
		}
	}
	t.Fatalf("the first step is %+v\n%s", first.Result, &stderr)
	return 0
}
