// Package datapath carries a PPPoE session's packets with eBPF, on kernels that have no PPP (most containers, many cloud kernels).
//
//	Path       the loaded programs; all lines of this process share them, and what follows from them:
//	           one goroutine that makes and removes devices, one that hears of their end, two packet sockets for each Ethernet device
//	Line       a line's network device: up and down are done in the kernel, by the programs in bpf/datapath.c
//	Discovery  a line's frames of ethertype 0x8863: PADI ... PADT
//	Session    the control frames of one session (LCP, PAP, CHAP, IPCP, IPv6CP), and its Line
//
// A line's device, e.g. ppp-a, looks like one of the kernel's PPP devices to all that is above it. It is one end of a veth pair:
//
//	IP stack - ppp-a ==veth== ppp-a-port (program up: make a session frame) -> eth1
//	IP stack - ppp-a ==veth== ppp-a-port <- (program down: strip, on what eth1 receives)
//
// A session frame (RFC 2516 section 4), all of it in network byte order:
//
//	offset  0  destination MAC (6)
//	        6  source MAC (6)
//	       12  VLAN tags (0, 4 or 8): 0x8100 or 0x88a8, priority and id
//	       12+ ethertype (2): 0x8864
//	       14+ version and type (1): 0x11
//	       15+ code (1): 0x00
//	       16+ session id (2)
//	       18+ length (2) of what follows
//	       20+ PPP protocol (2): 0x0021 IPv4, 0x0057 IPv6, others are control
//	       22+ packet, then padding up to the Ethernet minimum
//
// The programs read and write the tags themselves, on the bare Ethernet device: the kernel needs no 8021q, and where a VLAN device such
// as eth1.101 exists it makes no difference: the programs see a frame before it, and take only those of a line's own session. A line can
// as well use eth1.101 as its Ethernet device, with no tags.
//
// What outlives the process (the veth pairs; on kernels before 6.6 the tc filters too) is marked, and removed by Cleanup.
//
// The objects of the programs are committed: `go generate ./datapath` makes them anew, with Debian's clang-14, llvm-14, libbpf-dev and
// linux-libc-dev.
package datapath
