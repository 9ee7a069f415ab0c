package datapath

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"linebond/pppoe"
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

// A struct tpacket_auxdata (packet(7)), and in it the tag's control information.
const (
	auxdataLen = 20
	auxdataTag = 16
)

// frameBuffer has room for the control frames of a link whose MRU is at most 1500.
const frameBuffer = 2048

// A check is one condition of a filter: what load puts into the accumulator must compare with one of the values.
type check struct {
	load   bpf.Instruction
	cond   bpf.JumpTest // the zero value is JumpEqual
	values []uint32
}

// compile makes a filter that drops the frames of some stations, and of checks, all of which the others' frames must pass:
//
//	ld X1; jeq #a, next; jeq #b, next; ret #0; next: ld X2; ...; ret #-1
func compile(barred []station, checks []check) ([]bpf.RawInstruction, error) {
	var program []bpf.Instruction
	for _, s := range barred {
		program = append(program, refuse(s)...)
	}
	for _, c := range checks {
		program = append(program, c.load)
		for i, v := range c.values {
			program = append(program, bpf.JumpIf{Cond: c.cond, Val: v, SkipTrue: uint8(len(c.values) - i)})
		}
		program = append(program, bpf.RetConstant{Val: 0})
	}
	return bpf.Assemble(append(program, bpf.RetConstant{Val: ^uint32(0)}))
}

// A socket sends and receives PPPoE frames of one ethertype on an Ethernet device, with a number of VLAN tags. It is a packet socket.
type socket struct {
	conn     *packet.Conn
	raw      syscall.RawConn
	device   *net.Interface
	tags     int
	protocol uint16 // that it is bound to
	checks   []check
	reader   sync.WaitGroup

	mu       sync.Mutex // of what follows
	priority uint8      // that send has set
	out      []byte     // what it sends
	lost     uint64     // frames
	floods   uint64     // how often a station was barred
	barred   []station  // now
	lifting  *time.Timer
	closed   bool
}

// socketBuffer is how many bytes of the kernel's memory the frames may take that wait to be read, or to be sent: a thousand lines, dialled at
// once, have as many answers.
const socketBuffer = 4 << 20

// openSocket opens a socket that gets frames which pass the checks, and none from before the filter was set.
//
// With no tags the socket asks for the ethertype, so it costs the data packets of lines nothing. With tags it must ask for all frames: the
// kernel takes the tag off one for whose VLAN it has no device before it looks at ethertypes. So such a socket costs each received frame of
// the device some 20 ns, the filter's first steps; frames that are sent are spared.
func openSocket(device *net.Interface, tags int, etherType uint16, checks []check) (*socket, error) {
	s := &socket{device: device, tags: tags, protocol: etherType, checks: append(baseChecks(device.Index, tags, etherType), checks...)}
	if tags > 0 {
		s.protocol = unix.ETH_P_ALL
	}
	program, err := compile(nil, s.checks)
	if err != nil {
		return nil, err
	}
	if s.conn, err = packet.Listen(device, packet.Raw, int(s.protocol), &packet.Config{Filter: program}); err != nil {
		return nil, err
	}
	if s.raw, err = s.conn.SyscallConn(); err == nil {
		err = onDescriptor(s.conn, s.setOptions)
	}
	if err != nil {
		return nil, errors.Join(err, s.conn.Close())
	}
	return s, nil
}

// setOptions spares what this host sends, has the outermost tag told, and makes room for frames.
func (s *socket) setOptions(fd int) error {
	for _, o := range []struct {
		name                 string
		level, option, value int
	}{
		{"PACKET_IGNORE_OUTGOING", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{"PACKET_AUXDATA", unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{"SO_RCVBUFFORCE", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer},
		{"SO_SNDBUFFORCE", unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("setting %s: %w", o.name, err)
		}
	}
	return nil
}

// baseChecks are those of the device, the tags and the ethertype. A socket bound to eth1 is also given what arrives for eth1.101, so the
// device itself is asked for; the kernel's packet type stands for the destination address. Which VLANs they are is not asked.
func baseChecks(index, tags int, etherType uint16) []check {
	checks := []check{{load: bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}, values: []uint32{uint32(index)}}}
	if tags > 0 { // beside the frame: the kernel has taken it out if the hardware did not
		checks = append(checks, check{load: bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, values: []uint32{1}})
	}
	offset := uint32(2 * addressLen)
	if tags > 1 {
		checks = append(checks, check{load: bpf.LoadAbsolute{Off: offset, Size: 2}, values: []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD}})
		offset += tagLen
	}
	return append(checks,
		check{load: bpf.LoadAbsolute{Off: offset, Size: 2}, values: []uint32{uint32(etherType)}},
		check{load: at(tags, offsetVersionType, 1), values: []uint32{versionType}})
}

// discoveryChecks are for what a client receives: PADO, PADS and PADT, to this device's address or to all.
func discoveryChecks(tags int) []check {
	return []check{
		{load: bpf.LoadExtension{Num: bpf.ExtType}, values: []uint32{unix.PACKET_HOST, unix.PACKET_BROADCAST}},
		{load: at(tags, offsetCode, 1), values: []uint32{uint32(pppoe.PADO), uint32(pppoe.PADS), uint32(pppoe.PADT)}},
	}
}

// sessionChecks are for control frames: IP comes to the socket where no line takes it, and is dropped.
func sessionChecks(tags int) []check {
	return []check{
		{load: at(tags, offsetProtocol, 2), cond: bpf.JumpNotEqual, values: []uint32{protocolIPv4}},
		{load: at(tags, offsetProtocol, 2), cond: bpf.JumpNotEqual, values: []uint32{protocolIPv6}},
		{load: bpf.LoadExtension{Num: bpf.ExtType}, values: []uint32{unix.PACKET_HOST}},
		{load: at(tags, offsetCode, 1), values: []uint32{0}},
	}
}

// at loads from the PPPoE header of a frame as a socket receives it.
func at(tags int, offset uint32, size int) bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(headerLen(tags)) + offset, Size: size}
}

// headerLen is the length of what stands before the PPPoE header in a received frame: the outermost tag is not in it.
func headerLen(tags int) int { return ethernetHeaderLen + tagLen*max(0, tags-1) }

// send sends a frame: the Ethernet header, tags included, and a payload that the parts make up, padded to the length given. The frame has
// precedence by its priority (0 to 7) in the device's queue. It never blocks.
func (s *socket) send(head []byte, priority uint8, least int, parts ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out[:0], head...)
	for _, p := range parts {
		s.out = append(s.out, p...)
	}
	for len(s.out) < len(head)+least {
		s.out = append(s.out, 0)
	}
	to := &unix.SockaddrLinklayer{Ifindex: s.device.Index, Protocol: htons(s.protocol), Halen: addressLen}
	copy(to.Addr[:], head[:addressLen])
	return onDescriptor(s.conn, func(fd int) error {
		if priority != s.priority {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, int(priority)); err != nil {
				return fmt.Errorf("setting the priority to %d: %w", priority, err)
			}
			s.priority = priority
		}
		return unix.Sendto(fd, s.out, unix.MSG_DONTWAIT, to)
	})
}

// receive gives each frame's VLANs, source and payload to take, which must copy what it keeps, until there is an error.
func (s *socket) receive(take func(on vlans, src, payload []byte)) error {
	buffer, control := make([]byte, frameBuffer), make([]byte, unix.CmsgSpace(auxdataLen))
	sent := flood{frames: map[station]int{}}
	var n, nControl int
	var failed error
	for skip := headerLen(s.tags); ; {
		err := s.raw.Read(func(fd uintptr) bool {
			n, nControl, _, _, failed = unix.Recvmsg(int(fd), buffer, control, 0)
			return failed != unix.EAGAIN
		})
		if err = cmp.Or(err, failed); errors.Is(err, unix.ENETDOWN) {
			return fmt.Errorf("the device %s went down or away: %w", s.device.Name, err)
		}
		if err != nil {
			return fmt.Errorf("receiving PPPoE frames on %s: %w", s.device.Name, err)
		}
		if n >= skip {
			if from := station(buffer[addressLen:]); sent.count(from, time.Now()) {
				s.bar(from)
			}
			take(s.vlans(buffer, control[:nControl]), buffer[addressLen:2*addressLen], buffer[skip:n])
		}
	}
}

// vlans reads a frame's tags; the outermost is beside it (packet(7), PACKET_AUXDATA).
func (s *socket) vlans(frame, control []byte) (on vlans) {
	const id = 0xfff
	if beside := unix.CmsgLen(0); s.tags > 0 && len(control) >= beside+auxdataLen {
		on[0] = binary.NativeEndian.Uint16(control[beside+auxdataTag:]) & id
	}
	if s.tags > 1 {
		on[1] = binary.BigEndian.Uint16(frame[2*addressLen+2:]) & id
	}
	return on
}

// trouble is how many frames have found no room among those that wait to be read, and how often a station was not heard as it flooded.
func (s *socket) trouble() (lost, floods uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, err := s.conn.Stats() // and then begins anew
	if err != nil {
		return 0, 0, fmt.Errorf("reading the counters of a packet socket on %s: %w", s.device.Name, err)
	}
	s.lost += uint64(since.Drops)
	return s.lost, s.floods, nil
}

// close closes it, and waits until it is read no more.
func (s *socket) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.conn.Close()
	s.reader.Wait()
	return err
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
