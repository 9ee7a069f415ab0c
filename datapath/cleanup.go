package datapath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// A Leftover is something that a process which was killed has left in this network namespace: a line's veth pair, or a tc filter with the
// qdisc clsact if that has no other.
type Leftover struct {
	command string
	remove  func() error
}

// String is a command that does what Remove does.
func (l Leftover) String() string { return l.command }

// Remove takes it away. That it is gone is no error.
func (l Leftover) Remove() error {
	if err := l.remove(); err != nil && !gone(err) {
		return fmt.Errorf("removing what is left of an eBPF line (%v): %w", l, err)
	}
	return nil
}

// Leftovers lists what there is, if there is no linebond with lines in the namespace: of those it lists all. It needs no eBPF.
func Leftovers() ([]Leftover, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("looking for what is left of eBPF lines: listing the devices: %w", err)
	}
	hooked, err := withClsact()
	if err != nil {
		return nil, fmt.Errorf("looking for what is left of eBPF lines: listing the qdiscs: %w", err)
	}
	var all []Leftover
	for _, l := range links {
		a := l.Attrs()
		if l.Type() == "veth" && strings.HasPrefix(a.Alias, portAlias) {
			all = append(all, Leftover{"ip link delete " + a.Name, func() error { return netlink.LinkDel(l) }})
			continue
		}
		if !hooked[a.Index] {
			continue
		}
		ours, err := hasOurs(a.Index)
		if err != nil && !gone(err) {
			return nil, fmt.Errorf("looking for what is left of eBPF lines on %s: %w", a.Name, err)
		}
		if ours {
			command := fmt.Sprintf("tc filter delete dev %s ingress pref %d", a.Name, filterPriority)
			all = append(all, Leftover{command, func() error { return detachClsact(a.Index, true) }})
		}
	}
	return all, nil
}

// withClsact are the indexes of the devices that have the qdisc.
func withClsact() (map[int]bool, error) {
	qdiscs, err := netlink.QdiscList(nil)
	if err != nil {
		return nil, err
	}
	hooked := map[int]bool{}
	for _, q := range qdiscs {
		if q.Type() == "clsact" {
			hooked[q.Attrs().LinkIndex] = true
		}
	}
	return hooked, nil
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
