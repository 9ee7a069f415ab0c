package scheduler

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/scheduler/model"
)

// only is the key of the one value that each map has.
const only = uint32(0)

// Scheduler is a bond. Its methods may be called from several goroutines.
type Scheduler struct {
	device   string
	handle   *netlink.Handle
	bond     netlink.Link
	port     netlink.Link
	pins     string // directory of the bond's pinned maps, or ""
	unpinned error
	adopted  bool

	programs programsObjects
	choose   ebpf.ProgramID
	hear     ebpf.ProgramID
	stamps   *ebpf.Memory

	// To close takes both locks, host first.
	host    sync.Mutex     // of what takes its time: of the handle, and of
	settled bool           // SetLines has been called before
	whole   bool           // the pair is configured
	running bool           // choose is attached
	hearing map[string]int // devices, by name, to which hear is attached: their indexes

	mu     sync.Mutex // of what the programs are told: nobody waits for the host with it
	config model.Config
	left   map[string]int    // devices, by name, of lines that have left for good: their indexes
	echoed map[string]uint64 // lines, by name: when they were sent the last echo request
}

// errClosed is of a Scheduler that has let go of its bond: it has no handle.
var errClosed = errors.New("its scheduler is closed")

// Open makes a bond of this name in the calling thread's network namespace, or takes over the one that is there. A new one has no lines,
// and its device is down. The MTU, which is the least of the lines', is for a new one. See ErrRefused.
func Open(device string, mtu int) (*Scheduler, error) {
	directory, unpinned := pinDirectory()
	s := &Scheduler{device: device, unpinned: unpinned, hearing: map[string]int{}, left: map[string]int{}, echoed: map[string]uint64{}}
	if unpinned == nil {
		s.pins = filepath.Join(directory, device)
	}
	if err := s.open(mtu); err != nil {
		return nil, fmt.Errorf("the bond %s: %w", device, errors.Join(err, s.Close()))
	}
	return s, nil
}

// Try makes a bond in the calling thread's network namespace, and takes it away again. It pins nothing. See ErrRefused.
func Try(device string, mtu int) error {
	s := &Scheduler{device: device}
	if err := s.open(mtu); err != nil {
		return fmt.Errorf("the bond %s: %w", device, errors.Join(err, s.Close()))
	}
	return s.Remove()
}

func (s *Scheduler) open(mtu int) (err error) {
	if s.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	found := false
	if s.bond, s.port, found, err = findPair(s.handle, s.device); err != nil {
		return err
	}
	if err := s.load(found); err != nil {
		return err
	}
	if found {
		err = configurePair(s.handle, s.bond, s.port)
	} else if err = s.create(mtu); err != nil {
		err = errors.Join(refused(err), s.deletePair())
	}
	if err != nil {
		return err
	}
	s.whole = true
	if s.pins != "" && !s.adopted {
		maps := map[string]*ebpf.Map{"config": s.programs.Config, "state": s.programs.State, "stamps": s.programs.Stamps}
		if s.unpinned = pin(s.pins, maps); s.unpinned != nil {
			s.pins = ""
		}
	}
	return nil
}

// create makes a new bond's pair, and has choose run: if the kernel cannot have filters on devices, we want to know before there are lines.
func (s *Scheduler) create(mtu int) (err error) {
	if s.bond, s.port, err = addPair(s.handle, s.device, mtu); err != nil {
		return err
	}
	if err := configurePair(s.handle, s.bond, s.port); err != nil {
		return err
	}
	return s.run()
}

// load loads the programs, with the maps of an older bond if there is one.
func (s *Scheduler) load(found bool) error {
	spec, err := loadPrograms()
	if err != nil {
		return fmt.Errorf("reading the eBPF scheduler: %w", err)
	}
	var old map[string]*ebpf.Map
	if found && s.pins != "" {
		old = openPins(s.pins, spec)
	}
	defer closeAll(old)
	if err := spec.LoadAndAssign(&s.programs, &ebpf.CollectionOptions{MapReplacements: old}); err != nil {
		return refused(fmt.Errorf("loading its programs: %w", err))
	}
	s.adopted = old != nil
	if s.choose, err = number(s.programs.Choose); err != nil {
		return err
	}
	if s.hear, err = number(s.programs.Hear); err != nil {
		return err
	}
	if s.stamps, err = s.programs.Stamps.Memory(); err != nil {
		return fmt.Errorf("mapping the stamps: %w", err)
	}
	if s.adopted {
		if err := s.programs.Config.Lookup(only, &s.config); err != nil {
			return fmt.Errorf("reading the configuration that it has: %w", err)
		}
		return nil
	}
	s.config.Cap = uint64(DefaultCap)
	return nil
}

// number is by what the kernel knows a program.
func number(p *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := p.Info()
	if err != nil {
		return 0, fmt.Errorf("asking for a program's number: %w", err)
	}
	id, _ := info.ID() // since 4.13
	return id, nil
}

// Adopted says whether counters, backlogs and lines are those of the bond that was there.
func (s *Scheduler) Adopted() bool { return s.adopted }

// Unpinned says why the next Open will not be able to adopt them; nil: it will.
func (s *Scheduler) Unpinned() error { return s.unpinned }

// DefaultCap is that of a new bond.
const DefaultCap = 50 * time.Millisecond

// Mode is how the bond treats lines that are not as believed.
type Mode struct {
	Cap       time.Duration // of the backlog of all lines: more is forgiven. 1 ms to 10 s
	DeadAfter time.Duration // for which a line may be silent that was sent something; 0: for ever. See Echoed
	Patience  time.Duration // by which it may be silent for longer at most, while it is given more than it is believed to carry
}

// SetMode changes the mode. A new bond has DefaultCap, and lets lines be silent.
func (s *Scheduler) SetMode(m Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.config
	err := m.encode(&c)
	if err == nil {
		err = s.write(c)
	}
	if err != nil {
		return fmt.Errorf("the bond %s: %w", s.device, err)
	}
	return nil
}

func (m Mode) encode(c *model.Config) (err error) {
	if c.Cap, err = model.Nanoseconds("cap", m.Cap, model.MinCap, model.MaxCap); err != nil {
		return err
	}
	if c.DeadAfter, err = model.Nanoseconds("dead_after", m.DeadAfter, 0, model.MaxDeadAfter); err != nil {
		return err
	}
	c.Patience, err = model.Nanoseconds("patience", m.Patience, 0, model.MaxPatience)
	return err
}

// write gives the programs a configuration.
func (s *Scheduler) write(c model.Config) error {
	if s.handle == nil {
		return errClosed
	}
	if err := s.programs.Config.Put(only, c); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	s.config = c
	return nil
}

// run has choose run, if it does not yet. Until there are lines, an older program knows better where packets can go.
func (s *Scheduler) run() error {
	if s.running {
		return nil
	}
	if err := attach(s.handle, s.port.Attrs().Index, chooseFilter, s.programs.Choose); err != nil {
		return fmt.Errorf("the device %s: %w", s.port.Attrs().Name, err)
	}
	s.running = true
	return nil
}

// Close lets go of the bond, which goes on by itself. Afterwards Leave, Heard and Echoed do nothing, and all else is an error.
func (s *Scheduler) Close() error {
	s.host.Lock()
	defer s.host.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == nil {
		return nil
	}
	s.handle.Close()
	s.handle = nil
	return s.programs.Close()
}

// Remove takes the bond away and closes it.
func (s *Scheduler) Remove() error {
	errs := []error{s.SetLines(nil), s.deletePair()}
	if s.pins != "" {
		errs = append(errs, unpin(s.pins))
	}
	if err := errors.Join(append(errs, s.Close())...); err != nil {
		return fmt.Errorf("removing the bond %s: %w", s.device, err)
	}
	return nil
}

// deletePair deletes the bond device and its port. They may be gone.
func (s *Scheduler) deletePair() error {
	if s.port == nil || s.handle == nil {
		return nil
	}
	if err := s.handle.LinkDel(s.port); err != nil && !gone(err) {
		return fmt.Errorf("deleting the veth pair: %w", err)
	}
	return nil
}
