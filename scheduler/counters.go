package scheduler

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"linebond/scheduler/model"
)

// Counters are what has been counted.
type Counters struct {
	Lines []LineCounters // that are in, by their places

	Packets     uint64 // to lines, also such as have left
	Late        uint64 // of them, those that ought to arrive before one that was sent earlier: an estimate of disorder
	NoLine      uint64 // dropped: no line was in
	NotIP       uint64 // dropped
	Unsegmented uint64 // packets that had not been cut into segments: somebody has changed gso_max_segs of the bond device
}

// LineCounters are one line's, since it was put in.
type LineCounters struct {
	Device  string
	Packets uint64
	Bytes   uint64        // of IP
	Wire    uint64        // bytes that these packets take on the line: with its overhead, in cells
	Passed  uint64        // packets that went elsewhere because the line was silent
	Backlog time.Duration // until all that was handed to the line will have left, as its rate has it
	Silent  bool          // now
}

// Counters reads them.
func (s *Scheduler) Counters() (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == nil {
		return Counters{}, fmt.Errorf("the bond %s: %w", s.device, errClosed)
	}
	var state model.State
	var seen model.Stamps
	if err := s.programs.State.LookupWithFlags(only, &state, ebpf.LookupLock); err != nil {
		return Counters{}, fmt.Errorf("the bond %s: reading its state: %w", s.device, err)
	}
	if err := s.programs.Stamps.Lookup(only, &seen); err != nil {
		return Counters{}, fmt.Errorf("the bond %s: reading its stamps: %w", s.device, err)
	}
	now, err := monotonic()
	if err != nil {
		return Counters{}, err
	}
	return count(&s.config, &state, &seen, now), nil
}

func count(c *model.Config, state *model.State, seen *model.Stamps, now uint64) Counters {
	all := Counters{Packets: state.Packets, Late: state.Late, NoLine: state.NoLine, NotIP: state.NotIP, Unsegmented: state.Unsegmented}
	for i := range c.Lines {
		line, at := &c.Lines[i], &state.Lines[i]
		if line.Device == 0 {
			continue
		}
		l := LineCounters{Device: nameOf(line)}
		if at.Epoch == line.Epoch { // else the line is new, and no packet has come since
			l.Packets, l.Bytes, l.Wire, l.Passed = at.Packets, at.Bytes, at.Wire, at.Passed
			l.Backlog = time.Duration(max(at.Busy, now) - now)
			l.Silent = state.Silent(i, c, seen, now)
		}
		all.Lines = append(all.Lines, l)
	}
	return all
}
