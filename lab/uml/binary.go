package uml

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// guestBinary is the test binary that the guest runs: this one.
//
// The race detector wants shadow memory at addresses that a process in user-mode-linux does not have (its page tables span 512 GB).
// A binary built with -race is therefore built once more without it; only the tests in the guest go without the detector.
func guestBinary(shared string) (string, error) {
	if !raceDetector {
		return os.Executable()
	}
	binary := filepath.Join(shared, "without-race.test")
	build := exec.Command("go", "test", "-c", "-race=false", "-tags="+buildTags(), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("this test binary has the race detector, for which the guest has no room, and building it without failed: "+
			"%w: %s", err, out)
	}
	return binary, nil
}

// buildTags are the -tags that this binary was built with.
func buildTags() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "-tags" {
				return setting.Value
			}
		}
	}
	return ""
}
