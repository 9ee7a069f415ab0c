package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BinaryVariable tells a guest's tests where the binary is that the host has built.
const BinaryVariable = "LINEBOND_BINARY"

// Main is the TestMain of a package whose tests run the linebond binary in a guest: vm.Main, or vm.MainVirtual. It never returns.
func Main(m *testing.M, guest func(*testing.M)) {
	if os.Getenv(BinaryVariable) == "" && os.Getpid() != 1 { // process 1 is the guest's init, without the host's environment
		os.Exit(withBinary())
	}
	guest(m)
}

// withBinary builds linebond and runs this test binary again, with it.
func withBinary() int {
	dir, err := os.MkdirTemp("", "linebond-tests-")
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
	again.Env = append(os.Environ(), BinaryVariable+"="+binary)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		return 1
	}
	return 0
}
