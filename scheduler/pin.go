package scheduler

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const fileSystem = "/sys/fs/bpf"

// pinDirectory is where the maps of this network namespace's bonds are pinned. (All namespaces may share one BPF file system, and two of
// them may have bonds of one name.)
func pinDirectory() (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(fileSystem, &s); err != nil || s.Type != unix.BPF_FS_MAGIC {
		return "", fmt.Errorf("there is no BPF file system at %[1]s (`mount -t bpf bpf %[1]s`)", fileSystem)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return "", fmt.Errorf("asking for the network namespace's cookie: %w", err)
	}
	return filepath.Join(fileSystem, "linebond", strconv.FormatUint(cookie, 10)), nil
}

// openPins opens the maps that are pinned in a directory, as replacements for those of the programs. There are none if one is missing.
func openPins(directory string, spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	maps := map[string]*ebpf.Map{}
	for name, m := range pinned(spec) {
		opened, err := ebpf.LoadPinnedMap(filepath.Join(directory, name), nil)
		if err == nil {
			maps[name] = opened
			err = m.Compatible(opened) // an older linebond may have had other maps
		}
		if err != nil {
			closeAll(maps)
			return nil
		}
	}
	return maps
}

// pinned are the maps that are worth it: all but the constants.
func pinned(spec *ebpf.CollectionSpec) map[string]*ebpf.MapSpec {
	maps := map[string]*ebpf.MapSpec{}
	for _, name := range []string{"config", "state", "stamps"} {
		maps[name] = spec.Maps[name]
	}
	return maps
}

func closeAll(maps map[string]*ebpf.Map) {
	for _, m := range maps {
		m.Close()
	}
}

// pin pins maps in a directory that holds nothing else then.
func pin(directory string, maps map[string]*ebpf.Map) error {
	if err := unpin(directory); err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("making a directory for the maps: %w", err)
	}
	for name, m := range maps {
		if err := m.Pin(filepath.Join(directory, name)); err != nil {
			return errors.Join(fmt.Errorf("pinning the map %s: %w", name, err), unpin(directory))
		}
	}
	return nil
}

// unpin removes a bond's directory, and those above it that are empty then.
func unpin(directory string) error {
	if err := os.RemoveAll(directory); err != nil {
		return fmt.Errorf("removing the pinned maps: %w", err)
	}
	for d := filepath.Dir(directory); d != fileSystem; d = filepath.Dir(d) {
		err := os.Remove(d)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil // another bond's are in it
		}
	}
	return nil
}
