package datapath

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Leftover is something that a process which was killed has left in this network namespace: a line's veth pair, or a tc filter with the
// qdisc clsact if that has no other. (Whose an empty clsact is nobody can tell, and nobody misses one.)
type Leftover struct {
	command string
	index   int  // of the pair's port, or of the device that has the filter
	pair    bool // which of them it is
}

// String is a command that does what Remove does.
func (l Leftover) String() string { return l.command }

// Remove takes it away. That it is gone is no error.
func (l Leftover) Remove() error {
	var err error
	if l.pair {
		err = removePairs([]int{l.index})
	} else {
		err = detachClsact(l.index, true)
	}
	if err != nil {
		return fmt.Errorf("removing what is left of an eBPF line (%v): %w", l, err)
	}
	return nil
}

// removePairs deletes veth pairs by their ports.
func removePairs(ports []int) error {
	conn, err := openNetlink(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	return errors.Join(conn.removePorts(ports), conn.close())
}

// Leftovers lists what there is, if there is no linebond with lines in the namespace: of those it lists all. With an error, it lists what it
// has found all the same. It needs no eBPF.
func Leftovers() ([]Leftover, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("looking for what is left of eBPF lines: listing the devices: %w", err)
	}
	var errs []error
	hooked, err := withIngress()
	if err != nil {
		errs = append(errs, fmt.Errorf("looking for what is left of eBPF lines: listing the qdiscs: %w", err))
	}
	var all []Leftover
	for _, l := range links {
		a := l.Attrs()
		if l.Type() == "veth" && (strings.HasPrefix(a.Alias, portAlias) || a.Group == portGroup) {
			all = append(all, Leftover{"ip link delete " + a.Name, a.Index, true})
			continue
		}
		if !hooked[a.Index] {
			continue
		}
		ours, err := hasOurs(a.Index)
		if err != nil && !unhooked(err) {
			errs = append(errs, fmt.Errorf("looking for what is left of eBPF lines on %s: %w", a.Name, err))
		}
		if ours {
			all = append(all, Leftover{fmt.Sprintf("tc filter delete dev %s ingress pref %d", a.Name, filterPriority), a.Index, false})
		}
	}
	return all, errors.Join(errs...)
}

// withIngress are the indexes of the devices that have a qdisc in which our filter can be: before Linux 6.6 also somebody else's ingress.
func withIngress() (map[int]bool, error) {
	qdiscs, err := dump(func() ([]netlink.Qdisc, error) { return netlink.QdiscList(nil) })
	if err != nil {
		return nil, err
	}
	hooked := map[int]bool{}
	for _, q := range qdiscs {
		if q.Type() == "clsact" || q.Type() == "ingress" {
			hooked[q.Attrs().LinkIndex] = true
		}
	}
	return hooked, nil
}

// dump repeats a listing that a change in the kernel has made inconsistent while it was under way.
func dump[T any](list func() ([]T, error)) (items []T, err error) {
	const attempts = 5
	for range attempts {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return items, err
}

// Cleanup removes all Leftovers.
func Cleanup() error {
	all, err := Leftovers()
	errs := []error{err}
	var ports []int
	for _, l := range all {
		if l.pair {
			ports = append(ports, l.index)
		} else {
			errs = append(errs, l.Remove())
		}
	}
	for some := range slices.Chunk(ports, removalsAtOnce) {
		if err := removePairs(some); err != nil {
			errs = append(errs, fmt.Errorf("removing what is left of eBPF lines: %w", err))
		}
	}
	return errors.Join(errs...)
}
