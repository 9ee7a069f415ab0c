package daemon

import (
	"context"
	"net"
	"net/netip"

	"linebond/config"
	"linebond/kernel"
	"linebond/netstate"
	"linebond/ppp"
	"linebond/pppoe"
	"linebond/probe"
	"linebond/scheduler"
)

// Effects are the daemon's hands: packages wire, datapath, kernel, probe and
// resolv, or fakes.
type Effects struct {
	RuntimeDir string
	IPv6       bool // the kernel has it, and it is not switched off
	CPUs       int
	Host       Host
	Resolvers  Resolvers
	Planes     Planes
	OpenProber func() (probe.Sender, error)
	// OpenScheduler makes the device of a weighted bond, or takes over the one
	// that is there. The MTU is for a new one.
	OpenScheduler     func(device string, mtu int) (Scheduler, error)
	CleanupSchedulers func() error // of what an earlier process has left; needs no eBPF
}

// Scheduler is that of a weighted bond: scheduler.Scheduler.
type Scheduler interface {
	SetMode(scheduler.Mode) error
	SetLines([]scheduler.Line) error
	Check() (scheduler.Health, error)
	Leave(device string) (was bool, err error) // for good
	Heard(device string) error                 // an answer on a line
	Echoed(device string) error                // a request that was sent on it
	Counters() (scheduler.Counters, error)
	Adopted() bool
	Unpinned() error // why the next process will not be able to adopt all of it
	Remove() error
	Close() error // it goes on by itself
}

// Planes are the data planes: package wire for the kernel's, package datapath
// for eBPF. Which one opens something for a line is for its Dataplane to say.
type Planes interface {
	// Choose returns the data plane of a line whose file may say "auto", why,
	// and what it lacks: then the line cannot be dialled for now.
	Choose(config.Line) (dataplane, reason string, lack error)
	OpenDiscovery(config.Line) (Discovery, error)
	OpenEarly(config.Line) (Early, error)
	OpenSession(config.Line, pppoe.Session, Early) (Session, error)
	Cleanup() error // of what an earlier process left behind
}

// Host is the kernel's networking: kernel.Kernel.
type Host interface {
	Observe(interest netstate.State) (netstate.State, error)
	Apply(ops []netstate.Op) error
	Watch(ctx context.Context) (<-chan struct{}, error)
	Link(device string) (kernel.LinkInfo, error)
	Counters() (map[string]kernel.Counters, error) // by device
	// Shaper tells of the queue on a weighted bond's device; false if it has none.
	Shaper(device string) (kernel.ShaperStats, bool, error)
}

// Resolvers publishes DNS servers: resolv.Publisher. It may take its time.
type Resolvers interface {
	Set(device, line string, servers []netip.Addr) error
	Keep(lines ...string) error // takes back those of all other lines
	Cleanup() error             // of what an earlier process left behind
}

// Discovery is a socket for discovery frames: wire.Discovery, or datapath's.
type Discovery interface {
	Send(dst net.HardwareAddr, payload []byte) error
	Frames() <-chan pppoe.Frame
	Err() error // why Frames was closed
	Close() error
}

// Early catches frames of a session that is not open yet: wire.Early. Package
// datapath needs none: it is nil there.
type Early interface{ Close() error }

// Session is a PPPoE session: wire.Session, or datapath's.
type Session interface {
	Send(protocol ppp.Protocol, packet []byte) error
	CreateUnit(name string) error
	Frames() <-chan ppp.Frame
	Err() error // why Frames was closed
	Close() error
}

// dropper is a Session that counts what its data plane drops, by the reason:
// datapath.Session. The kernel's PPPoE does not tell.
type dropper interface {
	Dropped() (map[string]uint64, error)
}
