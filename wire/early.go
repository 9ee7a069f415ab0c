package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"linebond/ppp"
)

const (
	// earlyKept is how many early frames a session is given: the newest.
	earlyKept = 8
	// earlyRead bounds the work of looking for them.
	earlyRead = 512
)

// sessionHeader is the length of what stands before the PPP protocol in a session frame's payload.
const sessionHeader = 6

// Early catches the LCP frames that an access concentrator sends before OpenSession has made the kernel's session for them. Open it when
// discovery starts, give it to OpenSession, and close it then or when discovery has failed.
//
// No goroutine reads it: the frames wait in the socket's receive queue, which bounds them.
type Early struct {
	conn *packet.Conn
}

// OpenEarly starts to catch frames on a device, which must be up.
func OpenEarly(device string) (*Early, error) {
	conn, err := listen(device, etherTypeSession, []uint32{unix.PACKET_HOST},
		check{bpf.LoadAbsolute{Off: offsetCode, Size: 1}, []uint32{0}},
		check{bpf.LoadAbsolute{Off: offsetProtocol, Size: 2}, []uint32{uint32(ppp.LCP)}})
	if err != nil {
		return nil, fmt.Errorf("listening for early LCP frames on %s: %w", device, err)
	}
	return &Early{conn: conn}, nil
}

// Close ends it.
func (e *Early) Close() error { return e.conn.Close() }

// take empties the queue and returns the newest frames of one session, oldest first.
func (e *Early) take(ac net.HardwareAddr, id uint16) ([]ppp.Frame, error) {
	var frames []ppp.Frame
	buffer := make([]byte, frameBuffer)
	err := onDescriptor(e.conn, func(fd int) error {
		for range earlyRead {
			n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return nil
			}
			if err != nil {
				return fmt.Errorf("reading early LCP frames: %w", err)
			}
			if f, ok := parseEarly(buffer[:n], ac, id); ok {
				frames = append(frames, f)
			}
		}
		return nil
	})
	return frames[max(0, len(frames)-earlyKept):], err
}

// parseEarly takes the PPP frame out of an Ethernet frame if that belongs to the session and is whole.
func parseEarly(b []byte, ac net.HardwareAddr, id uint16) (ppp.Frame, bool) {
	var frame ethernet.Frame
	if err := frame.UnmarshalBinary(b); err != nil || !bytes.Equal(frame.Source, ac) {
		return ppp.Frame{}, false
	}
	p := frame.Payload
	if len(p) < sessionHeader || binary.BigEndian.Uint16(p[2:4]) != id {
		return ppp.Frame{}, false
	}
	end := sessionHeader + int(binary.BigEndian.Uint16(p[4:6]))
	if end > len(p) {
		return ppp.Frame{}, false
	}
	return parseSessionFrame(p[sessionHeader:end])
}
