// Package vm runs a package's tests on a real Linux kernel that is booted for them.
//
// The kernel is Debian's stock one, in QEMU, which emulates the processor: so any machine will do, and no privilege is needed. It is
// the kernel that users have, with PPPoE, 802.1Q, TEQL, netem, cake and all of nftables; it is up in five seconds. `make bin/kernel`
// downloads it. A package opts in with
//
//	func TestMain(m *testing.M) { vm.Main(m) }
//
// and is then run by `go test` as ever, with every flag, subtest and exit status:
//
//	host    go test -> x.test -+- boots QEMU: vmlinuz, initramfs ------+- passes the output on, exits with the guest's status
//	guest                      +- lab/vm/init (pid 1): root --+        |
//	                              x.test (pid 1): mounts, modules -----+- x.test (child): m.Run()
//
// The guest sees the machine's files, by 9P, through an overlay: it may write anywhere, and nothing of it reaches the host's disk.
// It has two processors, and no network but the devices that the tests make. Its processes are root, whoever runs the tests.
package vm

import (
	"fmt"
	"os"
	"testing"
)

// directoryVariable names, inside the guest, the directory that host and guest share for one boot. It travels on the kernel's
// command line, from which the kernel hands it to init as an environment variable.
const directoryVariable = "LINEBOND_VM"

// insideVariable is set for the tests that run in the guest.
const insideVariable = "LINEBOND_VM_INSIDE"

// Inside says whether this process runs in the guest.
func Inside() bool { return os.Getenv(insideVariable) != "" }

// Main is the whole body of a TestMain. It never returns.
//
// Outside the guest it boots one that runs this very test binary with the same flags, and exits with its status. Where the kernel
// cannot be had it exits with status 1 and says what to install: a kernel test is never skipped.
func Main(m *testing.M) { main(m, false) }

// MainVirtual is Main in a guest for measurements, whose time is virtual: it has one processor, on which each instruction takes 1 ns, and
// when there is nothing to do its clock goes to the next timer at once. What is measured there does not depend on how fast this machine is
// or how busy; 10 s may take 2 of ours, or 60. While the guest waits for a file of the host's, its clock may go by hours.
func MainVirtual(m *testing.M) { main(m, true) }

func main(m *testing.M, virtual bool) {
	switch {
	case Inside():
		os.Exit(m.Run())
	case os.Getpid() == 1 && os.Getenv(directoryVariable) != "":
		guestInit(os.Getenv(directoryVariable))
	}
	arguments := parseArguments()
	if arguments.list {
		os.Exit(m.Run())
	}
	status, err := boot(arguments, virtual)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		status = 1
	}
	os.Exit(status)
}
