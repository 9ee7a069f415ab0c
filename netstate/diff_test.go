package netstate

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	local   = netip.MustParseAddr("203.0.113.10")
	local2  = netip.MustParseAddr("203.0.113.77")
	peer    = netip.MustParseAddr("198.51.100.1")
	peer2   = netip.MustParseAddr("198.51.100.2")
	linkLoc = netip.MustParseAddr("fe80::1")
	linkPee = netip.MustParseAddr("fe80::2")
)

// lineUp is what one dual-stack line on VLAN 101 wants.
func lineUp() State {
	return State{
		Links: append(ethernet("eth1", []uint16{101}, Dot1AD, 6), Link{Name: "ppp-a", Line: true, Up: true, MTU: 1492}),
		Addresses: []Address{
			PeerAddress("ppp-a", local, peer),
			PeerAddress("ppp-a", linkLoc, linkPee),
		},
		Routes: []Route{
			{Destination: DefaultIPv4, Device: "ppp-a", Metric: 200},
			{Destination: DefaultIPv6, Device: "ppp-a", Metric: 200},
		},
		Sysctls: []Sysctl{{Key: "net/ipv6/conf/ppp-a/accept_ra", Value: "2"}},
	}
}

// with returns a copy of the state with its parts changed.
func (s State) with(change func(*State)) State {
	s.Links = append([]Link(nil), s.Links...)
	s.Addresses = append([]Address(nil), s.Addresses...)
	s.Routes = append([]Route(nil), s.Routes...)
	s.Sysctls = append([]Sysctl(nil), s.Sysctls...)
	s.Qdiscs = append([]Qdisc(nil), s.Qdiscs...)
	s.Rules = append([]RoutingRule(nil), s.Rules...)
	s.Multipaths = append([]Multipath(nil), s.Multipaths...)
	change(&s)
	return s
}

func TestStateString(t *testing.T) {
	s := lineUp().with(func(s *State) {
		s.Links = append(s.Links, ethernet("eth1", []uint16{101}, Dot1Q, 3)...) // a second line on the same VLAN
		s.Links = append(s.Links, ethernet("eth2", []uint16{100, 101}, Dot1AD, 0)...)
		s.Addresses = append(s.Addresses, PeerAddress("ppp-a", local2, netip.Addr{}), s.Addresses[0])
		s.Routes = append(s.Routes, Route{Destination: DefaultIPv6, Device: "ppp-b"},
			Route{Destination: netip.MustParsePrefix("192.0.2.0/24"), Device: "ppp-b", Metric: 5})
		s.Links = append(s.Links, Link{Name: "teql0", Bond: true, Ours: true, Up: true, MTU: 1492, TxQueue: 1000, KeepAddresses: true})
		s.Qdiscs = []Qdisc{{"ppp-b", "teql0"}, {"ppp-a", "teql0"}, {"ppp-b", "teql0"}}
		s.Addresses = append(s.Addresses, first("teql0", "203.0.113.10/32"))
		s.Table = &Table{Sets: []DeviceSet{{Name: "outside", Devices: []string{"teql0", "ppp-a"}}}}
	})
	want := strings.TrimSpace(`
link eth1 up
link eth2 up
link ppp-a up mtu 1492 line
link teql0 up mtu 1492 txqueuelen 1000 bond keep-addresses alias linebond
link eth1.101@eth1 up vlan protocol 802.1Q id 101 egress-qos-map 3:3 6:6 alias linebond
link eth2.100@eth2 up vlan protocol 802.1ad id 100 alias linebond
link eth2.100.101@eth2.100 up vlan protocol 802.1Q id 101 alias linebond
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
address 203.0.113.10/32 dev teql0 first
address 203.0.113.77/32 dev ppp-a
address fe80::1 peer fe80::2/128 dev ppp-a
route -6 default dev ppp-a proto 108 metric 200
route -6 default dev ppp-b proto 108 metric 1024
route 192.0.2.0/24 dev ppp-b proto 108 metric 5
route default dev ppp-a proto 108 metric 200
sysctl net/ipv6/conf/ppp-a/accept_ra=2
qdisc teql0 dev ppp-a root
qdisc teql0 dev ppp-b root
table inet linebond {
	set outside {
		type ifname
		elements = { "ppp-a", "teql0" }
	}
}`)
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestVLANProtocolString(t *testing.T) {
	for protocol, want := range map[VLANProtocol]string{Dot1Q: "802.1Q", Dot1AD: "802.1ad", 0x9100: "0x9100"} {
		if got := protocol.String(); got != want {
			t.Errorf("%#04x prints as %q, want %q", uint16(protocol), got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	bare := State{Links: []Link{{Name: "eth1", MTU: 1500}}}
	fresh := State{
		Links:   []Link{{Name: "eth1", MTU: 1500}, {Name: "ppp-a", Line: true, MTU: 1500}},
		Sysctls: []Sysctl{{Key: "net/ipv6/conf/ppp-a/accept_ra", Value: "1"}},
	}
	qinq := State{Links: ethernet("eth1", []uint16{100, 101}, Dot1AD, 0)}
	tests := []struct {
		name       string
		want, have State
		ops        []string
	}{
		{name: "nothing wanted, nothing there"},
		{name: "all as it should be", want: lineUp(), have: lineUp()},
		{
			name: "everything at once, in order",
			want: lineUp(), have: fresh,
			ops: []string{
				"ip link add link eth1 name eth1.101 alias linebond type vlan protocol 802.1Q id 101 egress-qos-map 6:6",
				"sysctl -w net/ipv6/conf/ppp-a/accept_ra=2",
				"ip link set dev ppp-a mtu 1492",
				"ip link set dev eth1 up",
				"ip link set dev ppp-a up",
				"ip link set dev eth1.101 up",
				"ip address replace 203.0.113.10 peer 198.51.100.1/32 dev ppp-a",
				"ip address replace fe80::1 peer fe80::2/128 dev ppp-a",
				"ip -6 route append default dev ppp-a proto 108 metric 200",
				"ip route append default dev ppp-a proto 108 metric 200",
			},
		},
		{
			name: "a line device that is not there yet",
			want: lineUp(), have: bare,
			ops: []string{
				"ip link add link eth1 name eth1.101 alias linebond type vlan protocol 802.1Q id 101 egress-qos-map 6:6",
				"ip link set dev eth1 up",
				"ip link set dev eth1.101 up",
			},
		},
		{name: "a parent that is not there", want: qinq},
		{
			name: "the last line goes: our marks only, children first",
			have: lineUp().with(func(s *State) {
				s.Links = append(s.Links, qinq.Links[1:]...)
				s.Links = append(s.Links, Link{Name: "eth1.7", VLAN: VLAN{Parent: "eth1", ID: 7, Protocol: Dot1Q}})
			}),
			ops: []string{
				"ip -6 route delete default dev ppp-a proto 108 metric 200",
				"ip route delete default dev ppp-a proto 108 metric 200",
				"ip link delete dev eth1.100.101",
				"ip link delete dev eth1.101",
				"ip link delete dev eth1.100",
			},
		},
		{
			name: "VLANs of ours follow their parent's MTU, up both levels; another's does not",
			want: State{Links: append(ethernet("eth1", []uint16{100, 101}, Dot1AD, 0), ethernet("eth2", []uint16{7}, Dot1Q, 0)...)},
			have: State{Links: []Link{
				{Name: "eth1", Up: true, MTU: 1508},
				{Name: "eth1.100", Up: true, MTU: 1500, Ours: true, VLAN: VLAN{Parent: "eth1", ID: 100, Protocol: Dot1AD}},
				{Name: "eth1.100.101", Up: true, MTU: 1500, Ours: true, VLAN: VLAN{Parent: "eth1.100", ID: 101, Protocol: Dot1Q}},
				{Name: "eth2", Up: true, MTU: 1508},
				{Name: "eth2.7", Up: true, MTU: 1500, VLAN: VLAN{Parent: "eth2", ID: 7, Protocol: Dot1Q}},
			}},
			ops: []string{"ip link set dev eth1.100 mtu 1508", "ip link set dev eth1.100.101 mtu 1508"},
		},
		{
			name: "a VLAN that someone else made is used as it is",
			want: lineUp(),
			have: lineUp().with(func(s *State) {
				s.Links[1] = Link{Name: "eth1.101", VLAN: VLAN{Parent: "eth0", ID: 5, Protocol: Dot1AD}}
			}),
			ops: []string{"ip link set dev eth1.101 up"},
		},
		{
			name: "a VLAN of ours with the wrong identifier, and ours on top of it",
			want: qinq,
			have: qinq.with(func(s *State) { s.Links[1].VLAN.ID = 99 }),
			ops: []string{
				"ip link delete dev eth1.100.101",
				"ip link delete dev eth1.100",
				"ip link add link eth1 name eth1.100 alias linebond type vlan protocol 802.1ad id 100",
				"ip link add link eth1.100 name eth1.100.101 alias linebond type vlan protocol 802.1Q id 101",
				"ip link set dev eth1.100 up",
				"ip link set dev eth1.100.101 up",
			},
		},
		{
			name: "an unwanted VLAN on one to be remade goes with it",
			want: State{Links: ethernet("eth1", []uint16{100, 101}, Dot1Q, 0)[:2]},
			have: qinq.with(func(s *State) { s.Links[1].VLAN.Protocol = Dot1Q }),
			ops:  []string{"ip link delete dev eth1.100.101"},
		},
		{
			name: "a priority changes without cutting the sessions on the VLAN",
			want: State{Links: ethernet("eth1", []uint16{101}, Dot1Q, 3)},
			have: State{Links: ethernet("eth1", []uint16{101}, Dot1Q, 6)},
			ops:  []string{"ip link set dev eth1.101 type vlan egress-qos-map 3:3 6:0"},
		},
		{
			name: "foreign deletion of a route and of an address",
			want: lineUp(),
			have: lineUp().with(func(s *State) { s.Routes, s.Addresses = s.Routes[1:], s.Addresses[1:] }),
			ops: []string{
				"ip address replace 203.0.113.10 peer 198.51.100.1/32 dev ppp-a",
				"ip route append default dev ppp-a proto 108 metric 200",
			},
		},
		{
			name: "an address of SLAAC stays, a foreign link-local and a foreign IPv4 address go",
			want: lineUp(),
			have: lineUp().with(func(s *State) {
				s.Addresses = append(s.Addresses,
					Address{Device: "ppp-a", Local: netip.MustParseAddr("2001:db8::1"), Peer: netip.MustParsePrefix("2001:db8::1/64")},
					Address{Device: "ppp-a", Local: netip.MustParseAddr("fe80::9"), Peer: netip.MustParsePrefix("fe80::9/64")},
					Address{Device: "ppp-a", Local: netip.MustParseAddr("10.0.0.1"), Peer: netip.MustParsePrefix("10.0.0.1/24")})
			}),
			ops: []string{"ip address delete 10.0.0.1/24 dev ppp-a", "ip address delete fe80::9/64 dev ppp-a"},
		},
		{
			name: "a new metric: add, then delete",
			want: lineUp().with(func(s *State) { s.Routes = s.Routes[:1]; s.Routes[0].Metric = 300 }),
			have: lineUp().with(func(s *State) { s.Routes = s.Routes[:1] }),
			ops: []string{
				"ip route append default dev ppp-a proto 108 metric 300",
				"ip route delete default dev ppp-a proto 108 metric 200",
			},
		},
		{
			name: "a new address from another peer: add, then delete",
			want: lineUp().with(func(s *State) { s.Addresses[0] = PeerAddress("ppp-a", local2, peer2) }),
			have: lineUp(),
			ops: []string{
				"ip address replace 203.0.113.77 peer 198.51.100.2/32 dev ppp-a",
				"ip address delete 203.0.113.10 peer 198.51.100.1/32 dev ppp-a",
			},
		},
		{
			name: "a new address from the same peer: delete, then add, and the routes that this flushed",
			want: lineUp().with(func(s *State) { s.Addresses[0] = PeerAddress("ppp-a", local2, peer) }),
			have: lineUp().with(func(s *State) {
				s.Routes = append(s.Routes, Route{Destination: DefaultIPv4, Device: "ppp-a", Metric: 7})
			}),
			ops: []string{
				"ip route delete default dev ppp-a proto 108 metric 7",
				"ip address delete 203.0.113.10 peer 198.51.100.1/32 dev ppp-a",
				"ip address replace 203.0.113.77 peer 198.51.100.1/32 dev ppp-a",
				"ip route append default dev ppp-a proto 108 metric 200",
			},
		},
		{
			name: "a metric of 0 for IPv6 is the kernel's 1024",
			want: State{Links: []Link{{Name: "ppp-a", Line: true}}, Routes: []Route{{Destination: DefaultIPv6, Device: "ppp-a"}}},
			have: State{Links: []Link{{Name: "ppp-a", Line: true}}, Routes: []Route{{Destination: DefaultIPv6, Device: "ppp-a", Metric: 1024}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, op := range Diff(test.want, test.have) {
				got = append(got, op.String())
			}
			if diff := cmp.Diff(test.ops, got); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
		})
	}
}
