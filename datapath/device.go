package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portAlias, followed by the name of a line's device, is the alias of the other end of its veth pair.
const portAlias = mark + ": the wire side of "

// offloads are the device features that are switched off: what stands between a packet and a frame cannot segment (TSO and the like),
// and must not leave checksums to hardware that may not find them behind a PPPoE header.
var (
	segmentation = []string{
		"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation",
		"tx-sctp-segmentation", "tx-gso-list", "tx-gre-segmentation", "tx-gre-csum-segmentation", "tx-ipxip4-segmentation",
		"tx-ipxip6-segmentation", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation",
	}
	checksums = []string{"tx-checksum-ip-generic", "tx-checksum-sctp"}
)

// portName names the other end of a device's veth pair, in the 15 bytes that a name may have: "ppp-a-port".
func portName(device string) string {
	const suffix = "-port"
	if len(device)+len(suffix) < unix.IFNAMSIZ {
		return device + suffix
	}
	return fmt.Sprintf("%.1s%08x%s", device, crc32.ChecksumIEEE([]byte(device)), suffix) // a cut name alone could be another line's
}

// createDevice makes the veth pair. The line's device is down; the port is up.
func createDevice(name string, mtu int) (device, port netlink.Link, err error) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = name, mtu
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: portName(name), PeerMTU: maxPacket}
	err = netlink.LinkAdd(pair)
	if errors.Is(err, unix.EEXIST) {
		return nil, nil, fmt.Errorf("there is a device of that name, or of the name %s, already: stop the program that it belongs to, "+
			"or `ip link delete %s`: %w", pair.PeerName, name, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("adding a veth pair (the kernel needs CONFIG_VETH): %w", err)
	}
	if device, err = netlink.LinkByName(name); err == nil {
		if port, err = netlink.LinkByName(pair.PeerName); err == nil {
			err = setUp(device, port)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, netlink.LinkDel(pair))
	}
	return device, port, nil
}

// setUp makes the pair silent (no ARP, no IPv6 address or solicitation of its own), marks it, and sets the port up.
func setUp(device, port netlink.Link) error {
	steps := []struct {
		what string
		do   func() error
	}{
		{"marking the port", func() error { return netlink.LinkSetAlias(port, portAlias+device.Attrs().Name) }}, // first: Cleanup needs it
		{"marking the device", func() error { return netlink.LinkSetAlias(device, mark) }},
		{"switching ARP off", func() error { return netlink.LinkSetARPOff(device) }},
		{"switching the port's ARP off", func() error { return netlink.LinkSetARPOff(port) }},
		{"switching IPv6 autoconfiguration off", func() error { return noAutoconfiguration(device) }},
		{"switching the port's IPv6 autoconfiguration off", func() error { return noAutoconfiguration(port) }},
		{"switching offloads off", func() error { return setFeatures(device.Attrs().Index, false, append(segmentation, checksums...)...) }},
		{"switching the port's offloads off", func() error { return setFeatures(port.Attrs().Index, false, segmentation...) }},
		{"switching GRO on", func() error { return setFeatures(device.Attrs().Index, true, "rx-gro") }}, // received packets reach the IP stack in batches
		{"setting the port up", func() error { return netlink.LinkSetUp(port) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// removeDevice deletes a line's veth pair by its port, which is known by its index: somebody may have renamed or deleted the device.
func removeDevice(port netlink.Link) error {
	if err := netlink.LinkDel(port); err != nil && !gone(err) {
		return fmt.Errorf("deleting the veth pair: %w", err)
	}
	return nil
}

// noAutoconfiguration keeps the kernel from giving a device an IPv6 link-local address, as it does with PPP devices. Where IPv6 is
// switched off there is nothing to do.
func noAutoconfiguration(l netlink.Link) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	err := netlink.LinkSetIP6AddrGenMode(l, none)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// Attributes of the ethtool family (linux/ethtool_netlink.h).
const (
	ethtoolFeaturesSet    = 12 // ETHTOOL_MSG_FEATURES_SET
	ethtoolFeaturesHeader = 1  // ETHTOOL_A_FEATURES_HEADER
	ethtoolHeaderIndex    = 1  // ETHTOOL_A_HEADER_DEV_INDEX
	ethtoolFeaturesWanted = 3  // ETHTOOL_A_FEATURES_WANTED
	ethtoolBitsetBits     = 3  // ETHTOOL_A_BITSET_BITS
	ethtoolBitsBit        = 1  // ETHTOOL_A_BITSET_BITS_BIT
	ethtoolBitName        = 2  // ETHTOOL_A_BITSET_BIT_NAME
	ethtoolBitValue       = 3  // ETHTOOL_A_BITSET_BIT_VALUE: a flag
)

// setFeatures does what `ethtool -K` does: it switches features, given by their names, on or off.
func setFeatures(index int, on bool, names ...string) error {
	family, err := netlink.GenlFamilyGet("ethtool")
	if err != nil {
		return fmt.Errorf("asking for the netlink family ethtool (the kernel needs CONFIG_ETHTOOL_NETLINK): %w", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(&nl.Genlmsg{Command: ethtoolFeaturesSet, Version: 1})
	header := nl.NewRtAttr(unix.NLA_F_NESTED|ethtoolFeaturesHeader, nil)
	header.AddRtAttr(ethtoolHeaderIndex, binary.NativeEndian.AppendUint32(nil, uint32(index)))
	request.AddData(header)
	wanted := nl.NewRtAttr(unix.NLA_F_NESTED|ethtoolFeaturesWanted, nil)
	bits := wanted.AddRtAttr(unix.NLA_F_NESTED|ethtoolBitsetBits, nil)
	for _, name := range names {
		bit := bits.AddRtAttr(unix.NLA_F_NESTED|ethtoolBitsBit, nil)
		bit.AddRtAttr(ethtoolBitName, nl.ZeroTerminated(name))
		if on {
			bit.AddRtAttr(ethtoolBitValue, nil)
		}
	}
	request.AddData(wanted)
	_, err = request.Execute(unix.NETLINK_GENERIC, 0)
	return err
}
