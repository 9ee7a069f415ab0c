package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxTEQL is the number of the last TEQL device that may be asked for.
const maxTEQL = 15

// teqlDevices is how messages name the devices that a bond may be.
var teqlDevices = fmt.Sprintf(`"teql0" to "teql%d"`, maxTEQL)

// isTEQL says whether name is that of a TEQL device.
func isTEQL(name string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "teql"))
	return err == nil && 0 <= n && n <= maxTEQL && name == fmt.Sprintf("teql%d", n)
}

// bondModes is how messages name them.
const bondModes = `"` + ModeTEQL + `", "` + ModeMultipath + `" or "` + ModeWeighted + `"`

// bondMode takes how a bond spreads packets.
var bondMode = word("one of the words "+bondModes, "is unknown to this version of linebond", bondModes, func(s string) (string, bool) {
	return s, s == ModeTEQL || s == ModeMultipath || s == ModeWeighted
})

// noBond is what a line says that stands by itself.
const noBond = "none"

// bondName takes the bond of a line.
var bondName = word(`the device of a bond, "multipath" or "none"`, "is no bond", `the device of a [[bond]], "multipath" or "none"`,
	func(s string) (string, bool) { return s, isLinuxName(s) })

// hostIPv4 takes the IPv4 address of a host.
var hostIPv4 = word("an IPv4 address", "is no IPv4 address of a host", `one such as "192.0.2.1"`, parseIPv4)

func parseIPv4(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Is4() && a.IsGlobalUnicast()
}

// prefix takes an address with or without its mask, or a block.
var prefix = word("an address", "is no address or block of addresses", `one such as "203.0.113.200", "203.0.113.8/29" or "2001:db8::1/64"`,
	func(s string) (netip.Prefix, bool) {
		a, err := netip.ParseAddr(s)
		p := netip.PrefixFrom(a, a.BitLen())
		if strings.Contains(s, "/") {
			p, err = netip.ParsePrefix(s)
		}
		return p, err == nil && p.Bits() > 0 && p.Addr().IsGlobalUnicast() && !p.Addr().Is4In6() && a.Zone() == ""
	})

// nat takes how the LAN's packets go out: NAT and Source of a LAN.
var nat = word(`"masquerade", "none" or an IPv4 address`, "is no kind of NAT",
	`"masquerade", "none", or an IPv4 address such as "203.0.113.200"`,
	func(s string) (LAN, bool) {
		if kind := NAT(s); kind == NATMasquerade || kind == NATNone {
			return LAN{NAT: kind}, true
		}
		a, ok := parseIPv4(s)
		return LAN{NAT: NATSource, Source: a}, ok
	})

// target takes where a forward leads to; port 0 if there is none.
var target = word("an IPv4 address", "is no IPv4 address of a host", `one such as "192.168.7.10", or with a port "192.168.7.10:8443"`,
	func(s string) (netip.AddrPort, bool) {
		host, _, withPort := strings.Cut(s, ":")
		a, ok := parseIPv4(host)
		if !withPort {
			return netip.AddrPortFrom(a, 0), ok
		}
		to, err := netip.ParseAddrPort(s)
		return to, ok && err == nil && to.Port() > 0
	})

// ports takes a port, or the first and the last of several.
func ports(v value) (Ports, bool) {
	if v.node.Kind == unstable.Integer {
		n, ok := v.number(1, 65535)
		return Ports{uint16(n), uint16(n)}, ok
	}
	return portRange(v)
}

var portRange = word("a port from "+allowedPorts, "is no port or range of ports", allowedPorts, func(s string) (Ports, bool) {
	from, to, several := strings.Cut(s, "-")
	if !several {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	return Ports{uint16(first), uint16(last)}, err1 == nil && err2 == nil && 1 <= first && first <= last
})

const allowedPorts = `1 to 65535, or a range such as "8000-8010"`
