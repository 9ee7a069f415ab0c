package modem

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// portMTU is what the devices get at least: the far ends alone limit the frames.
	portMTU = 9216
	// receiveBuffer bounds what waits in the kernel until the modem reads it, in bytes as the kernel reckons.
	receiveBuffer = 8 << 20
	// longest is more than any frame has, its virtio header included.
	longest = 1 << 17
)

// port is one of the modem's two devices.
type port struct {
	device  string
	link    netlink.Link
	in, out int // packet sockets; out receives nothing
	buffer  []byte
	control []byte
}

// openPort makes the device the modem's own.
func openPort(handle *netlink.Handle, device string) (*port, error) {
	link, err := handle.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("the device %s: %w", device, err)
	}
	if err := prepare(handle, link); err != nil {
		return nil, err
	}
	p := &port{device: device, link: link, in: -1, out: -1, buffer: make([]byte, longest), control: make([]byte, 256)}
	if p.in, err = listen(link.Attrs().Index); err == nil {
		p.out, err = bound(link.Attrs().Index, 0, nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a packet socket on %s: %w", device, err), p.close())
	}
	return p, nil
}

// prepare sets the device up for frames of any size, and keeps the kernel from saying something of its own on the line.
func prepare(handle *netlink.Handle, link netlink.Link) error {
	device := link.Attrs().Name
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
		return fmt.Errorf("turning IPv6 off on %s: %w", device, err)
	}
	if link.Attrs().MTU < portMTU {
		if err := handle.LinkSetMTU(link, portMTU); err != nil {
			return fmt.Errorf("setting the MTU of %s to %d: %w", device, portMTU, err)
		}
	}
	if err := handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", device, err)
	}
	return nil
}

// listen opens a socket that receives all that comes in on a device.
func listen(index int) (int, error) {
	return bound(index, unix.ETH_P_ALL, func(fd int) error {
		for _, option := range []struct {
			name  string
			level int
			key   int
			value int
		}{
			{"SO_RCVBUFFORCE", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
			{"PACKET_IGNORE_OUTGOING", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
			{"PACKET_AUXDATA", unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
			{"PACKET_VNET_HDR", unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
			{"SO_TIMESTAMPNS_NEW", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1},
		} {
			if err := unix.SetsockoptInt(fd, option.level, option.key, option.value); err != nil {
				return fmt.Errorf("setting %s: %w", option.name, err)
			}
		}
		promiscuous := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous); err != nil {
			return fmt.Errorf("setting promiscuous mode: %w", err)
		}
		return nil
	})
}

// bound opens a packet socket, has it set up, and binds it to the device, for frames of the protocol; 0: for none.
func bound(index int, protocol uint16, setup func(fd int) error) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if setup != nil {
		err = setup(fd)
	}
	if err == nil {
		network := protocol<<8 | protocol>>8 // ETH_P_ALL fits one byte; sll_protocol is in network byte order
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network, Ifindex: index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// receive returns the next frame that has come in, nil for one that asks for segmentation, and when it came, by the time of day. ok is
// false when there is none now.
func (p *port) receive() (frame []byte, came time.Time, ok bool) {
	n, controls, _, _, err := unix.Recvmsg(p.in, p.buffer, p.control, 0)
	if err != nil { // none, or the device has gone down, which the socket says once
		return nil, time.Time{}, false
	}
	return whole(p.buffer[:n], p.control[:controls]), stamp(p.control[:controls]), true
}

// send hands a frame to the device.
func (p *port) send(frame []byte) error {
	for {
		if _, err := unix.Write(p.out, frame); err != unix.EINTR {
			return err
		}
	}
}

// missed is how many frames the kernel has dropped since the last call because the modem did not read them in time.
func (p *port) missed() uint64 {
	statistics, err := unix.GetsockoptTpacketStats(p.in, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0 // it cannot fail on an open packet socket
	}
	return uint64(statistics.Drops)
}

func (p *port) close() error {
	var errs []error
	for _, fd := range []int{p.in, p.out} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
