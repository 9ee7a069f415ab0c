//go:build bench

// Package bench measures the modes of a bond side by side: the linebond binary on Debian's kernel, with modems of netem, in virtual time.
package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"linebond/lab/vm"
)

// binaryVariable tells the guest where the binary is that the host has built.
const binaryVariable = "LINEBOND_BENCH_BINARY"

func TestMain(m *testing.M) {
	if os.Getenv(binaryVariable) == "" && os.Getpid() != 1 { // process 1 is the guest's init, without the host's environment
		os.Exit(withBinary())
	}
	vm.MainVirtual(m)
}

// withBinary builds linebond and runs this test binary again, with it.
func withBinary() int {
	dir, err := os.MkdirTemp("", "linebond-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "linebond")
	build := exec.Command("go", "build", "-o", binary, "linebond/cmd/linebond")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building linebond: %v\n%s", err, out)
		return 1
	}
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Env = append(os.Environ(), binaryVariable+"="+binary)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		return 1
	}
	return 0
}
