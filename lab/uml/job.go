package uml

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// job is what the host asks of the guest: one command, left as a file in the shared directory.
type job struct {
	Args      []string
	Env       []string
	Directory string // the working directory, so that testdata is where tests expect it
}

// The names in the shared directory.
const (
	jobFile     = "job.json"
	statusFile  = "status"  // the guest's exit status, in decimal; missing while (or if never) it ended by itself
	modulesTree = "modules" // modprobe -d: lib/modules/VERSION below it
	initFile    = "init"    // the test binary
)

func (j job) write(shared string) error {
	data, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("writing the guest's job: %w", err)
	}
	return os.WriteFile(filepath.Join(shared, jobFile), data, 0o600)
}

func readJob(shared string) (job, error) {
	var j job
	data, err := os.ReadFile(filepath.Join(shared, jobFile))
	if err != nil {
		return job{}, fmt.Errorf("reading the guest's job: %w", err)
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return job{}, fmt.Errorf("reading the guest's job: %w", err)
	}
	return j, nil
}
