// Package scheduler bonds unequal lines as one, with eBPF: each IP packet goes to the line on which it arrives first.
//
//	Open       makes the bond device, or takes over the one that a linebond before this one has left
//	SetLines   who is in, with their rates and delays
//	SetMode    how much backlog is believed, and how long a line may be silent
//	Leave      a line is about to be closed
//	Echoed     an echo request was sent on a line
//	Heard      an answer came on it
//	Check      whether somebody has undone what is needed on the host
//	Counters   what the program has counted
//	Try        whether a bond can be had here
//
// How the choice is made is in package model; bpf/scheduler.c does the same in the kernel.
//
//	IP stack - wanbond0 ==veth== wanbond0-port (program choose) -> ppp-a, ppp-b ...
//	                                            (program hear)  <- what ppp-a, ppp-b ... receive
//
// The scheduler must see single packets. The bond device has gso_max_segs 1, so that the kernel cuts what a sender or GRO has made
// bigger, after the routing and NAT of it, and before it is handed to the other end. On clsact egress of any device the programs would
// see it uncut. A line's device may be one of the kernel's PPP devices or one end of a veth pair.
//
// # Times and rates
//
// Rates are what the line carries in the direction from us, in bits per second, and Overhead is what it adds to an IP packet (PPPoE 8,
// Ethernet 14 and more). Only their ratios matter as long as lines are loaded. Of delays, only differences matter. Someone who knows no
// rates gives all lines the same low one: so they share the bytes equally.
//
// Without a queue that keeps the bond below the sum of the rates, give 0.95 of them: where a line is believed to be slower than it is, the
// cap makes a saturated bond share by the rates; where it is believed to be faster, its own queue grows, and TCP flows wait for it.
//
// # What outlives the process
//
// The device, the programs (as tc filters) and, where there is a BPF file system, the maps, in
//
//	/sys/fs/bpf/linebond/<cookie of the network namespace>/<device>/{config,state,stamps}
//
// So a bond goes on while the daemon is away. Open takes over the maps; the first SetLines replaces the programs, between one
// packet and the next. Without a BPF file system (Unpinned says so) the bond goes on as well, but counters and backlogs begin at zero.
// Leftovers lists what there is, for `linebond cleanup`. All of it is marked: the devices by their alias, the filters by their name.
//
// Device indexes go stale: a line must leave, by SetLines, before its device does. Two processes must not have the same bond.
//
// The objects of the programs are committed: `go generate ./scheduler` makes them anew, with Debian's clang-14, llvm-14, libbpf-dev and
// linux-libc-dev.
package scheduler
