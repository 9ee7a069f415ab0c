package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"linebond/ppp"
)

// pppDevice is where the kernel's generic PPP layer is reached.
const pppDevice = "/dev/ppp"

// parseSessionFrame splits a PPP frame with a protocol number of two bytes; Payload aliases b.
func parseSessionFrame(b []byte) (ppp.Frame, bool) {
	if len(b) < 2 {
		return ppp.Frame{}, false
	}
	return ppp.Frame{Protocol: ppp.Protocol(binary.BigEndian.Uint16(b)), Payload: b[2:]}, true
}

// SessionConfig says which session to open: what discovery has found.
type SessionConfig struct {
	Device   string           // the Ethernet device, e.g. eth1.101
	AC       net.HardwareAddr // the access concentrator
	ID       uint16           // its session id
	Priority uint8            // of the frames that Send sends, 0 to 7
	Early    *Early           // LCP frames that came before; nil: none were caught. It stays the caller's
}

// Session is a PPPoE session in the kernel. The kernel ends it (Frames is closed) when a PADT comes from the access concentrator, and when
// the Ethernet device goes down or changes its MTU or address.
type Session struct {
	*inbox[ppp.Frame]
	config  SessionConfig
	socket  *os.File // AF_PPPOX: what is written goes out at once, past the queue of the network device
	channel *os.File // /dev/ppp
	unit    *os.File // /dev/ppp; nil before CreateUnit
	readers sync.WaitGroup
	out     []byte // Send's buffer
}

// OpenSession makes the kernel's session, so that from now on frames of the AC and the session id come to Frames. Nothing is sent.
// (When it ends the kernel sends no PADT; that is discovery's business.)
func OpenSession(config SessionConfig) (*Session, error) {
	s, err := openSession(config)
	if err != nil {
		return nil, fmt.Errorf("opening PPPoE session %d with %v on %s: %w", config.ID, config.AC, config.Device, err)
	}
	return s, nil
}

func openSession(config SessionConfig) (*Session, error) {
	if _, err := upInterface(config.Device); err != nil {
		return nil, err
	}
	socket, err := connect(config)
	if err != nil {
		return nil, err
	}
	channel, err := openChannel(socket)
	if err != nil {
		socket.Close()
		return nil, err
	}
	s := &Session{inbox: newInbox[ppp.Frame](), config: config, socket: socket, channel: channel}
	if config.Early != nil {
		// Only now, when the channel receives, can no frame be missing. One that came in between is there twice, which does no harm.
		frames, err := config.Early.take(config.AC, config.ID)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		for _, f := range frames {
			s.put(f)
		}
	}
	s.readers.Go(s.readChannel)
	return s, nil
}

// connect makes the PPPoX socket of the session.
func connect(config SessionConfig) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PPPOX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a PPPoE socket: %w", explain(err))
	}
	err = unix.Connect(fd, &unix.SockaddrPPPoE{SID: config.ID, Remote: config.AC, Dev: config.Device})
	switch {
	case errors.Is(err, unix.EALREADY):
		err = fmt.Errorf("another program, or another line, has this very session open: %w", err)
	case err != nil:
		err = fmt.Errorf("connecting the PPPoE socket: %w", err)
	default:
		err = setPriority(fd, config.Priority)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "PPPoE socket"), nil
}

// openChannel binds the socket to a channel of the kernel's PPP layer and opens that. What came since connect stays in the socket's own
// queue, which the kernel lets nobody read from now on (EIO): Early has it too.
func openChannel(socket *os.File) (*os.File, error) {
	index, err := unix.IoctlGetUint32(int(socket.Fd()), unix.PPPIOCGCHAN)
	if err != nil {
		return nil, fmt.Errorf("asking for the PPP channel: %w", err)
	}
	fd, err := openPPP()
	if err != nil {
		return nil, err
	}
	// Attach before os.NewFile: the poller would wait for nothing on a descriptor that is not attached yet.
	if err := unix.IoctlSetPointerInt(fd, unix.PPPIOCATTCHAN, int(index)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("attaching to PPP channel %d: %w", index, err)
	}
	return os.NewFile(uintptr(fd), "PPP channel"), nil
}

func openPPP() (int, error) {
	fd, err := unix.Open(pppDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening %s: %w", pppDevice, explain(err))
	}
	return fd, nil
}

// Send sends a PPP frame to the access concentrator, at once and with the session's priority: it neither waits behind data packets nor
// needs a unit. It never blocks.
func (s *Session) Send(protocol ppp.Protocol, packet []byte) error {
	s.out = binary.BigEndian.AppendUint16(s.out[:0], uint16(protocol))
	s.out = append(s.out, packet...)
	_, err := s.socket.Write(s.out)
	switch {
	case errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.EPIPE):
		return fmt.Errorf("sending %v on %s: session %d is gone: %w", protocol, s.config.Device, s.config.ID, err)
	case err != nil:
		return fmt.Errorf("sending %v on %s: %w", protocol, s.config.Device, err)
	}
	return nil
}

// Close ends the session in this host: the network device goes, then the channel and the socket, and Frames is closed.
func (s *Session) Close() error {
	s.end(nil)
	var errs []error
	for _, f := range []*os.File{s.unit, s.channel, s.socket} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.readers.Wait() // a descriptor that is being read is closed only then
	return errors.Join(errs...)
}

// readChannel reads until the session ends.
func (s *Session) readChannel() {
	if err := s.readFrames(s.channel); err != io.EOF {
		s.end(fmt.Errorf("receiving on the PPP channel of %s: %w", s.config.Device, err))
		return
	}
	s.end(fmt.Errorf("the kernel ended session %d: a PADT came, or %s went down or changed its MTU or address",
		s.config.ID, s.config.Device))
}

// readFrames puts each frame into the inbox until there is an error: io.EOF for a hang-up.
func (s *Session) readFrames(from *os.File) error {
	buffer := make([]byte, frameBuffer)
	for {
		n, err := from.Read(buffer)
		if errors.Is(err, unix.EOVERFLOW) { // a frame longer than the buffer: the kernel has thrown it away
			continue
		}
		if err != nil {
			return err
		}
		if f, ok := parseSessionFrame(append([]byte(nil), buffer[:n]...)); ok {
			s.put(f)
		}
	}
}
