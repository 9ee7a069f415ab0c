// Package netns makes named network namespaces, which `ip netns` shows and `ip netns exec` enters, and lays cables between them.
//
// A name is a file in /run/netns that the namespace is mounted on. It outlives the process that made it, until Delete.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const directory = "/run/netns" // iproute2's choice

func path(name string) string { return filepath.Join(directory, name) }

// Create makes a namespace in which only lo is, up. It needs root. If there is one of the name, the error is fs.ErrExist.
func Create(name string) error {
	if err := share(); err != nil {
		return fmt.Errorf("making the network namespace %s: %w", name, err)
	}
	file, err := os.OpenFile(path(name), os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("making the network namespace %s: %w", name, err)
	}
	_ = file.Close() // nothing was written
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare (the kernel needs CONFIG_NET_NS): %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path(name), "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting it on %s: %w", path(name), err)
		}
		return setUp("lo")
	})
	if err != nil {
		return errors.Join(fmt.Errorf("making the network namespace %s: %w", name, err), Delete(name))
	}
	return nil
}

// share makes the directory a mount whose mounts all see who live in a mount namespace below this one, as `ip netns` does when it makes its
// first: had it to do so later, ours would be there twice.
func share() error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil { // until Close; `ip netns` does, too
		return fmt.Errorf("locking %s: %w", directory, err)
	}
	err = unix.Mount("", directory, "", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // it is no mount yet
		err = unix.Mount(directory, directory, "", unix.MS_BIND|unix.MS_REC, "")
		if err == nil {
			err = unix.Mount("", directory, "", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("mounting %s (this process needs CAP_SYS_ADMIN): %w", directory, err)
	}
	return nil
}

func setUp(device string) error {
	link, err := netlink.LinkByName(device)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("setting %s up: %w", device, err)
	}
	return nil
}

// Delete takes the name away. The namespace goes, and all devices in it, when no process and no socket is in it any more. That there
// is none of the name is no error.
func Delete(name string) error {
	unmounting := unix.Unmount(path(name), unix.MNT_DETACH) // it fails where Create was stopped before it mounted: there is a file to remove
	if err := os.Remove(path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting the network namespace %s: %w (unmounting it: %v)", name, err, unmounting)
	}
	return nil
}

// List is the names that begin with the prefix, in order.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the network namespaces: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Do calls f in the namespace, on a thread of its own, which also has the namespace's /sys, and returns its error. Sockets that f opens
// stay in the namespace, and processes that it starts; goroutines do not run there.
func Do(name string, f func() error) error {
	return onThread(func() error {
		if err := enter(name); err != nil {
			return fmt.Errorf("entering the network namespace %s: %w", name, err)
		}
		return f()
	})
}

// onThread calls f on a thread of its own, which ends afterwards: what it has become must not come back to other goroutines.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // the first thread: it never ends, and /proc shows the process to be where it is
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// Start starts a process in the namespace, out of reach of the terminal's signals. The kernel kills it when this process ends, however
// that comes. Its end is sent once: what cmd.Wait returns.
func Start(name string, cmd *exec.Cmd) (end <-chan error, err error) {
	started, ended := make(chan error), make(chan error, 1)
	go onThread(func() error { // to the end of the process: the kernel kills it when the thread ends that has started it
		err := enter(name)
		if err == nil {
			cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
		return nil
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s in the network namespace %s: %w", filepath.Base(cmd.Path), name, err)
	}
	return ended, nil
}

// A House is a place in a namespace for processes that come after each other: they share one /sys, and what is mounted in it.
type House struct{ orders chan func() }

// Open makes a house, with a BPF file system at /sys/fs/bpf if the kernel has one. All in it goes with this process, or with Close.
func Open(name string) (*House, error) {
	h := &House{orders: make(chan func())}
	opened := make(chan error)
	go onThread(func() error {
		err := enter(name)
		if err == nil {
			_ = unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") // a kernel without it does without
		}
		opened <- err
		for order := range h.orders {
			order()
		}
		return nil
	})
	if err := <-opened; err != nil {
		close(h.orders)
		return nil, fmt.Errorf("entering the network namespace %s: %w", name, err)
	}
	return h, nil
}

// Do calls f in the house, and returns its error. Processes that it starts are in there, too.
func (h *House) Do(f func() error) error {
	done := make(chan error)
	h.orders <- func() { done <- f() }
	return <-done
}

// Start starts a process in the house, as the function Start does.
func (h *House) Start(cmd *exec.Cmd) (end <-chan error, err error) {
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL} // with the thread of the house
	if err := h.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}

// Close lets go of the house; the kernel kills who is in it.
func (h *House) Close() error {
	close(h.orders)
	return nil
}

// enter takes the calling thread into the namespace for good.
func enter(name string) error {
	file, err := os.Open(path(name))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	return mountSysfs()
}

// mountSysfs gives the calling thread the /sys of its network namespace, as `ip netns exec` does: a sysfs shows the devices of the
// namespace that it was mounted in.
func mountSysfs() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leaving the mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keeping the mounts of the namespace to itself: %w", err)
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting /sys: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	return nil
}

// Processes lists those that live in the namespace, but not this one.
func Processes(name string) ([]int, error) {
	var home unix.Stat_t
	if err := unix.Stat(path(name), &home); err != nil {
		return nil, fmt.Errorf("looking for processes in the network namespace %s: %w", name, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("looking for processes in the network namespace %s: %w", name, err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var at unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &at) == nil && at.Dev == home.Dev && at.Ino == home.Ino { // or it has ended
			found = append(found, pid)
		}
	}
	return found, nil
}
