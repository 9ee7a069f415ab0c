package lab

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"linebond/lab/netns"
)

// ModemConfig says how fast a line is. Zero: as fast as the guest.
type ModemConfig struct {
	Up, Down float64       // Mbit/s of Ethernet frames, tags not counted
	Delay    time.Duration // each way
	Queue    int           // packets, each way; 0: 5000
}

// Modem is what a cable's two ends are made to send through: netem with a rate, a delay and a queue. (Not tbf, which lets a packet after
// a pause out without the time that it takes on a real line.)
type Modem struct {
	cable  *Cable
	config ModemConfig
}

// NewModem puts a modem on a cable.
func NewModem(t testing.TB, cable *Cable, c ModemConfig) *Modem {
	t.Helper()
	if c.Queue == 0 {
		c.Queue = 5000
	}
	m := &Modem{cable, c}
	m.Restore(t)
	return m
}

// BlackHole drops every frame both ways, from now on; the carrier stays.
func (m *Modem) BlackHole(t testing.TB) {
	t.Helper()
	m.set(t, 100)
}

// Restore ends a BlackHole.
func (m *Modem) Restore(t testing.TB) {
	t.Helper()
	m.set(t, 0)
}

// SetUp changes how fast the line is from the router, in Mbit/s, from now on; what is in the queue stays there.
func (m *Modem) SetUp(t testing.TB, up float64) {
	t.Helper()
	m.config.Up = up
	m.set(t, 0)
}

// set does so by netlink, at once: a black hole begins when BlackHole returns.
func (m *Modem) set(t testing.TB, loss float32) {
	t.Helper()
	for _, end := range []struct {
		egress
		rate float64
	}{{m.cable.up(), m.config.Up}, {m.cable.down(), m.config.Down}} {
		err := end.namespace.setNetem(end.device, netlink.NetemQdiscAttrs{
			Latency: uint32(m.config.Delay.Microseconds()), Limit: uint32(m.config.Queue), Loss: loss, Rate64: uint64(end.rate * 1e6 / 8),
		})
		if err != nil {
			t.Fatalf("setting netem of %s in %s: %v", end.device, end.namespace.Name, err)
		}
	}
}

func (n *Namespace) setNetem(device string, attributes netlink.NetemQdiscAttrs) error {
	handle, err := netns.Netlink(n.Name)
	if err != nil {
		return err
	}
	defer handle.Close()
	link, err := handle.LinkByName(device)
	if err != nil {
		return err
	}
	root := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT}
	return handle.QdiscReplace(netlink.NewNetem(root, attributes))
}
