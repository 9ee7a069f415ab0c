package vm

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
	Modules   string // the directory for /lib/modules
}

// The names in the shared directory.
const (
	jobFile       = "job.json"
	statusFile    = "status" // the guest's exit status, in decimal; missing while (or if never) it ended by itself
	initFile      = "init"   // the test binary; lab/vm/init starts it
	initramfsFile = "initramfs"
)

// guestShared is where the guest has the shared directory.
const guestShared = "/linebond-vm"

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
