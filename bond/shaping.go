package bond

import (
	"linebond/config"
	"linebond/netstate"
)

// shaperShare, in per cent, is how much of what the lines carry together the shaper lets through: so little less that the lines' own queues
// stay empty.
const shaperShare = 99

// An ATM cell, and what it carries of a packet, in bytes.
const (
	cell        = 53
	cellPayload = 48
)

// shaped says whether the packets of a weighted bond are to wait on its device, before the choice of a line. A queue there is worth having
// only by rates that are right.
func shaped(c config.Bond, serving []slot) bool {
	return c.Shaping == config.ShapingCake && len(serving) > 0 && known(serving)
}

// believedShare is how much of a line's rate the scheduler goes by, in per cent.
func believedShare(c config.Bond, serving []slot) uint64 {
	if shaped(c, serving) {
		return 100
	}
	return margin
}

// shape wants the shaper of a weighted bond whose packets are up to mtu bytes long.
//
// It has one framing for all lines: the largest overhead, and cells where any line has them. Of a line with another framing it counts what
// the line carries of packets of the mtu, in bytes of the shaper's framing. Smaller packets weigh more in that one than in the line's own,
// compared with those: so no line is given too much, of whatever size packets are. Lines that are all alike are used in full.
func (p *planner) shape(c config.Bond, mtu int, serving []slot) {
	if !shaped(c, serving) {
		return
	}
	s := netstate.Shaper{Device: c.Device}
	for _, l := range serving {
		s.Overhead = max(s.Overhead, l.Config.Overhead.Bytes)
		s.Cells = s.Cells || l.Config.Overhead.Cells
	}
	for i, rate := range uploads(serving) {
		s.Rate += inFraming(rate, serving[i].Config.Overhead, s, mtu)
	}
	s.Rate = s.Rate * shaperShare / 100
	p.State.Shapers = append(p.State.Shapers, s)
}

// inFraming returns what a line carries, in bit/s, counted in a shaper's framing. Cells are full there: a part of one would make a packet of
// just this size weigh more than its bytes, and others too little. Lines of cells are counted as they are, since a packet of the shaper's
// takes as many cells as theirs, or more.
func inFraming(rate uint64, line config.Overhead, s netstate.Shaper, mtu int) uint64 {
	if line.Cells {
		return rate
	}
	rate = rate * uint64(mtu+s.Overhead) / uint64(mtu+line.Bytes)
	if s.Cells {
		rate = rate * cell / cellPayload
	}
	return rate
}
