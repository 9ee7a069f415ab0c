// Package modem is a pair of modems and the line between them, for labs: what comes in on one Ethernet device goes out of another one as
// late, as slowly and as seldom as the line would have it.
//
//	router: eth1 ==veth== Customer [ up ->, <- down ] Carrier ==veth== isp: ac1
//
// Frames pass unchanged, with all their VLAN tags. A checksum that a sender has left to its network card (TX checksum offload) is
// finished on the way. A frame that a sender has left to be cut into segments (TSO, GSO) has no place on a line: it is dropped and
// counted (Counts.Unsegmented). So the devices at the far ends must not offload segmentation, as `ethtool -K eth1 tso off gso off` has it
// for a veth; ppp devices never do.
//
// A frame has come in when the kernel says so, by its stamp, and is due when the line would deliver it: max(came, line free) + bytes/rate +
// delay. No lateness of the modem adds up. One thread serves all the modems of a process, before all other work of the machine where it may
// (SCHED_FIFO), and hands out the frames of all lines in the order in which they are due. So frames that are spread over several lines
// arrive in the order that the lines' rates and delays give them, however busy the machine is: it makes them late, all alike. On a machine
// with time to spare they are some 20 us late. Lines in different processes have no such order.
//
// Each frame takes two system calls, besides those of a sleep. All the modems of a process stand for lines of some 100 Mbit/s together.
package modem

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Config describes a modem.
type Config struct {
	Customer, Carrier string    // the two devices, by name
	Up, Down          Direction // from Customer to Carrier, and from Carrier to Customer
	Seed              uint64    // of Jitter, Loss, Duplicate and Reorder: the same frames meet the same fate
}

// Way is one of the two ways through the modem.
type Way int

// The ways.
const (
	Up   Way = iota // from the customer to the carrier
	Down            // from the carrier to the customer
)

// Counters are the frames of both directions since the modem was opened.
type Counters struct{ Up, Down Counts }

// Counts are the frames of one direction. Bytes are those of the frames, tags included. All that came in, and each duplicate, is in
// one of Frames, Dropped, Lost and Refused in the end.
type Counts struct {
	Received uint64 // frames that came in

	Frames, Bytes uint64 // delivered
	Dropped       uint64 // for want of room in the queue
	Lost          uint64 // by Loss, or in the black hole
	Refused       uint64 // by the device at the other end: it was down, or the frame is shorter than a header or longer than its MTU

	Duplicated, Reordered uint64

	Unsegmented uint64 // not in Received: see the package comment
	Missed      uint64 // not in Received: more came at once than the modem can read

	QueueFrames, QueueBytes int // waiting for the line now
}

// Modem is a running modem. Its methods may be called at the same time.
type Modem struct {
	handle   *netlink.Handle
	ports    [2]*port // by the way that begins there
	ways     [2]*way
	exchange *exchange
	closed   bool // the exchange's lock is its lock
	closing  sync.Once
	closeErr error
}

// Open starts a modem between two devices of the calling thread's network namespace. They must be the modem's alone: they are set up,
// promiscuous, without IPv6, and get an MTU of at least 9216. (What limits frames is the far ends' MTU, as on a line.)
func Open(c Config) (*Modem, error) {
	if err := check(c.Up, c.Down); err != nil {
		return nil, fmt.Errorf("a modem between %s and %s: %w", c.Customer, c.Carrier, err)
	}
	m := &Modem{}
	if err := m.open(c); err != nil {
		return nil, errors.Join(fmt.Errorf("a modem between %s and %s: %w", c.Customer, c.Carrier, err), m.release())
	}
	return m, nil
}

func (m *Modem) open(c Config) (err error) {
	if m.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	for i, device := range []string{c.Customer, c.Carrier} {
		if m.ports[i], err = openPort(m.handle, device); err != nil {
			return err
		}
	}
	for i, direction := range []Direction{c.Up, c.Down} {
		random := rand.New(rand.NewPCG(c.Seed, uint64(i)))
		m.ways[i] = &way{from: m.ports[i], to: m.ports[1-i], lane: lane{config: direction, random: random.Float64}}
	}
	m.exchange, err = join(m.ways[:])
	return err
}

func check(up, down Direction) error {
	if err := up.check(); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	if err := down.check(); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	return nil
}

// Set changes what the line does. Frames that wait, wait for the new rate; those that have left the line's near end arrive as before.
func (m *Modem) Set(up, down Direction) error {
	if err := check(up, down); err != nil {
		return fmt.Errorf("setting the modem at %s: %w", m.ports[Up].device, err)
	}
	m.change(func(now time.Duration) {
		m.ways[Up].lane.set(now, up)
		m.ways[Down].lane.set(now, down)
	})
	return nil
}

// change does something while no frame moves; nothing once the modem is closed.
func (m *Modem) change(f func(now time.Duration)) {
	m.exchange.change(func(now time.Duration) {
		if !m.closed {
			f(now)
		}
	})
}

// BlackHole has all frames lost, both ways, while the links stay up; or ends that. Frames under way are lost, too: none is delivered
// after BlackHole(true) has returned.
func (m *Modem) BlackHole(on bool) {
	m.change(func(time.Duration) {
		for _, w := range m.ways {
			w.lane.blackHole(on)
		}
	})
}

// Cut takes the carrier from the customer's device, by setting the modem's end of that cable down; or gives it back.
func (m *Modem) Cut(on bool) error {
	set := m.handle.LinkSetUp
	if on {
		set = m.handle.LinkSetDown
	}
	if err := set(m.ports[Up].link); err != nil {
		return fmt.Errorf("the cable at %s: %w", m.ports[Up].device, err)
	}
	return nil
}

// Inject puts a frame of the caller's, from destination address to payload, into one way through the modem, as if it had come in there.
func (m *Modem) Inject(to Way, frame []byte) {
	frame = append([]byte(nil), frame...)
	m.change(func(now time.Duration) { m.ways[to].lane.put(now, frame) })
}

// Counters returns what has been counted so far.
func (m *Modem) Counters() Counters {
	m.exchange.mu.Lock()
	defer m.exchange.mu.Unlock()
	if !m.closed {
		now := m.exchange.now()
		for _, w := range m.ways {
			w.tally.Missed += w.from.missed()
			w.lane.advance(now)
		}
	}
	return Counters{Up: m.ways[Up].counts(), Down: m.ways[Down].counts()}
}

// Close ends the modem. The devices stay as they are.
func (m *Modem) Close() error {
	m.closing.Do(func() {
		m.change(func(time.Duration) { m.closed = true })
		m.exchange.leave(m.ways[:])
		m.closeErr = m.release()
	})
	return m.closeErr
}

// release closes what is open.
func (m *Modem) release() error {
	var errs []error
	for _, p := range m.ports {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	if m.handle != nil {
		m.handle.Close()
	}
	return errors.Join(errs...)
}
