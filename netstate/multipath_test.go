package netstate

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spread is a multipath bond of two lines in full work.
func spread() State {
	table := func(device string, n int) Route {
		return Route{Destination: DefaultIPv4, Device: device, Metric: 1, Table: n}
	}
	return State{
		Links: []Link{{Name: "ppp-b", Line: true, Up: true, MTU: 1492}, {Name: "ppp-a", Line: true, Up: true, MTU: 1492}},
		Addresses: []Address{
			PeerAddress("ppp-a", local, peer), PeerAddress("ppp-b", local2, peer),
		},
		Routes:     []Route{table("ppp-a", 10801), table("ppp-b", 10802)},
		Multipaths: []Multipath{{DefaultIPv4, 100, []Hop{{"ppp-b", 1}, {"ppp-a", 4}}}},
		Rules: []RoutingRule{
			{Priority: 30801, Mark: Mark{0x01000000, 0x7f000000}, Table: 10801},
			{Priority: 30802, From: netip.PrefixFrom(local2, 32), Table: 10802},
			{Priority: 30800, Specific: true},
			{Priority: 30800, In: "ppp-a", Specific: true},
			{Priority: 7, From: netip.MustParsePrefix("192.0.2.0/24"), Table: 7},
		},
	}
}

func TestSpreadString(t *testing.T) {
	s := spread()
	s.Multipaths = append(s.Multipaths, Multipath{DefaultIPv4, 100, []Hop{{"ppp-a", 4}, {"ppp-b", 1}}}) // the same
	want := `link ppp-a up mtu 1492 line
link ppp-b up mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
address 203.0.113.77 peer 198.51.100.1/32 dev ppp-b
route default dev ppp-a proto 108 metric 1 table 10801
route default dev ppp-b proto 108 metric 1 table 10802
route default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1
rule pref 30800 from all iif ppp-a lookup main suppress_prefixlength 0 proto 108
rule pref 30800 from all lookup main suppress_prefixlength 0 proto 108
rule pref 30801 from all fwmark 0x1000000/0x7f000000 lookup 10801 proto 108
rule pref 30802 from 203.0.113.77 lookup 10802 proto 108
rule pref 7 from 192.0.2.0/24 lookup 7 proto 108`
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDiffSpread(t *testing.T) {
	const both = "default proto 108 metric 100 nexthop dev ppp-a weight 4 nexthop dev ppp-b weight 1"
	equally := Multipath{DefaultIPv4, 100, []Hop{{"ppp-a", 1}, {"ppp-b", 1}}}
	const equal = "default proto 108 metric 100 nexthop dev ppp-a weight 1 nexthop dev ppp-b weight 1"
	tests := []struct {
		name       string
		want, have State
		ops        string
	}{
		{name: "all as it should be", want: spread(), have: spread()},
		{
			name: "everything at once: a rule comes after the table that it leads to",
			want: spread(),
			have: spread().with(func(s *State) { s.Routes, s.Multipaths, s.Rules = nil, nil, nil }),
			ops: `ip route append default dev ppp-a proto 108 metric 1 table 10801
ip route append default dev ppp-b proto 108 metric 1 table 10802
ip route append ` + both + `
ip rule add pref 30800 from all iif ppp-a lookup main suppress_prefixlength 0 proto 108
ip rule add pref 30800 from all lookup main suppress_prefixlength 0 proto 108
ip rule add pref 30801 from all fwmark 0x1000000/0x7f000000 lookup 10801 proto 108
ip rule add pref 30802 from 203.0.113.77 lookup 10802 proto 108
ip rule add pref 7 from 192.0.2.0/24 lookup 7 proto 108`,
		},
		{
			name: "nothing wanted",
			have: spread(),
			ops: `ip rule delete pref 30800 from all iif ppp-a lookup main suppress_prefixlength 0 proto 108
ip rule delete pref 30800 from all lookup main suppress_prefixlength 0 proto 108
ip rule delete pref 30801 from all fwmark 0x1000000/0x7f000000 lookup 10801 proto 108
ip rule delete pref 30802 from 203.0.113.77 lookup 10802 proto 108
ip rule delete pref 7 from 192.0.2.0/24 lookup 7 proto 108
ip route delete ` + both + `
ip route delete default dev ppp-a proto 108 metric 1 table 10801
ip route delete default dev ppp-b proto 108 metric 1 table 10802`,
		},
		{
			name: "a line leaves: one hop is an ordinary route, and there is always one of the two",
			want: spread().with(func(s *State) {
				s.Multipaths = []Multipath{{DefaultIPv4, 100, []Hop{{"ppp-a", 1}}}}
				s.Routes, s.Rules = s.Routes[:1], s.Rules[:1]
			}),
			have: spread().with(func(s *State) { s.Rules = s.Rules[:2] }),
			ops: `ip route append default dev ppp-a proto 108 metric 100
ip rule delete pref 30802 from 203.0.113.77 lookup 10802 proto 108
ip route delete ` + both + `
ip route delete default dev ppp-b proto 108 metric 1 table 10802`,
		},
		{
			name: "a line's device is gone, and the kernel has taken the route",
			want: spread(),
			have: spread().with(func(s *State) {
				s.Links, s.Addresses, s.Routes, s.Multipaths = s.Links[1:], s.Addresses[:1], s.Routes[:1], nil
			}),
			ops: "ip route append default dev ppp-a proto 108 metric 100",
		},
		{
			name: "no device is up",
			want: spread().with(func(s *State) { s.Links = nil }),
			have: spread().with(func(s *State) { s.Links, s.Routes, s.Multipaths = nil, nil, nil }),
		},
		{
			name: "other weights",
			want: spread().with(func(s *State) { s.Multipaths = []Multipath{equally} }),
			have: spread(),
			ops:  "ip route append " + equal + "\nip route delete " + both,
		},
		{
			name: "somebody's with other weights, which the kernel cannot tell from ours",
			want: spread(),
			have: spread().with(func(s *State) { s.Multipaths = append(s.Multipaths, equally) }),
			ops:  "ip route delete " + equal + "\nip route delete " + both + "\nip route append " + both,
		},
		{
			name: "a new address from the same peer: the kernel may have taken the route",
			want: spread().with(func(s *State) { s.Addresses[0] = PeerAddress("ppp-a", netip.MustParseAddr("203.0.113.9"), peer) }),
			have: spread(),
			ops: `ip address delete 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
ip address replace 203.0.113.9 peer 198.51.100.1/32 dev ppp-a
ip route append default dev ppp-a proto 108 metric 1 table 10801
ip route append ` + both,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, op := range Diff(test.want, test.have) {
				got = append(got, op.String())
			}
			if diff := cmp.Diff(test.ops, strings.Join(got, "\n")); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
		})
	}
}
