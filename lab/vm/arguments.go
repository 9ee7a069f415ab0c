package vm

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// arguments is the command line of this test binary as the guest is to see it.
type arguments struct {
	list    bool              // -test.list: answered without a kernel
	timeout time.Duration     // -test.timeout; 0: none
	flags   []string          // for the guest's test binary
	rest    []string          // what follows the flags
	outputs map[string]string // a flag that names an output file -> where `go test` wants that file
}

// droppedFlags make no sense in the guest: its temporary files do not outlive it, and the log of files that a test opened is about
// another machine. (Without that log `go test` does not cache the result, which is right: it depends on the kernel, too.)
var droppedFlags = []string{"test.testlogfile", "test.gocoverdir", "test.outputdir"}

// outputFlags name files that a test binary writes. The guest writes them into the shared directory, from where the host takes them.
var outputFlags = []string{
	"test.coverprofile", "test.cpuprofile", "test.memprofile", "test.blockprofile", "test.mutexprofile", "test.trace",
}

// parseArguments reads os.Args through the flag package, so that every spelling of a flag is understood.
func parseArguments() arguments {
	if !flag.Parsed() {
		flag.Parse()
	}
	a := arguments{rest: flag.Args(), outputs: map[string]string{}}
	directory := flag.Lookup("test.outputdir").Value.String()
	flag.Visit(func(f *flag.Flag) {
		value := f.Value.String()
		switch {
		case f.Name == "test.list":
			a.list = value != ""
		case slices.Contains(droppedFlags, f.Name):
		case !slices.Contains(outputFlags, f.Name):
			a.flags = append(a.flags, "-"+f.Name+"="+value)
		case value != "" && !filepath.IsAbs(value):
			a.outputs[f.Name] = filepath.Join(directory, value)
		case value != "":
			a.outputs[f.Name] = value
		}
	})
	if f, ok := flag.Lookup("test.timeout").Value.(flag.Getter); ok {
		a.timeout, _ = f.Get().(time.Duration)
	}
	return a
}

// guest is the argument list for the guest, whose output files go below the shared directory.
//
// Kernel tests use little of the processors: they wait for timers. So more of them run at a time than there are processors, by default.
func (a arguments) guest(shared string) []string {
	args := append([]string{"-test.parallel=8"}, a.flags...) // of a flag given twice the last counts
	for name := range a.outputs {
		args = append(args, "-"+name+"="+outputFile(shared, name))
	}
	if len(a.rest) > 0 {
		args = append(append(args, "--"), a.rest...)
	}
	return args
}

// collect brings the files that the guest wrote to the places that `go test` named. A file that was not written is no error: a test
// binary that panics leaves none either.
func (a arguments) collect(shared string) error {
	for name, destination := range a.outputs {
		data, err := os.ReadFile(outputFile(shared, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(destination, data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("collecting the file of -%s: %w", name, err)
		}
	}
	return nil
}

func outputFile(shared, flagName string) string {
	return filepath.Join(shared, strings.TrimPrefix(flagName, "test."))
}
