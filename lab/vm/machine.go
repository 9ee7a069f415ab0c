package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	qemu     = "qemu-system-x86_64"
	memory   = "1024M" // taken from the host as the guest touches it
	packages = "apt-get install -y --no-install-recommends qemu-system-x86 kmod iproute2 nftables ppp pppoe iperf3 iputils-ping"
)

// commandLine is the kernel's. It ends when it panics, or oopses; it does not distrust the clocks that QEMU emulates on a busy machine; and
// it puts a program at the same addresses each time, since QEMU translates code anew for each address.
const commandLine = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off no5lvl no_timer_check norandmaps"

// kernel is what was found on this machine to boot.
type kernel struct {
	qemu    string // QEMU
	module  string // the directory of this Go module's go.mod
	image   string // vmlinuz
	modules string // .../lib/modules/VERSION
}

func findKernel() (kernel, error) {
	binary, err := exec.LookPath(qemu)
	if err != nil {
		return kernel{}, fmt.Errorf("%s is not installed, and these tests need it: %s", qemu, packages)
	}
	for _, tool := range []string{"modprobe", "ip", "nft"} {
		if !installed(tool) {
			return kernel{}, fmt.Errorf("%s is not installed, and these tests need it: %s", tool, packages)
		}
	}
	module, err := findModule()
	if err != nil {
		return kernel{}, err
	}
	directory := filepath.Join(module, "bin", "kernel")
	modules, err := filepath.Glob(filepath.Join(directory, "lib", "modules", "*"))
	if err != nil {
		return kernel{}, err
	}
	image := filepath.Join(directory, "vmlinuz")
	if _, err := os.Stat(image); err != nil || len(modules) != 1 {
		return kernel{}, fmt.Errorf("%s has no kernel, and these tests need one: make bin/kernel", directory)
	}
	return kernel{binary, module, image, modules[0]}, nil
}

// installed looks where the guest looks.
func installed(tool string) bool {
	for _, directory := range filepath.SplitList(guestPath) {
		if _, err := os.Stat(filepath.Join(directory, tool)); err == nil {
			return true
		}
	}
	return false
}

// findModule walks up from the working directory to go.mod.
func findModule() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for directory := start; ; directory = filepath.Dir(directory) {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory, nil
		}
		if directory == filepath.Dir(directory) {
			return "", fmt.Errorf("%s is not in a Go module, in whose bin/kernel these tests look for their kernel", start)
		}
	}
}

// machine is QEMU's command line: two processors, emulated, or one in virtual time; two serial lines, the first of which is the kernel's
// console; the host's files, and the shared directory.
func machine(k kernel, shared string, virtual bool) []string {
	clock := []string{"-accel", "tcg,thread=multi", "-smp", "2"}
	if virtual {
		clock = []string{"-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"} // 1 ns an instruction
	}
	return append(clock,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35", "-cpu", "max", "-m", memory,
		"-kernel", k.image, "-initrd", filepath.Join(shared, initramfsFile),
		"-append", commandLine+" "+directoryVariable+"="+guestShared,
		"-chardev", "file,id=console,path=/dev/stderr", "-serial", "chardev:console",
		"-chardev", "file,id=output,path=/dev/stdout", "-serial", "chardev:output",
		"-virtfs", "local,mount_tag=root,readonly=on,security_model=none,multidevs=remap,path=/",
		"-virtfs", "local,mount_tag=shared,security_model=none,path="+strings.ReplaceAll(shared, ",", ",,"),
	)
}
