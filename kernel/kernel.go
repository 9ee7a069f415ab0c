// Package kernel observes the host's networking as a netstate.State, carries out netstate operations, and tells when something changes.
//
//	Observe  netlink dumps, /proc/sys, /sys  ->  netstate.State
//	Apply    []netstate.Op                   ->  netlink requests, /proc/sys, /sys; modprobe, for which there is no request
//	Watch    netlink multicast               ->  "look again"
//
// Netlink is rtnetlink for links, addresses, routes and qdiscs, and nfnetlink for the nftables table.
//
// It decides nothing: what is to be done is the business of netstate.Diff. It works in the network namespace of the process.
package kernel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Kernel is a connection to the kernel's configuration of the network. Its methods may be called at the same time.
type Kernel struct {
	handle *netlink.Handle
	rules  *netlink.Handle // for the listing of routing rules, of which package netlink has a request that strict checking refuses
	teql   *teqlModule

	shapers shaperKinds
}

// Open connects to the kernel. What Observe and Apply need of privileges, their errors name.
func Open() (*Kernel, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	// With strict checking the kernel itself picks our routes from its tables, which may be those of an internet router.
	if err := handle.SetStrictCheck(true); err != nil {
		handle.Close()
		return nil, fmt.Errorf("asking netlink for strict checking (Linux 4.20 or later is needed): %w", err)
	}
	rules, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	return &Kernel{handle: handle, rules: rules, teql: &teqlModule{run: execute, now: time.Now, root: "/"}}, nil
}

// Close ends the connection. It does not undo anything.
func (k *Kernel) Close() {
	k.handle.Close()
	k.rules.Close()
}

// LinkInfo is what a line needs to know of the device it runs on.
type LinkInfo struct {
	Exists bool
	Up     bool // administratively
	// Carrier: there is someone at the other end, and the kernel has finished setting the device up for it; before that, it throws
	// away what is sent. Not known, and so false, unless Up.
	Carrier  bool
	MTU      int    // bytes
	Address  string // Ethernet address, e.g. 02:00:00:00:00:01
	Counters Counters
}

// Link describes a device. One that does not exist is no error.
func (k *Kernel) Link(device string) (LinkInfo, error) {
	link, err := k.link(device)
	if errors.Is(err, unix.ENODEV) {
		return LinkInfo{}, nil
	}
	if err != nil {
		return LinkInfo{}, fmt.Errorf("looking up %s: %w", device, err)
	}
	attrs := link.Attrs()
	info := LinkInfo{
		Exists:  true,
		Up:      attrs.RawFlags&unix.IFF_UP != 0,
		Carrier: attrs.RawFlags&unix.IFF_RUNNING != 0,
		MTU:     attrs.MTU,
		Address: attrs.HardwareAddr.String(),
	}
	if s := attrs.Statistics; s != nil {
		info.Counters = Counters{s.RxBytes, s.TxBytes, s.RxPackets, s.TxPackets, s.TxDropped}
	}
	return info, nil
}

// Counters is how much a device has carried since it was made, and how many packets it has dropped instead of sending them.
type Counters struct{ RxBytes, TxBytes, RxPackets, TxPackets, TxDropped uint64 }

// Counters returns those of all devices, by name, of one moment or nearly, so that they can be compared. They are read as text: netlink
// answers with kilobytes for each device.
func (k *Kernel) Counters() (map[string]Counters, error) {
	f, err := os.Open("/proc/thread-self/net/dev")
	if err != nil {
		return nil, fmt.Errorf("reading the counters of the network devices: %w", err)
	}
	defer f.Close()
	counters := map[string]Counters{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, c, ok := parseCounters(lines.Bytes()); ok {
			counters[string(name)] = c
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the counters of the network devices: %w", err)
	}
	return counters, nil
}

// parseCounters reads a line such as
//
//	eth0: 1234 10 0 0 0 0 0 0 5678 20 0 0 0 0 0 0
//
// of which the first eight numbers are of what was received, bytes and packets first, and the others of what was sent: after bytes and packets
// errors and drops. The two lines of headings are none.
func parseCounters(line []byte) (name []byte, c Counters, ok bool) {
	name, rest, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
	if !ok {
		return nil, c, false
	}
	places := [...]*uint64{0: &c.RxBytes, 1: &c.RxPackets, 8: &c.TxBytes, 9: &c.TxPackets, 11: &c.TxDropped}
	found := 0
	for field := range bytes.FieldsSeq(rest) {
		if found == len(places) {
			break
		}
		if p := places[found]; p != nil {
			for _, digit := range field {
				*p = *p*10 + uint64(digit-'0')
			}
		}
		found++
	}
	return name, c, found == len(places)
}

// link looks a device up. The error for a device that does not exist is unix.ENODEV, as it is when a device goes away later on.
func (k *Kernel) link(device string) (netlink.Link, error) {
	if device == "" || len(device) >= unix.IFNAMSIZ {
		return nil, unix.ENODEV // the kernel would look among the alternative names
	}
	link, err := k.handle.LinkByName(device)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, unix.ENODEV
	}
	return link, err
}

// dump repeats a listing that a change in the kernel has made inconsistent while it was under way.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 5
	var items []T
	var err error
	for range attempts {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return items, err
}
