package lab

import (
	"fmt"
	"testing"

	"linebond/lab/netns"
)

// CableConfig says what kind of line lies between a router and its ISP.
type CableConfig struct {
	Router, ISP             *Namespace
	RouterDevice, ISPDevice string   // the ends, such as "eth1" and "ac1"
	VLAN                    []uint16 // none, one (802.1Q), or outer and inner
	OuterProtocol           string   // of the outer of two tags: "802.1ad" (also if empty) or "802.1Q"
	MTU                     int      // of the Ethernet, tags not counted; 0: 1500. PPP packets of 1500 bytes need 1508.

	// Via is where the cable passes a bridge, so that a Modem is a box of its own, which tells the router nothing of its queue; nil: no
	// such place. (A line's carrier then ends at the bridge: Unplug is not seen at the other end.)
	Via *Namespace
}

// Cable is a veth pair, up at both ends. The ISP's end has the VLAN devices; the router's end is left bare for linebond to tag.
type Cable struct {
	config CableConfig
}

// NewCable lays a cable. It goes with the namespaces that it ends in.
func NewCable(t testing.TB, c CableConfig) *Cable {
	t.Helper()
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.OuterProtocol == "" {
		c.OuterProtocol = "802.1ad"
	}
	mtu := c.MTU + 4*max(len(c.VLAN)-1, 0) // the devices' MTU: room for the inner tag; that for one tag is extra
	cable := &Cable{c}
	if c.Via != nil {
		cable.layVia(t, mtu)
	} else {
		lay(t, c.Router, c.RouterDevice, c.ISP, c.ISPDevice, mtu)
	}
	if tags := cable.tags(c.ISPDevice); len(tags) > 0 {
		c.ISP.IP(t, tags...)
	}
	return cable
}

func lay(t testing.TB, a *Namespace, deviceA string, b *Namespace, deviceB string, mtu int) {
	t.Helper()
	if err := netns.Cable(netns.End{Namespace: a.Name, Device: deviceA}, netns.End{Namespace: b.Name, Device: deviceB}, mtu); err != nil {
		t.Fatal(err)
	}
}

// layVia lays the cable in two halves, with a bridge between them that says nothing itself.
func (c *Cable) layVia(t testing.TB, mtu int) {
	t.Helper()
	via, customer, carrier := c.config.Via, toward(c.config.RouterDevice), toward(c.config.ISPDevice)
	via.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
	lay(t, c.config.Router, c.config.RouterDevice, via, customer, mtu)
	lay(t, via, carrier, c.config.ISP, c.config.ISPDevice, mtu)
	bridge := "br-" + c.config.RouterDevice
	via.IP(t, "link add "+bridge+" type bridge mcast_snooping 0", "link set "+customer+" master "+bridge,
		"link set "+carrier+" master "+bridge, "link set "+bridge+" up")
}

// toward names the bridge's port for an end of the cable.
func toward(end string) string { return "to-" + end }

// An egress is where the frames of one direction leave for the line.
type egress struct {
	namespace *Namespace
	device    string
}

// up and down are where a modem has its queues.
func (c *Cable) up() egress {
	if via := c.config.Via; via != nil {
		return egress{via, toward(c.config.ISPDevice)}
	}
	return egress{c.config.Router, c.config.RouterDevice}
}

func (c *Cable) down() egress {
	if via := c.config.Via; via != nil {
		return egress{via, toward(c.config.RouterDevice)}
	}
	return egress{c.config.ISP, c.config.ISPDevice}
}

// ISPLink is the device that PPPoE runs on at the ISP's end: "ac1", "ac1.101" or "ac1.100.101".
func (c *Cable) ISPLink() string { return c.link(c.config.ISPDevice) }

// TagRouter makes the VLAN devices of the router's end, for a client that does not make them itself, and returns the device that
// PPPoE runs on.
func (c *Cable) TagRouter(t testing.TB) string {
	t.Helper()
	c.config.Router.IP(t, c.tags(c.config.RouterDevice)...)
	return c.link(c.config.RouterDevice)
}

// Plug gives the router's end its carrier back.
func (c *Cable) Plug(t testing.TB) {
	t.Helper()
	c.config.ISP.Run(t, "ip", "link", "set", c.config.ISPDevice, "up")
}

// Unplug takes the carrier from the router's end, by setting the ISP's down.
func (c *Cable) Unplug(t testing.TB) {
	t.Helper()
	c.config.ISP.Run(t, "ip", "link", "set", c.config.ISPDevice, "down")
}

func (c *Cable) link(device string) string {
	for _, id := range c.config.VLAN {
		device += fmt.Sprintf(".%d", id)
	}
	return device
}

// tags are the commands of ip(8) that make the VLAN devices on a parent.
func (c *Cable) tags(parent string) []string {
	var commands []string
	for i, id := range c.config.VLAN {
		protocol := "802.1Q"
		if i == 0 && len(c.config.VLAN) == 2 {
			protocol = c.config.OuterProtocol
		}
		device := fmt.Sprintf("%s.%d", parent, id)
		commands = append(commands, fmt.Sprintf("link add link %s name %s type vlan protocol %s id %d", parent, device, protocol, id),
			fmt.Sprintf("link set %s up", device))
		parent = device
	}
	if len(c.config.VLAN) > 0 {
		commands = append(commands, fmt.Sprintf("link set %s mtu %d", parent, c.config.MTU))
	}
	return commands
}
