package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// ShaperStats is what a shaper tells of itself: Backlog is what waits in it now, the packets dropped and marked are those since it was made.
type ShaperStats struct {
	Kind    netstate.ShaperKind
	Rate    uint64 // bit/s
	Backlog uint64 // bytes
	Drops   uint64
	Marks   uint64 // by ECN (RFC 3168), instead of a drop
}

// Attributes of cake's statistics: enumerations of linux/pkt_sched.h.
const (
	cakeTins      = 10 // TCA_CAKE_STATS_TIN_STATS
	cakeTinMarked = 8  // TCA_CAKE_TIN_STATS_ECN_MARKED_PACKETS
)

// Shaper returns what the shaper of a device tells; false if it has none of ours.
func (k *Kernel) Shaper(device string) (ShaperStats, bool, error) {
	link, err := k.link(device)
	if errors.Is(err, unix.ENODEV) {
		return ShaperStats{}, false, nil
	}
	if err != nil {
		return ShaperStats{}, false, fmt.Errorf("looking up %s: %w", device, err)
	}
	index := link.Attrs().Index
	qdiscs, err := listQdiscs()
	if err != nil {
		return ShaperStats{}, false, fmt.Errorf("listing the qdiscs: %w", err)
	}
	shapers := observeShapers(qdiscs, map[int]string{index: device}, map[string]netstate.Link{device: {Weighted: true}})
	if len(shapers) == 0 {
		return ShaperStats{}, false, nil
	}
	root, _ := shaperRoot(qdiscs, index)
	stats := ShaperStats{Kind: shapers[0].Kind, Rate: shapers[0].Rate}
	for kind, value := range attributes(root.stats) {
		switch {
		case kind == nl.TCA_STATS_QUEUE && len(value) >= 12: // struct gnet_stats_queue: packets, bytes, drops
			stats.Backlog, stats.Drops = number(value[4:8]), number(value[8:12])
		case kind == nl.TCA_STATS_APP && root.kind == cake:
			stats.Marks = cakeMarks(value)
		}
	}
	if stats.Kind == netstate.ShaperTBFCoDel {
		_, below := belowTBF(qdiscs, index)
		stats.Marks = coDelMarks(below.stats)
	}
	return stats, true, nil
}

// cakeMarks sums up those of all tins.
func cakeMarks(app []byte) (marks uint64) {
	for kind, tins := range attributes(app) {
		if kind != cakeTins {
			continue
		}
		for _, tin := range attributes(tins) {
			for kind, value := range attributes(tin) {
				if kind == cakeTinMarked {
					marks += number(value)
				}
			}
		}
	}
	return marks
}

// coDelMarks reads ecn_mark of struct tc_fq_codel_xstats, which comes after three other numbers; the first says that it is about the qdisc.
func coDelMarks(stats []byte) uint64 {
	for kind, value := range attributes(stats) {
		if kind == nl.TCA_STATS_APP && len(value) >= 16 && binary.NativeEndian.Uint32(value) == 0 {
			return number(value[12:16])
		}
	}
	return 0
}
