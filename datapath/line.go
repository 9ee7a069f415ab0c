package datapath

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/cilium/ebpf"
)

// LineConfig says which session's packets go through which device.
type LineConfig struct {
	Device  string           // to be made, e.g. ppp-a
	Link    Link             // where the frames go; the Ethernet device must be up
	AC      net.HardwareAddr // the access concentrator
	Own     net.HardwareAddr // our address; nil: the Ethernet device's
	Session uint16           // the session's id, in host byte order
	MTU     int              // bytes, 1280 to 1500; 0: as much as the Ethernet device allows. It can be set lower on the device later
}

// Line is a session's network device.
type Line struct {
	path  *Path
	name  string
	link  Link
	pair  pair
	key   programsSession
	value programsLine // its receive is guarded by path.mu
	lost  func()       // called when somebody else has deleted the device, maybe more than once
	made  int          // how many of the steps

	few    bool   // it is one of fewLines
	detach detach // of the program up; not for others, whose tc filter goes with the port
}

// fewLines is how many lines of a Path have their program attached by tcx, where the kernel has it: a packet costs a little less then, and
// making the line some 15 ms more, in which nothing else of the network can be changed. A thousand lines would feel that.
const fewLines = 16

// minMTU is what IPv6 needs (RFC 8200 section 5).
const minMTU = 1280

// CreateLine makes the device of a session: down, without an address, with the MTU given. It carries packets as soon as it is up.
func (p *Path) CreateLine(config LineConfig) (*Line, error) {
	return p.newLine(config, func() {})
}

// newLine is CreateLine with a function to be called when somebody else has deleted the device.
func (p *Path) newLine(config LineConfig, lost func()) (*Line, error) {
	l, err := p.createLine(config, lost)
	if err != nil {
		return nil, fmt.Errorf("making the device %s of session %d on %v: %w", config.Device, config.Session, config.Link, err)
	}
	return l, nil
}

func (p *Path) createLine(config LineConfig, lost func()) (*Line, error) {
	uplink, err := p.upInterface(config.Link.Ethernet)
	if err != nil {
		return nil, err
	}
	if err := config.complete(uplink); err != nil {
		return nil, err
	}
	l := &Line{path: p, name: config.Device, link: config.Link, lost: lost}
	filter := p.programs.Up
	if l.few = p.lines() < fewLines; l.few {
		filter = nil
	}
	if l.pair, err = p.make(config.Device, config.MTU, filter); err != nil {
		return nil, err
	}
	l.key, l.value = config.entries(uplink, l.pair)
	for _, step := range steps {
		if err := step.do(l); err != nil {
			return nil, errors.Join(err, l.unmake())
		}
		l.made++
	}
	return l, nil
}

// complete checks the configuration and fills in what was left out.
func (c *LineConfig) complete(uplink *net.Interface) error {
	if err := c.Link.check(); err != nil {
		return err
	}
	if c.Own == nil {
		c.Own = uplink.HardwareAddr
	}
	if len(c.AC) != addressLen || len(c.Own) != addressLen || c.AC[0]&1 != 0 {
		return fmt.Errorf("the addresses %q of the access concentrator and %q of our own: each must be one station's", c.AC, c.Own)
	}
	if c.Session == 0 || c.Session == 0xffff {
		return fmt.Errorf("the session id %#x is reserved (RFC 2516 section 4)", c.Session)
	}
	room := uplink.MTU - pppoeHeaderLen - protocolLen
	if c.MTU == 0 {
		c.MTU = min(room, maxPacket)
	}
	if c.MTU < minMTU || c.MTU > maxPacket {
		return fmt.Errorf("an MTU of %d: it must be from %d to %d", c.MTU, minMTU, maxPacket)
	}
	if c.MTU > room {
		return fmt.Errorf("an MTU of %d needs one of %d on %s, which has %d (`ip link set %[3]s mtu %[2]d`; RFC 4638)",
			c.MTU, c.MTU+uplink.MTU-room, uplink.Name, uplink.MTU)
	}
	return nil
}

// entries are what the programs' maps are told of the line.
func (c *LineConfig) entries(uplink *net.Interface, made pair) (programsSession, programsLine) {
	key := programsSession{
		Ethernet: uint32(uplink.Index),
		Outer:    c.Link.id(0),
		Inner:    c.Link.id(1),
		Id:       htons(c.Session),
		Ac:       [addressLen]byte(c.AC),
	}
	value := programsLine{
		Ethernet: key.Ethernet,
		Device:   uint32(made.device),
		Port:     uint32(made.port),
		Mtu:      uint32(min(uplink.MTU-pppoeHeaderLen-protocolLen, maxPacket)),
		Receive:  uint32(c.MTU),
		Id:       key.Id,
		Address:  [addressLen]byte(made.address),
	}
	inner := c.Link
	if len(inner.Tags) > 0 {
		value.Tag, value.Vlan = htons(inner.Tags[0].tpid()), inner.Tags[0].ID
		inner.Tags = inner.Tags[1:]
		value.Inner = uint8(len(inner.Tags))
	}
	copy(value.Head[:], inner.head(c.AC, c.Own, etherTypeSession, 0))
	return key, value
}

// steps are what makes a Line of a veth pair, and what undoes that. The session is told last, so that no frame finds half a line.
var steps = []struct{ do, undo func(*Line) error }{
	{(*Line).addCounters, func(l *Line) error { return l.path.programs.Counts.Delete(l.value.Port) }},
	{(*Line).addPort, func(l *Line) error { return l.path.programs.Ports.Delete(l.value.Port) }},
	{(*Line).attachUp, (*Line).detachUp},
	{(*Line).addUplink, func(l *Line) error { return l.path.release(int(l.value.Ethernet)) }},
	{(*Line).addSession, func(l *Line) error { return l.path.programs.Sessions.Delete(&l.key) }},
	{(*Line).follow, (*Line).unfollow},
}

func (l *Line) addCounters() error {
	if err := l.path.programs.Counts.Update(l.value.Port, zero(), ebpf.UpdateAny); err != nil {
		return fmt.Errorf("making its counters: %w", err)
	}
	return nil
}

func (l *Line) addPort() error {
	if err := l.path.programs.Ports.Update(l.value.Port, &l.value, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("telling the eBPF program of the line: %w", err)
	}
	return nil
}

func (l *Line) attachUp() (err error) {
	if l.few {
		l.detach, err = l.path.attach(l.pair.port, l.path.programs.Up)
	}
	return err
}

func (l *Line) detachUp() error {
	if l.few {
		return l.detach()
	}
	return nil
}

func (l *Line) addUplink() error {
	if err := l.path.acquire(int(l.value.Ethernet)); err != nil {
		return fmt.Errorf("on %s: %w", l.link.Ethernet, err)
	}
	return nil
}

func (l *Line) addSession() error {
	err := l.path.programs.Sessions.Update(&l.key, &l.value, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("another line has this very session open: %w", err)
	}
	if err != nil {
		return fmt.Errorf("telling the eBPF program of the session: %w", err)
	}
	return nil
}

// follow begins to hear of the pair's end and of the device's MTU, and looks at what has happened since it was made.
func (l *Line) follow() error {
	l.path.mu.Lock()
	l.path.devices[l.pair.device], l.path.devices[l.pair.port] = l, l
	l.path.mu.Unlock()
	l.path.look(l)
	return nil
}

func (l *Line) unfollow() error {
	l.path.mu.Lock()
	defer l.path.mu.Unlock()
	delete(l.path.devices, l.pair.device)
	delete(l.path.devices, l.pair.port)
	return nil
}

// setReceive tells the program of the device's MTU.
func (l *Line) setReceive(mtu int) {
	l.path.mu.Lock()
	defer l.path.mu.Unlock()
	if l.path.devices[l.pair.device] == l && l.value.Receive != uint32(mtu) {
		l.value.Receive = uint32(mtu)
		_ = l.path.programs.Sessions.Update(&l.key, &l.value, ebpf.UpdateExist) // without memory for it, the old limit holds
	}
}

// Close removes the device and everything that served it alone. A second call does nothing.
func (l *Line) Close() error {
	if l.made == 0 {
		return nil
	}
	if err := l.unmake(); err != nil {
		return fmt.Errorf("removing the device %s of the session on %v: %w", l.name, l.link, err)
	}
	return nil
}

// unmake undoes the steps, the last one first, and removes the pair.
func (l *Line) unmake() error {
	var errs []error
	for _, step := range slices.Backward(steps[:l.made]) {
		errs = append(errs, step.undo(l))
	}
	l.made = 0
	return errors.Join(append(errs, l.path.removePort(l.pair.port))...)
}

// Counters are numbers of packets, and bytes of IP, since the line was made.
type Counters struct {
	RxPackets, RxBytes uint64 // down: from the access concentrator
	TxPackets, TxBytes uint64 // up

	// Packets to the access concentrator that were dropped.
	TxNotIP   uint64 // neither IPv4 nor IPv6
	TxTooLong uint64 // longer than 1500 bytes, or than fits the Ethernet device
	TxFailed  uint64 // the kernel had no memory

	// Session frames of the line that were dropped.
	BadHeader uint64 // the version, type or code of PPPoE (RFC 2516 section 4)
	BadLength uint64 // the length says more than there is, or less than a PPP protocol
	NotIP     uint64 // what is said to be IP is not, or shorter than its header
	TooLong   uint64 // packets longer than 1500 bytes (RFC 4638)
	Failed    uint64 // the kernel had no memory
}

// Counters reads the line's.
func (l *Line) Counters() (Counters, error) {
	sum, err := l.path.sum(l.value.Port)
	if err != nil {
		return Counters{}, fmt.Errorf("reading the counters of %s: %w", l.name, err)
	}
	return Counters{
		RxPackets: sum.RxPackets, RxBytes: sum.RxBytes, TxPackets: sum.TxPackets, TxBytes: sum.TxBytes,
		TxNotIP: sum.TxNotIp, TxTooLong: sum.TxTooLong, TxFailed: sum.TxFailed,
		BadHeader: sum.BadHeader, BadLength: sum.BadLength, NotIP: sum.NotIp, TooLong: sum.TooLong, Failed: sum.Failed,
	}, nil
}

// UplinkCounters are numbers of session frames on an Ethernet device that belong to no line.
type UplinkCounters struct {
	TooShort uint64 // dropped: not even a PPPoE header
}

// UplinkCounters reads those of the Ethernet device below the line, since the first of the lines that are on it now.
func (l *Line) UplinkCounters() (UplinkCounters, error) {
	sum, err := l.path.sum(l.value.Ethernet)
	if err != nil {
		return UplinkCounters{}, fmt.Errorf("reading the counters of %s: %w", l.link.Ethernet, err)
	}
	return UplinkCounters{TooShort: sum.TooShort}, nil
}
