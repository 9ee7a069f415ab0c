package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/florianl/go-tc"
	"github.com/florianl/go-tc/core"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// An attacher makes a program run on what the device of this index receives.
type attacher func(index int, program *ebpf.Program) (detach, error)

// detach ends that. The device may be gone.
type detach func() error

// attachBest attaches by tcx where the kernel has it (Linux 6.6), else by tc.
func attachBest(index int, program *ebpf.Program) (detach, error) {
	d, err := attachTCX(index, program)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return attachClsact(index, program)
	}
	return d, err
}

// attachTCX attaches by a link, which the kernel removes when this process ends.
func attachTCX(index int, program *ebpf.Program) (detach, error) {
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: program, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return nil, fmt.Errorf("attaching the eBPF program by tcx: %w", err)
	}
	return l.Close, nil
}

// The filter's place among those of others: late, as ours leaves alone what is not of its sessions.
const (
	filterPriority = 0x6c62 // "lb"
	filterHandle   = 1
)

// attachClsact attaches by a tc filter, in a clsact qdisc that is made where there is none. The filter takes the place of one that a process
// which was killed has left.
func attachClsact(index int, program *ebpf.Program) (detach, error) {
	conn, err := tc.Open(&tc.Config{})
	if err != nil {
		return nil, fmt.Errorf("opening a socket for tc: %w", err)
	}
	defer conn.Close()
	err = conn.Qdisc().Add(clsact(index))
	made := err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("adding the qdisc clsact (the kernel needs CONFIG_NET_SCH_INGRESS): %w", err)
	}
	if err := conn.Filter().Replace(filter(index, program.FD())); err != nil {
		if made {
			err = errors.Join(err, conn.Qdisc().Delete(clsact(index)))
		}
		return nil, fmt.Errorf("adding the tc filter %s (the kernel needs CONFIG_NET_CLS_BPF): %w", mark, err)
	}
	return func() error { return detachClsact(index, made) }, nil
}

// detachClsact removes our filter, and the qdisc if asked to and nobody else has a filter in it.
func detachClsact(index int, qdisc bool) error {
	conn, err := tc.Open(&tc.Config{})
	if err != nil {
		return fmt.Errorf("opening a socket for tc: %w", err)
	}
	defer conn.Close()
	if err := conn.Filter().Delete(filter(index, -1)); err != nil && !unhooked(err) {
		return fmt.Errorf("deleting the tc filter %s: %w", mark, err)
	}
	if !qdisc {
		return nil
	}
	filters, err := filters(conn, index)
	if err == nil && len(filters) == 0 {
		err = conn.Qdisc().Delete(clsact(index))
	}
	if err != nil && !unhooked(err) {
		return fmt.Errorf("deleting the qdisc clsact: %w", err)
	}
	return nil
}

// filters lists what is in a device's clsact qdisc.
func filters(conn *tc.Tc, index int) ([]tc.Object, error) {
	var all []tc.Object
	for _, hook := range []uint32{tc.HandleMinIngress, tc.HandleMinEgress} {
		some, err := conn.Filter().Get(&tc.Msg{
			Family: unix.AF_UNSPEC, Ifindex: uint32(index), Parent: core.BuildHandle(tc.HandleRoot, hook),
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func clsact(index int) *tc.Object {
	return &tc.Object{
		Msg: tc.Msg{
			Family: unix.AF_UNSPEC, Ifindex: uint32(index), Handle: core.BuildHandle(tc.HandleRoot, 0), Parent: tc.HandleIngress,
		},
		Attribute: tc.Attribute{Kind: "clsact"},
	}
}

// filter describes our filter; to delete it, no program is needed (a descriptor of -1).
func filter(index, fd int) *tc.Object {
	o := &tc.Object{
		Msg: tc.Msg{
			Family: unix.AF_UNSPEC, Ifindex: uint32(index), Handle: filterHandle,
			Parent: core.BuildHandle(tc.HandleRoot, tc.HandleMinIngress),
			Info:   core.BuildHandle(filterPriority, uint32(htons(unix.ETH_P_ALL))),
		},
		Attribute: tc.Attribute{Kind: "bpf"},
	}
	if fd >= 0 {
		descriptor, name, direct := uint32(fd), mark, uint32(tc.BpfActDirect)
		o.Attribute.BPF = &tc.Bpf{FD: &descriptor, Name: &name, Flags: &direct}
	}
	return o
}

// addClsact and addFilter ask for the same of a line's port, whose qdisc goes with it.
func addClsact(index int) *nl.NetlinkRequest {
	return clsactMessage(unix.RTM_NEWQDISC, nl.TcMsg{
		Ifindex: int32(index), Handle: core.BuildHandle(tc.HandleRoot, 0), Parent: tc.HandleIngress,
	}, "clsact")
}

func addFilter(index, fd int) *nl.NetlinkRequest {
	f := filter(index, fd)
	m := clsactMessage(unix.RTM_NEWTFILTER, nl.TcMsg{
		Ifindex: int32(index), Handle: f.Handle, Parent: f.Parent, Info: f.Info,
	}, "bpf")
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_FD, nl.Uint32Attr(*f.BPF.FD))
	options.AddRtAttr(nl.TCA_BPF_NAME, nl.ZeroTerminated(*f.BPF.Name))
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(*f.BPF.Flags))
	m.AddData(options)
	return m
}

func clsactMessage(kind int, header nl.TcMsg, name string) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(kind, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m.AddData(&header)
	m.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(name)))
	return m
}

// htons is for the places where an interface to the kernel wants network byte order.
func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// gone says that there is no such device, or no such filter.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// unhooked says the same, or that there is no qdisc where a filter could be.
func unhooked(err error) bool { return gone(err) || errors.Is(err, unix.EINVAL) }

// hasOurs says whether our filter is on a device.
func hasOurs(index int) (bool, error) {
	conn, err := tc.Open(&tc.Config{})
	if err != nil {
		return false, fmt.Errorf("opening a socket for tc: %w", err)
	}
	defer conn.Close()
	all, err := filters(conn, index)
	if err != nil {
		return false, fmt.Errorf("listing its tc filters: %w", err)
	}
	return slices.ContainsFunc(all, func(o tc.Object) bool { return o.BPF != nil && o.BPF.Name != nil && *o.BPF.Name == mark }), nil
}
