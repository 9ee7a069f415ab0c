// Package wire holds the sockets of a PPPoE line: discovery frames, the kernel's session, and its network device.
//
//	Discovery  AF_PACKET   ethertype 0x8863: PADI ... PADT
//	Early      AF_PACKET   ethertype 0x8864: LCP that comes before there is a session (an AC may be that quick)
//	Session    AF_PPPOX    sends control frames
//	           /dev/ppp    the channel: receives LCP, PAP, CHAP; hang-up
//	           /dev/ppp    the unit: receives IPCP, IPv6CP and other NCPs; owns the network device
//
// Data packets go between the network device and the Ethernet device inside the kernel and never come here.
//
// What Discovery and Early receive (RFC 2516 section 4), all of it in network byte order:
//
//	offset  0  destination MAC (6)
//	        6  source MAC (6)
//	       12  ethertype (2): 0x8863 discovery, 0x8864 session
//	       14  version and type (1): 0x11
//	       15  code (1): 0x00 in session frames
//	       16  session id (2)
//	       18  length (2) of what follows
//	       20  discovery: tags; session: PPP protocol (2), packet
//	           then padding up to the Ethernet minimum
//
// VLAN tags are the business of the device: a line on VLAN 101 uses the device eth1.101, and a priority given here becomes the 802.1p
// bits through that device's egress map.
//
// Everything here is owned by one goroutine, the line's: only Frames and Err may be used from others.
// Close ends each goroutine that the package started and waits for it.
package wire
