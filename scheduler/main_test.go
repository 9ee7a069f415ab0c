package scheduler

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"linebond/lab/vm"
)

const (
	debianVariable = "LINEBOND_SCHEDULER_DEBIAN" // the tests are to run on Debian's kernel
	insideVariable = "LINEBOND_SCHEDULER_INSIDE" // this process has its own file systems
)

// TestMain runs the tests on this machine's kernel, with a BPF file system that is gone afterwards. TestDebian runs them in the guest.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(insideVariable) != "":
		os.Exit(m.Run())
	case vm.Inside():
		os.Exit(inside())
	case os.Getpid() == 1 || os.Getenv(debianVariable) != "":
		vm.Main(m)
	default:
		os.Exit(inside())
	}
}

// inside runs this test binary again in a mount namespace.
func inside() int {
	c := exec.Command("/bin/sh", "-ec", `mount --make-rprivate /; mount -t bpf bpf /sys/fs/bpf; exec "$0" "$@"`, os.Args[0])
	c.Args = append(c.Args, os.Args[1:]...)
	c.Env = append(os.Environ(), insideVariable+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "running the tests with a BPF file system (as root):", err)
		return 1
	}
	return 0
}
