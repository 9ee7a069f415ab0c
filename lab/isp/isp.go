package isp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/datapath"
	"linebond/lab/concentrator"
)

// Config describes an ISP.
type Config struct {
	ACs []AC
	// DataPath is whether sessions carry packets. Without it they come up all the same: for tests of load.
	DataPath bool
	// Log is told what happens to an AC's sessions, from several goroutines; nil: nobody is.
	Log func(ac, message string)
}

// AC describes an access concentrator and where it is. Several may be on one device, with different names.
type AC struct {
	Device string // which must be up
	// Config has defaults here for all but Users: Name AC1, AC2 ...; MAC the device's, or one like it for a second AC there; MaxPayload
	// what the device's MTU allows.
	concentrator.Config
}

// ISP is running access concentrators.
type ISP struct {
	cfg     Config
	ports   map[string]*port
	acs     []*ac
	network *network     // nil without a data path
	locals  []netip.Addr // that lo has for the ACs

	closing chan struct{}
	running sync.WaitGroup
}

// Open starts the ACs in this network namespace, which should have no other ISP.
func Open(cfg Config) (*ISP, error) {
	i := &ISP{cfg: cfg, ports: map[string]*port{}, closing: make(chan struct{})}
	if err := i.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the ISP: %w", err), i.Close())
	}
	return i, nil
}

func (i *ISP) open() error {
	for _, cfg := range i.cfg.ACs {
		if err := i.add(cfg); err != nil {
			return err
		}
	}
	if i.cfg.DataPath {
		if err := i.openNetwork(); err != nil {
			return err
		}
	}
	for _, a := range i.acs {
		a.boot()
		i.running.Go(a.run)
	}
	for _, p := range i.ports {
		p.start()
	}
	return nil
}

// add makes an AC that does not run yet.
func (i *ISP) add(cfg AC) error {
	p := i.ports[cfg.Device]
	if p == nil {
		var err error
		if p, err = openPort(cfg.Device); err != nil {
			return err
		}
		i.ports[cfg.Device] = p
	}
	a := &ac{
		isp: i, index: len(i.acs), port: p, events: make(chan func(), 256), cfg: cfg.Config,
		timers: map[concentrator.TimerID]*time.Timer{}, carried: map[uint16]bool{},
	}
	if err := a.complete(); err != nil {
		return err
	}
	i.acs = append(i.acs, a)
	return p.add(a)
}

// complete checks the configuration and fills in what was left out.
func (a *ac) complete() error {
	cfg, p := &a.cfg, a.port
	if cfg.Name == "" {
		cfg.Name = fmt.Sprintf("AC%d", a.index+1)
	}
	if a.isp.find(cfg.Name) != nil {
		return fmt.Errorf("there are two access concentrators of the name %s", cfg.Name)
	}
	if cfg.MAC == nil {
		cfg.MAC = p.address(len(p.acs))
	}
	if len(cfg.MAC) != addressLen || cfg.MAC[0]&1 != 0 {
		return fmt.Errorf("the address %q of %s is not one station's", cfg.MAC, cfg.Name)
	}
	for _, address := range []netip.Addr{cfg.Local, cfg.Shared, cfg.Pool.Addr()} {
		if address.IsValid() && !address.Is4() {
			return fmt.Errorf("the address %v of %s: IPCP knows IPv4 alone", address, cfg.Name)
		}
	}
	room := p.device.MTU - pppoeLen - protocolLen
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = uint16(min(room, 1500))
	}
	if int(cfg.MaxPayload) > room {
		return fmt.Errorf("%s is to grant packets of %d bytes, for which %s needs an MTU of %d; it has %d (RFC 4638)",
			cfg.Name, cfg.MaxPayload, p.device.Name, int(cfg.MaxPayload)+pppoeLen+protocolLen, p.device.MTU)
	}
	if cfg.Random == nil {
		cfg.Random = func(b []byte) { _, _ = rand.Read(b) } // it never fails
	}
	a.name, a.mac = cfg.Name, [addressLen]byte(cfg.MAC)
	return nil
}

// address is the default for the AC that comes after n others: the device's own, or one like it that is locally administered.
func (p *port) address(n int) net.HardwareAddr {
	mac := append(net.HardwareAddr(nil), p.device.HardwareAddr...)
	if n > 0 {
		mac[0] = mac[0]&^1 | 2
		mac[3] ^= byte(n)
		mac[4] ^= byte(n >> 8)
	}
	return mac
}

// openNetwork makes this namespace a router, in which hosts can reach the ACs' own addresses.
func (i *ISP) openNetwork() error {
	for name, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0", "ipv6/conf/all/forwarding": "1",
	} {
		err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // of IPv6, where the kernel has none
			return fmt.Errorf("making the namespace a router: %w", err)
		}
	}
	var err error
	if i.network, err = startNetwork(); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("the device lo: %w", err)
	}
	for _, a := range i.acs {
		if !a.cfg.Local.IsValid() {
			continue
		}
		err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: whole(a.cfg.Local)})
		if errors.Is(err, unix.EEXIST) {
			continue // another AC's, or there before
		}
		if err != nil {
			return fmt.Errorf("giving lo the address %v: %w", a.cfg.Local, err)
		}
		i.locals = append(i.locals, a.cfg.Local)
	}
	return nil
}

// whole is the prefix that holds one address.
func whole(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

// Close ends all ACs, without a word to their hosts, and removes what Open and the sessions made.
func (i *ISP) Close() error {
	close(i.closing)
	var errs []error
	for _, p := range i.ports {
		errs = append(errs, p.close())
	}
	i.running.Wait()
	if i.network != nil {
		errs = append(errs, i.network.close(i.locals))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the ISP: %w", err)
	}
	return nil
}

func (i *ISP) find(name string) *ac {
	for _, a := range i.acs {
		if a.name == name {
			return a
		}
	}
	return nil
}

func (i *ISP) log(ac, format string, args ...any) {
	if i.cfg.Log != nil {
		i.cfg.Log(ac, fmt.Sprintf(format, args...))
	}
}

// Session is a session of an AC.
type Session struct {
	AC     string
	Tags   []datapath.Tag // VLAN tags of its frames, the outermost first
	Device string         // through which its packets go; "" without a data path
	concentrator.Session
}

// Sessions lists those of all ACs, in the ACs' order and then by their ids. An AC that has crashed has none.
func (i *ISP) Sessions() []Session {
	var all []Session
	for _, a := range i.acs {
		_ = i.do(a.name, func(a *ac) { // no error: there is such an AC; after Close there are no sessions
			if a.machine == nil {
				return
			}
			for _, s := range a.machine.Sessions() {
				session := Session{AC: a.name, Tags: tagsOf(s.Host.Circuit), Session: s}
				if a.carried[s.ID] {
					session.Device = carrierID{a.index, s.ID}.device()
				}
				all = append(all, session)
			}
		})
	}
	return all
}
