// Package uml runs a package's tests on a real Linux kernel that is booted for them.
//
// The kernel is Debian's user-mode-linux: an ordinary process, up in three seconds, that has PPP, PPPoE, 802.1Q, TEQL and netem. (Its
// nf_tables was built with the family "bridge" alone: no table ip, ip6 or inet.) A package opts in with
//
//	func TestMain(m *testing.M) { uml.Main(m) }
//
// and is then run by `go test` as ever, with every flag, subtest and exit status:
//
//	host    go test -> x.test -+- boots linux.uml, init = x.test ------+- passes the output on, exits with the guest's status
//	guest                      +- x.test (pid 1): mounts, modules -----+- x.test (child): m.Run()
//
// The guest sees the machine's files through an overlay: it may write anywhere, and nothing of it reaches the host's disk.
// It has no network but the devices that the tests make. Its processes are root, whoever runs the tests.
package uml

import (
	"fmt"
	"os"
	"testing"
)

// directoryVariable names, inside the guest, the directory that host and guest share for one boot. It travels on the kernel's
// command line, from which the kernel hands it to init as an environment variable.
const directoryVariable = "LINEBOND_UML"

// insideVariable is set for the tests that run in the guest.
const insideVariable = "LINEBOND_UML_INSIDE"

// Inside says whether this process runs in the guest.
func Inside() bool { return os.Getenv(insideVariable) != "" }

// Main is the whole body of a TestMain. It never returns.
//
// Outside the guest it boots one that runs this very test binary with the same flags, and exits with its status. Where the kernel
// cannot be had it exits with status 1 and says which packages to install: a kernel test is never skipped.
func Main(m *testing.M) {
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
	status, err := boot(arguments)
	if err != nil {
		fmt.Fprintln(os.Stderr, "uml:", err)
		status = 1
	}
	os.Exit(status)
}
