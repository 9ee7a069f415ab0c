package scheduler

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// Aliases of the two ends of a bond's veth pair. The second is followed by the name of the first.
const (
	bondAlias = netstate.SchedulerAlias
	portAlias = "linebond: the lines' side of "
)

// portMTU is the longest there is: only the bond device's MTU matters.
const portMTU = 65535

// portName names the other end of the pair, in the 15 bytes that a name may have: "wanbond0-port".
func portName(device string) string {
	const suffix = "-port"
	if len(device)+len(suffix) < unix.IFNAMSIZ {
		return device + suffix
	}
	return fmt.Sprintf("%.1s%08x%s", device, crc32.ChecksumIEEE([]byte(device)), suffix)
}

// findPair looks for a bond's pair. It is false if there is none, and an error if there is a device that is not ours.
func findPair(h *netlink.Handle, device string) (bond, port netlink.Link, found bool, err error) {
	bond, err = h.LinkByName(device)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("looking for the device: %w", err)
	}
	port, err = h.LinkByIndex(bond.Attrs().ParentIndex)
	if err != nil || bond.Type() != "veth" || port.Attrs().Alias != portAlias+device {
		return nil, nil, false, fmt.Errorf("there is a device of that name that linebond did not make: give the bond another name, "+
			"or `ip link delete %s`: %w", device, unix.EEXIST)
	}
	return bond, port, true, nil
}

// addPair makes a bond's pair. The bond device is down, the port up.
func addPair(h *netlink.Handle, device string, mtu int) (bond, port netlink.Link, err error) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = device, mtu
	err = h.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: portName(device), PeerMTU: portMTU})
	if err != nil {
		return nil, nil, fmt.Errorf("adding a veth pair (the kernel needs CONFIG_VETH): %w", err)
	}
	if port, err = h.LinkByName(portName(device)); err == nil {
		err = h.LinkSetAlias(port, portAlias+device) // first: Leftovers knows the pair by it
	}
	if err == nil {
		bond, err = h.LinkByIndex(port.Attrs().ParentIndex)
	}
	if err == nil {
		err = h.LinkSetAlias(bond, bondAlias)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("marking the new veth pair: %w", err)
	}
	return bond, port, nil
}

// configurePair gives a pair, new or not, the settings that it needs: single packets, and not a packet of its own on the lines.
func configurePair(h *netlink.Handle, bond, port netlink.Link) error {
	if err := h.LinkSetGSOMaxSegs(bond, 1); err != nil {
		return fmt.Errorf("setting gso_max_segs: %w", err)
	}
	for _, l := range []netlink.Link{bond, port} {
		if err := h.LinkSetARPOff(l); err != nil {
			return fmt.Errorf("switching ARP off on %s: %w", l.Attrs().Name, err)
		}
		err := h.LinkSetIP6AddrGenMode(l, nl.IN6_ADDR_GEN_MODE_NONE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EINVAL) { // there is no IPv6
			return fmt.Errorf("switching IPv6 autoconfiguration off on %s: %w", l.Attrs().Name, err)
		}
	}
	if err := h.LinkSetUp(port); err != nil {
		return fmt.Errorf("setting %s up: %w", port.Attrs().Name, err)
	}
	return nil
}

// bondOf is the name of the bond device to which a port belongs, or "".
func bondOf(l netlink.Link) string {
	name, ours := strings.CutPrefix(l.Attrs().Alias, portAlias)
	if !ours || l.Type() != "veth" {
		return ""
	}
	return name
}

// gone says that there is nothing left to delete: the filter, the device, or (EINVAL) the qdisc is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}
