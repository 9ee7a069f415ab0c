package tour

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"linebond/lab/netns"
)

// directory holds the lab's files. Who has it locked is the lab that lives; the kernel unlocks it when that process ends.
const directory = "/run/linebond-lab"

// prefix is what the names of the lab's network namespaces begin with.
const prefix = "linebond-lab-"

// errBusy says that there is another lab.
var errBusy = errors.New("another `linebond lab` is running: end that first (Ctrl-C, or SIGTERM)")

// lock makes the directory and locks it.
func lock() (*os.File, error) {
	const tries = 100
	for range tries {
		if err := os.Mkdir(directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		dir, err := os.OpenFile(directory, unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another lab has just ended
		}
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("%s is to be the lab's directory, and something else is there: remove it", directory)
		}
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && same(dir) {
			return dir, nil
		}
		_ = dir.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errBusy
		}
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", directory, err)
		}
	}
	return nil, fmt.Errorf("locking %s: tried %d times, and each time somebody removed it", directory, tries)
}

// same says whether the path still leads to the directory that was opened.
func same(dir *os.File) bool {
	opened, err := dir.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(directory)
	return err == nil && os.SameFile(opened, there)
}

// unlock takes the directory away and gives the lock back.
func unlock(dir *os.File) error { return errors.Join(os.RemoveAll(directory), dir.Close()) }

// Clean takes away what a lab that was killed has left: processes, network namespaces and files. It returns a line of text for each.
func Clean() ([]string, error) {
	if err := MayRun(); err != nil {
		return nil, err
	}
	dir, err := lock()
	if err != nil {
		return nil, err
	}
	removed, err := sweep()
	return removed, errors.Join(err, unlock(dir))
}

// sweep empties the namespaces and the directory, which is locked, and deletes the namespaces.
func sweep() (removed []string, err error) {
	names, err := netns.List(prefix)
	errs := []error{err}
	for _, name := range names {
		killed, err := evict(name)
		removed = append(removed, killed...)
		if err = errors.Join(err, netns.Delete(name)); err == nil {
			removed = append(removed, "network namespace "+name)
		}
		errs = append(errs, err)
	}
	entries, err := os.ReadDir(directory)
	errs = append(errs, err)
	for _, entry := range entries {
		path := filepath.Join(directory, entry.Name())
		removed = append(removed, path)
		errs = append(errs, os.RemoveAll(path))
	}
	return removed, errors.Join(errs...)
}

// evict kills the processes in a namespace, and waits until they are gone: their devices and sockets would keep it alive.
func evict(name string) (killed []string, err error) {
	const limit, pause = 5 * time.Second, 10 * time.Millisecond
	seen := map[int]bool{}
	for deadline := time.Now().Add(limit); ; time.Sleep(pause) {
		found, err := netns.Processes(name)
		if err != nil || len(found) == 0 {
			return killed, err
		}
		if time.Now().After(deadline) {
			return killed, fmt.Errorf("in the network namespace %s live processes that SIGKILL does not end: %v", name, found)
		}
		for _, pid := range found {
			if !seen[pid] {
				seen[pid] = true
				killed = append(killed, fmt.Sprintf("process %d in %s", pid, name))
			}
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
	}
}

// MayRun says what this process lacks to run a lab, or nothing.
func MayRun() error {
	if os.Geteuid() != 0 {
		return errors.New("`linebond lab` needs root, to make network namespaces: sudo linebond lab")
	}
	var data [2]unix.CapUserData // the lower and the upper half of each set
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return fmt.Errorf("asking for this process's capabilities: %w", err)
	}
	return lacks(data[0].Effective)
}

// lacks says which capabilities are needed and not among the effective ones, of which these are the lower 32. With CAP_SYS_ADMIN, eBPF
// needs neither CAP_BPF nor CAP_PERFMON.
func lacks(effective uint32) error {
	var missing []string
	for _, c := range []struct {
		name   string
		number int
	}{{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}, {"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_NET_RAW", unix.CAP_NET_RAW}} {
		if effective&(1<<c.number) == 0 {
			missing = append(missing, c.name)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("`linebond lab` needs %s, which this process lacks though it is root's (in a container: --privileged)",
		strings.Join(missing, ", "))
}
