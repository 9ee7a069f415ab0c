package resolv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"linebond/lab/vm"
)

// openresolv is Debian's package of it. It is unpacked in the guest alone: on this machine it would take over /etc/resolv.conf.
const openresolv = "../bin/openresolv.deb"

// TestMain runs the tests in the guest, whose /etc and /run are its own, because they hand servers to the owner of /etc/resolv.conf and
// make devices.
func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	vm.Main(m)
}

func prepare() error {
	if os.Getpid() == 1 {
		return nil // the guest's init
	}
	deb, err := filepath.Abs(openresolv)
	if err != nil {
		return err
	}
	if _, err := os.Stat(deb); err != nil {
		return fmt.Errorf("%w: `make bin/openresolv.deb` downloads it", err)
	}
	if !vm.Inside() {
		return nil
	}
	unpack := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x -C / --keep-directory-symlink`, "sh", deb)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking %s: %w: %s", deb, err, out)
	}
	return os.WriteFile("/etc/resolv.conf", nil, 0o644)
}
