package wire

import (
	"fmt"
	"net"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Ethertypes of PPPoE (RFC 2516 section 4).
const (
	etherTypeDiscovery ethernet.EtherType = 0x8863
	etherTypeSession   ethernet.EtherType = 0x8864
)

// Offsets in an Ethernet frame that carries PPPoE; see the package comment.
const (
	offsetVersionType = 14
	offsetCode        = 15
	offsetProtocol    = 20
)

// versionType is the first byte of every PPPoE frame: version 1, type 1.
const versionType = 0x11

// frameBuffer has room for the control frames of a link whose MRU is at most 1500.
const frameBuffer = 2048

// A check is one condition of a filter: what load puts into the accumulator must be one of the values.
type check struct {
	load   bpf.Instruction
	values []uint32
}

// filter compiles checks, all of which a frame must pass, to a program of this form:
//
//	ld X1; jeq #a, next; jeq #b, next; ret #0; next: ld X2; ...; ret #-1
func filter(checks ...check) ([]bpf.RawInstruction, error) {
	var program []bpf.Instruction
	for _, c := range checks {
		program = append(program, c.load)
		for i, v := range c.values {
			program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(c.values) - i)})
		}
		program = append(program, bpf.RetConstant{Val: 0})
	}
	return bpf.Assemble(append(program, bpf.RetConstant{Val: ^uint32(0)}))
}

// listen opens an AF_PACKET socket on the device. It gets frames of the ethertype that the checks accept and none from before the filter
// was set.
//
// A socket bound to eth1 is also given what arrives for eth1.101, so the filter asks for the device itself. The kernel's packet type
// stands for the destination address: neither what this host sent nor what is for another one or another VLAN.
func listen(device string, etherType ethernet.EtherType, types []uint32, checks ...check) (*packet.Conn, error) {
	ifi, err := upInterface(device)
	if err != nil {
		return nil, err
	}
	program, err := filter(append([]check{
		{bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}, []uint32{uint32(ifi.Index)}},
		{bpf.LoadExtension{Num: bpf.ExtType}, types},
		{bpf.LoadAbsolute{Off: offsetVersionType, Size: 1}, []uint32{versionType}},
	}, checks...)...)
	if err != nil {
		return nil, err
	}
	return packet.Listen(ifi, packet.Raw, int(etherType), &packet.Config{Filter: program})
}

// upInterface finds a device that is there and up. (The kernel's own answer to either fault is often the same "no such device".)
func upInterface(device string) (*net.Interface, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("the device %s: %w", device, err)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("the device %s is down: %w", device, unix.ENETDOWN)
	}
	return ifi, nil
}

// setPriority sets the priority of all that the socket sends: the egress map of a VLAN device turns it into the tag's 802.1p bits.
func setPriority(fd int, priority uint8) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, int(priority)); err != nil {
		return fmt.Errorf("setting the priority to %d: %w", priority, err)
	}
	return nil
}
