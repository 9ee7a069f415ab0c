package bond

import (
	"net/netip"
	"slices"

	"linebond/config"
	"linebond/netstate"
)

// Names of the sets of devices.
const (
	outside = "outside" // lines and bonds
	alike   = "alike"   // lines of a multipath bond that have one address; with "-" and its name those of another bond
	access  = "access"  // the Ethernet and VLAN devices that lines run on
	lan     = "lan"
)

// linkLocal are the addresses from which a DHCPv6 server of the link answers (RFC 8415 section 7.1).
var linkLocal = netip.MustParsePrefix("fe80::/10")

// table returns what the configuration asks of nftables, or nil for nothing. It holds for lines that are down as well. Spread is about the
// bonds without a device, by their names.
func table(c *config.Config, spread map[string]spreading) *netstate.Table {
	routes := len(c.LAN.Interfaces) > 0 || len(c.Forwards) > 0
	marks := markChains(c, spread)
	if !routes && !c.Host.Firewall && marks == nil {
		return nil
	}
	t := &netstate.Table{Sets: []netstate.DeviceSet{{Name: outside, Devices: outsideDevices(c)}}}
	if c.Host.Firewall {
		t.Sets = append(t.Sets, netstate.DeviceSet{Name: access, Devices: accessDevices(c)})
	}
	if len(c.LAN.Interfaces) > 0 {
		t.Sets = append(t.Sets, netstate.DeviceSet{Name: lan, Devices: slices.Sorted(slices.Values(c.LAN.Interfaces))})
	}
	add := func(name, kind, hook string, priority int, rules []netstate.Rule) {
		t.Chains = append(t.Chains, netstate.Chain{Name: name, Type: kind, Hook: hook, Priority: priority, Rules: rules})
	}
	t.Chains = append(t.Chains, marks...)
	if routes {
		add("mss", "filter", "forward", -150, mss(c, spread))
	}
	if slices.ContainsFunc(c.Forwards, func(f config.Forward) bool { return translated(c, f) }) {
		add("prerouting", "nat", "prerouting", -100, forwards(c))
	}
	if len(c.LAN.Interfaces) > 0 && c.LAN.NAT != config.NATNone {
		rules, sets := nat(c, spread)
		add("postrouting", "nat", "postrouting", 100, rules)
		t.Sets = append(t.Sets, sets...)
	}
	if c.Host.Firewall {
		add("input", "filter", "input", 0, input())
		add("forward", "filter", "forward", 0, forwarded(c))
	}
	return t
}

func outsideDevices(c *config.Config) []string {
	var devices []string
	for _, l := range c.Lines {
		devices = append(devices, l.Device)
	}
	for _, b := range c.Bonds {
		if !spreads(b) {
			devices = append(devices, b.Device)
		}
	}
	slices.Sort(devices)
	return devices
}

// accessDevices are those below the lines. A LAN may share an Ethernet device with a line that has a VLAN on it.
func accessDevices(c *config.Config) []string {
	var devices []string
	for _, l := range c.Lines {
		devices = append(devices, l.Interface)
		for _, v := range l.VLANDevices() {
			devices = append(devices, v.Name)
		}
	}
	slices.Sort(devices)
	return slices.DeleteFunc(slices.Compact(devices), func(d string) bool { return slices.Contains(c.LAN.Interfaces, d) })
}

// mss has TCP agree on segments that fit through the lines: messages that a packet is too big get lost on the way too often.
func mss(c *config.Config, spread map[string]spreading) []netstate.Rule {
	rules := []netstate.Rule{
		{In: outside, Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS},
		{Out: outside, Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS},
	}
	for _, b := range c.Bonds {
		rules = append(rules, spread[b.Device].mss()...)
	}
	return rules
}

// blocks returns the bonds' own networks behind this machine, of IPv4.
func blocks(c *config.Config) []netip.Prefix {
	var blocks []netip.Prefix
	for _, b := range c.Bonds {
		for _, p := range b.Addresses {
			if isBlock(p) && p.Addr().Is4() {
				blocks = append(blocks, p)
			}
		}
	}
	return blocks
}

// translated says whether a forward needs NAT: not if the host has an address of a block, and the ports are the same.
func translated(c *config.Config, f config.Forward) bool {
	samePorts := f.ToPort == 0 || f.ToPort == f.Ports.First && f.ToPort == f.Ports.Last
	return !samePorts || !slices.ContainsFunc(blocks(c), func(b netip.Prefix) bool { return b.Contains(f.To) })
}

// forwards leads connections to hosts of the LAN, except those to a host that has an address of a block.
func forwards(c *config.Config) []netstate.Rule {
	var rules []netstate.Rule
	for _, block := range blocks(c) {
		rules = append(rules, netstate.Rule{In: outside, Destination: block, Verdict: netstate.Accept, Comment: "no NAT for this block"})
	}
	for _, f := range c.Forwards {
		for _, protocol := range f.Protocols {
			if translated(c, f) {
				rules = append(rules, netstate.Rule{
					Family: 4, In: outside, Protocol: protocol, Ports: netstate.Ports(f.Ports),
					Verdict: netstate.DNAT, To: f.To, ToPort: f.ToPort,
				})
			}
		}
	}
	return rules
}

// nat gives the LAN's packets an address of the outside. Where lines have one in common, their packets go out with that. MASQUERADE would have
// the kernel end their connections with the line, and drop what goes out by another.
func nat(c *config.Config, spread map[string]spreading) (rules []netstate.Rule, sets []netstate.DeviceSet) {
	for _, block := range blocks(c) {
		rules = append(rules, netstate.Rule{In: lan, Out: outside, Source: block, Verdict: netstate.Accept, Comment: "no NAT for this block"})
	}
	for _, b := range c.Bonds {
		source, devices := spread[b.Device].source, alikeDevices(c, b.Device)
		if !source.IsValid() || c.LAN.NAT != config.NATMasquerade || len(devices) == 0 {
			continue
		}
		set := netstate.DeviceSet{Name: alike, Devices: devices}
		if byNumgen(b) {
			set.Name += "-" + b.Device
		}
		sets = append(sets, set)
		rules = append(rules, netstate.Rule{
			Family: 4, In: lan, Out: set.Name, Verdict: netstate.SNAT, To: source, Comment: "the address of all these lines",
		})
	}
	rule := netstate.Rule{Family: 4, In: lan, Out: outside, Verdict: netstate.Masquerade}
	if c.LAN.NAT == config.NATSource {
		rule.Verdict, rule.To = netstate.SNAT, c.LAN.Source
	}
	return append(rules, rule), sets
}

// The wire to the ISP carries PPPoE alone, which is no matter of nftables. Others on it are nobody to talk to; but for the modem, whose pages
// somebody may want to see.
var (
	accessAnswers = netstate.Rule{
		In: access, Connection: netstate.Established, Verdict: netstate.Accept, Comment: "what was asked for, as of a modem",
	}
	accessDrop = netstate.Rule{In: access, Verdict: netstate.Drop, Comment: "the wire below the lines"}
)

// input guards the machine itself.
func input() []netstate.Rule {
	return []netstate.Rule{
		{In: outside, Connection: netstate.Established, Verdict: netstate.Accept, Comment: "what was asked for"},
		{In: outside, Connection: netstate.Invalid, Verdict: netstate.Drop},
		{In: outside, Protocol: "icmp", Verdict: netstate.Accept, Comment: "ping, path MTU"},
		{In: outside, Protocol: "ipv6-icmp", Verdict: netstate.Accept, Comment: "ping, path MTU, router advertisements"},
		{
			In: outside, Source: linkLocal, Protocol: "udp", Ports: netstate.Ports{First: 546, Last: 546},
			Verdict: netstate.Accept, Comment: "DHCPv6",
		},
		{In: outside, Verdict: netstate.Drop, Comment: "all else from outside"},
		accessAnswers,
		accessDrop,
	}
}

// forwarded guards what is behind the machine. It lets in what forwards have led to their hosts, and to nobody else's: others on this machine
// do NAT too.
func forwarded(c *config.Config) []netstate.Rule {
	rules := []netstate.Rule{{In: outside, Connection: netstate.Established, Verdict: netstate.Accept, Comment: "what was asked for"}}
	for _, f := range c.Forwards {
		rule := netstate.Rule{
			In: outside, Destination: single(f.To), Ports: netstate.Ports(f.Ports), Verdict: netstate.Accept, Comment: "[[forward]]",
		}
		if f.ToPort != 0 {
			rule.Ports = netstate.Ports{First: f.ToPort, Last: f.ToPort}
		}
		if translated(c, f) {
			rule.Connection = netstate.Forwarded
		}
		for _, protocol := range f.Protocols {
			rule.Protocol = protocol
			rules = append(rules, rule)
		}
	}
	return append(rules, netstate.Rule{In: outside, Verdict: netstate.Drop, Comment: "all else from outside"}, accessAnswers, accessDrop)
}
