package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"linebond/ppp"
)

// PPP protocols that the programs take from the wire: no socket gets them (RFC 1332, RFC 5072).
const (
	protocolIPv4 = 0x0021
	protocolIPv6 = 0x0057
)

// SessionConfig says which session to open: what discovery has found.
type SessionConfig struct {
	Link     Link
	AC       net.HardwareAddr // the access concentrator
	ID       uint16           // its session id
	Priority uint8            // 802.1p of the frames that Send sends, 0 to 7
}

// Session is the control side of a PPPoE session, and its Line once there is one. One goroutine owns it; Frames and Err may be used from
// others. Unlike the kernel's PPPoE it does not look for a PADT: that is discovery's business.
type Session struct {
	inbox[ppp.Frame]
	path   *Path
	config SessionConfig
	trunk  *trunk // nil after Close
	key    programsSession
	head   []byte // what its frames begin with
	line   *Line  // nil before CreateUnit
}

// OpenSession starts to receive the session's control frames. The first are LCP frames that came before: an access concentrator may be
// that quick. They are there if a Discovery of this Path was open on the link's device when they came. Nothing is sent.
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
	t, err := p.join(config.Link)
	if err != nil {
		return nil, err
	}
	s := &Session{inbox: newInbox[ppp.Frame](), path: p, config: config, trunk: t}
	s.key = t.key(config.Link.vlans(), config.ID, config.AC)
	s.head = config.Link.head(config.AC, t.sessions.device.HardwareAddr, etherTypeSession, config.Priority)
	if err := t.begin(s.key, s); err != nil {
		return nil, errors.Join(err, t.leave())
	}
	return s, nil
}

// Send sends a PPP frame to the access concentrator, at once: it does not wait behind the data in the line's device. It never blocks.
func (s *Session) Send(protocol ppp.Protocol, packet []byte) error {
	if s.trunk == nil {
		return fmt.Errorf("sending %v on %v: %w", protocol, s.config.Link, net.ErrClosed)
	}
	header := make([]byte, 0, pppoeHeaderLen+protocolLen)
	header = append(header, versionType, 0)
	header = binary.BigEndian.AppendUint16(header, s.config.ID)
	header = binary.BigEndian.AppendUint16(header, uint16(protocolLen+len(packet)))
	header = binary.BigEndian.AppendUint16(header, uint16(protocol))
	if err := s.trunk.sessions.send(s.head, s.config.Priority, 0, header, packet); err != nil {
		return fmt.Errorf("sending %v on %v: %w", protocol, s.config.Link, err)
	}
	return nil
}

// CreateUnit makes the session's Line with this very name: down, without an address, with the largest MTU that the Ethernet device allows,
// 1500 at most. It lasts until Close; if someone deletes it before, the session is over.
func (s *Session) CreateUnit(name string) error {
	line, err := s.path.newLine(LineConfig{Device: name, Link: s.config.Link, AC: s.config.AC, Session: s.config.ID}, func() {
		s.end(fmt.Errorf("the device %s was deleted by another program: %w", name, unix.ENETDOWN))
	})
	if err != nil {
		return err
	}
	s.line = line
	return nil
}

// Dropped is how many packets and frames of the session were dropped, by the reason (see Counters and UplinkCounters; rx_control are control
// frames that came faster than the line could take them, device_control those that were more than the sockets have room for; device_floods
// is how often a station was not heard for a moment, as it sent too many); nil before CreateUnit. What belongs to no line is of all lines on the
// Ethernet device together.
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
	lost, floods, err := s.trunk.trouble()
	if err != nil {
		return nil, err
	}
	return map[string]uint64{
		"tx_not_ip": c.TxNotIP, "tx_too_long": c.TxTooLong, "tx_failed": c.TxFailed,
		"rx_bad_header": c.BadHeader, "rx_bad_length": c.BadLength, "rx_not_ip": c.NotIP, "rx_too_long": c.TooLong, "rx_failed": c.Failed,
		"rx_control": s.lost(), "device_too_short": u.TooShort, "device_control": lost, "device_floods": floods,
	}, nil
}

// Close ends the session in this host: the device goes, and Frames is closed.
func (s *Session) Close() error {
	s.end(nil)
	if s.trunk == nil {
		return nil
	}
	var errs []error
	if s.line != nil {
		errs = append(errs, s.line.Close())
	}
	s.trunk.finish(s.key)
	errs = append(errs, s.trunk.leave())
	s.trunk = nil
	return errors.Join(errs...)
}
