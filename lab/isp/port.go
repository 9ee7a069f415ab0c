package isp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"linebond/ppp"
)

// A port is an Ethernet device with one or more ACs. All its frames but the hosts' data come through one socket, whatever their tags.
type port struct {
	device *net.Interface
	conn   *packet.Conn
	acs    []*ac
	reader sync.WaitGroup
}

// receiveBuffer has room for what a thousand hosts say at once, in bytes.
const receiveBuffer = 8 << 20

// openPort opens a device, which must be up. Nothing is read before start.
func openPort(device string) (*port, error) {
	p, err := listen(device)
	if err != nil {
		return nil, fmt.Errorf("opening the device %s: %w", device, err)
	}
	return p, nil
}

func listen(device string) (*port, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	if ifi.Flags&net.FlagUp == 0 || len(ifi.HardwareAddr) != addressLen {
		return nil, fmt.Errorf("it must be an Ethernet device that is up (`ip link set %s up`)", device)
	}
	program, err := bpf.Assemble(noData)
	if err != nil {
		return nil, err
	}
	// All ethertypes: the kernel takes the outermost tag off before it looks at them, and gives the frame to nobody else if there is no
	// device for the VLAN.
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: program})
	if err != nil {
		return nil, err
	}
	p := &port{device: ifi, conn: conn}
	if err := p.setOptions(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return p, nil
}

// noData lets discovery frames pass, and session frames but those of IPv4 and IPv6, which are the data path's. The outermost tag is not
// in the frame; a second one is.
var noData = slices.Concat([]bpf.Instruction{
	bpf.LoadAbsolute{Off: 2 * addressLen, Size: 2},
	bpf.JumpIf{Val: unix.ETH_P_8021Q, SkipTrue: uint8(1 + len(noDataAt(0)))},
	bpf.JumpIf{Val: unix.ETH_P_8021AD, SkipTrue: uint8(len(noDataAt(0)))},
}, noDataAt(2*addressLen), noDataAt(2*addressLen+tagLen))

// noDataAt is noData for frames whose ethertype is at this offset.
func noDataAt(offset uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: offset, Size: 2},
		bpf.JumpIf{Val: unix.ETH_P_PPP_DISC, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_PPP_SES, SkipTrue: 3},
		bpf.LoadAbsolute{Off: offset + 2 + pppoeLen, Size: 2},
		bpf.JumpIf{Val: uint32(ppp.IPv4), SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ppp.IPv6), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: ^uint32(0)},
	}
}

// setOptions asks for the outermost tag, and for no frames of this host's own.
func (p *port) setOptions() error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for _, o := range []struct {
			name                 string
			level, option, value int
		}{
			{"PACKET_AUXDATA", unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
			{"PACKET_IGNORE_OUTGOING", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
			{"SO_RCVBUFFORCE", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
		} {
			if err := unix.SetsockoptInt(int(fd), o.level, o.option, o.value); err != nil {
				failed = errors.Join(failed, fmt.Errorf("setting %s: %w", o.name, err))
			}
		}
	})
	return errors.Join(err, failed)
}

// add puts an AC on the port. A second one has an address of its own, so the device must let frames to all addresses pass.
func (p *port) add(a *ac) error {
	p.acs = append(p.acs, a)
	if string(a.mac[:]) == string(p.device.HardwareAddr) {
		return nil
	}
	if err := p.conn.SetPromiscuous(true); err != nil {
		return fmt.Errorf("making the device %s promiscuous: %w", p.device.Name, err)
	}
	return nil
}

// start begins to read: each frame goes to the AC that it is addressed to, or to all.
func (p *port) start() { p.reader.Go(p.read) }

// close ends it.
func (p *port) close() error {
	err := p.conn.Close()
	p.reader.Wait()
	return err
}

func (p *port) read() {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return // it is closed
	}
	buffer, control := make([]byte, 2048), make([]byte, unix.CmsgSpace(auxdataLen))
	var n, controlLen int
	var failed error
	for {
		err := raw.Read(func(fd uintptr) bool {
			n, controlLen, _, _, failed = unix.Recvmsg(int(fd), buffer, control, unix.MSG_DONTWAIT)
			return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
		})
		if err != nil {
			return // it is closed
		}
		if failed != nil {
			continue // the device is down; the socket goes on when it is up again
		}
		if f, ok := parseFrame(buffer[:n], besideTag(control[:controlLen])); ok {
			p.deliver(f)
		}
	}
}

// auxdataLen is the length of a struct tpacket_auxdata (packet(7)), in bytes:
//
//	status (4) | length (4) | captured (4) | offsets of the frame and of its payload (2, 2) | tag's control information (2) | its ethertype (2)
const auxdataLen = 20

// besideTag is the tag that the kernel tells of beside a frame; nil if there is none.
func besideTag(control []byte) *tag {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < auxdataLen {
			continue
		}
		if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			return &tag{tpid: binary.NativeEndian.Uint16(m.Data[18:]), control: binary.NativeEndian.Uint16(m.Data[16:])}
		}
	}
	return nil
}

func (p *port) deliver(f frame) {
	f.payload = bytes.Clone(f.payload)
	for _, a := range p.acs {
		if f.dst == a.mac || f.dst == broadcast && f.etherType == unix.ETH_P_PPP_DISC {
			a.post(func() { a.receive(f) })
		}
	}
}

var broadcast = [addressLen]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// send sends a whole frame. One that cannot be sent is lost, as on any wire: the device may be down.
func (p *port) send(b []byte) {
	_, _ = p.conn.WriteTo(b, &packet.Addr{HardwareAddr: b[:addressLen]})
}
