package daemon

import (
	"context"
	"net"
	"net/netip"

	"linebond/kernel"
	"linebond/netstate"
	"linebond/ppp"
	"linebond/pppoe"
	"linebond/probe"
	"linebond/wire"
)

// Effects are the daemon's hands: package wire, kernel, probe and resolv, or
// fakes.
type Effects struct {
	RuntimeDir    string
	IPv6          bool // the kernel has it, and it is not switched off
	CPUs          int
	Host          Host
	Resolvers     Resolvers
	OpenDiscovery func(device string, priority uint8) (Discovery, error)
	OpenEarly     func(device string) (Early, error)
	OpenSession   func(wire.SessionConfig, Early) (Session, error)
	OpenProber    func() (probe.Sender, error)
}

// Host is the kernel's networking: kernel.Kernel.
type Host interface {
	Observe(interest netstate.State) (netstate.State, error)
	Apply(ops []netstate.Op) error
	Watch(ctx context.Context) (<-chan struct{}, error)
	Link(device string) (kernel.LinkInfo, error)
	Counters() (map[string]kernel.Counters, error) // by device
}

// Resolvers publishes DNS servers: resolv.Publisher. It may take its time.
type Resolvers interface {
	Set(device, line string, servers []netip.Addr) error
	Keep(lines ...string) error // takes back those of all other lines
	Cleanup() error             // of what an earlier process left behind
}

// Discovery is a socket for discovery frames: wire.Discovery.
type Discovery interface {
	Send(dst net.HardwareAddr, payload []byte) error
	Frames() <-chan pppoe.Frame
	Err() error // why Frames was closed
	Close() error
}

// Early catches frames of a session that is not open yet: wire.Early.
type Early interface{ Close() error }

// Session is a PPPoE session: wire.Session.
type Session interface {
	Send(protocol ppp.Protocol, packet []byte) error
	CreateUnit(name string) error
	Frames() <-chan ppp.Frame
	Err() error // why Frames was closed
	Close() error
}
