package datapath

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in a PPPoE frame's PPPoE header; see the package comment.
const (
	offsetVersionType = 0
	offsetCode        = 1
	offsetSession     = 2
	offsetProtocol    = 6
)

// versionType is the first byte of every PPPoE frame: version 1, type 1.
const versionType = 0x11

// frameBuffer has room for the control frames of a link whose MRU is at most 1500.
const frameBuffer = 2048

// A check is one condition of a filter: what load puts into the accumulator, and mask leaves there (0: all), must compare with one of the
// values.
type check struct {
	load   bpf.Instruction
	mask   uint32
	cond   bpf.JumpTest // the zero value is JumpEqual
	values []uint32
}

// compile makes a filter of checks, all of which a frame must pass:
//
//	ld X1; and #m; jeq #a, next; jeq #b, next; ret #0; next: ld X2; ...; ret #-1
func compile(checks []check) ([]bpf.RawInstruction, error) {
	var program []bpf.Instruction
	for _, c := range checks {
		program = append(program, c.load)
		if c.mask != 0 {
			program = append(program, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.mask})
		}
		for i, v := range c.values {
			program = append(program, bpf.JumpIf{Cond: c.cond, Val: v, SkipTrue: uint8(len(c.values) - i)})
		}
		program = append(program, bpf.RetConstant{Val: 0})
	}
	return bpf.Assemble(append(program, bpf.RetConstant{Val: ^uint32(0)}))
}

// A socket sends and receives PPPoE frames of one ethertype on a link, VLAN tags included. It is a packet socket.
type socket struct {
	conn      *packet.Conn
	link      Link
	own       net.HardwareAddr
	etherType uint16
	priority  uint8
	base      []check // of each filter of this socket
	out       []byte  // send's buffer
}

// open opens a socket that gets frames of these packet types (PACKET_HOST ...) which pass the checks, and none from before the filter was
// set.
//
// With no tags the socket asks for the ethertype, so it costs the data packets of a line nothing. With tags it must ask for all frames:
// the kernel takes the tag off one for whose VLAN it has no device before it looks at ethertypes. So each such socket costs each received
// frame of the device some 20 ns, the filter's first steps; frames that are sent are spared.
func open(link Link, etherType uint16, priority uint8, types []uint32, checks ...check) (*socket, error) {
	if err := link.check(); err != nil {
		return nil, err
	}
	ifi, err := upInterface(link.Ethernet)
	if err != nil {
		return nil, err
	}
	protocol := int(etherType)
	if len(link.Tags) > 0 {
		protocol = unix.ETH_P_ALL
	}
	s := &socket{link: link, own: ifi.HardwareAddr, etherType: etherType, priority: priority}
	s.base = s.baseChecks(ifi.Index, types)
	program, err := compile(append(s.base[:len(s.base):len(s.base)], checks...))
	if err != nil {
		return nil, err
	}
	if s.conn, err = packet.Listen(ifi, packet.Raw, protocol, &packet.Config{Filter: program}); err != nil {
		return nil, err
	}
	if err := onDescriptor(s.conn, s.setOptions); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

// setOptions spares what this host sends, and gives what we send precedence in the Ethernet device's queue.
func (s *socket) setOptions(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("setting PACKET_IGNORE_OUTGOING: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, int(s.priority)); err != nil {
		return fmt.Errorf("setting the priority to %d: %w", s.priority, err)
	}
	return nil
}

// baseChecks are those of the VLAN, the destination and the ethertype. A socket bound to eth1 is also given what arrives for eth1.101, so
// the device itself is asked for; the kernel's packet type stands for the destination address.
func (s *socket) baseChecks(index int, types []uint32) []check {
	checks := []check{
		{load: bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}, values: []uint32{uint32(index)}},
		{load: bpf.LoadExtension{Num: bpf.ExtType}, values: types},
	}
	offset := uint32(2 * addressLen)
	for i, t := range s.link.Tags {
		if i == 0 { // beside the frame: the kernel has taken it out if the hardware did not
			checks = append(checks,
				check{load: bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, values: []uint32{1}},
				check{load: bpf.LoadExtension{Num: bpf.ExtVLANTag}, mask: 0xfff, values: []uint32{uint32(t.ID)}})
			continue
		}
		checks = append(checks,
			check{load: bpf.LoadAbsolute{Off: offset, Size: 2}, values: []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD}},
			check{load: bpf.LoadAbsolute{Off: offset + 2, Size: 2}, mask: 0xfff, values: []uint32{uint32(t.ID)}})
		offset += tagLen
	}
	return append(checks,
		check{load: bpf.LoadAbsolute{Off: offset, Size: 2}, values: []uint32{uint32(s.etherType)}},
		check{load: s.at(offsetVersionType, 1), values: []uint32{versionType}})
}

// at loads from the PPPoE header.
func (s *socket) at(offset uint32, size int) bpf.Instruction { return at(s.link, offset, size) }

// at loads from the PPPoE header of a frame as a socket on the link receives it.
func at(link Link, offset uint32, size int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(headerLen(link)) + offset, Size: size}
}

// headerLen is the length of what stands before the PPPoE header in a received frame: the outermost tag is not in it.
func headerLen(link Link) int { return ethernetHeaderLen + tagLen*max(0, len(link.Tags)-1) }

// refine puts other checks in the place of those that open was given. What is in the receive queue stays there.
func (s *socket) refine(checks ...check) error {
	program, err := compile(append(s.base[:len(s.base):len(s.base)], checks...))
	if err != nil {
		return err
	}
	return s.conn.SetBPF(program)
}

// send sends a frame whose payload, that is all from the PPPoE header on, the parts make up.
func (s *socket) send(dst net.HardwareAddr, least int, parts ...[]byte) error {
	head := s.link.head(dst, s.own, s.etherType, s.priority)
	s.out = append(s.out[:0], head...)
	for _, p := range parts {
		s.out = append(s.out, p...)
	}
	for len(s.out) < len(head)+least {
		s.out = append(s.out, 0)
	}
	_, err := s.conn.WriteTo(s.out, &packet.Addr{HardwareAddr: dst})
	return err
}

// receive gives each frame's source and payload to take, which must copy what it keeps, until there is an error.
func (s *socket) receive(take func(src net.HardwareAddr, payload []byte)) error {
	buffer := make([]byte, frameBuffer)
	for skip := headerLen(s.link); ; {
		n, _, err := s.conn.ReadFrom(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			return fmt.Errorf("the device %s went down or away: %w", s.link.Ethernet, err)
		}
		if err != nil {
			return fmt.Errorf("receiving PPPoE frames on %v: %w", s.link, err)
		}
		if n >= skip {
			take(buffer[addressLen:2*addressLen], buffer[skip:n])
		}
	}
}

// onDescriptor lends the file descriptor of a connection to do, and keeps it from being closed meanwhile.
func onDescriptor(conn syscall.Conn, do func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
