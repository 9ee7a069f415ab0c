package datapath

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// A tap is a packet socket of a test.
type tap struct {
	t    *testing.T
	conn *packet.Conn
}

// tap opens a packet socket: Raw with Ethernet headers, or Datagram without.
func (h *host) tap(device string, kind packet.Type, protocol int) *tap {
	h.t.Helper()
	p := &tap{t: h.t}
	h.in(func() {
		ifi, err := net.InterfaceByName(device)
		must(h.t, err)
		p.conn, err = packet.Listen(ifi, kind, protocol, nil)
		must(h.t, err)
	})
	h.t.Cleanup(func() { p.conn.Close() })
	must(h.t, p.conn.SetReadDeadline(time.Now().Add(patience)))
	return p
}

func (p *tap) receive() []byte {
	p.t.Helper()
	b := make([]byte, 70000)
	n, _, err := p.conn.ReadFrom(b)
	must(p.t, err)
	return b[:n]
}

// receiveTagged is the next frame as it is on the wire: the kernel hands out the outermost tag beside it (packet(7), PACKET_AUXDATA).
func (p *tap) receiveTagged() []byte {
	p.t.Helper()
	frame, oob := make([]byte, 70000), make([]byte, 1000)
	must(p.t, onDescriptor(p.conn, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1) }))
	raw, err := p.conn.SyscallConn()
	must(p.t, err)
	var n, noob int
	var failed error
	must(p.t, raw.Read(func(fd uintptr) bool {
		n, noob, _, _, failed = unix.Recvmsg(int(fd), frame, oob, 0)
		return failed != unix.EAGAIN
	}))
	must(p.t, failed)
	messages, err := unix.ParseSocketControlMessage(oob[:noob])
	must(p.t, err)
	for _, m := range messages {
		var aux unix.TpacketAuxdata
		if _, err := binary.Decode(m.Data, binary.NativeEndian, &aux); err == nil && aux.Status&unix.TP_STATUS_VLAN_VALID != 0 {
			tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, aux.Vlan_tpid), aux.Vlan_tci)
			return slices.Insert(frame[:n], 12, tag...)
		}
	}
	return frame[:n]
}

func (p *tap) send(frame []byte) {
	p.t.Helper()
	_, err := p.conn.WriteTo(frame, &packet.Addr{HardwareAddr: make(net.HardwareAddr, 6)})
	must(p.t, err)
}

// ipv4 is a packet of this length with an experimental protocol (RFC 3692) and a body that counts.
func ipv4(length int) []byte {
	b := make([]byte, length)
	copy(b, []byte{
		0x45, 0, byte(length >> 8), byte(length), // version and header length, service, length
		0, 0, 0x40, 0, // identification, do not fragment
		64, 253, 0, 0, // time to live, protocol, checksum
		10, 0, 0, 2, // source
		10, 0, 0, 1, // destination
	})
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(0, b[:20])))
	for i := 20; i < length; i++ {
		b[i] = byte(i)
	}
	return b
}

// ipv6 is the like.
func ipv6(length int) []byte {
	b := make([]byte, length)
	copy(b, []byte{
		0x60, 0, 0, 0, // version, class, flow
		byte((length - 40) >> 8), byte(length - 40), 253, 64, // length, next header, hop limit
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // source
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // destination
	})
	for i := 40; i < length; i++ {
		b[i] = byte(i)
	}
	return b
}

// session is a session frame from one station to another: the tags are as they stand on the wire.
func session(dst, src net.HardwareAddr, tags []byte, id uint16, protocol uint16, packet []byte) []byte {
	b := append(append(append([]byte(nil), dst...), src...), tags...)
	b = append(b, 0x88, 0x64)                                   // ethertype
	b = append(b, 0x11, 0)                                      // version and type, code
	b = binary.BigEndian.AppendUint16(b, id)                    // session id
	b = binary.BigEndian.AppendUint16(b, uint16(2+len(packet))) // length
	b = binary.BigEndian.AppendUint16(b, protocol)
	return append(b, packet...)
}

// sum adds b, in words, to a checksum (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// An auditor reads all session frames of a device and checks each packet in them: its length and its checksums.
type auditor struct {
	frames sync.WaitGroup
	conn   *packet.Conn
	mtu    int
	seen   map[string]int // by kind: "IPv4 TCP" ...
	wrong  []string
}

// audit starts to look at what a device receives and sends.
func (h *host) audit(device string, mtu int) *auditor {
	h.t.Helper()
	a := &auditor{conn: h.tap(device, packet.Raw, unix.ETH_P_ALL).conn, mtu: mtu, seen: map[string]int{}}
	must(h.t, a.conn.SetReadDeadline(time.Time{}))
	must(h.t, onDescriptor(a.conn, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) }))
	a.frames.Go(func() {
		b := make([]byte, 70000)
		for {
			n, _, err := a.conn.ReadFrom(b)
			if err != nil {
				return
			}
			a.frame(b[:n])
		}
	})
	return a
}

// stop ends it and fails the test if a packet was wrong or one of the kinds has not been seen.
func (a *auditor) stop(t *testing.T, kinds ...string) {
	t.Helper()
	must(t, a.conn.SetReadDeadline(time.Unix(1, 0)))
	a.frames.Wait()
	must(t, onDescriptor(a.conn, a.drain))
	if len(a.wrong) > 0 {
		t.Errorf("%d wrong packets, the first: %s", len(a.wrong), a.wrong[0])
	}
	for _, k := range kinds {
		if a.seen[k] == 0 {
			t.Errorf("no packet of kind %s among %v", k, a.seen)
		}
	}
}

// drain checks what is still in the socket's queue.
func (a *auditor) drain(fd int) error {
	b := make([]byte, 70000)
	for {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		a.frame(b[:n])
	}
}

func (a *auditor) complain(b []byte, format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...)+fmt.Sprintf(": % x", b[:min(len(b), 80)]))
}

func (a *auditor) frame(b []byte) {
	offset := 12
	for binary.BigEndian.Uint16(b[offset:]) == 0x8100 || binary.BigEndian.Uint16(b[offset:]) == 0x88a8 {
		offset += 4
	}
	if binary.BigEndian.Uint16(b[offset:]) != etherTypeSession {
		a.complain(b, "not a session frame")
		return
	}
	p := b[offset+2:]
	length, protocol := int(binary.BigEndian.Uint16(p[4:])), binary.BigEndian.Uint16(p[6:])
	if p[0] != 0x11 || p[1] != 0 || len(p) != 6+length || length-2 > a.mtu {
		a.complain(b, "PPPoE header of a frame of %d bytes", len(b))
		return
	}
	switch ip := p[8:]; protocol {
	case protocolIPv4:
		a.ipv4(ip)
	case protocolIPv6:
		a.ipv6(ip)
	default:
		a.complain(b, "protocol %#x", protocol)
	}
}

func (a *auditor) ipv4(ip []byte) {
	if fold(sum(0, ip[:20])) != 0xffff || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
		a.complain(ip, "IPv4 header")
		return
	}
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		a.seen["IPv4 fragment"]++
		return
	}
	a.transport("IPv4 ", ip[9], ip[20:], sum(uint32(ip[9])+uint32(len(ip)-20), ip[12:20]))
}

func (a *auditor) ipv6(ip []byte) {
	if int(binary.BigEndian.Uint16(ip[4:]))+40 != len(ip) {
		a.complain(ip, "IPv6 header")
		return
	}
	if ip[6] == unix.IPPROTO_FRAGMENT {
		a.seen["IPv6 fragment"]++
		return
	}
	a.transport("IPv6 ", ip[6], ip[40:], sum(uint32(ip[6])+uint32(len(ip)-40), ip[8:40]))
}

// transport checks what has the checksum that begins with the pseudo header's (RFC 9293, RFC 768, RFC 4443), or none of it (ICMP).
func (a *auditor) transport(family string, protocol byte, b []byte, pseudo uint32) {
	names := map[byte]string{unix.IPPROTO_TCP: "TCP", unix.IPPROTO_UDP: "UDP", unix.IPPROTO_ICMPV6: "ICMPv6", unix.IPPROTO_ICMP: "ICMP"}
	name := names[protocol]
	if protocol == unix.IPPROTO_ICMP {
		pseudo = 0
	}
	if name != "" && fold(sum(pseudo, b)) != 0xffff {
		a.complain(b, "checksum of %s%s", family, name)
	}
	a.seen[family+name]++
}
