// Command init is process 1 of the guest's initramfs, which has no other file but kernel modules.
//
// It mounts the host's files, under an overlay, as the root of the guest, and in it the directory that host and guest share; then it
// becomes the program "init" in that directory: the test binary. Package lab/vm goes on from there.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// sharedVariable names the mount point of the shared directory. The kernel has it from its command line.
const sharedVariable = "LINEBOND_VM"

// What the host's files are called at QEMU.
const (
	rootTag   = "root"
	sharedTag = "shared"

	transport = "trans=virtio,version=9p2000.L,msize=262144"
)

func main() {
	fmt.Println("vm: init:", start(os.Getenv(sharedVariable))) // on the console. The kernel panics when process 1 ends.
	os.Exit(1)
}

// start does not return but with an error.
func start(shared string) error {
	if os.Getpid() != 1 || shared == "" {
		return errors.New("this program is for the guest of the tests only")
	}
	if err := loadModules(); err != nil {
		return err
	}
	root, err := mountRoot(shared)
	if err != nil {
		return err
	}
	if err := switchRoot(root); err != nil {
		return err
	}
	program := filepath.Join(shared, "init")
	return fmt.Errorf("becoming %s: %w", program, unix.Exec(program, []string{program}, os.Environ()))
}

// loadModules loads all files of /modules in the order of their names.
func loadModules() error {
	files, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(file.Fd()), "", 0)
		_ = file.Close()
		if err != nil {
			return fmt.Errorf("loading %s: %w", name, err)
		}
	}
	return nil
}

// mountRoot puts a writable overlay, in memory, over the host's files. The shared directory is the one place where a write reaches the
// host.
func mountRoot(shared string) (root string, err error) {
	const host, layers = "/host", "/layers"
	root = layers + "/root"
	mounts := []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{rootTag, host, "9p", unix.MS_RDONLY, transport + ",cache=loose"},
		{"tmpfs", layers, "tmpfs", 0, "mode=755"},
		{"overlay", root, "overlay", 0, "lowerdir=" + host + ",upperdir=" + layers + "/upper,workdir=" + layers + "/work"},
		{sharedTag, root + shared, "9p", 0, transport + ",cache=none"},
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return "", fmt.Errorf("making the mount point %s: %w", m.target, err)
		}
		if m.kind == "overlay" {
			if err := errors.Join(os.Mkdir(layers+"/upper", 0o755), os.Mkdir(layers+"/work", 0o755)); err != nil {
				return "", fmt.Errorf("making the layers of the overlay: %w", err)
			}
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return "", fmt.Errorf("mounting %s on %s: %w", m.source, m.target, err)
		}
	}
	return root, nil
}

// switchRoot makes root, which must be a mount point, the root of this process and of those to come.
func switchRoot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(root, "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving %s to /: %w", root, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("changing the root to %s: %w", root, err)
	}
	return os.Chdir("/")
}
