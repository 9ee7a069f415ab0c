package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchBuffer is how many bytes of the kernel's announcements may wait. Where there are more, all devices are looked at.
const watchBuffer = 1 << 20

// A watch hears of the end and of the MTU of network devices, for all lines of a Path.
type watch struct{ file *os.File }

func openWatch() (*watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	w := &watch{os.NewFile(uintptr(fd), "netlink")}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer) // without it there are more looks at all devices
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)}); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribing to changes of network devices: %w", err), w.close())
	}
	return w, nil
}

func (w *watch) close() error { return w.file.Close() }

// follow tells lines of their devices until the watch is closed.
func (p *Path) follow() {
	buffer := make([]byte, netlinkBuffer)
	for {
		n, err := p.watch.file.Read(buffer)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			p.lookAtAll()
			continue
		case err != nil:
			return
		}
		messages, _ := syscall.ParseNetlinkMessage(buffer[:n]) // the kernel's are well-formed
		for _, m := range messages {
			if len(m.Data) >= unix.SizeofIfInfomsg {
				p.linkChanged(m.Header.Type, m.Data)
			}
		}
	}
}

// linkChanged takes what the kernel says of a device.
func (p *Path) linkChanged(kind uint16, data []byte) {
	index := int(int32(binary.NativeEndian.Uint32(data[4:])))
	p.mu.Lock()
	l := p.devices[index]
	p.mu.Unlock()
	switch {
	case l == nil, data[0] != unix.AF_UNSPEC: // others tell of a device's part in something: a bridge that it leaves is no end
	case kind == unix.RTM_DELLINK:
		l.lost()
	case index == l.pair.device:
		if info, err := parseLink(data); err == nil && info.MTU != 0 {
			l.setReceive(info.MTU)
		}
	}
}

// lookAtAll makes up for announcements that were lost.
func (p *Path) lookAtAll() {
	lines := map[*Line]bool{}
	p.mu.Lock()
	for _, l := range p.devices {
		lines[l] = true
	}
	p.mu.Unlock()
	for l := range lines {
		p.look(l)
	}
}

// look makes up for them, of one line.
func (p *Path) look(l *Line) {
	info, err := p.linkAt(l.pair.device)
	switch {
	case err == nil:
		l.setReceive(info.MTU)
	case errors.Is(err, unix.ENODEV):
		l.lost()
	}
}
