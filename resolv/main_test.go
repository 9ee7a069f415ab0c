package resolv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideVariable is set for the tests that run in the namespaces.
const insideVariable = "LINEBOND_RESOLV_INSIDE"

// TestMain runs the tests in a mount and a network namespace of their own, because they hand servers to the owner of /etc/resolv.conf
// and make devices. There /etc has nothing in it but openresolv's configuration, and /run nothing at all.
func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) == "" {
		os.Exit(runInside())
	}
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the namespaces:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runInside runs this test binary again in new namespaces, as root of a new user namespace unless it is root already, and
// returns its exit status.
func runInside() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "running the tests in new namespaces:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// isolate hides the machine's /etc and /run.
func isolate() error {
	conf, err := os.ReadFile("/etc/resolvconf.conf")
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/run"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	return os.WriteFile("/etc/resolvconf.conf", conf, 0o644)
}
