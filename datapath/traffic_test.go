package datapath

import (
	"fmt"
	"testing"
)

// links are the ways in which a frame can be tagged, with the tags' bytes.
var links = []struct {
	name  string
	tags  []Tag
	bytes []byte
	mtus  []int
}{
	{"untagged", nil, nil, []int{1492, 1500}},
	{"VLAN", []Tag{{ID: 101}}, []byte{0x81, 0, 0, 101}, []int{1492}},
	{"802.1ad VLAN", []Tag{{0x88a8, 4094}}, []byte{0x88, 0xa8, 0x0f, 0xfe}, []int{1492}},
	{"QinQ", []Tag{{0x88a8, 100}, {0x8100, 101}}, []byte{0x88, 0xa8, 0, 100, 0x81, 0, 0, 101}, []int{1492, 1500}},
	{"QinQ of 802.1Q", []Tag{{ID: 100}, {ID: 101}}, []byte{0x81, 0, 0, 100, 0x81, 0, 0, 101}, []int{1492}},
}

// port is iperf3's last: each transfer has a server of its own, as the one before may still be busy with its client.
var port = 5201

// transfer runs iperf3 from one host to another and returns its report.
func transfer(client, server *host, to, how string) string {
	client.t.Helper()
	port++
	server.background("listening", "iperf3 -s -1 --forceflush -p %d", port)
	return client.sh("iperf3 -c %s -p %d %s", to, port, how)
}

// What the host itself sends and receives: each kind of packet, of each size, and every packet on the wire is right.
func TestTraffic(t *testing.T) {
	for _, link := range links {
		for _, mtu := range link.mtus {
			t.Run(fmt.Sprintf("%s, MTU %d", link.name, mtu), func(t *testing.T) {
				w := newWorld(t, mtu+8)
				home, isp := w.pair(0, link.tags, mtu)
				audit := w.home.audit("eth1", mtu)
				for _, size := range []int{0, 1, 17, 18, 19, 1000, mtu - 28} { // around the Ethernet minimum, and the largest
					w.home.sh("ping -qc 2 -i 0.002 -W 5 -M do -s %d 10.0.0.2", size)
				}
				w.home.sh("ping -qc 2 -i 0.002 -W 5 -M do -s %d 2001:db8::2", mtu-48)
				w.home.sh("ping -qc 2 -i 0.002 -W 5 -M dont -s 4000 10.0.0.2; ping -qc 2 -i 0.002 -W 5 -M dont -s 4000 2001:db8::2")
				for _, to := range []string{"10.0.0.2", "2001:db8::2"} {
					for _, how := range []string{"-n 4M", "-R -n 4M", "-u -b 100M -l 1300 -n 1M", "-R -u -b 100M -l 1300 -n 1M", "-u -b 100M -l 4000 -n 1M"} {
						transfer(w.home.host, w.isp.host, to, how)
					}
				}
				audit.stop(t, "IPv4 TCP", "IPv4 UDP", "IPv4 ICMP", "IPv4 fragment", "IPv6 TCP", "IPv6 UDP", "IPv6 ICMPv6", "IPv6 fragment")
				a, b := counters(t, home), counters(t, isp)
				want := Counters{RxPackets: b.TxPackets, RxBytes: b.TxBytes, TxPackets: a.TxPackets, TxBytes: a.TxBytes}
				if a != want || a.TxPackets != b.RxPackets || a.TxBytes != b.RxBytes {
					t.Errorf("counters: home %+v, ISP %+v", a, b)
				}
			})
		}
	}
}

// A LAN host, all offloads on, behind home: what it sends arrives as super-packets, which the line's device must segment.
func TestForwarding(t *testing.T) {
	for _, link := range links[:2] {
		t.Run(link.name, func(t *testing.T) {
			w := newWorld(t, 1500)
			w.pair(0, link.tags, 1492)
			lan := newHost(t)
			cable(lan, "eth0", w.home.host, "lan0", 1500)
			lan.sh("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ip addr add 192.168.0.2/24 dev eth0; ip route add default via 192.168.0.1; " +
				"ip addr add 2001:db8:1::2/64 dev eth0 nodad; ip -6 route add default via 2001:db8:1::1")
			w.home.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.lan0.disable_ipv6=0; " +
				"ip addr add 192.168.0.1/24 dev lan0; ip addr add 2001:db8:1::1/64 dev lan0 nodad")
			w.isp.sh("ip route add 192.168.0.0/24 dev ppp-0; ip -6 route add 2001:db8:1::/64 dev ppp-0")
			audit := w.home.audit("eth1", 1492)
			for _, to := range []string{"10.0.0.2", "2001:db8::2"} {
				for _, how := range []string{"-n 20M", "-R -n 20M", "-u -b 100M -l 1300 -n 1M", "-R -u -b 100M -l 1300 -n 1M"} {
					transfer(lan, w.isp.host, to, how)
				}
			}
			lan.sh("ping -qc 2 -i 0.002 -W 5 -M dont -s 4000 10.0.0.2")
			audit.stop(t, "IPv4 TCP", "IPv4 UDP", "IPv4 fragment", "IPv6 TCP", "IPv6 UDP")
		})
	}
}

// Eight lines share the Ethernet device: untagged, on VLANs of their own, and two sessions on one VLAN.
func TestEightLines(t *testing.T) {
	w := newWorld(t, 1500)
	tags := [][]Tag{nil, {{ID: 1}}, {{ID: 2}}, {{ID: 3}}, {{ID: 3}}, {{ID: 3}, {ID: 1}}, {{ID: 1}, {ID: 3}}, nil}
	var lines []*Line
	for n := range tags {
		home, _ := w.pair(n, tags[n], 0)
		lines = append(lines, home)
	}
	for n, l := range lines {
		for range n + 1 {
			w.home.sh("ping -qc 1 -W 5 10.0.%d.2", n)
		}
		if c := counters(t, l); c.RxPackets != uint64(n+1) || c.TxPackets != uint64(n+1) {
			t.Errorf("line %d: %+v, want %d packets each way", n, c, n+1)
		}
	}
}

// The lines that come after the first few, whose program runs by a tc filter, carry packets as well.
func TestManyLines(t *testing.T) {
	w := newWorld(t, 1500)
	var last *Line
	for n := range fewLines + 2 {
		last, _ = w.pair(n, nil, 0)
	}
	w.home.sh("ping -qc 3 -i 0.002 -W 5 10.0.%d.2", fewLines+1)
	if c := counters(t, last); last.few || c.RxPackets != 3 || c.TxPackets != 3 {
		t.Errorf("the last line: %+v, want 3 packets each way", c)
	}
}
