package doctor

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// passOn is TC_ACT_UNSPEC of linux/pkt_cls.h, and TCX_NEXT.
const passOn = -1

// loopback is the index of the device lo, which is the only one of a new network namespace.
const loopback = 1

// Native are the probes of the machine that this process runs on. The functions are those by which other rooms would go about it.
type Native struct {
	PPPoEAvailable, VLANAvailable, LoadEBPF func() error

	// In the calling thread's network namespace:
	MakeTable    func(netstate.Table) error
	TryScheduler func() error // leaves nothing
}

// PPPoE implements Probes.
func (n Native) PPPoE() error { return n.PPPoEAvailable() }

// VLAN implements Probes.
func (n Native) VLAN() error { return n.VLANAvailable() }

// EBPF implements Probes.
func (n Native) EBPF() error { return n.LoadEBPF() }

// Namespace implements Probes.
func (n Native) Namespace() error { return apart(func() error { return nil }) }

// Table implements Probes.
func (n Native) Table(t netstate.Table) error { return apart(func() error { return n.MakeTable(t) }) }

// Scheduler implements Probes.
func (n Native) Scheduler() error { return apart(n.TryScheduler) }

// TCX implements Probes.
func (n Native) TCX() error {
	return withProgram(func(program *ebpf.Program) error {
		l, err := link.AttachTCX(link.TCXOptions{Interface: loopback, Program: program, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			return fmt.Errorf("attaching a program by tcx: %w", err)
		}
		return l.Close()
	})
}

// Clsact implements Probes.
func (n Native) Clsact() error {
	return withProgram(func(program *ebpf.Program) error {
		err := netlink.QdiscAdd(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: loopback, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
			QdiscType:  "clsact",
		})
		if err != nil {
			return fmt.Errorf("adding the qdisc clsact: %w", err)
		}
		err = netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: loopback, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
			},
			Fd: program.FD(), Name: "linebond", DirectAction: true,
		})
		if err != nil {
			return fmt.Errorf("adding a tc filter: %w", err)
		}
		return nil
	})
}

// Veth implements Probes.
func (n Native) Veth() error {
	return apart(func() error {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "doctor0"}, PeerName: "doctor1"}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("making a veth pair: %w", err)
		}
		return nil
	})
}

// Multipath implements Probes.
func (n Native) Multipath() error {
	return apart(func() error {
		lo, err := netlink.LinkByIndex(loopback)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		_, documentation, err := net.ParseCIDR("192.0.2.0/24")
		if err != nil {
			return err
		}
		err = netlink.RouteAdd(&netlink.Route{
			Dst: documentation, MultiPath: []*netlink.NexthopInfo{{LinkIndex: loopback}, {LinkIndex: loopback}},
		})
		if err != nil {
			return fmt.Errorf("adding a route of two hops: %w", err)
		}
		return nil
	})
}

// Qdisc implements Probes.
func (n Native) Qdisc(kind string) error {
	return apart(func() error {
		err := netlink.QdiscAdd(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: loopback, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			QdiscType:  kind,
		})
		if errors.Is(err, unix.ENOENT) {
			return errors.New("not in this kernel")
		}
		if err != nil && !errors.Is(err, unix.EINVAL) { // it is there, and wants options
			return fmt.Errorf("adding the qdisc %s: %w", kind, err)
		}
		return nil
	})
}

// Writable implements Probes.
func (n Native) Writable(file string) error { return unix.Access("/"+file, unix.W_OK) }

// Listening implements Probes. It tries the kind of socket that syslog servers have, then the other.
func (n Native) Listening(socket string) error {
	conn, err := net.Dial("unixgram", socket)
	if errors.Is(err, unix.EPROTOTYPE) {
		conn, err = net.Dial("unix", socket)
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return operation.Err
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// withProgram calls f apart, with a program that lets every packet pass.
func withProgram(f func(*ebpf.Program) error) error {
	return apart(func() error {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.SchedCLS, License: "Apache-2.0",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, passOn), asm.Return()},
		})
		if err != nil {
			return fmt.Errorf("loading a program: %w", err)
		}
		defer program.Close()
		return f(program)
	})
}

// apart calls f on a thread of its own, in a network namespace of its own, which is gone soon after.
func apart(f func() error) error {
	result := make(chan error)
	go func() { result <- apartHere(f) }()
	return <-result
}

func apartHere(f func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The process's first thread is what /proc/self shows, and never ends: it stays here.
		defer runtime.UnlockOSThread()
		return apart(f)
	}
	// Never unlocked: the thread ends with its goroutine, and the namespace with the thread.
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	return f()
}
