package datapath

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// mark is the alias of our devices and the name of our tc filters: Cleanup knows them by it.
const mark = "linebond"

// Path is the loaded programs and their maps. Its methods, and those of its lines, may be called from several goroutines; all of them in
// the network namespace that New was called in.
type Path struct {
	programs programsObjects
	attach   attacher

	mu      sync.Mutex
	uplinks map[int]*uplink // Ethernet devices in use, by index
}

// An uplink is an Ethernet device, which runs the program down for all lines on it.
type uplink struct {
	detach detach
	lines  int
}

// New loads the programs. It fails where the kernel has no eBPF or this process may not use it.
func New() (*Path, error) {
	p := &Path{attach: attachBest, uplinks: map[int]*uplink{}}
	if err := loadProgramsObjects(&p.programs, nil); err != nil {
		return nil, fmt.Errorf("loading the eBPF data path: %w", explain(err))
	}
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

// Close unloads the programs. Lines must be closed before.
func (p *Path) Close() error { return p.programs.Close() }

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
		sum.Unknown += c.Unknown
	}
	return sum, nil
}
