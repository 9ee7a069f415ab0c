package bond

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"linebond/config"
	"linebond/netstate"
)

// Where the kernel refuses eBPF, a weighted bond has no device. Its connections have a first packet that goes where a route with several next
// hops leads, as in a multipath bond; but where they have one address on all lines, their mark is that of the bond, and nftables gives each
// later packet from inside the mark of the line whose turn it is (numgen), by which it goes to that line's table.
//
// MASQUERADE would end a connection that goes out by another device than before: where packets take turns there is SNAT to that one address.
// Else, and on fallback lines, each connection stays on its line.

// modeNumgen is what config.ModeWeighted is without eBPF.
const modeNumgen = "numgen"

// WithoutEBPF has weighted bonds do without it from now on: the kernel refuses it.
func (b *Bonds) WithoutEBPF() {
	b.numgen = true
	b.Configure(b.config)
}

// withoutEBPF returns the same configuration with modeNumgen.
func withoutEBPF(c *config.Config) *config.Config {
	changed := *c
	changed.Bonds = slices.Clone(c.Bonds)
	for i, b := range changed.Bonds {
		if weighted(b) {
			changed.Bonds[i].Mode = modeNumgen
		}
	}
	return &changed
}

func byNumgen(c config.Bond) bool { return c.Mode == modeNumgen }

// ratioError is by how much a line's weight may differ from what its rate asks for, so that weights are small: with small ones the lines take
// turns more often, and less waits in the queue of each.
const ratioError = 0.01

// ratio returns small weights of lines with these rates.
func ratio(rates []uint64) []uint64 {
	if len(rates) == 0 {
		return nil
	}
	most := float64(slices.Max(rates))
	weights := make([]uint64, len(rates))
	for scale := 1.0; scale <= mostWeight; scale++ {
		worst := 0.0
		for i, rate := range rates {
			exact := scale * float64(rate) / most
			weights[i] = max(1, uint64(math.Round(exact)))
			worst = max(worst, math.Abs(float64(weights[i])-exact)/exact)
		}
		if worst <= ratioError {
			break
		}
	}
	return weights
}

// shares returns in which proportion the lines of a bond without a device get connections, or packets.
func shares(c config.Bond, lines []slot) []uint64 {
	if byNumgen(c) {
		return ratio(uploads(lines))
	}
	return weigh(lines)
}

// spreading is what is spread over the lines of a bond without a device, and how.
type spreading struct {
	source netip.Addr // of the LAN's packets, where MASQUERADE is not to be; not valid: it may be
	number uint32     // that the mark of connections is made of whose packets take turns; 0: there are none
	local  bool       // all connections have their packets take turns; else those of the LAN alone
	turns  []turn
	most   uint16 // bytes that TCP may put into a packet, where not all of their lines take equally long ones; else 0
}

// turn is a line's part of the turns.
type turn struct {
	line   string
	device string
	number uint32
	weight uint64
}

// spreading says what is spread now, but for the turns.
func (b *Bonds) spreading(c config.Bond) spreading {
	common := b.common[c.Device]
	if !byNumgen(c) {
		return spreading{source: common}
	}
	own := own4(c)
	s := spreading{source: common, local: common.IsValid() || own.IsValid() && c.LineAddresses == "remove"}
	if own.IsValid() {
		s.source = own
	}
	if s.local || b.spreadsLAN(s.source) {
		s.number = numbers(b.config)[bondKey(c)]
	}
	return s
}

// spreadsLAN says whether packets of the LAN go out with one address on all lines: with this one, if it is valid.
func (b *Bonds) spreadsLAN(source netip.Addr) bool {
	return len(b.config.LAN.Interfaces) > 0 && (source.IsValid() || b.config.LAN.NAT != config.NATMasquerade)
}

// own4 is the first IPv4 address that is configured for a bond.
func own4(c config.Bond) netip.Addr {
	addresses := own(c)
	if i := slices.IndexFunc(addresses, of4); i >= 0 {
		return addresses[i].Addr()
	}
	return netip.Addr{}
}

// stay says what it means that lines have different addresses; nothing if packets of the LAN take turns nevertheless.
func (b *Bonds) stay(s shared, lines []slot) string {
	if s.warning == "" || b.spreadsLAN(netip.Addr{}) {
		return ""
	}
	return fmt.Sprintf("the lines have different addresses (%s), so each connection stays on one of them; "+
		"per-packet bonding to one ISP needs one address routed down all lines; ask the ISP for it and set it as addresses = [...] in [bond]",
		eachAddress(spokesmen(lines)))
}

// ownIPv6 says whether a line of a bond without a device has its IPv6 addresses from the bond. Fallback lines are another ISP's.
func ownIPv6(c config.Bond, l slot) bool {
	return slices.ContainsFunc(c.Addresses, of6) && !l.Config.Fallback
}

// onOneLine wants a bond's IPv6 on the first line that is in: its packets take no turns. It returns the addresses that are there.
func (p *planner) onOneLine(c config.Bond, lines []slot) []netip.Prefix {
	i := slices.IndexFunc(lines, func(l slot) bool { return l.in && l.Status.IPv6.Local.IsValid() && ownIPv6(c, l) })
	if i < 0 {
		return nil
	}
	addresses := filter(own(c), of6)
	for _, a := range addresses {
		p.address(lines[i].Member, a.Addr(), netip.Addr{})
	}
	if c.DefaultRoute {
		p.route(netstate.DefaultIPv6, lines[i].Status.Device, c.Metric)
	}
	return addresses
}

// takeTurns has these lines do so, in proportion to the weights. Fallback lines are another ISP's.
func (p *planner) takeTurns(c config.Bond, numbers map[string]uint32, lines []slot, weights []uint64) {
	const headers = 40 // bytes of IPv4 and TCP without options
	s := p.spreads[c.Device]
	var longest, shortest int
	for i, l := range lines {
		if number := numbers[l.Config.Name]; number != 0 && !l.Config.Fallback {
			s.turns = append(s.turns, turn{l.Config.Name, l.Status.Device, number, weights[i]})
			mtu := l.Status.Session.MTU
			longest, shortest = max(longest, mtu), least(shortest, mtu)
		}
	}
	if longest > shortest {
		s.most = uint16(shortest - headers)
	}
	p.spreads[c.Device] = s
}

// mss has TCP agree on segments that fit through all lines on which packets take turns. What fits the first packet's is known otherwise.
func (s spreading) mss() (rules []netstate.Rule) {
	if s.number == 0 || s.most == 0 {
		return nil
	}
	for _, t := range s.turns {
		rule := netstate.Rule{Family: 4, Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS, MSS: s.most}
		in, out := rule, rule
		in.InDevice, out.OutDevice = t.device, t.device
		rules = append(rules, in, out)
	}
	return rules
}

// turnRules give packets the marks of lines. Each rule counts the packets that those before it have left.
func (s spreading) turnRules() []netstate.Rule {
	if s.number == 0 {
		return nil
	}
	turns := slices.SortedStableFunc(slices.Values(s.turns), func(x, y turn) int { return cmp.Compare(x.weight, y.weight) })
	var left uint64
	for _, t := range turns {
		left += t.weight
	}
	var rules []netstate.Rule
	for _, t := range turns {
		rule := netstate.Rule{
			Family: 4, Marked: markOf(s.number), Verdict: netstate.MarkAndAccept, Mark: markOf(t.number), Comment: "turns of line " + t.line,
		}
		if t.weight < left {
			rule.Turns = netstate.Turns{First: uint32(t.weight), Of: uint32(left)}
		}
		left -= t.weight
		rules = append(rules, rule)
	}
	return rules
}
