package netstate

import "fmt"

// Op is one change to the host's networking: one of the types of this file. String gives the command that would do the same.
type Op interface {
	fmt.Stringer
	op()
}

// AddLink makes a VLAN device and marks it as ours.
type AddLink struct{ Link Link }

// DeleteLink removes a VLAN device of ours, and with it the VLAN devices on it.
type DeleteLink struct{ Device string }

// SetEgress replaces the egress map of a VLAN device of ours.
type SetEgress struct {
	Device string
	From   Egress // what it is
	To     Egress // what it is to be
}

// SetMTU sets a device's MTU, in bytes.
type SetMTU struct {
	Device string
	MTU    int
}

// SetUp sets a device administratively up.
type SetUp struct{ Device string }

// AddAddress adds an address; it may be there already.
type AddAddress struct{ Address Address }

// DeleteAddress removes an address; it may be gone already, together with the one that it was secondary to.
type DeleteAddress struct{ Address Address }

// AddRoute adds a route of our protocol number beside those of other devices with the same destination and metric; it may be there
// already.
type AddRoute struct{ Route Route }

// DeleteRoute removes a route of our protocol number.
type DeleteRoute struct{ Route Route }

// SetSysctl writes a kernel setting.
type SetSysctl struct{ Sysctl Sysctl }

func (AddLink) op()       {}
func (DeleteLink) op()    {}
func (SetEgress) op()     {}
func (SetMTU) op()        {}
func (SetUp) op()         {}
func (AddAddress) op()    {}
func (DeleteAddress) op() {}
func (AddRoute) op()      {}
func (DeleteRoute) op()   {}
func (SetSysctl) op()     {}

func (o AddLink) String() string {
	return fmt.Sprintf("ip link add link %s name %s alias %s type %s", o.Link.VLAN.Parent, o.Link.Name, Alias, o.Link.VLAN)
}

func (o DeleteLink) String() string { return "ip link delete dev " + o.Device }

func (o SetEgress) String() string {
	s := fmt.Sprintf("ip link set dev %s type vlan egress-qos-map", o.Device)
	for from, to := range o.To {
		if to != o.From[from] {
			s += fmt.Sprintf(" %d:%d", from, to)
		}
	}
	return s
}

func (o SetMTU) String() string { return fmt.Sprintf("ip link set dev %s mtu %d", o.Device, o.MTU) }

func (o SetUp) String() string { return fmt.Sprintf("ip link set dev %s up", o.Device) }

func (o AddAddress) String() string { return "ip address replace " + o.Address.String() }

func (o DeleteAddress) String() string { return "ip address delete " + o.Address.String() }

func (o AddRoute) String() string { return routeCommand("append", o.Route) }

func (o DeleteRoute) String() string { return routeCommand("delete", o.Route) }

func (o SetSysctl) String() string { return "sysctl -w " + o.Sysctl.String() }

// routeCommand puts the verb where ip(8) expects it: after the family.
func routeCommand(verb string, r Route) string {
	text, family := r.String(), ""
	if r.Destination.Addr().Is6() {
		text, family = text[len("-6 "):], "-6 "
	}
	return fmt.Sprintf("ip %sroute %s %s", family, verb, text)
}
