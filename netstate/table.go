package netstate

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// TableName is the name of our nftables table, of the family inet. No rule outside of it is touched.
const TableName = "linebond"

// Table is the nftables table `inet linebond`: the whole of what linebond has to say about packets. It names devices by name, so that lines
// come and go without a change to it, but for those of a bond whose packets it spreads. It is replaced as a whole, in one transaction.
type Table struct {
	Sets   []DeviceSet // in any order
	Chains []Chain
}

// DeviceSet is a named set of devices (nft: type ifname), in any order.
type DeviceSet struct {
	Name    string // e.g. outside
	Devices []string
}

// Chain is a base chain with the policy accept.
type Chain struct {
	Name     string // e.g. postrouting
	Type     string // filter, nat, or route, which looks for another route where a rule has changed the packet's mark
	Hook     string // prerouting, input, forward, output or postrouting
	Priority int    // e.g. 100 (srcnat), -100 (dstnat), 0 (filter), -150 (mangle)
	Rules    []Rule
}

// Rule is one rule: all of its conditions must hold. It is comparable.
type Rule struct {
	Family      uint8        // 4 or 6; 0: both
	In, Out     string       // name of a DeviceSet; "": any device
	InDevice    string       // the device itself, with In ""
	OutDevice   string       // likewise, with Out ""
	Source      netip.Prefix // not valid: any
	Destination netip.Prefix // not valid: any
	Connection  Connection
	Marked      Mark   // the bits that the connection's mark has; without a mask: any
	Protocol    string // tcp, udp, icmp or ipv6-icmp; "": any
	Ports       Ports  // destination ports, with tcp and udp; zero: any
	SYN         bool   // tcp: of the flags SYN and RST, SYN alone
	Turns       Turns  // of the packets for which all else holds, the ones whose turn it is; zero: all
	Verdict     Verdict
	To          netip.Addr // the new address, with SNAT and DNAT
	ToPort      uint16     // the new port, with DNAT; 0: as it is
	Mark        Mark       // with MarkConnection, MarkPacket and MarkAndAccept
	MSS         uint16     // with ClampMSS: no more than that many bytes; 0: what fits the paths of both directions
	Comment     string     // for the reader of `nft list ruleset`
}

// Mark is some bits of the mark of a packet or of a connection.
type Mark struct {
	Value uint32 // within the mask
	Mask  uint32 // no run of bits from the highest on, which nft(8) would write as the length of a prefix
}

// Turns are the first so many of each Of packets, which the kernel counts for each rule by itself, from 0 when the table is set.
type Turns struct{ First, Of uint32 }

// Ports is a range of ports, of which a single one is both ends.
type Ports struct{ First, Last uint16 }

// Connection is what connection tracking knows of a packet.
type Connection uint8

const (
	AnyConnection Connection = iota
	Established              // ct state established,related
	Invalid                  // ct state invalid
	Forwarded                // ct status dnat
)

// Verdict is what is done with a packet.
type Verdict uint8

const (
	Accept Verdict = iota
	Drop
	Masquerade
	SNAT
	DNAT
	ClampMSS       // tcp option maxseg size set rt mtu, or to Rule.MSS; the kernel only ever lowers it
	MarkConnection // ct mark set: the bits of Rule.Mark, and the others as they are
	MarkPacket     // meta mark set: likewise
	MarkAndAccept  // likewise; and the chain ends
)

// Equal says whether two tables do the same: the order of sets and of their devices means nothing, that of chains and rules does.
func (t Table) Equal(other Table) bool {
	t, other = t.normal(), other.normal()
	return slices.EqualFunc(t.Sets, other.Sets, func(a, b DeviceSet) bool {
		return a.Name == b.Name && slices.Equal(a.Devices, b.Devices)
	}) && slices.EqualFunc(t.Chains, other.Chains, func(a, b Chain) bool {
		return a.Name == b.Name && a.Type == b.Type && a.Hook == b.Hook && a.Priority == b.Priority && slices.Equal(a.Rules, b.Rules)
	})
}

// normal returns the same table with its sets sorted by name, and their devices sorted and without repetitions.
func (t Table) normal() Table {
	t.Sets = slices.Clone(t.Sets)
	for i, s := range t.Sets {
		t.Sets[i].Devices = slices.Compact(slices.Sorted(slices.Values(s.Devices)))
	}
	slices.SortFunc(t.Sets, func(a, b DeviceSet) int { return cmp.Compare(a.Name, b.Name) })
	return t
}

// String gives the table as `nft list table inet linebond` does, one line per statement. nft(8) reads it too.
func (t Table) String() string {
	t = t.normal()
	var blocks []string
	for _, s := range t.Sets {
		blocks = append(blocks, s.String())
	}
	for _, c := range t.Chains {
		blocks = append(blocks, c.String())
	}
	return fmt.Sprintf("table inet %s {\n%s}", TableName, strings.Join(blocks, "\n"))
}

func (s DeviceSet) String() string {
	elements := ""
	if len(s.Devices) > 0 {
		elements = fmt.Sprintf("\t\telements = { \"%s\" }\n", strings.Join(s.Devices, `", "`))
	}
	return fmt.Sprintf("\tset %s {\n\t\ttype ifname\n%s\t}\n", s.Name, elements)
}

func (c Chain) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\tchain %s {\n\t\ttype %s hook %s priority %s; policy accept;\n", c.Name, c.Type, c.Hook, c.priority())
	for _, r := range c.Rules {
		fmt.Fprintf(&b, "\t\t%s\n", r)
	}
	return b.String() + "\t}\n"
}

// priority gives nft's word where there is one. Two of them are known at one hook only.
func (c Chain) priority() string {
	switch {
	case c.Priority == 0:
		return "filter"
	case c.Priority == -150:
		return "mangle"
	case c.Priority == -100 && c.Hook == "prerouting":
		return "dstnat"
	case c.Priority == 100 && c.Hook == "postrouting":
		return "srcnat"
	}
	return fmt.Sprint(c.Priority)
}

// String gives e.g. `iifname @outside ct state established,related accept comment "answers"`.
func (r Rule) String() string {
	var words []string
	when := func(holds bool, format string, args ...any) {
		if holds {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	when(r.In != "", "iifname @%s", r.In)
	when(r.InDevice != "", "iifname %q", r.InDevice)
	when(r.Out != "", "oifname @%s", r.Out)
	when(r.OutDevice != "", "oifname %q", r.OutDevice)
	when(r.Family != 0, "meta nfproto ipv%d", r.Family)
	when(r.Source.IsValid(), "%s saddr %s", family(r.Source.Addr()), r.Source)
	when(r.Destination.IsValid(), "%s daddr %s", family(r.Destination.Addr()), r.Destination)
	when(r.Connection != AnyConnection, "ct %s", r.Connection)
	when(r.Marked.Mask != 0, "ct mark & 0x%08x == 0x%08x", r.Marked.Mask, r.Marked.Value)
	when(r.Protocol != "" && r.Ports == Ports{} && !r.SYN, "meta l4proto %s", r.Protocol)
	when(r.Ports != Ports{}, "%s dport %s", r.Protocol, r.Ports)
	when(r.SYN, "tcp flags & (syn | rst) == syn")
	when(r.Turns != Turns{}, "numgen inc mod %d < %d", r.Turns.Of, r.Turns.First)
	words = append(words, r.action())
	when(r.Comment != "", `comment "%s"`, strings.ReplaceAll(r.Comment, `"`, "'")) // nft has no way to quote a quote
	return strings.Join(words, " ")
}

// action gives the verdict with what it needs.
func (r Rule) action() string {
	switch {
	case r.Verdict == DNAT && r.ToPort != 0:
		return fmt.Sprintf("dnat %s to %s", family(r.To), netip.AddrPortFrom(r.To, r.ToPort))
	case r.Verdict == DNAT || r.Verdict == SNAT:
		return fmt.Sprintf("%s %s to %s", r.Verdict, family(r.To), r.To)
	case r.Verdict == ClampMSS && r.MSS != 0:
		return fmt.Sprintf("tcp option maxseg size set %d", r.MSS)
	case r.Verdict == MarkConnection:
		return "ct mark set ct mark " + r.Mark.set()
	case r.Verdict == MarkPacket:
		return "meta mark set meta mark " + r.Mark.set()
	case r.Verdict == MarkAndAccept:
		return "meta mark set meta mark " + r.Mark.set() + " accept"
	}
	return r.Verdict.String()
}

// family gives nft's word for the family of an address.
func family(a netip.Addr) string {
	if a.Is6() {
		return "ip6"
	}
	return "ip"
}

// set gives what nft does to a mark, in its notation, e.g. "& 0x81ffffff | 0x01000000".
func (m Mark) set() string {
	text := fmt.Sprintf("| 0x%08x", m.Value)
	if kept := ^m.Mask | m.Value; kept != math.MaxUint32 {
		text = fmt.Sprintf("& 0x%08x %s", kept, text)
	}
	return text
}

// String gives e.g. "443" or "8000-8010".
func (p Ports) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// String gives what nft puts after ct.
func (c Connection) String() string {
	switch c {
	case Established:
		return "state established,related"
	case Invalid:
		return "state invalid"
	case Forwarded:
		return "status dnat"
	}
	return fmt.Sprintf("connection %d", uint8(c))
}

// String gives nft's statement, without the address of SNAT and DNAT.
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Drop:
		return "drop"
	case Masquerade:
		return "masquerade"
	case SNAT:
		return "snat"
	case DNAT:
		return "dnat"
	case ClampMSS:
		return "tcp option maxseg size set rt mtu"
	case MarkConnection:
		return "ct mark set"
	case MarkPacket:
		return "meta mark set"
	case MarkAndAccept:
		return "meta mark set and accept"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}
