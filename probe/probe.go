// Package probe asks hosts whether they are there (ICMP echo, RFC 792) through one network device of several that lead to them.
//
// A request leaves by the device that it is for, whatever the routes say; its answer may come back by any other, as it does where a
// provider spreads the packets for one address over several lines.
//
// A Pinger sends and receives; a Watcher asks hosts again and again through each of several lines, and knows how each fares.
package probe

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// sendLimit is how long a request may wait for room in the socket: a device that takes nothing holds nobody up.
	sendLimit = 100 * time.Millisecond
	// backlog is how many replies may wait for their reader; more are lost.
	backlog = 256
	// tokenLen is the length of what a reply must bring back besides the identifier, in bytes: no one who has not seen a request can
	// make a reply.
	tokenLen = 16
	// maxPacket is more than any reply to us has, in bytes; the rest of a longer one is lost.
	maxPacket = 512
)

// Pinger is a raw socket that sends echo requests and receives the replies to them. Its methods may be called at the same time.
type Pinger struct {
	conn    *net.IPConn
	packets *ipv4.PacketConn // the same
	id      int              // of all our requests
	token   []byte
	replies chan Reply
}

// Reply is an answer to a request.
type Reply struct {
	Target   netip.Addr // who was asked, and has answered
	Sequence uint16     // of the request
	At       time.Time  // when it came in
}

// Open needs the capability CAP_NET_RAW.
func Open() (*Pinger, error) {
	conn, err := net.ListenIP("ip4:icmp", nil)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("opening a socket for pings: %w: this needs the capability CAP_NET_RAW: run as root, "+
			"or under systemd set AmbientCapabilities=CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a socket for pings: %w", err)
	}
	p := &Pinger{conn: conn, packets: ipv4.NewPacketConn(conn), replies: make(chan Reply, backlog)}
	var replies ipv4.ICMPFilter
	replies.SetAll(true)
	replies.Accept(ipv4.ICMPTypeEchoReply)
	if err := p.packets.SetICMPFilter(&replies); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("opening a socket for pings: %w", err)
	}
	secret := make([]byte, 2+tokenLen)
	_, _ = rand.Read(secret) // cannot fail
	p.id, p.token = int(binary.BigEndian.Uint16(secret)), secret[2:]
	go p.receive()
	return p, nil
}

// Send sends an echo request from source, an address of this host, out of the device. Both addresses are IPv4. An error says that it has
// not been sent; unix.ENODEV, that there is no such device.
func (p *Pinger) Send(device string, source, target netip.Addr, sequence uint16) error {
	if err := p.send(device, source, target, sequence); err != nil {
		return fmt.Errorf("pinging %s from %s by %s: %w", target, source, device, err)
	}
	return nil
}

func (p *Pinger) send(device string, source, target netip.Addr, sequence uint16) error {
	index, err := p.index(device)
	if err != nil {
		return err
	}
	echo := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: int(sequence), Data: p.token}}
	packet, err := echo.Marshal(nil)
	if err != nil {
		return err
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	by := &ipv4.ControlMessage{IfIndex: index, Src: source.AsSlice()} // IP_PKTINFO
	_, err = p.packets.WriteTo(packet, by, &net.IPAddr{IP: target.AsSlice()})
	return err
}

// index asks for a device's number each time: a line's device is a new one in each session. (net.InterfaceByName lists all devices.)
func (p *Pinger) index(device string) (int, error) {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0, unix.ENODEV // the name is too long for one
	}
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) { refused = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, request) }); err != nil {
		return 0, err
	}
	return int(request.Uint32()), refused
}

// Replies returns the channel of what has been answered. It is closed when the socket is, or has failed.
func (p *Pinger) Replies() <-chan Reply { return p.replies }

// Close ends it.
func (p *Pinger) Close() error { return p.conn.Close() }

func (p *Pinger) receive() {
	defer close(p.replies)
	packet := make([]byte, maxPacket)
	for {
		n, from, err := p.conn.ReadFromIP(packet) // without its IPv4 header
		if err != nil {
			return
		}
		reply, ok := p.parse(packet[:n], from)
		if !ok {
			continue
		}
		select {
		case p.replies <- reply:
		default:
		}
	}
}

// parse takes a reply to one of our requests; the socket receives those to other programs of this host, too.
func (p *Pinger) parse(packet []byte, from *net.IPAddr) (Reply, bool) {
	message, err := icmp.ParseMessage(unix.IPPROTO_ICMP, packet)
	if err != nil || message.Type != ipv4.ICMPTypeEchoReply {
		return Reply{}, false
	}
	echo, ok := message.Body.(*icmp.Echo)
	if !ok || echo.ID != p.id || !bytes.Equal(echo.Data, p.token) {
		return Reply{}, false
	}
	target, ok := netip.AddrFromSlice(from.IP)
	return Reply{Target: target.Unmap(), Sequence: uint16(echo.Seq), At: time.Now()}, ok
}
