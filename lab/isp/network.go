package isp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/datapath"
	"linebond/lab/concentrator"
)

// network carries the sessions' packets: their devices and routes. Its goroutine alone, on a thread that lives in the ISP's network
// namespace, touches what is below requests; others post.
type network struct {
	requests chan func(*network)
	ended    chan struct{}

	path     *datapath.Path
	carriers map[carrierID]*carrier
	routes   map[netip.Addr]*route
	spreads  int // that have been made
}

// A carrierID names a session of the ISP.
type carrierID struct {
	ac      int
	session uint16
}

// device is the name of its device: isp0-17. (In this form "-port" can follow.)
func (c carrierID) device() string { return fmt.Sprintf("isp%d-%d", c.ac, c.session) }

// A carrier is a session that carries packets.
type carrier struct {
	line    *datapath.Line
	device  netlink.Link
	session concentrator.Session // as it was set up
}

// startNetwork begins, in this namespace.
func startNetwork() (*network, error) {
	n := &network{
		requests: make(chan func(*network), 256), ended: make(chan struct{}),
		carriers: map[carrierID]*carrier{}, routes: map[netip.Addr]*route{},
	}
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening this network namespace: %w", err)
	}
	defer unix.Close(home)
	if n.path, err = datapath.New(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go n.run(home, started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("entering this network namespace: %w", err), n.path.Close())
	}
	return n, nil
}

func (n *network) run(home int, started chan<- error) {
	runtime.LockOSThread()              // and never unlocked: the thread ends with the goroutine
	if unix.Gettid() == unix.Getpid() { // but the first one never ends, and /proc shows the process to be where that is
		other := make(chan error)
		go n.run(home, other) // on another thread, as this one is taken
		err := <-other
		runtime.UnlockOSThread()
		started <- err
		return
	}
	defer close(n.ended)
	err := unix.Setns(home, unix.CLONE_NEWNET)
	started <- err
	if err != nil {
		return
	}
	for f := range n.requests {
		f(n)
	}
}

func (n *network) post(f func(*network)) { n.requests <- f }

// close removes everything, and the addresses from lo.
func (n *network) close(locals []netip.Addr) error {
	var errs []error
	n.post(func(n *network) {
		for id := range n.carriers {
			errs = append(errs, n.down(id))
		}
		for _, a := range locals {
			lo, err := netlink.LinkByName("lo")
			if err == nil {
				err = netlink.AddrDel(lo, &netlink.Addr{IPNet: whole(a)})
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("taking the address %v from lo: %w", a, err))
			}
		}
	})
	close(n.requests)
	<-n.ended
	return errors.Join(append(errs, n.path.Close())...)
}

// up makes a session's device, or changes what goes through it.
func (n *network) up(id carrierID, a *ac, s concentrator.Session) error {
	c := n.carriers[id]
	if c == nil {
		var err error
		if c, err = n.newCarrier(id, a, s); err != nil {
			return err
		}
		n.carriers[id] = c
	}
	was := c.session
	if s.Remote != was.Remote {
		if err := n.leave(c); err != nil {
			return err
		}
		c.session.Local, c.session.Remote = s.Local, s.Remote
		if err := n.join(c); err != nil {
			return err
		}
	}
	if s.LinkLocal != was.LinkLocal {
		if err := c.setLinkLocal(s.LinkLocal); err != nil {
			return err
		}
	}
	c.session = s
	return nil
}

func (n *network) newCarrier(id carrierID, a *ac, s concentrator.Session) (*carrier, error) {
	line, err := n.path.CreateLine(datapath.LineConfig{
		Device: id.device(), Link: datapath.Link{Ethernet: a.port.device.Name, Tags: tagsOf(s.Host.Circuit)},
		AC: s.Host.MAC[:], Own: a.mac[:], Session: s.ID, MTU: s.MTU,
	})
	if err != nil {
		return nil, err
	}
	c := &carrier{line: line}
	c.device, err = netlink.LinkByName(id.device())
	if err == nil {
		err = netlink.LinkSetUp(c.device)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("setting %s up: %w", id.device(), err), line.Close())
	}
	return c, nil
}

// setLinkLocal gives the device an IPv6 address, or takes the last one away.
func (c *carrier) setLinkLocal(a netip.Addr) error {
	prefix := func(a netip.Addr) *netlink.Addr {
		return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
	}
	if old := c.session.LinkLocal; old.IsValid() {
		if err := netlink.AddrDel(c.device, prefix(old)); err != nil {
			return fmt.Errorf("taking the address %v from %s: %w", old, c.device.Attrs().Name, err)
		}
	}
	if !a.IsValid() {
		return nil
	}
	if err := netlink.AddrAdd(c.device, prefix(a)); err != nil {
		return fmt.Errorf("giving %s the address %v: %w", c.device.Attrs().Name, a, err)
	}
	return nil
}

// down removes a session's device, with what goes through it. That there is none is no error.
func (n *network) down(id carrierID) error {
	c := n.carriers[id]
	if c == nil {
		return nil
	}
	delete(n.carriers, id)
	return errors.Join(n.leave(c), c.line.Close())
}
