package vm

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

// modules are what the tests of this project meet. All but one: the kernel's or linebond's own request brings sch_teql.
// (AF_PACKET, IPv6 and fq_codel are built in.)
var modules = []string{
	"veth", "8021q", "dummy", "tun", "ifb",
	"ppp_async", "ppp_synctty", "pppoe",
	"sch_tbf", "sch_netem", "sch_htb", "sch_fq", "sch_cake", "sch_ingress", "cls_bpf", "act_bpf",
	"nf_tables", "nf_conntrack", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat", "nft_numgen", "nft_reject_inet", "nft_fib_inet",
}

const (
	guestPath      = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	guestTemporary = "/run"       // a tmpfs; short, for the paths of unix sockets
	outputDevice   = "/dev/ttyS1" // to the host
	pppMajor       = 108
)

// guestInit is process 1 of the guest: it makes the guest habitable, runs the job, leaves its status and switches the machine off.
func guestInit(shared string) {
	status, err := runGuest(shared)
	if err != nil {
		fmt.Println("vm: guest:", err) // on the console, whose last lines the host shows when there is no status
	} else if err := os.WriteFile(filepath.Join(shared, statusFile), []byte(strconv.Itoa(status)), 0o600); err != nil {
		fmt.Println("vm: guest:", err)
	}
	unix.Sync()
	fmt.Println("vm: guest:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func runGuest(shared string) (int, error) {
	j, err := readJob(shared)
	if err != nil {
		return 0, err
	}
	if err := os.Setenv("PATH", guestPath); err != nil {
		return 0, err
	}
	if err := mountAll(j.Modules); err != nil {
		return 0, err
	}
	if out, err := exec.Command("modprobe", append([]string{"-a"}, modules...)...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("loading the modules: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := prepareDevices(); err != nil {
		return 0, err
	}
	return runJob(j)
}

// A mount is one file system of the guest.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// mountAll gives the guest its own of everything that a running system writes to or that holds the host's secrets, and puts the
// kernel's modules where modprobe, run by anyone, looks for them.
func mountAll(modules string) error {
	mounts := []mount{
		{"proc", "/proc", "proc", 0, ""},
		{"sysfs", "/sys", "sysfs", 0, ""},
		{"devtmpfs", "/dev", "devtmpfs", 0, ""},
		{"devpts", "/dev/pts", "devpts", 0, "mode=600,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"},
		{"tmpfs", "/run", "tmpfs", 0, "mode=755"},
		{"tmpfs", "/var/log", "tmpfs", 0, "mode=755"},
		{"tmpfs", "/etc/ppp", "tmpfs", 0, "mode=755"},
		{modules, "/lib/modules", "", unix.MS_BIND, ""},
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("making the mount point %s: %w", m.target, err)
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.source, m.target, err)
		}
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
	if err := drain(int(output.Fd())); err != nil {
		return 0, fmt.Errorf("draining the output: %w", err)
	}
	return status, nil
}

// drain waits until all of it has left for the host: tcdrain.
func drain(terminal int) error {
	for {
		if err := unix.IoctlSetInt(terminal, unix.TCSBRK, 1); err != unix.EINTR { // by a signal of the Go runtime's
			return err
		}
	}
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
