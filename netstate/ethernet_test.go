package netstate

import "fmt"

// ethernet wants what a line runs on: the Ethernet device, and on it one VLAN device for each identifier, outermost first. The outer tag
// of two or more has the protocol given, every other tag is 802.1Q.
func ethernet(device string, ids []uint16, outer VLANProtocol, priority uint8) []Link {
	links := []Link{{Name: device, Up: true}}
	for i, id := range ids {
		protocol := Dot1Q
		if i == 0 && len(ids) > 1 {
			protocol = outer
		}
		parent := links[i].Name
		links = append(links, Link{
			Name: fmt.Sprintf("%s.%d", parent, id),
			VLAN: VLAN{Parent: parent, ID: id, Protocol: protocol, Egress: Priority(priority)},
			Ours: true,
			Up:   true,
		})
	}
	return links
}
