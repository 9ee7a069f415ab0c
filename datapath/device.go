package datapath

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// portAlias, followed by the name of a line's device, is the alias of the other end of its veth pair.
const portAlias = mark + ": the wire side of "

// portGroup is the group that a port is born in (`ip link show group`): it marks a pair that was made, but not given its alias, when the
// process was killed. Nobody else chooses such a number.
const portGroup = 0x6c627074 // "lbpt"

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

// A pair is a line's veth pair.
type pair struct {
	device, port int              // indexes
	address      net.HardwareAddr // of the device
}

// A maker makes and removes veth pairs, in the network namespace that it was opened in. One goroutine owns it.
type maker struct {
	route, generic *netlinkConn
	ethtool        int // the number of the netlink family
}

func newMaker() (*maker, error) {
	family, err := ethtoolFamily()
	if err != nil {
		return nil, err
	}
	m := &maker{ethtool: family}
	if m.route, err = openNetlink(unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	if m.generic, err = openNetlink(unix.NETLINK_GENERIC); err != nil {
		return nil, errors.Join(err, m.route.close())
	}
	return m, nil
}

func (m *maker) close() error { return errors.Join(m.route.close(), m.generic.close()) }

// make makes a pair. The line's device is down; the port is up. A tc filter runs the program, unless it is nil, on what the port receives.
//
// It is a matter of a millisecond or two, since it asks for nothing that has the kernel wait until no processor uses what was before (as
// attaching by tcx does), and for one queue, which is what PPP devices have.
func (m *maker) make(name string, mtu int, up *ebpf.Program) (pair, error) {
	p := pair{address: make(net.HardwareAddr, addressLen)}
	_, _ = rand.Read(p.address)        // cannot fail
	p.address[0] = p.address[0]&^1 | 2 // one station's, locally administered
	err := m.route.do(request{what: "adding a veth pair (the kernel needs CONFIG_VETH)", message: addPair(name, mtu, p.address)})
	if errors.Is(err, unix.EEXIST) {
		return p, fmt.Errorf("there is a device of that name, or of the name %s, already: stop the program that it belongs to, "+
			"or `ip link delete %s`: %w", portName(name), name, err)
	}
	if err != nil {
		return p, err
	}
	port, err := m.route.link(portName(name))
	if err != nil {
		err = fmt.Errorf("asking for the new device %s: %w", portName(name), err)
		return p, errors.Join(err, m.route.do(request{what: "deleting the new veth pair", message: deleteNamed(name), excuse: gone}))
	}
	p.device, p.port = port.peer, port.Index
	if err := m.setUp(name, p, up); err != nil {
		return p, errors.Join(err, m.route.removePorts([]int{p.port}))
	}
	return p, nil
}

// addPair asks for a pair without ARP.
func addPair(name string, mtu int, address net.HardwareAddr) *nl.NetlinkRequest {
	m := linkMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, unix.IFF_NOARP, unix.IFF_NOARP)
	describe := func(name string, mtu int) []*nl.RtAttr {
		return []*nl.RtAttr{
			nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)), nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))),
			nl.NewRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1)), nl.NewRtAttr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1)),
		}
	}
	for _, a := range describe(name, mtu) {
		m.AddData(a)
	}
	m.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, address))
	kind := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	kind.AddRtAttr(nl.IFLA_INFO_KIND, []byte("veth"))
	peer := kind.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	info := nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	info.Flags, info.Change = unix.IFF_NOARP, unix.IFF_NOARP
	for _, a := range describe(portName(name), maxPacket) {
		peer.AddChild(a)
	}
	peer.AddRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(portGroup))
	m.AddData(kind)
	return m
}

// setUp marks a new pair, makes it silent (no IPv6 address or solicitation of its own), has the program run, and sets the port up.
func (m *maker) setUp(name string, p pair, up *ebpf.Program) error {
	alias := func(index int, text string) *nl.NetlinkRequest {
		m := linkMessage(unix.RTM_NEWLINK, 0, index, 0, 0)
		m.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(text)))
		return m
	}
	requests := []request{
		{what: "marking the port", message: alias(p.port, portAlias+name)},
		{what: "marking the device", message: alias(p.device, mark)},
		{what: "switching IPv6 autoconfiguration off", message: noAutoconfiguration(p.device), excuse: noIPv6},
		{what: "switching the port's IPv6 autoconfiguration off", message: noAutoconfiguration(p.port), excuse: noIPv6},
	}
	if up != nil {
		requests = append(requests,
			request{what: "adding the qdisc clsact (the kernel needs CONFIG_NET_SCH_INGRESS)", message: addClsact(p.port)},
			request{what: "adding the tc filter " + mark + " (the kernel needs CONFIG_NET_CLS_BPF)", message: addFilter(p.port, up.FD())})
	}
	if err := m.route.do(requests...); err != nil {
		return err
	}
	err := m.generic.do(
		// With GRO, received packets reach the IP stack in batches.
		request{what: "switching offloads off, and GRO on", message: m.features(p.device, append(segmentation, checksums...), "rx-gro")},
		request{what: "switching the port's offloads off", message: m.features(p.port, segmentation)},
	)
	if err != nil {
		return err
	}
	return m.route.do(request{what: "setting the port up", message: linkMessage(unix.RTM_NEWLINK, 0, p.port, unix.IFF_UP, unix.IFF_UP)})
}

// noAutoconfiguration keeps the kernel from giving a device an IPv6 link-local address, as it does with PPP devices.
func noAutoconfiguration(index int) *nl.NetlinkRequest {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	m := linkMessage(unix.RTM_NEWLINK, 0, index, 0, 0)
	families := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	families.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(none))
	m.AddData(families)
	return m
}

// noIPv6 says that IPv6 is switched off: then there is nothing to be kept from.
func noIPv6(err error) bool { return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EINVAL) }

// deletePort asks for the end of a pair, by its port, which is known by its index: somebody may have renamed or deleted the device.
func deletePort(port int) *nl.NetlinkRequest { return linkMessage(unix.RTM_DELLINK, 0, port, 0, 0) }

// deleteNamed asks for the end of a pair by its device's name.
func deleteNamed(device string) *nl.NetlinkRequest {
	m := linkMessage(unix.RTM_DELLINK, 0, 0, 0, 0)
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(device)))
	return m
}

// ethtoolFamily asks for the number of the netlink family.
func ethtoolFamily() (int, error) {
	family, err := netlink.GenlFamilyGet("ethtool")
	if err != nil {
		return 0, fmt.Errorf("asking for the netlink family ethtool (the kernel needs CONFIG_ETHTOOL_NETLINK): %w", err)
	}
	return int(family.ID), nil
}

// removePorts deletes pairs by their ports. The kernel takes tens of milliseconds for a deletion, in which it holds everybody up who would
// change something; and hardly more for many devices than for one if it is told of them by a group, which is a number. So they get one of
// their own: nobody else's device is in it. If one of them cannot be put there, they go one by one.
func (c *netlinkConn) removePorts(ports []int) error {
	group := make([]byte, 4)
	_, _ = rand.Read(group)
	group[0], group[3] = group[0]|0x80, group[3]|0x80 // far from the numbers that people choose, in any byte order
	var grouping, each []request
	for _, port := range ports {
		r := request{what: "putting the port into a group", message: linkMessage(unix.RTM_NEWLINK, 0, port, 0, 0), excuse: gone}
		r.message.AddData(nl.NewRtAttr(unix.IFLA_GROUP, group))
		grouping = append(grouping, r)
		each = append(each, request{what: "deleting the veth pair", message: deletePort(port), excuse: gone})
	}
	if len(ports) == 1 || c.do(grouping...) != nil {
		return c.do(each...)
	}
	all := request{what: "deleting the veth pairs", message: linkMessage(unix.RTM_DELLINK, 0, 0, 0, 0), excuse: gone}
	all.message.AddData(nl.NewRtAttr(unix.IFLA_GROUP, group))
	return c.do(all)
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

// features asks for what `ethtool -K` does: features, given by their names, are switched off or on.
func (m *maker) features(index int, off []string, on ...string) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(m.ethtool, 0)
	r.AddData(&nl.Genlmsg{Command: ethtoolFeaturesSet, Version: 1})
	header := nl.NewRtAttr(unix.NLA_F_NESTED|ethtoolFeaturesHeader, nil)
	header.AddRtAttr(ethtoolHeaderIndex, binary.NativeEndian.AppendUint32(nil, uint32(index)))
	r.AddData(header)
	wanted := nl.NewRtAttr(unix.NLA_F_NESTED|ethtoolFeaturesWanted, nil)
	bits := wanted.AddRtAttr(unix.NLA_F_NESTED|ethtoolBitsetBits, nil)
	add := func(name string) *nl.RtAttr {
		bit := bits.AddRtAttr(unix.NLA_F_NESTED|ethtoolBitsBit, nil)
		bit.AddRtAttr(ethtoolBitName, nl.ZeroTerminated(name))
		return bit
	}
	for _, name := range off {
		add(name)
	}
	for _, name := range on {
		add(name).AddRtAttr(ethtoolBitValue, nil)
	}
	r.AddData(wanted)
	return r
}
