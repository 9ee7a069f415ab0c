package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"linebond/ppp"
)

// PPP protocols that the programs take from the wire: no socket gets them (RFC 1332, RFC 5072).
const (
	protocolIPv4 = 0x0021
	protocolIPv6 = 0x0057
)

// Early catches the LCP frames that an access concentrator sends before OpenSession. Open it when discovery starts, give it to OpenSession,
// and close it then or when discovery has failed.
//
// No goroutine reads it: the frames wait in the socket's receive queue, which bounds them.
type Early struct {
	socket *socket // nil when a session has it
}

// OpenEarly starts to catch frames on a link, whose Ethernet device must be up. The priority (0 to 7) is for what the session will send.
func OpenEarly(link Link, priority uint8) (*Early, error) {
	s, err := open(link, etherTypeSession, priority, []uint32{unix.PACKET_HOST},
		check{load: at(link, offsetCode, 1), values: []uint32{0}},
		check{load: at(link, offsetProtocol, 2), values: []uint32{uint32(ppp.LCP)}})
	if err != nil {
		return nil, fmt.Errorf("listening for early LCP frames on %v: %w", link, err)
	}
	return &Early{socket: s}, nil
}

// Close ends it, unless a session goes on with its socket.
func (e *Early) Close() error {
	if e.socket == nil {
		return nil
	}
	return e.socket.conn.Close()
}

// SessionConfig says which session to open: what discovery has found.
type SessionConfig struct {
	Link     Link
	AC       net.HardwareAddr // the access concentrator
	ID       uint16           // its session id
	Priority uint8            // 802.1p of the frames that Send sends, 0 to 7
	Early    *Early           // of the same link: the session takes its socket over, and what is in its queue; nil: there is none
}

// Session is the control side of a PPPoE session, and its Line once there is one. One goroutine owns it; Frames and Err may be used from
// others. Unlike the kernel's PPPoE it does not look for a PADT: that is discovery's business.
type Session struct {
	*inbox[ppp.Frame]
	path    *Path
	config  SessionConfig
	socket  *socket
	watch   *packet.Conn // nil before CreateUnit
	line    *Line        // nil before CreateUnit
	readers sync.WaitGroup
}

// OpenSession starts to receive the session's control frames. Nothing is sent.
func (p *Path) OpenSession(config SessionConfig) (*Session, error) {
	s, err := p.openSession(config)
	if err != nil {
		return nil, fmt.Errorf("opening PPPoE session %d with %v on %v: %w", config.ID, config.AC, config.Link, err)
	}
	return s, nil
}

func (p *Path) openSession(config SessionConfig) (*Session, error) {
	if len(config.AC) != addressLen {
		return nil, fmt.Errorf("%q is not an Ethernet address", config.AC)
	}
	if config.Early == nil {
		early, err := OpenEarly(config.Link, config.Priority)
		if err != nil {
			return nil, err
		}
		defer early.Close() // of which the session leaves nothing to close
		config.Early = early
	}
	s := &Session{inbox: newInbox[ppp.Frame](), path: p, config: config, socket: config.Early.socket}
	// The same socket with another filter: no frame is missing between two. What it caught of other sessions, take sorts out.
	if err := s.socket.refine(s.checks()...); err != nil {
		return nil, fmt.Errorf("setting the socket's filter: %w", err)
	}
	config.Early.socket = nil
	s.readers.Go(func() { s.end(s.socket.receive(s.take)) })
	return s, nil
}

// checks are what the kernel sorts out for this session: its frames, but not its data, which come here until there is a line.
func (s *Session) checks() []check {
	ac := s.config.AC
	return []check{
		{load: s.socket.at(offsetCode, 1), values: []uint32{0}},
		{load: s.socket.at(offsetSession, 2), values: []uint32{uint32(s.config.ID)}},
		{load: bpf.LoadAbsolute{Off: addressLen, Size: 4}, values: []uint32{binary.BigEndian.Uint32(ac)}},
		{load: bpf.LoadAbsolute{Off: addressLen + 4, Size: 2}, values: []uint32{uint32(binary.BigEndian.Uint16(ac[4:]))}},
		{load: s.socket.at(offsetProtocol, 2), cond: bpf.JumpNotEqual, values: []uint32{protocolIPv4}},
		{load: s.socket.at(offsetProtocol, 2), cond: bpf.JumpNotEqual, values: []uint32{protocolIPv6}},
	}
}

// take puts a frame into the inbox if it belongs to the session and is whole (RFC 2516 section 4).
func (s *Session) take(src net.HardwareAddr, payload []byte) {
	if f, ok := parseSession(payload, s.config.ID); ok && bytes.Equal(src, s.config.AC) {
		s.put(f)
	}
}

// parseSession takes the PPP frame out of a PPPoE packet; it copies. Padding is cut off.
func parseSession(b []byte, id uint16) (ppp.Frame, bool) {
	if len(b) < pppoeHeaderLen || b[0] != versionType || b[1] != 0 || binary.BigEndian.Uint16(b[2:4]) != id {
		return ppp.Frame{}, false
	}
	end := pppoeHeaderLen + int(binary.BigEndian.Uint16(b[4:6]))
	if end > len(b) || end < pppoeHeaderLen+protocolLen {
		return ppp.Frame{}, false
	}
	return ppp.Frame{
		Protocol: ppp.Protocol(binary.BigEndian.Uint16(b[6:8])),
		Payload:  bytes.Clone(b[pppoeHeaderLen+protocolLen : end]),
	}, true
}

// Send sends a PPP frame to the access concentrator, at once: it does not wait behind the data in the line's device. It never blocks.
func (s *Session) Send(protocol ppp.Protocol, packet []byte) error {
	header := make([]byte, 0, pppoeHeaderLen+protocolLen)
	header = append(header, versionType, 0)
	header = binary.BigEndian.AppendUint16(header, s.config.ID)
	header = binary.BigEndian.AppendUint16(header, uint16(protocolLen+len(packet)))
	header = binary.BigEndian.AppendUint16(header, uint16(protocol))
	if err := s.socket.send(s.config.AC, 0, header, packet); err != nil {
		return fmt.Errorf("sending %v on %v: %w", protocol, s.config.Link, err)
	}
	return nil
}

// CreateUnit makes the session's Line with this very name: down, without an address, with the largest MTU that the Ethernet device allows,
// 1500 at most. It lasts until Close; if someone deletes it before, the session is over.
func (s *Session) CreateUnit(name string) error {
	line, err := s.path.CreateLine(LineConfig{Device: name, Link: s.config.Link, AC: s.config.AC, Session: s.config.ID})
	if err != nil {
		return err
	}
	watch, err := watchPort(line)
	if err != nil {
		return errors.Join(fmt.Errorf("watching the device %s: %w", name, err), line.Close())
	}
	s.line, s.watch = line, watch
	s.readers.Go(func() {
		_, _, err := watch.ReadFrom(make([]byte, 1))
		s.end(fmt.Errorf("the device %s was deleted by another program: %w", name, err))
	})
	return nil
}

// watchPort opens a socket that receives nothing but the end of a line's device: of an ethertype that never comes by.
func watchPort(l *Line) (*packet.Conn, error) {
	nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return nil, err
	}
	return packet.Listen(&net.Interface{Index: int(l.value.Port)}, packet.Raw, unix.ETH_P_LOOPBACK, &packet.Config{Filter: nothing})
}

// Dropped is how many packets and frames of the session were dropped, by the reason (see Counters and UplinkCounters); nil before
// CreateUnit. What belongs to no line is of all lines on the Ethernet device together.
func (s *Session) Dropped() (map[string]uint64, error) {
	if s.line == nil {
		return nil, nil
	}
	c, err := s.line.Counters()
	if err != nil {
		return nil, err
	}
	u, err := s.line.UplinkCounters()
	if err != nil {
		return nil, err
	}
	return map[string]uint64{
		"tx_not_ip": c.TxNotIP, "tx_too_long": c.TxTooLong, "tx_failed": c.TxFailed,
		"rx_bad_header": c.BadHeader, "rx_bad_length": c.BadLength, "rx_not_ip": c.NotIP, "rx_too_long": c.TooLong, "rx_failed": c.Failed,
		"device_too_short": u.TooShort,
	}, nil
}

// Close ends the session in this host: the device goes, then the socket, and Frames is closed.
func (s *Session) Close() error {
	s.end(nil)
	var errs []error
	if s.line != nil {
		errs = append(errs, s.watch.Close(), s.line.Close())
	}
	errs = append(errs, s.socket.conn.Close())
	s.readers.Wait()
	return errors.Join(errs...)
}
