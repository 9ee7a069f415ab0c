package bond

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linebond/config"
	"linebond/line"
)

// member is line a on eth1, up with both protocols, and what f changes of it.
func member(f func(*Member)) Member {
	var m Member
	m.Config = config.Line{Name: "a", Enabled: true, Interface: "eth1", Device: "ppp-a", DefaultRoute: true, Metric: 200, IPv6: true}
	m.Status = line.Status{
		Name: "a", Device: "ppp-a", State: line.Running,
		Session: &line.Session{ID: 1, MTU: 1492},
		IPv4: line.IPv4{
			Local: netip.MustParseAddr("203.0.113.10"), Peer: netip.MustParseAddr("198.51.100.1"),
			DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")},
		},
		IPv6: line.IPv6{Local: netip.MustParseAddr("fe80::a"), Peer: netip.MustParseAddr("fe80::1")},
	}
	if f != nil {
		f(&m)
	}
	return m
}

// only4 makes a member without IPv6, which is shorter to write.
func only4(f func(*Member)) Member {
	m := member(f)
	m.Status.IPv6 = line.IPv6{}
	return m
}

func resting(s line.State) func(*Member) {
	return func(m *Member) {
		m.Config.VLAN, m.Config.VLANProtocol = []uint16{101}, "802.1q"
		m.Status.State, m.Status.Session, m.Status.IPv4, m.Status.IPv6 = s, nil, line.IPv4{}, line.IPv6{}
	}
}

const up4 = `link eth1 up
link ppp-a up mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
route default dev ppp-a proto 108 metric 200
sysctl net/ipv4/conf/ppp-a/rp_filter=2`

const vlan = `link eth1 up
link eth1.101@eth1 up vlan protocol 802.1Q id 101 alias linebond
sysctl net/ipv6/conf/eth1.101/disable_ipv6=1`

func TestPlan(t *testing.T) {
	dns := []Resolver{{"a", "ppp-a", member(nil).Status.IPv4.DNS}}
	for name, c := range map[string]struct {
		members   []Member
		state     string
		resolvers []Resolver
	}{
		"no lines": {nil, "", nil},
		"up": {[]Member{member(nil)}, `link eth1 up
link ppp-a up mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
address fe80::a peer fe80::1/128 dev ppp-a
route default dev ppp-a proto 108 metric 200
sysctl net/ipv4/conf/ppp-a/rp_filter=2
sysctl net/ipv6/conf/ppp-a/accept_ra=2`, dns},
		"held: the addresses stay": {[]Member{member(func(m *Member) { m.Status.State = line.Held })}, `link eth1 up
link ppp-a mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
address fe80::a peer fe80::1/128 dev ppp-a
sysctl net/ipv4/conf/ppp-a/rp_filter=2
sysctl net/ipv6/conf/ppp-a/accept_ra=2`, nil},
		"network phase: nothing is agreed on": {[]Member{member(func(m *Member) {
			m.Status.State, m.Status.IPv4, m.Status.IPv6 = line.Network, line.IPv4{}, line.IPv6{}
		})}, "link eth1 up\nlink ppp-a mtu 1492 line\nsysctl net/ipv4/conf/ppp-a/rp_filter=2", nil},
		"authentication: no device yet": {[]Member{member(func(m *Member) {
			m.Status.State, m.Status.Session.MTU, m.Status.IPv4, m.Status.IPv6 = line.Authenticate, 0, line.IPv4{}, line.IPv6{}
		})}, "link eth1 up", nil},
		"IPv6 only": {[]Member{member(func(m *Member) { m.Status.IPv4 = line.IPv4{} })}, `link eth1 up
link ppp-a up mtu 1492 line
address fe80::a peer fe80::1/128 dev ppp-a
sysctl net/ipv4/conf/ppp-a/rp_filter=2
sysctl net/ipv6/conf/ppp-a/accept_ra=2`, nil},
		"IPv4 only":  {[]Member{only4(nil)}, up4, dns},
		"no servers": {[]Member{only4(func(m *Member) { m.Status.IPv4.DNS = nil })}, up4, nil},
		"unnumbered peer": {[]Member{only4(func(m *Member) { m.Status.IPv4.Peer = netip.Addr{} })}, `link eth1 up
link ppp-a up mtu 1492 line
address 203.0.113.10/32 dev ppp-a
route default dev ppp-a proto 108 metric 200
sysctl net/ipv4/conf/ppp-a/rp_filter=2`, dns},
		"no default route": {[]Member{only4(func(m *Member) { m.Config.DefaultRoute = false })}, `link eth1 up
link ppp-a up mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
sysctl net/ipv4/conf/ppp-a/rp_filter=2`, dns},
		"two lines, same peer and metric": {[]Member{only4(nil), only4(func(m *Member) {
			m.Config.Interface, m.Status.Name, m.Status.Device = "eth2", "b", "ppp-b"
			m.Status.IPv4.Local = netip.MustParseAddr("203.0.113.11")
		})}, `link eth1 up
link eth2 up
link ppp-a up mtu 1492 line
link ppp-b up mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
address 203.0.113.11 peer 198.51.100.1/32 dev ppp-b
route default dev ppp-a proto 108 metric 200
route default dev ppp-b proto 108 metric 200
sysctl net/ipv4/conf/ppp-a/rp_filter=2
sysctl net/ipv4/conf/ppp-b/rp_filter=2`, append(dns[:1:1], Resolver{"b", "ppp-b", dns[0].Servers})},
		"QinQ, with priority": {[]Member{member(func(m *Member) {
			resting(line.Waiting)(m)
			m.Config.VLAN, m.Config.VLANProtocol, m.Config.Priority = []uint16{100, 101}, "802.1ad", 6
		})}, `link eth1 up
link eth1.100@eth1 up vlan protocol 802.1ad id 100 egress-qos-map 6:6 alias linebond
link eth1.100.101@eth1.100 up vlan protocol 802.1Q id 101 egress-qos-map 6:6 alias linebond
sysctl net/ipv6/conf/eth1.100.101/disable_ipv6=1
sysctl net/ipv6/conf/eth1.100/disable_ipv6=1`, nil},
		"unplugged: the VLAN is there to be plugged in": {[]Member{member(resting(line.Unplugged))}, vlan, nil},
		"stopped by the operator":                       {[]Member{member(resting(line.Stopped))}, vlan, nil},
		"disabled":                                      {[]Member{member(func(m *Member) { resting(line.Stopped)(m); m.Config.Enabled = false })}, "", nil},
		"disabled, but wanted by the operator":          {[]Member{member(func(m *Member) { resting(line.Waiting)(m); m.Config.Enabled = false })}, vlan, nil},
		"two lines on one VLAN": {[]Member{member(resting(line.Waiting)), member(func(m *Member) {
			resting(line.Waiting)(m)
			m.Config.Priority = 5
		})}, `link eth1 up
link eth1.101@eth1 up vlan protocol 802.1Q id 101 egress-qos-map 5:5 alias linebond
sysctl net/ipv6/conf/eth1.101/disable_ipv6=1`, nil},
		"terminating: no more route": {[]Member{only4(func(m *Member) { m.Status.State = line.Terminate })}, `link eth1 up
link ppp-a mtu 1492 line
address 203.0.113.10 peer 198.51.100.1/32 dev ppp-a
sysctl net/ipv4/conf/ppp-a/rp_filter=2`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(&config.Config{}, 1).Plan(time.Time{}, c.members)
			if diff := cmp.Diff(c.state, p.State.String()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.resolvers, p.Resolvers, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
