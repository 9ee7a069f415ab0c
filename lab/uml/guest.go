package uml

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// modules are what the tests of this project meet. ipv6 comes first: devices made before it have no IPv6.
// (AF_PACKET is built in. A module of another kernel that is built in, modprobe passes over.)
var modules = []string{
	"ipv6", "veth", "8021q", "dummy", "tun", "ifb",
	"ppp_async", "ppp_synctty", "pppoe",
	"sch_teql", "sch_tbf", "sch_netem", "sch_htb", "sch_fq_codel", "sch_ingress", "cls_bpf",
	"nf_tables", "nft_ct", "nft_masq", "nft_numgen",
}

const (
	guestPath      = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	guestTemporary = "/run"       // a tmpfs; short, for the paths of unix sockets
	outputDevice   = "/dev/ttyS0" // ssl0 of linux.uml: a pipe to the host
	pppMajor       = 108
)

// guestInit is process 1 of the guest: it makes the guest habitable, runs the job, leaves its status and switches the machine off.
func guestInit(shared string) {
	status, err := runGuest(shared)
	if err != nil {
		fmt.Println("uml: guest:", err) // on the console, whose last lines the host shows when there is no status
	} else if err := os.WriteFile(filepath.Join(shared, statusFile), []byte(strconv.Itoa(status)), 0o600); err != nil {
		fmt.Println("uml: guest:", err)
	}
	unix.Sync()
	fmt.Println("uml: guest:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func runGuest(shared string) (int, error) {
	j, err := readJob(shared)
	if err != nil {
		return 0, err
	}
	if err := os.Setenv("PATH", guestPath); err != nil {
		return 0, err
	}
	if err := mountAll(shared); err != nil {
		return 0, err
	}
	for _, module := range modules {
		if err := modprobe(shared, module); err != nil {
			return 0, err
		}
	}
	if err := prepareDevices(); err != nil {
		return 0, err
	}
	return runJob(j)
}

// A mount is one file system of the guest.
type mount struct {
	source, target, kind string
	data                 string
}

// mountAll puts a writable overlay over the host's files, moves into it, and gives the guest its own of everything that a running
// system writes to or that holds the host's secrets. The shared directory is the one place where a write reaches the host.
func mountAll(shared string) error {
	if err := mountEach([]mount{{"proc", "/proc", "proc", ""}}); err != nil { // modprobe reads /proc/modules
		return err
	}
	if err := modprobe(shared, "overlay"); err != nil {
		return err
	}
	const layers = "/run"
	if err := mountEach([]mount{{"tmpfs", layers, "tmpfs", "mode=755"}}); err != nil {
		return err
	}
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(layers, name), 0o755); err != nil {
			return fmt.Errorf("making the layers of the overlay: %w", err)
		}
	}
	root := filepath.Join(layers, "root")
	if err := mountEach([]mount{
		{"overlay", root, "overlay", "lowerdir=/,upperdir=" + layers + "/upper,workdir=" + layers + "/work"},
		{"none", root + shared, "hostfs", shared},
	}); err != nil {
		return err
	}
	if err := switchRoot(root); err != nil {
		return err
	}
	return mountEach([]mount{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"devpts", "/dev/pts", "devpts", "mode=600,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"},
		{"tmpfs", "/run", "tmpfs", "mode=755"},
		{"tmpfs", "/var/log", "tmpfs", "mode=755"},
		{"tmpfs", "/etc/ppp", "tmpfs", "mode=755"},
	})
}

func mountEach(mounts []mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("making the mount point %s: %w", m.target, err)
		}
		if err := unix.Mount(m.source, m.target, m.kind, 0, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.kind, m.target, err)
		}
	}
	return nil
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

func modprobe(shared, module string) error {
	out, err := exec.Command("modprobe", "-d", filepath.Join(shared, modulesTree), module).CombinedOutput()
	if err != nil {
		return fmt.Errorf("loading the module %s: %w: %s", module, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// prepareDevices does what udev and the boot scripts of a distribution do.
func prepareDevices() error {
	err := unix.Mknod("/dev/ppp", unix.S_IFCHR|0o600, int(unix.Mkdev(pppMajor, 0)))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("making /dev/ppp: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("setting lo up: %w: %s", err, out)
	}
	return nil
}

// openOutput opens the line to the host as a plain pipe of bytes: no "\n" becomes "\r\n".
func openOutput() (*os.File, error) {
	output, err := os.OpenFile(outputDevice, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the output: %w", err)
	}
	settings, err := unix.IoctlGetTermios(int(output.Fd()), unix.TCGETS)
	if err == nil {
		settings.Oflag &^= unix.OPOST
		settings.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(output.Fd()), unix.TCSETS, settings)
	}
	if err != nil {
		output.Close()
		return nil, fmt.Errorf("setting up the output: %w", err)
	}
	return output, nil
}

// runJob runs the tests as a child of process 1, with the line to the host as their output, and returns their exit status.
func runJob(j job) (int, error) {
	output, err := openOutput()
	if err != nil {
		return 0, err
	}
	defer output.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	process, err := os.StartProcess(j.Args[0], j.Args, &os.ProcAttr{
		Dir: j.Directory, Env: j.Env, Files: []*os.File{null, output, output},
		Sys: &unix.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the tests: %w", err)
	}
	status, err := reap(process.Pid)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlSetInt(int(output.Fd()), unix.TCSBRK, 1); err != nil { // tcdrain: all of it has left for the host
		return 0, fmt.Errorf("draining the output: %w", err)
	}
	return status, nil
}

// reap waits for the process and for every orphan that ends before it, as process 1 must.
func reap(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("waiting for the tests: %w", err)
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case ended == pid:
			return status.ExitStatus(), nil
		}
	}
}
