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
	first     netip.Addr     // the IPv4 one among them that packets go out with; not valid if no line has told its own
	known     bool           // a line has told its own, so that these are all
	agreed    bool           // several lines have, and they are the same
	warning   string         // they differ, and what to do
	teller                   // who told
}

// teller are the lines that tell a bond's address. Fallback lines are apart: theirs is another ISP's.
type teller struct {
	bond     string // its device
	fallback bool
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

func of4(p netip.Prefix) bool { return p.Addr().Is4() }

func of6(p netip.Prefix) bool { return p.Addr().Is6() }

// needs says which versions of IP every line has to carry for its bond: IPv4, and IPv6 if the bond has addresses of it. What none of the
// lines carries is nothing to tell them apart by.
func needs(c config.Bond, members []Member) (need4, need6 bool) {
	for _, m := range members {
		if m.Status.Carries() {
			need4 = need4 || m.Status.IPv4.Local.IsValid()
			need6 = need6 || m.Status.IPv6.Local.IsValid()
		}
	}
	return need4, need6 && slices.ContainsFunc(c.Addresses, of6)
}

// share works out the addresses that a bond's lines have in common, of which before are those that lines have told last.
//
// They are the configured ones and that of the lines, if it is the same on all of them. Where lines have addresses of their own, and none
// is configured, one of them goes out on all: the one that did before, for the sake of its connections, as long as a line that is in has
// it, and else that of the first line that is in.
//
// Fallback lines have a say only where they serve. Theirs is another ISP's, which lets no packets through with the configured IPv4
// addresses: then the bond does not have them.
func share(c config.Bond, lines []slot, before map[teller]netip.Addr) shared {
	s := shared{addresses: own(c)}
	lines = spokesmen(lines)
	s.known = len(lines) > 0
	if !s.known {
		return s
	}
	s.teller = teller{c.Device, lines[0].Config.Fallback}
	if s.fallback && strange(lines, s.addresses, before[teller{c.Device, false}]) {
		s.addresses = slices.DeleteFunc(s.addresses, of4)
	}
	same := !slices.ContainsFunc(lines, func(l slot) bool { return l.Status.IPv4.Local != lines[0].Status.IPv4.Local })
	s.agreed = same && len(lines) > 1
	if i := slices.IndexFunc(s.addresses, of4); i >= 0 && !same {
		s.first = s.addresses[i].Addr()
		return s
	}
	s.lines = choice(lines, before[s.teller])
	s.first = s.lines
	if !slices.Contains(s.addresses, single(s.lines)) {
		s.addresses = append(s.addresses, single(s.lines))
	}
	if !same {
		s.warning = differ(lines, s.lines)
	}
	return s
}

// strange says whether no fallback line has an address that is configured, or that the other lines had last.
func strange(lines []slot, configured []netip.Prefix, others netip.Addr) bool {
	return !slices.ContainsFunc(lines, func(l slot) bool {
		a := l.Status.IPv4.Local
		return a == others || slices.Contains(configured, single(a))
	})
}

// choice is the one of the lines' addresses that goes out on all.
func choice(lines []slot, before netip.Addr) netip.Addr {
	serving := filter(lines, func(l slot) bool { return l.in })
	if len(serving) == 0 {
		serving = lines
	}
	if slices.ContainsFunc(serving, func(l slot) bool { return l.Status.IPv4.Local == before }) {
		return before
	}
	return serving[0].Status.IPv4.Local
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
	return fmt.Sprintf("the lines have different addresses (%s), and packets go out with %v on all of them; "+
		"per-packet bonding to one ISP needs one address routed down all lines; ask the ISP for it and set it as addresses = [...] in [bond]",
		eachAddress(lines), first)
}

func eachAddress(lines []slot) string {
	var each []string
	for _, l := range lines {
		each = append(each, fmt.Sprintf("%s %v", l.Config.Name, l.Status.IPv4.Local))
	}
	return strings.Join(each, ", ")
}
