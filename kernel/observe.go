package kernel

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// sysctlFile is the file of a setting.
func sysctlFile(key string) string {
	if strings.HasPrefix(key, "/") {
		return key
	}
	return filepath.Join("/proc/sys", key)
}

// Observe returns what there is of the things that concern us:
//
//	links      those that interest names, every VLAN device of ours, every bond device in our use or of our making
//	addresses  those of the line devices and bond devices among these links
//	routes     all of ours, of all tables
//	rules      all of ours
//	sysctls    those that interest names
//	qdiscs     what makes a slave of a line device, or of any device one of those bonds'
//	shapers    ours, on weighted bonds' devices
//	table      the whole of ours. Without nf_tables in the kernel there is none, which is an error only when interest has one.
//
// Of schedulers, it knows nothing but their devices.
//
// Interest is the State that is wanted; an empty one finds all that can be told to be ours without it. The kernel shows tables only to
// those with the capability CAP_NET_ADMIN. With a *TableError comes all but the table, with any other error nothing.
func (k *Kernel) Observe(interest netstate.State) (netstate.State, error) {
	names, seen, err := k.listLinks()
	if err != nil {
		return netstate.State{}, fmt.Errorf("listing the network devices: %w", err)
	}
	state := netstate.State{Links: observeLinks(seen, names, interest.Links)}
	byName := map[string]netstate.Link{}
	for _, l := range state.Links {
		byName[l.Name] = l
	}
	qdiscs, err := listQdiscs()
	if err != nil {
		return netstate.State{}, fmt.Errorf("listing the qdiscs: %w", err)
	}
	state.Qdiscs, state.Shapers = observeQdiscs(qdiscs, names, byName), observeShapers(qdiscs, names, byName)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if err := k.observeIP(&state, family, names, byName); err != nil {
			return netstate.State{}, err
		}
	}
	if state.Rules, err = k.observeRules(); err != nil {
		return netstate.State{}, fmt.Errorf("listing the routing rules: %w", err)
	}
	if state.Sysctls, err = observeSysctls(interest.Sysctls); err != nil {
		return netstate.State{}, err
	}
	state.Table, err = observeTable()
	if err != nil && (interest.Table != nil || !errors.Is(err, errNoTables)) {
		return state, &TableError{explainTable("", err)}
	}
	return state, nil
}

// TableError is that of all that Observe reads the nftables table alone is not known.
type TableError struct{ Cause error }

func (e *TableError) Error() string {
	return fmt.Sprintf("reading the nftables table inet %s: %v", netstate.TableName, e.Cause)
}

// Unwrap gives the cause.
func (e *TableError) Unwrap() error { return e.Cause }

// observeIP adds the addresses and routes of a family. The kernel lists the addresses of a device in the order in which it prefers them.
func (k *Kernel) observeIP(state *netstate.State, family int, names map[int]string, links map[string]netstate.Link) error {
	addresses, err := dump(func() ([]netlink.Addr, error) { return k.handle.AddrList(nil, family) })
	if err != nil {
		return fmt.Errorf("listing the addresses: %w", err)
	}
	begun := map[string]bool{}
	for _, a := range addresses {
		device := links[names[a.LinkIndex]]
		bond := device.Bond || device.Weighted
		if device.Line || bond {
			observed := address(device.Name, a)
			observed.First = bond && family == netlink.FAMILY_V4 && !begun[device.Name]
			begun[device.Name] = true
			state.Addresses = append(state.Addresses, observed)
		}
	}
	ours := &netlink.Route{Protocol: netstate.RouteProtocol}
	routes, err := dump(func() ([]netlink.Route, error) {
		return k.handle.RouteListFiltered(family, ours, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE) // of any table
	})
	if err != nil {
		return fmt.Errorf("listing the routes: %w", err)
	}
	for _, r := range routes {
		observeRoute(state, r, family, names)
	}
	return nil
}

// seenLink is what Observe needs to know of a device, of which there may be thousands.
type seenLink struct {
	netstate.Link
	parent int    // index of the device below a VLAN device
	kind   string // "" of hardware, and of what has none
	alias  string
}

// listLinks lists all devices, and their names by index. It asks for no counters, and keeps nothing else of the answers, which are
// kilobytes for each device.
func (k *Kernel) listLinks() (names map[int]string, links []seenLink, err error) {
	_, err = dump(func() ([]seenLink, error) {
		names, links = map[int]string{}, nil
		request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		request.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
		var wrong error
		err := request.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(m []byte) bool {
			var index int
			var l seenLink
			if index, l, wrong = parseLink(m); wrong == nil {
				names[index] = l.Name
				links = append(links, l)
			}
			return wrong == nil
		})
		return nil, cmp.Or(wrong, err)
	})
	return names, links, err
}

// skipStats asks for devices without their counters: RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
const skipStats = 1 << 3

// parseLink reads a message about a device.
func parseLink(m []byte) (index int, l seenLink, err error) {
	header := nl.DeserializeIfInfomsg(m)
	l.Up = header.Flags&unix.IFF_UP != 0
	for kind, value := range attributes(m[header.Len():]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = cString(value)
		case unix.IFLA_MTU:
			l.MTU = int(binary.NativeEndian.Uint32(value))
		case unix.IFLA_TXQLEN:
			l.TxQueue = int(binary.NativeEndian.Uint32(value))
		case unix.IFLA_IFALIAS:
			l.alias = cString(value)
		case unix.IFLA_LINK:
			l.parent = int(binary.NativeEndian.Uint32(value))
		case unix.IFLA_LINKINFO:
			l.kind = linkKind(value)
		}
	}
	if l.kind == "vlan" || isBondName(l.Name) {
		err = parseKind(m, &l)
	}
	return int(header.Index), l, err
}

func linkKind(info []byte) string {
	for kind, value := range attributes(info) {
		if kind == nl.IFLA_INFO_KIND {
			return cString(value)
		}
	}
	return ""
}

// attributes goes through netlink attributes (netlink(7)), as far as they are whole. (nl.ParseRouteAttr makes a list of them.)
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if length < unix.SizeofRtAttr || length > len(b) || !yield(kind, b[unix.SizeofRtAttr:length]) {
				return
			}
			b = b[min(len(b), (length+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
		}
	}
}

// parseKind reads what makes a VLAN device or a bond.
func parseKind(m []byte, l *seenLink) error {
	link, err := netlink.LinkDeserialize(nil, m)
	if err != nil {
		return err
	}
	l.Bond = isBond(link)
	vlan, ok := link.(*netlink.Vlan)
	if !ok {
		return nil
	}
	l.VLAN.ID = uint16(vlan.VlanId)
	l.VLAN.Protocol = netstate.VLANProtocol(vlan.VlanProtocol)
	for from, to := range vlan.EgressQosMap {
		if int(from) < len(l.VLAN.Egress) {
			l.VLAN.Egress[from] = uint8(to)
		}
	}
	return nil
}

// observeLinks picks the links that are of interest or ours.
func observeLinks(links []seenLink, names map[int]string, interest []netstate.Link) []netstate.Link {
	named, line := map[string]bool{}, map[string]bool{}
	for _, l := range interest {
		named[l.Name] = true
		line[l.Name] = line[l.Name] || l.Line
	}
	var observed []netstate.Link
	for _, l := range links {
		l.Line = line[l.Name]
		l.Weighted = l.alias == netstate.SchedulerAlias && l.kind == "veth"
		l.Ours = l.Weighted || l.alias == netstate.Alias && (l.Bond || l.kind == "vlan")
		if l.kind == "vlan" {
			l.VLAN.Parent = names[l.parent]
		}
		if named[l.Name] || l.Ours {
			observed = append(observed, l.Link)
		}
	}
	return observed
}

// address converts an address as the kernel describes it.
func address(device string, a netlink.Addr) netstate.Address {
	peer := a.Peer
	if peer == nil {
		peer = a.IPNet
	}
	return netstate.Address{Device: device, Local: prefix(a.IPNet).Addr(), Peer: prefix(peer)}
}

// observeRoute adds a route. IPv6 shows routes of different devices as one that has several next hops. A next hop without a device, or with
// one that has gone since the devices were listed, is left out, and IPv4's route with it.
func observeRoute(state *netstate.State, r netlink.Route, family int, names map[int]string) {
	destination := netstate.DefaultIPv4
	if family == netlink.FAMILY_V6 {
		destination = netstate.DefaultIPv6
	}
	if r.Dst != nil {
		destination = prefix(r.Dst)
	}
	table := r.Table
	if table == unix.RT_TABLE_MAIN {
		table = 0
	}
	var hops []netstate.Hop
	for _, hop := range append([]*netlink.NexthopInfo{{LinkIndex: r.LinkIndex}}, r.MultiPath...) {
		if device, ok := names[hop.LinkIndex]; ok {
			hops = append(hops, netstate.Hop{Device: device, Weight: hop.Hops + 1})
		}
	}
	if family == netlink.FAMILY_V4 && len(r.MultiPath) > 0 {
		if len(hops) == len(r.MultiPath) {
			state.Multipaths = append(state.Multipaths, netstate.Multipath{Destination: destination, Metric: r.Priority, Hops: hops})
		}
		return
	}
	for _, hop := range hops {
		state.Routes = append(state.Routes, netstate.Route{Destination: destination, Device: hop.Device, Metric: r.Priority, Table: table})
	}
}

func prefix(n *net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// observeSysctls reads the settings that are wanted. One that does not exist is left out: its device is not there.
func observeSysctls(wanted []netstate.Sysctl) ([]netstate.Sysctl, error) {
	var observed []netstate.Sysctl
	var errs []error
	for _, c := range wanted {
		value, err := readSetting(sysctlFile(c.Key))
		switch {
		case err == nil:
			observed = append(observed, netstate.Sysctl{Key: c.Key, Value: settingText(c.Key, value)})
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV):
			errs = append(errs, fmt.Errorf("reading the setting %s: %w", c.Key, err))
		}
	}
	return observed, errors.Join(errs...)
}

// readSetting reads a setting, which is short. (os.ReadFile costs several times as much, and with a thousand lines there are thousands.)
func readSetting(file string) (string, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var value [256]byte
	n, err := unix.Read(fd, value[:])
	return string(value[:max(0, n)]), err
}

// settingText is the value of a setting as it is written. A mask of CPUs the kernel prints as wide as for all that the machine could have:
// 00000000,00000003.
func settingText(key, value string) string {
	value = strings.TrimSpace(value)
	if !strings.HasSuffix(key, "_cpus") {
		return value
	}
	if mask := strings.TrimLeft(value, "0,"); mask != "" {
		return mask
	}
	return "0"
}
