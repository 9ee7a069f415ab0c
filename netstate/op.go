package netstate

import "fmt"

// BondMTU, in bytes, and BondTxQueue, in packets, are what a bond device is born with (teql_master_setup of the kernel's sch_teql.c).
const (
	BondMTU     = 1500
	BondTxQueue = 100
)

// Op is one change to the host's networking: one of the types of this file. String gives a command that would do about the same.
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

// SetMTU sets a device's MTU, in bytes. A bond takes none above that of a slave (EINVAL).
type SetMTU struct {
	Device string
	MTU    int
}

// SetUp sets a device administratively up. A bond must have a slave (EUNATCH) and gets the least of its slaves' MTUs.
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

// AddMultipath adds a route of our protocol number beside others with the same destination and metric; it may be there already.
type AddMultipath struct{ Multipath Multipath }

// DeleteMultipath removes a route of our protocol number.
type DeleteMultipath struct{ Multipath Multipath }

// AddRule adds a routing rule of our protocol number.
type AddRule struct{ Rule RoutingRule }

// DeleteRule removes a routing rule of our protocol number.
type DeleteRule struct{ Rule RoutingRule }

// SetSysctl writes a kernel setting.
type SetSysctl struct{ Sysctl Sysctl }

// LoadBonds has the kernel make bond devices that do not exist, by loading the module of TEQL with as many as it takes for all of these.
// They are used from the next Diff on.
type LoadBonds struct{ Devices []string }

// Adopt marks a bond device as in our use.
type Adopt struct{ Device string }

// Release ends our use of a bond device: down, with the MTU and queue that it was born with (BondMTU, BondTxQueue), its rp_filter as the
// host's default is, and without our mark. Its slaves have left before. String is about as much as one command can say of that.
type Release struct{ Device string }

// SetTxQueue sets the length of a device's transmission queue, in packets.
type SetTxQueue struct {
	Device  string
	Packets int
}

// Join makes a line device a slave of a bond, by its root qdisc, in place of the one that it has. The first slave gives the bond its own
// MTU; another one with less than the bond's is refused while the bond is up (EINVAL).
type Join struct{ Qdisc Qdisc }

// Leave takes a line device out of a bond, which stays up without any.
type Leave struct{ Qdisc Qdisc }

// SetTable replaces our nftables table as a whole, in one transaction.
type SetTable struct{ Table Table }

// DeleteTable removes our nftables table.
type DeleteTable struct{}

func (AddLink) op()         {}
func (DeleteLink) op()      {}
func (SetEgress) op()       {}
func (SetMTU) op()          {}
func (SetUp) op()           {}
func (AddAddress) op()      {}
func (DeleteAddress) op()   {}
func (AddRoute) op()        {}
func (DeleteRoute) op()     {}
func (AddMultipath) op()    {}
func (DeleteMultipath) op() {}
func (AddRule) op()         {}
func (DeleteRule) op()      {}
func (SetSysctl) op()       {}
func (LoadBonds) op()       {}
func (Adopt) op()           {}
func (Release) op()         {}
func (SetTxQueue) op()      {}
func (Join) op()            {}
func (Leave) op()           {}
func (SetTable) op()        {}
func (DeleteTable) op()     {}

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

func (o AddMultipath) String() string { return "ip route append " + o.Multipath.String() }

func (o DeleteMultipath) String() string { return "ip route delete " + o.Multipath.String() }

func (o AddRule) String() string { return "ip rule add " + o.Rule.String() }

func (o DeleteRule) String() string { return "ip rule delete " + o.Rule.String() }

func (o SetSysctl) String() string { return "sysctl -w " + o.Sysctl.String() }

func (o LoadBonds) String() string {
	count := 1
	for _, device := range o.Devices {
		var n int
		if _, err := fmt.Sscanf(device, "teql%d", &n); err == nil {
			count = max(count, n+1)
		}
	}
	return fmt.Sprintf("modprobe sch_teql max_equalizers=%d", count)
}

func (o Adopt) String() string { return fmt.Sprintf("ip link set dev %s alias %s", o.Device, Alias) }

func (o Release) String() string {
	return fmt.Sprintf("ip link set dev %s down mtu %d txqueuelen %d alias ''", o.Device, BondMTU, BondTxQueue)
}

func (o SetTxQueue) String() string {
	return fmt.Sprintf("ip link set dev %s txqueuelen %d", o.Device, o.Packets)
}

func (o Join) String() string {
	return fmt.Sprintf("tc qdisc replace dev %s root %s", o.Qdisc.Device, o.Qdisc.Kind)
}

func (o Leave) String() string { return fmt.Sprintf("tc qdisc delete dev %s root", o.Qdisc.Device) }

func (o SetTable) String() string { return "nft -f - # replaces table inet " + TableName }

func (DeleteTable) String() string { return "nft delete table inet " + TableName }

// routeCommand puts the verb where ip(8) expects it: after the family.
func routeCommand(verb string, r Route) string {
	text, family := r.String(), ""
	if r.Destination.Addr().Is6() {
		text, family = text[len("-6 "):], "-6 "
	}
	return fmt.Sprintf("ip %sroute %s %s", family, verb, text)
}
