package kernel

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// applySpread carries out the operations on routes with several next hops and on routing rules.
func (k *Kernel) applySpread(op netstate.Op) error {
	switch o := op.(type) {
	case netstate.AddMultipath:
		return k.withHops(o.Multipath, netlink.SCOPE_UNIVERSE, func(r *netlink.Route) error { return unlessThere(k.handle.RouteAppend(r)) })
	case netstate.DeleteMultipath:
		return k.withHops(o.Multipath, netlink.SCOPE_NOWHERE, k.handle.RouteDel) // of any scope
	case netstate.AddRule:
		return k.handle.RuleAdd(netlinkRule(o.Rule))
	case netstate.DeleteRule:
		return k.handle.RuleDel(netlinkRule(o.Rule))
	}
	return fmt.Errorf("%T is not an operation on routes", op)
}

// withHops hands a route, as the kernel wants it described, to the function.
func (k *Kernel) withHops(m netstate.Multipath, scope netlink.Scope, do func(*netlink.Route) error) error {
	r := &netlink.Route{Dst: ipNet(m.Destination), Priority: m.Metric, Protocol: netstate.RouteProtocol, Scope: scope}
	for _, h := range m.Hops {
		link, err := k.link(h.Device)
		if err != nil {
			return fmt.Errorf("%s: %w", h.Device, err)
		}
		r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Hops: h.Weight - 1})
	}
	return do(r)
}

func netlinkRule(r netstate.RoutingRule) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family, rule.Protocol = netlink.FAMILY_V4, netstate.RouteProtocol
	rule.Priority, rule.Table = r.Priority, r.Table
	if r.Table == 0 {
		rule.Table = unix.RT_TABLE_MAIN
	}
	if r.From.IsValid() {
		rule.Src = ipNet(r.From)
	}
	rule.IifName = r.In
	if r.Mark.Mask != 0 {
		rule.Mark, rule.Mask = r.Mark.Value, &r.Mark.Mask
	}
	if r.Specific {
		rule.SuppressPrefixlen = 0
	}
	return rule
}

// observeRules returns the routing rules of ours. A kernel without routing rules has none.
func (k *Kernel) observeRules() ([]netstate.RoutingRule, error) {
	all, err := dump(func() ([]netlink.Rule, error) { return k.rules.RuleList(netlink.FAMILY_V4) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	var rules []netstate.RoutingRule
	for _, r := range all {
		if r.Protocol != netstate.RouteProtocol {
			continue
		}
		rule := netstate.RoutingRule{Priority: r.Priority, In: r.IifName, Table: r.Table, Specific: r.SuppressPrefixlen == 0}
		if r.Table == unix.RT_TABLE_MAIN {
			rule.Table = 0
		}
		if r.Src != nil {
			rule.From = prefix(r.Src)
		}
		if r.Mask != nil {
			rule.Mark = netstate.Mark{Value: r.Mark, Mask: *r.Mask}
		}
		rules = append(rules, rule)
	}
	return rules, err
}
