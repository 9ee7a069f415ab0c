package datapath

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// mark is the alias of our devices and the name of our tc filters: Cleanup knows them by it.
const mark = "linebond"

// Path is the loaded programs and their maps, and what all lines share. Its methods, and those of its lines, may be called from several
// goroutines; all of them in the network namespace that New was called in.
type Path struct {
	programs programsObjects
	attach   attacher
	jobs     chan func(*maker)
	removals chan removal
	watch    *watch

	serving, following sync.WaitGroup // its goroutines

	mu      sync.Mutex
	uplinks map[int]*uplink  // Ethernet devices in use, by index
	trunks  map[place]*trunk // that work
	devices map[int]*Line    // by the indexes of both ends of their veth pairs
}

// An uplink is an Ethernet device, which runs the program down for all lines on it.
type uplink struct {
	detach detach
	lines  int
}

// New loads the programs. It fails where the kernel has no eBPF or this process may not use it.
func New() (*Path, error) {
	p := &Path{
		attach: attachBest, jobs: make(chan func(*maker)), removals: make(chan removal),
		uplinks: map[int]*uplink{}, trunks: map[place]*trunk{}, devices: map[int]*Line{},
	}
	if err := loadProgramsObjects(&p.programs, nil); err != nil {
		return nil, fmt.Errorf("loading the eBPF data path: %w", explain(err))
	}
	m, err := newMaker()
	if err == nil {
		if p.watch, err = openWatch(); err != nil {
			err = errors.Join(err, m.close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.programs.Close())
	}
	p.serving.Go(func() { p.serve(m) })
	p.following.Go(p.follow)
	return p, nil
}

// explain adds what to do about the usual reasons why eBPF is not to be had.
func explain(err error) error {
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: a kernel of version 6.1 or later with CONFIG_BPF_SYSCALL is needed", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES): // the latter from the verifier, to those without CAP_PERFMON
		return fmt.Errorf("%w: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", err)
	}
	return err
}

// Close unloads the programs. Lines, sessions and discoveries must be closed before.
func (p *Path) Close() error {
	err := p.watch.close()
	p.following.Wait() // it may have a job
	close(p.jobs)
	p.serving.Wait()
	return errors.Join(err, p.programs.Close())
}

// A removal asks for the end of a veth pair.
type removal struct {
	port int
	done chan<- error
}

// removalsAtOnce is how many pairs go in one step: in that time, some tens of milliseconds, nothing else of the network can be changed.
const removalsAtOnce = 128

// serve makes and removes veth pairs for all lines: the kernel does one such thing at a time anyhow, and the goroutine of a line needs no
// stack for it. Pairs that are given up while others are removed go together.
func (p *Path) serve(m *maker) {
	defer m.close()
	for {
		select {
		case job, ok := <-p.jobs:
			if !ok {
				return
			}
			job(m)
		case r := <-p.removals:
			p.remove(m, r)
		}
	}
}

// remove removes a pair, and all that wait for the same.
func (p *Path) remove(m *maker, first removal) {
	ports, waiting := []int{first.port}, []removal{first}
	for more := true; more && len(ports) < removalsAtOnce; {
		select {
		case r := <-p.removals:
			ports, waiting = append(ports, r.port), append(waiting, r)
		default:
			more = false
		}
	}
	err := m.route.removePorts(ports)
	for _, r := range waiting {
		r.done <- err
	}
}

// lines is how many there are.
func (p *Path) lines() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.devices) / 2
}

// make makes a veth pair: see maker.make.
func (p *Path) make(name string, mtu int, up *ebpf.Program) (made pair, err error) {
	done := make(chan struct{})
	p.jobs <- func(m *maker) {
		made, err = m.make(name, mtu, up)
		close(done)
	}
	<-done
	return made, err
}

// removePort removes a veth pair.
func (p *Path) removePort(port int) error {
	done := make(chan error, 1)
	p.removals <- removal{port, done}
	return <-done
}

// link asks for a device by its name, and linkAt by its index.
func (p *Path) link(name string) (linkInfo, error) {
	return p.ask(func(c *netlinkConn) (linkInfo, error) { return c.link(name) })
}

func (p *Path) linkAt(index int) (linkInfo, error) {
	return p.ask(func(c *netlinkConn) (linkInfo, error) { return c.linkAt(index) })
}

func (p *Path) ask(question func(*netlinkConn) (linkInfo, error)) (l linkInfo, err error) {
	done := make(chan struct{})
	p.jobs <- func(m *maker) {
		l, err = question(m.route)
		close(done)
	}
	<-done
	return l, err
}

// upInterface finds an Ethernet device that is there and up. (The kernel's own answer to either fault is often the same "no such device".)
func (p *Path) upInterface(device string) (*net.Interface, error) {
	l, err := p.link(device)
	if err != nil {
		return nil, fmt.Errorf("the device %s: %w", device, err)
	}
	if l.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("the device %s is down (`ip link set %s up`): %w", device, device, unix.ENETDOWN)
	}
	if !l.ethernet {
		return nil, fmt.Errorf("the device %s is not an Ethernet device: %w", device, unix.EINVAL)
	}
	return &l.Interface, nil
}

// acquire attaches the program down to an Ethernet device, for one more line.
func (p *Path) acquire(index int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.uplinks[index]
	if u == nil {
		if err := p.programs.Counts.Update(uint32(index), zero(), ebpf.UpdateAny); err != nil {
			return fmt.Errorf("making its counters: %w", err)
		}
		detach, err := p.attach(index, p.programs.Down)
		if err != nil {
			return errors.Join(err, p.programs.Counts.Delete(uint32(index)))
		}
		u = &uplink{detach: detach}
		p.uplinks[index] = u
	}
	u.lines++
	return nil
}

// release is the reverse of acquire.
func (p *Path) release(index int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.uplinks[index]
	if u.lines--; u.lines > 0 {
		return nil
	}
	delete(p.uplinks, index)
	return errors.Join(u.detach(), p.programs.Counts.Delete(uint32(index)))
}

// zero is the value of new counters: one for each processor.
func zero() []programsCounters { return make([]programsCounters, ebpf.MustPossibleCPU()) }

// sum adds up the processors' counters of a device.
func (p *Path) sum(index uint32) (sum programsCounters, err error) {
	var each []programsCounters
	if err := p.programs.Counts.Lookup(index, &each); err != nil {
		return sum, err
	}
	for _, c := range each {
		sum.RxPackets += c.RxPackets
		sum.RxBytes += c.RxBytes
		sum.TxPackets += c.TxPackets
		sum.TxBytes += c.TxBytes
		sum.TxNotIp += c.TxNotIp
		sum.TxTooLong += c.TxTooLong
		sum.TxFailed += c.TxFailed
		sum.BadHeader += c.BadHeader
		sum.BadLength += c.BadLength
		sum.NotIp += c.NotIp
		sum.TooLong += c.TooLong
		sum.Failed += c.Failed
		sum.TooShort += c.TooShort
	}
	return sum, nil
}
