package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// skipStats asks for devices without their counters: RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
const skipStats = 1 << 3

// netlinkBuffer has room for what one receive gives: an answer, or as many acknowledgements as there are.
const netlinkBuffer = 32 << 10

// A netlinkConn asks the kernel, in the network namespace that it was opened in. One goroutine owns it.
//
// It is much less than package netlink's Handle, which takes 64 kB of stack for each answer: here a thousand lines may ask at once.
type netlinkConn struct {
	fd       int
	sequence uint32
	buffer   []byte
}

// openNetlink opens one of a protocol: NETLINK_ROUTE, NETLINK_GENERIC.
func openNetlink(protocol int) (*netlinkConn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1); err != nil { // acknowledgements do not repeat the request
		unix.Close(fd)
		return nil, fmt.Errorf("setting NETLINK_CAP_ACK: %w", err)
	}
	return &netlinkConn{fd: fd, buffer: make([]byte, netlinkBuffer)}, nil
}

func (c *netlinkConn) close() error { return unix.Close(c.fd) }

// do sends requests in one go; the kernel carries out all of them, in their order. It returns the first one's error for which the caller
// has no excuse.
func (c *netlinkConn) do(requests ...request) error {
	answers, err := c.exchange(requests)
	if err != nil {
		return err
	}
	for i, r := range requests {
		if err := answers[i].err; err != nil && (r.excuse == nil || !r.excuse(err)) {
			return fmt.Errorf("%s: %w", r.what, err)
		}
	}
	return nil
}

// A request is one message to the kernel.
type request struct {
	what    string // for errors: "setting the port up"
	message *nl.NetlinkRequest
	excuse  func(error) bool // says which errors are none; nil: all are
}

// An answer is the kernel's: data, if it was asked for any, follows the netlink header.
type answer struct {
	data []byte
	err  error
}

func (c *netlinkConn) exchange(requests []request) ([]answer, error) {
	first := c.sequence + 1
	var out []byte
	for _, r := range requests {
		c.sequence++
		r.message.Seq = c.sequence
		r.message.Flags |= unix.NLM_F_REQUEST | unix.NLM_F_ACK
		out = append(out, r.message.Serialize()...)
	}
	if err := unix.Sendto(c.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("asking the kernel by netlink: %w", err)
	}
	answers := make([]answer, len(requests))
	for left := len(requests); left > 0; {
		n, _, err := unix.Recvfrom(c.fd, c.buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receiving the kernel's answer by netlink: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(c.buffer[:n])
		if err != nil {
			return nil, fmt.Errorf("reading the kernel's answer by netlink: %w", err)
		}
		for _, m := range messages {
			at := int(m.Header.Seq - first)
			if at < 0 || at >= len(answers) {
				continue // of a request before, whose answers were not all read
			}
			if m.Header.Type != unix.NLMSG_ERROR {
				answers[at].data = append([]byte(nil), m.Data...)
				continue
			}
			left--
			if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
				answers[at].err = unix.Errno(-code)
			}
		}
	}
	return answers, nil
}

// A linkInfo is what we need to know of a device.
type linkInfo struct {
	net.Interface
	ethernet bool
	peer     int // of a veth device: the index of the other end
}

// link asks for a device by its name. An error for which errors.Is finds unix.ENODEV says that there is none.
func (c *netlinkConn) link(name string) (linkInfo, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return linkInfo{}, unix.ENODEV
	}
	m := linkMessage(unix.RTM_GETLINK, 0, 0, 0, 0)
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return c.lookUp(m)
}

// linkAt asks for a device by its index.
func (c *netlinkConn) linkAt(index int) (linkInfo, error) {
	return c.lookUp(linkMessage(unix.RTM_GETLINK, 0, index, 0, 0))
}

func (c *netlinkConn) lookUp(m *nl.NetlinkRequest) (linkInfo, error) {
	m.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
	answers, err := c.exchange([]request{{message: m}})
	if err == nil {
		err = answers[0].err
	}
	if err != nil {
		return linkInfo{}, err
	}
	return parseLink(answers[0].data)
}

// parseLink reads what follows the netlink header in a message about a device.
func parseLink(b []byte) (linkInfo, error) {
	var l linkInfo
	if len(b) < unix.SizeofIfInfomsg {
		return l, os.ErrInvalid
	}
	l.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	l.ethernet = binary.NativeEndian.Uint16(b[2:]) == unix.ARPHRD_ETHER
	if binary.NativeEndian.Uint32(b[8:])&unix.IFF_UP != 0 {
		l.Flags = net.FlagUp
	}
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(value)
		case unix.IFLA_MTU:
			l.MTU = int(binary.NativeEndian.Uint32(value))
		case unix.IFLA_ADDRESS:
			l.HardwareAddr = bytes.Clone(value)
		case unix.IFLA_LINK:
			l.peer = int(binary.NativeEndian.Uint32(value))
		}
	}
	return l, nil
}

// attributes goes through netlink attributes (netlink(7)), as far as they are whole. (nl.ParseRouteAttr makes a list of them.)
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if length < unix.SizeofRtAttr || length > len(b) || !yield(kind, b[unix.SizeofRtAttr:length]) {
				return
			}
			b = b[min(len(b), (length+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
		}
	}
}

// linkMessage begins a message about the device of an index (0: it is named, or new), in which the flags of the mask change.
func linkMessage(kind, options int, index int, flags, mask uint32) *nl.NetlinkRequest {
	m := nl.NewNetlinkRequest(kind, options)
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index, info.Flags, info.Change = int32(index), flags, mask
	m.AddData(info)
	return m
}
