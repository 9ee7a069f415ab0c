// Package isp runs the access concentrators of package concentrator on Ethernet devices, and carries their sessions' packets.
//
//	hosts -- Ethernet device -- port (AF_PACKET, tags and all) -- ac (a goroutine: concentrator.Concentrator) -+
//	                       \                                                                            network (a goroutine: routes)
//	                        +-- package datapath -- isp0-17, a device for each session -- IP stack -- spread0 -+
//
// Hosts may be behind VLAN tags, none to two: an AC answers with the tags that the host used, which are part of who the host is. The
// kernel needs no 8021q.
//
// The network namespace becomes the ISP's router: Open switches forwarding on and strict reverse path filters off. The address of each
// session's host is routed to the session's device. Where several sessions have the same one, it is routed to a pair of veth devices,
// whose program (bpf/spread.c) gives each of the sessions one packet in turn: what an ISP does for a customer who bonds lines.
//
// `go generate ./lab/isp` makes the program's objects anew, with the tools that package datapath names.
package isp
