package scheduler

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// Names of our tc filters. They are attached by tc and not by tcx: so they outlive this process without a file.
const (
	chooseFilter = "linebond-choose"
	hearFilter   = "linebond-hear"
)

// The filters' place among those of others.
const (
	filterPriority = netstate.SchedulerPriority
	filterHandle   = netstate.SchedulerHandle
)

// attach has a program run on what a device receives, in the place of an older one of ours, with no packet between them.
func attach(h *netlink.Handle, index int, name string, program *ebpf.Program) error {
	if err := h.QdiscAdd(clsact(index)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("adding the qdisc clsact%s: %w", needs(err, "CONFIG_NET_SCH_INGRESS"), err)
	}
	f := filter(index)
	f.Fd, f.Name, f.DirectAction = program.FD(), name, true
	err := h.FilterReplace(f)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("adding the tc filter %s: %w: is there another's filter of another protocol with the priority %d? Give that another one",
			name, err, filterPriority)
	}
	if err != nil {
		return fmt.Errorf("adding the tc filter %s%s: %w", name, needs(err, "CONFIG_NET_CLS_BPF"), err)
	}
	return nil
}

// needs is what to do about errors of a kernel that lacks something.
func needs(err error, option string) string {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return " (the kernel needs " + option + ")"
	}
	return ""
}

// detach removes our filter, and the qdisc if nobody has another filter in it. The device may be gone.
func detach(h *netlink.Handle, index int) error {
	if err := h.FilterDel(filter(index)); err != nil && !gone(err) {
		return fmt.Errorf("deleting a tc filter: %w", err)
	}
	for _, hook := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		others, err := h.FilterList(device(index), hook)
		if err != nil && !gone(err) {
			return fmt.Errorf("listing tc filters: %w", err)
		}
		if len(others) > 0 {
			return nil
		}
	}
	if err := h.QdiscDel(clsact(index)); err != nil && !gone(err) {
		return fmt.Errorf("deleting the qdisc clsact: %w", err)
	}
	return nil
}

// attached says whether a filter of ours with this name is on a device.
func attached(h *netlink.Handle, index int, name string) (bool, error) {
	all, err := filters(h, index)
	return slices.ContainsFunc(all, func(f *netlink.BpfFilter) bool { return f.Name == name }), err
}

// filters are those with programs that see what a device receives. The device may be gone.
func filters(h *netlink.Handle, index int) ([]*netlink.BpfFilter, error) {
	all, err := h.FilterList(device(index), netlink.HANDLE_MIN_INGRESS)
	if err != nil && !gone(err) {
		return nil, fmt.Errorf("listing tc filters: %w", err)
	}
	var programs []*netlink.BpfFilter
	for _, f := range all {
		if b, ok := f.(*netlink.BpfFilter); ok {
			programs = append(programs, b)
		}
	}
	return programs, nil
}

// device stands for the one with this index.
func device(index int) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

func clsact(index int) netlink.Qdisc {
	return &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// filter is our filter, without its program: to delete it, none is needed.
func filter(index int) *netlink.BpfFilter {
	return &netlink.BpfFilter{Fd: -1, FilterAttrs: netlink.FilterAttrs{
		LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: filterHandle, Priority: filterPriority, Protocol: unix.ETH_P_ALL,
	}}
}
