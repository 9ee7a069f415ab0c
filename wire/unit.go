package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The kernel answers "busy" to a new PPP device while any other program is in an ioctl of /dev/ppp. That takes microseconds.
const (
	busyTries = 100
	busyPause = 5 * time.Millisecond
)

// CreateUnit makes the session's network device with this very name and connects it to the channel. It is not up, has an MTU of 1500 and
// no address. From now on Frames also has what comes to the unit: IPCP, IPv6CP and each protocol below 0xc000 that the kernel does not
// know. The device lasts until Close; if someone deletes it before, the session is over.
func (s *Session) CreateUnit(name string) error {
	fd, err := newUnit(name)
	if err != nil {
		return fmt.Errorf("making the device %s: %w", name, err)
	}
	if err := connectUnit(int(s.channel.Fd()), fd); err != nil {
		unix.Close(fd) // and with it the device
		return fmt.Errorf("connecting the device %s to session %d on %s: %w", name, s.config.ID, s.config.Device, err)
	}
	// Not before it is connected: a unit without a channel reads as ended.
	s.unit = os.NewFile(uintptr(fd), name)
	s.readers.Go(s.readUnit)
	return nil
}

// newUnit opens /dev/ppp as a new unit that is named from its first moment, so that nobody ever sees a "ppp0".
func newUnit(name string) (int, error) {
	fd, err := openPPP()
	if err != nil {
		return -1, err
	}
	for range busyTries {
		if err = newLink(name, fd); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(busyPause)
	}
	if errors.Is(err, unix.EEXIST) {
		err = fmt.Errorf("there is a device of that name already: stop the program that it belongs to, or `ip link delete %s`: %w",
			name, err)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// newLink asks for a network device of the kind "ppp" whose life is that of the descriptor of /dev/ppp.
func newLink(name string, fd int) error {
	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("ppp"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(unix.IFLA_PPP_DEV_FD, binary.NativeEndian.AppendUint32(nil, uint32(fd)))
	request.AddData(info)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func connectUnit(channel, unit int) error {
	index, err := unix.IoctlGetUint32(unit, unix.PPPIOCGUNIT)
	if err != nil {
		return fmt.Errorf("asking for the unit's number: %w", err)
	}
	return unix.IoctlSetPointerInt(channel, unix.PPPIOCCONNECT, int(index))
}

// readUnit reads until the session ends or the device is deleted.
func (s *Session) readUnit() {
	err := s.readFrames(s.unit)
	switch {
	case err != io.EOF:
		s.end(fmt.Errorf("receiving on the PPP unit %s: %w", s.unit.Name(), err))
	case hungUp(s.unit):
		s.end(fmt.Errorf("the device %s was deleted by another program", s.unit.Name()))
	}
	// Otherwise the channel is gone: readChannel gives out what is still in its queue, and then the reason.
}

// hungUp tells the two ends of a unit apart: deleted, or merely without a channel.
func hungUp(unit *os.File) bool {
	poll := []unix.PollFd{{}}
	err := onDescriptor(unit, func(fd int) error {
		poll[0].Fd = int32(fd)
		_, err := unix.Poll(poll, 0)
		return err
	})
	return err == nil && poll[0].Revents&unix.POLLHUP != 0
}
