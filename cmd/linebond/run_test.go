package main

import (
	"os"
	"os/exec"
	"testing"
)

// childVariable makes this test binary the process whose stderr breaks.
const childVariable = "LINEBOND_TEST_BROKEN_PIPE"

// TestSurviveBrokenPipes: the log's reader may go; the programs that we start
// do not inherit what protects us.
func TestSurviveBrokenPipes(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		surviveBrokenPipes()
		_, err := os.Stderr.WriteString("nobody reads this")
		if err == nil || exec.Command("sh", "-c", "kill -PIPE $$").Run() == nil {
			os.Exit(1)
		}
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	child := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childVariable+"=1")
	child.Stderr = w
	if err := child.Run(); err != nil {
		t.Error(err)
	}
	_ = w.Close()
}
