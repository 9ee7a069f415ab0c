package scheduler

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"slices"
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
	if err != nil || bond.Type() != "veth" || port.Attrs().Alias != portAlias+device && !isHalfMade(port) {
		return nil, nil, false, fmt.Errorf("there is a device of that name that linebond did not make: give the bond another name: %w", unix.EEXIST)
	}
	return bond, port, true, nil
}

// portAddress is what a port is made with: so that one whose maker died before it had its alias is known, too.
var portAddress = net.HardwareAddr{0x02, 'b', 'o', 'n', 'd', 0}

// isHalfMade says whether a device is a port that has no alias yet.
func isHalfMade(l netlink.Link) bool {
	a := l.Attrs()
	return l.Type() == "veth" && a.Alias == "" && slices.Equal(a.HardwareAddr, portAddress)
}

// addPair makes a bond's pair, or nothing. Both ends are down.
func addPair(h *netlink.Handle, device string, mtu int) (bond, port netlink.Link, err error) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = device, mtu
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: portName(device), PeerMTU: portMTU, PeerHardwareAddr: portAddress}
	if err := h.LinkAdd(pair); err != nil {
		return nil, nil, fmt.Errorf("adding a veth pair%s: %w", needs(err, "CONFIG_VETH"), err)
	}
	bond, port, _, err = findPair(h, device)
	if err != nil {
		return nil, nil, errors.Join(err, h.LinkDel(pair))
	}
	return bond, port, nil
}

// configurePair gives a pair, new or not, the settings that it needs: marks, single packets, and not a packet of its own on the lines. The
// port is up then.
func configurePair(h *netlink.Handle, bond, port netlink.Link) error {
	for l, alias := range map[netlink.Link]string{bond: bondAlias, port: portAlias + bond.Attrs().Name} {
		if err := h.LinkSetAlias(l, alias); err != nil {
			return fmt.Errorf("marking %s: %w", l.Attrs().Name, err)
		}
	}
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
		if err := unmake(h, l); err != nil {
			return fmt.Errorf("deleting the IPv6 address of %s that the kernel has made: %w", l.Attrs().Name, err)
		}
	}
	if err := h.LinkSetUp(port); err != nil {
		return fmt.Errorf("setting %s up: %w", port.Attrs().Name, err)
	}
	return nil
}

// madeAddress is the link-local IPv6 address, with the EUI-64 of the device (RFC 4291 appendix A), that the kernel has given it; nil: none.
// It does so when the MTU of a device that was below 1280 becomes longer: all settings of IPv6 are the default ones then.
func madeAddress(h *netlink.Handle, l netlink.Link) (*netlink.Addr, error) {
	all, err := h.AddrList(l, unix.AF_INET6)
	if err != nil {
		return nil, err
	}
	mac := l.Attrs().HardwareAddr // of a veth: 6 bytes
	made := net.IP{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
	for _, a := range all {
		if a.IP.Equal(made) {
			return &a, nil
		}
	}
	return nil, nil
}

// unmake deletes it.
func unmake(h *netlink.Handle, l netlink.Link) error {
	now, err := h.LinkByIndex(l.Attrs().Index) // its hardware address may be another one than it was
	if err != nil {
		return err
	}
	made, err := madeAddress(h, now)
	if err == nil && made != nil {
		err = h.AddrDel(now, made)
	}
	return err
}

// isPort says whether a device is the port of a bond.
func isPort(l netlink.Link) bool {
	return l.Type() == "veth" && strings.HasPrefix(l.Attrs().Alias, portAlias) || isHalfMade(l)
}

// gone says that there is nothing left to delete: the filter, the device, or (EINVAL) the qdisc is not there.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}
