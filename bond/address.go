package bond

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"linebond/config"
)

// shared are the addresses of a bond device.
type shared struct {
	addresses []netip.Prefix // each a single one
	lines     netip.Addr     // the one among them that is the lines'; not valid if there is none
	known     bool           // a line has told its own, so that these are all
	agreed    bool           // several lines have, and they are the same
	warning   string         // they differ, and what to do
}

// isBlock says whether an entry of a bond's addresses is a network behind this machine, and no address of the machine itself.
func isBlock(p netip.Prefix) bool { return !p.IsSingleIP() && p == p.Masked() }

// own returns the addresses of the machine itself that are configured for a bond.
func own(c config.Bond) []netip.Prefix {
	var hosts []netip.Prefix
	for _, p := range c.Addresses {
		if !isBlock(p) {
			hosts = append(hosts, single(p.Addr()))
		}
	}
	return hosts
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// needs says which versions of IP every line has to carry for its bond: those that have an address, configured or of any line.
func needs(c config.Bond, members []Member) (need4, need6 bool) {
	for _, p := range own(c) {
		need4 = need4 || p.Addr().Is4()
		need6 = need6 || p.Addr().Is6()
	}
	for _, m := range members {
		need4 = need4 || m.Status.IPv4.Local.IsValid()
	}
	return need4, need6
}

// share works out the addresses that a bond's lines have in common.
//
// They are the configured ones and that of the lines, if it is the same on all of them. Where lines have addresses of their own, and none
// is configured, one of them goes out on all: the one that did before, for the sake of its connections, as long as a line that is in has
// it, and else that of the first line that is in. Fallback lines have a say only where they serve: theirs is another ISP's.
func share(c config.Bond, lines []slot, before netip.Addr) shared {
	s := shared{addresses: own(c)}
	own4 := slices.ContainsFunc(s.addresses, func(p netip.Prefix) bool { return p.Addr().Is4() })
	lines = spokesmen(lines)
	s.known = len(lines) > 0
	if !s.known {
		return s
	}
	same := !slices.ContainsFunc(lines, func(l slot) bool { return l.Status.IPv4.Local != lines[0].Status.IPv4.Local })
	s.agreed = same && len(lines) > 1
	if own4 && !same {
		return s
	}
	serving := filter(lines, func(l slot) bool { return l.in })
	if len(serving) == 0 {
		serving = lines
	}
	s.lines = serving[0].Status.IPv4.Local
	if slices.ContainsFunc(serving, func(l slot) bool { return l.Status.IPv4.Local == before }) {
		s.lines = before
	}
	if !slices.Contains(s.addresses, single(s.lines)) {
		s.addresses = append(s.addresses, single(s.lines))
	}
	if !same {
		s.warning = differ(lines, s.lines)
	}
	return s
}

// spokesmen returns the lines whose IPv4 addresses count.
func spokesmen(lines []slot) []slot {
	have := func(fallback bool) []slot {
		return filter(lines, func(l slot) bool {
			return l.Config.Fallback == fallback && l.Status.IPv4.Local.IsValid()
		})
	}
	fallback := have(true)
	if slices.ContainsFunc(fallback, func(l slot) bool { return l.in }) {
		return fallback
	}
	if others := have(false); len(others) > 0 {
		return others
	}
	return fallback
}

// differ says what it means that lines have different addresses.
func differ(lines []slot, first netip.Addr) string {
	var each []string
	for _, l := range lines {
		each = append(each, fmt.Sprintf("%s %v", l.Config.Name, l.Status.IPv4.Local))
	}
	return fmt.Sprintf("the lines have different addresses (%s), and packets go out with %v on all of them; "+
		"per-packet bonding to one ISP needs one address routed down all lines; ask the ISP for it and set it as addresses = [...] in [bond]",
		strings.Join(each, ", "), first)
}
