package datapath

import (
	"bytes"
	"fmt"
	"net"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	stranger  = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x99}
)

// A wire is a line at home and, at the ISP's, somebody who can send what he likes.
type wire struct {
	*world
	line   *Line
	device *tap // of what ppp-a receives and sends: packets without a header
	far    *tap // of the ISP's eth1: whole frames
	tags   []byte
}

// newWire makes a line with the first of the links' tags that are given.
func newWire(t *testing.T, tags []Tag, bytes []byte) *wire {
	t.Helper()
	w := &wire{world: newWorld(t, 1600), tags: bytes}
	w.line = w.home.line(LineConfig{Device: "ppp-a", Link: Link{"eth1", tags}, AC: w.isp.mac, Session: sessionID})
	w.home.sh("sysctl -qw net.ipv6.conf.ppp-a.disable_ipv6=1; ip link set ppp-a up")
	operating(w.home.host, "ppp-a-port")
	w.device = w.home.tap("ppp-a", packet.Datagram, unix.ETH_P_ALL)
	w.far = w.isp.tap("eth1", packet.Raw, unix.ETH_P_ALL)
	return w
}

// down is a session frame to the line.
func (w *wire) down(protocol uint16, packet []byte) []byte {
	return session(w.home.mac, w.isp.mac, w.tags, sessionID, protocol, packet)
}

// Frames are as RFC 2516 section 4 says, byte by byte, in both directions; padding is cut off.
func TestFrames(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			w := newWire(t, link.tags, link.bytes)
			bytes := uint64(0)
			packets := [][]byte{ipv4(20), ipv4(21), ipv4(38), ipv4(39), ipv4(1492), ipv4(1500), ipv6(40), ipv6(41), ipv6(1492), ipv6(1500)}
			for _, ip := range packets {
				protocol, etherType := uint16(protocolIPv4), unix.ETH_P_IP
				if ip[0]>>4 == 6 {
					protocol, etherType = protocolIPv6, unix.ETH_P_IPV6
				}
				w.home.tap("ppp-a", packet.Datagram, etherType).send(ip)
				w.device.receive() // our own, on its way out
				want := session(w.isp.mac, w.home.mac, link.bytes, sessionID, protocol, ip)
				if diff := cmp.Diff(want, w.far.receiveTagged()); diff != "" {
					t.Errorf("up, %d bytes (-want +got):\n%s", len(ip), diff)
				}
				frame := w.down(protocol, ip)
				w.far.send(append(frame, make([]byte, max(0, 60-len(frame)))...))
				if diff := cmp.Diff(ip, w.device.receive()); diff != "" {
					t.Errorf("down, %d bytes (-want +got):\n%s", len(ip), diff)
				}
				bytes += uint64(len(ip))
			}
			n := uint64(len(packets))
			want := Counters{RxPackets: n, RxBytes: bytes, TxPackets: n, TxBytes: bytes}
			if diff := cmp.Diff(want, counters(t, w.line)); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// altered is a frame with another byte, counted from the PPPoE header.
func (w *wire) altered(frame []byte, offset int, value byte) []byte {
	b := bytes.Clone(frame)
	b[ethernetHeaderLen+len(w.tags)+offset] = value
	return b
}

// A hostile frame is one that the device must not receive.
type hostile struct {
	name    string
	frame   []byte
	counter string // of Counters or UplinkCounters; none: the frame is not the line's
}

func (w *wire) hostile() []hostile {
	good := w.down(protocolIPv4, ipv4(100))
	header := ethernetHeaderLen + len(w.tags)
	to := func(dst, src net.HardwareAddr, id uint16) []byte {
		return session(dst, src, w.tags, id, protocolIPv4, ipv4(100))
	}
	three := []byte{0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3}
	return []hostile{
		{"version 2", w.altered(good, 0, 0x21), "BadHeader"},
		{"type 2", w.altered(good, 0, 0x12), "BadHeader"},
		{"code of a PADT", w.altered(good, 1, 0xa7), "BadHeader"},
		{"length 0", w.altered(good, 5, 0), "BadLength"},
		{"length 1", w.altered(good, 5, 1), "BadLength"},
		{"length of one byte more", w.altered(good, 5, 103), "BadLength"},
		{"length 0xff66", w.altered(good, 4, 0xff), "BadLength"},
		{"no IP", w.altered(good, 5, 2), "NotIP"},
		{"less than an IPv4 header", w.altered(good, 5, 21), "NotIP"},
		{"IPv6 that says IPv4", w.down(protocolIPv4, ipv6(100)), "NotIP"},
		{"IPv4 that says IPv6", w.down(protocolIPv6, ipv4(100)), "NotIP"},
		{"less than an IPv6 header", w.down(protocolIPv6, ipv6(40)[:39]), "NotIP"},
		{"1501 bytes", w.down(protocolIPv4, ipv4(1501)), "TooLong"},
		{"half a PPP protocol", good[:header+7], "TooShort"},
		{"half a PPPoE header", good[:header+3], "TooShort"},
		{"another session", to(w.home.mac, w.isp.mac, sessionID+1), ""},
		{"session 0", to(w.home.mac, w.isp.mac, 0), ""},
		{"another AC", to(w.home.mac, stranger, sessionID), ""},
		{"another VLAN", w.otherVLAN(), ""},
		{"to all", to(broadcast, w.isp.mac, sessionID), ""},
		{"to another host", to(stranger, w.isp.mac, sessionID), ""},
		{"a priority tag before the others", session(w.home.mac, w.isp.mac, append([]byte{0x81, 0, 0xe0, 0}, w.oneTag()...), sessionID, protocolIPv4, ipv4(100)), ""},
		{"a priority tag behind the others", session(w.home.mac, w.isp.mac, append(w.oneTag(), 0x81, 0, 0xe0, 0), sessionID, protocolIPv4, ipv4(100)), ""},
		{"three tags", session(w.home.mac, w.isp.mac, three, sessionID, protocolIPv4, ipv4(100)), ""},
		{"half a tag", append(append(bytes.Clone(good[:12]), 0x81, 0, 0, 1, 0x81, 0), 0), ""},
	}
}

// Each hostile frame of the line's access concentrator is counted. None of them comes to the device, nor one of somebody else.
func TestHostileFrames(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			w := newWire(t, link.tags, link.bytes)
			for _, test := range w.hostile() {
				want := w.all()
				want["RxPackets"]++ // the fence
				want["RxBytes"] += 100
				if test.counter != "" {
					want[test.counter]++
				}
				w.far.send(test.frame)
				w.fence(test.name)
				if diff := cmp.Diff(want, w.all()); diff != "" {
					t.Errorf("%s: counters (-want +got):\n%s", test.name, diff)
				}
			}
		})
	}
}

// otherVLAN is a good frame but for its outermost tag.
func (w *wire) otherVLAN() []byte {
	tags := append([]byte{0x81, 0, 0, 77}, w.tags...)
	if len(w.tags) > 0 {
		tags = bytes.Clone(w.tags)
		tags[3] ^= 1
	}
	return session(w.home.mac, w.isp.mac, tags, sessionID, protocolIPv4, ipv4(100))
}

// oneTag is the outermost tag of the line, or any.
func (w *wire) oneTag() []byte {
	if len(w.tags) == 0 {
		return []byte{0x81, 0, 0, 77}
	}
	return bytes.Clone(w.tags[:4])
}

// fence sends a good frame, and wants it to be the next packet that the device receives.
func (w *wire) fence(after string) {
	w.t.Helper()
	w.far.send(w.down(protocolIPv4, ipv4(100)))
	if got := w.device.receive(); !bytes.Equal(got, ipv4(100)) {
		w.t.Errorf("%s: the device received % x", after, got)
	}
}

// all is the line's counters and its uplink's, by name.
func (w *wire) all() map[string]uint64 {
	w.t.Helper()
	uplink, err := w.line.UplinkCounters()
	must(w.t, err)
	m := map[string]uint64{}
	for _, c := range []any{counters(w.t, w.line), uplink} {
		v := reflect.ValueOf(c)
		for i := range v.NumField() {
			m[v.Type().Field(i).Name] = v.Field(i).Uint()
		}
	}
	return m
}

// What the line's device may not send is dropped and counted.
func TestUpDrops(t *testing.T) {
	w := newWire(t, nil, nil)
	w.home.sh("ip link set ppp-a mtu 1500; ip link set ppp-a-port mtu 2000; ip link set ppp-a mtu 2000")
	w.home.tap("ppp-a", packet.Datagram, unix.ETH_P_ARP).send(make([]byte, 28))
	w.home.tap("ppp-a", packet.Datagram, unix.ETH_P_IP).send(ipv4(1501))
	w.home.tap("ppp-a", packet.Datagram, unix.ETH_P_IP).send(ipv4(1500))
	if diff := cmp.Diff(session(w.isp.mac, w.home.mac, nil, sessionID, protocolIPv4, ipv4(1500)), w.far.receive()); diff != "" {
		t.Errorf("the first frame on the wire (-want +got):\n%s", diff)
	}
	want := Counters{TxPackets: 1, TxBytes: 1500, TxNotIP: 1, TxTooLong: 1}
	if diff := cmp.Diff(want, counters(t, w.line)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// The device's MTU is what the peer takes. What we take may be more, and is not dropped.
func TestReceivesMoreThanItsMTU(t *testing.T) {
	w := newWire(t, nil, nil)
	w.home.sh("ip link set ppp-a mtu 1400")
	for _, length := range []int{1400, 1401, 1404, 1405, 1500} {
		w.far.send(w.down(protocolIPv4, ipv4(length)))
		if diff := cmp.Diff(ipv4(length), w.device.receive()); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", length, diff)
		}
	}
}

// Neither end of a line says anything of its own when it is set up.
func TestSilence(t *testing.T) {
	w := newWire(t, nil, nil)
	w.home.sh("sysctl -qw net.ipv6.conf.ppp-a.disable_ipv6=0; ip link set ppp-a down; ip link set ppp-a up")
	w.home.tap("ppp-a", packet.Datagram, unix.ETH_P_IP).send(ipv4(100))
	if diff := cmp.Diff(fmt.Sprintf("% x", session(w.isp.mac, w.home.mac, nil, sessionID, protocolIPv4, ipv4(100))),
		fmt.Sprintf("% x", w.far.receive())); diff != "" {
		t.Errorf("the first frame on the wire (-want +got):\n%s", diff)
	}
}
