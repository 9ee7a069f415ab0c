package scheduler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Leftover is something of a bond that is in this network namespace: its veth pair, its pinned maps, or the tc filter of a line.
type Leftover struct {
	command string
	remove  func() error
}

// String is a command that does what Remove does.
func (l Leftover) String() string { return l.command }

// Remove takes it away. That it is gone is no error.
func (l Leftover) Remove() error {
	if err := l.remove(); err != nil && !gone(err) {
		return fmt.Errorf("removing what is left of a weighted bond (%v): %w", l, err)
	}
	return nil
}

// Leftovers lists what there is. It needs no eBPF.
func Leftovers() ([]Leftover, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("looking for what is left of weighted bonds: opening netlink: %w", err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("looking for what is left of weighted bonds: listing the devices: %w", err)
	}
	var all []Leftover
	for _, l := range links {
		a := l.Attrs()
		if isPort(l) {
			all = append(all, Leftover{"ip link delete " + a.Name, func() error { return netlink.LinkDel(l) }})
			continue
		}
		ours, err := attached(h, a.Index, hearFilter)
		if err != nil {
			return nil, fmt.Errorf("looking for what is left of weighted bonds on %s: %w", a.Name, err)
		}
		if ours {
			command := fmt.Sprintf("tc filter delete dev %s ingress pref %d protocol all handle %#x bpf", a.Name, filterPriority, filterHandle)
			all = append(all, Leftover{command, func() error { return detachAlone(a.Index) }})
		}
	}
	return append(all, pinLeftovers()...), nil
}

// pinLeftovers are the directories of this network namespace's bonds.
func pinLeftovers() []Leftover {
	directory, err := pinDirectory()
	if err != nil {
		return nil // without a file system there is nothing in it
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	var all []Leftover
	for _, e := range entries {
		path := filepath.Join(directory, e.Name())
		all = append(all, Leftover{"rm -r " + path, func() error { return unpin(path) }})
	}
	return all
}

func detachAlone(index int) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer h.Close()
	return detach(h, index)
}

// Cleanup removes all Leftovers.
func Cleanup() error {
	all, err := Leftovers()
	errs := []error{err}
	for _, l := range all {
		errs = append(errs, l.Remove())
	}
	return errors.Join(errs...)
}
