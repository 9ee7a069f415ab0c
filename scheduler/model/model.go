// Package model is the scheduler's choice of a line for each packet, in Go: what bpf/scheduler.c does in the kernel, number by number.
//
// The choice is "earliest delivery first": of the lines that are in, a packet takes the one on which it arrives first,
//
//	arrival = max(now, busy) + bytes x pace + delay
//
// and busy, the time at which all that was handed to the line will have left, moves on by the packet. So packets arrive in the order in
// which they were sent, whatever the lines' rates and delays are, and lines that are all loaded have shares as their rates.
//
// The rates are only believed. Where they are lower than the truth, or the load is more than the lines can carry, busy would run away.
// So when the backlogs (busy - now) of all lines are above the cap, the excess is taken off all of them: no packet is dropped, and a
// saturated bond shares its bytes by the rates.
//
// A line is silent that was sent something and has given nothing back for DeadAfter. It is passed over while another one is not. It is
// asked again when something is heard of it; when all are silent, they all are used. Silence says nothing
//
//	while nobody sends echo requests, which are what must be answered: the daemon is away, or stands still. So the last but one of
//	them must be younger than half of DeadAfter after the packet that was not answered;
//	while we ourselves keep answers away. Echoes wait in the queue of the line's modem behind what we send, and those that find it full
//	are lost. Deep is a guess at that queue: a backlog like busy, of which nothing is forgiven. A packet counts 7/8, so that a
//	line which TCP keeps just full, and which is believed to be a little slower than it is, has none. By so much silence may be
//	longer, but by no more than Patience.
//
// All is integer arithmetic: nanoseconds of one monotonic clock, bytes, and a pace in nanoseconds per byte x 2^20. With the ranges that
// units.go gives, and packets of less than 2^19 bytes (the kernel's longest), nothing overflows: a packet takes less than 2^43 ns, and no
// line has more backlog than the cap, the spread of the delays and one packet.
package model

import "math"

// MaxLines is how many lines a bond can have.
const MaxLines = 16

// Config is what the scheduler is told: the value of the map `config`, byte for byte.
type Config struct {
	Cap       uint64 // of the backlog that all lines have, ns
	DeadAfter uint64 // ns; 0: no line is ever silent
	Patience  uint64 // ns by which at most a loaded line may be silent for longer
	Count     uint64 // places in use: no line is at this one or behind
	Lines     [MaxLines]Line
}

// Line is what it is told of one line.
type Line struct {
	Device   uint32   // index; 0: there is no line in this place
	Epoch    uint32   // another number than before: the line is new, has no backlog, and is counted from 0
	Pace     uint64   // ns per byte x 2^20, from Pace
	Delay    uint64   // one way, ns; only differences matter
	Overhead uint32   // bytes that the line adds to an IP packet
	Cells    uint32   // 1: packet and overhead travel in ATM cells
	Name     [16]byte // of the device; for the loader
}

// State is what the scheduler remembers and counts: the value of the map `state`, byte for byte.
type State struct {
	Lock, _     uint32 // the kernel's
	Latest      uint64 // when the last of the packets so far arrives
	Packets     uint64
	Late        uint64 // of them, those that arrive before one that was sent earlier
	NoLine      uint64 // dropped: no line was in
	NotIP       uint64 // dropped
	Unsegmented uint64 // packets that the kernel should have cut into segments before; they went out as they were
	Lines       [MaxLines]LineState
	_           [12]uint64 // the kernel's
}

// LineState is what it remembers of one line.
type LineState struct {
	Busy    uint64 // when all that was handed to the line will have left
	Asked   uint64 // when the line was sent the first packet since it was heard of last
	Deep    uint64 // when the line's modem has nothing left to send, as a guess; 0 at first
	Packets uint64
	Bytes   uint64 // of IP
	Wire    uint64 // bytes as charged: with Overhead, in cells
	Passed  uint64 // packets that went elsewhere because the line was silent
	Epoch   uint32
	_       uint32
}

// Stamps is what was seen of the lines: the value of the map `stamps`, byte for byte.
type Stamps struct {
	Heard  [MaxLines]uint64 // when something came last
	Echoed [MaxLines]uint64 // when the last echo request but one was sent
}

// best is the line on which a packet arrives first, so far.
type best struct {
	place         int    // -1: none
	wire          uint64 // bytes that it takes
	done, arrival uint64 // when the packet has left, and when it arrives
	least         uint64 // the smallest busy of all the lines considered, or now
}

// nowhere is where a packet never arrives.
var nowhere = best{place: -1, arrival: math.MaxUint64, least: math.MaxUint64}

func (b *best) consider(offer best) {
	least := min(b.least, offer.least)
	if offer.arrival < b.arrival {
		*b = offer
	}
	b.least = least
}

// Choose takes an IP packet of a length in bytes. It returns the place of the line that is to carry it, or false if there is none.
func (s *State) Choose(c *Config, seen *Stamps, now, length uint64) (place int, ok bool) {
	any, speaking := nowhere, nowhere
	for i := range int(min(c.Count, MaxLines)) {
		line, at := &c.Lines[i], &s.Lines[i]
		if line.Device == 0 {
			continue
		}
		if at.Epoch != line.Epoch {
			*at = LineState{Epoch: line.Epoch, Busy: now}
		}
		start := max(now, at.Busy)
		wire := line.wire(length)
		done := start + line.time(wire)
		offer := best{i, wire, done, done + line.Delay, start}
		any.consider(offer)
		if !s.Silent(i, c, seen, now) {
			speaking.consider(offer)
		}
	}
	if any.place < 0 {
		s.NoLine++
		return 0, false
	}
	taken := speaking
	if taken.place < 0 {
		taken = any
	} else if taken.place != any.place {
		s.Lines[any.place].Passed++
	}
	s.take(c, seen, now, length, taken)
	return taken.place, true
}

// Silent says whether the line at a place owes an answer for too long. (The clocks of two processors may differ a little: now can be before
// Asked.)
func (s *State) Silent(place int, c *Config, seen *Stamps, now uint64) bool {
	at := &s.Lines[place]
	due := at.Asked + c.DeadAfter
	if c.DeadAfter == 0 || now < due || at.Asked <= seen.Heard[place] {
		return false
	}
	return seen.Echoed[place] >= at.Asked+c.DeadAfter/2 && now-due >= max(at.Deep, now)-now
}

// take hands a packet to its line.
func (s *State) take(c *Config, seen *Stamps, now, length uint64, taken best) {
	at, done, arrival := &s.Lines[taken.place], taken.done, taken.arrival
	if limit := now + c.Cap; taken.least > limit {
		excess := taken.least - limit
		s.forgive(c, excess)
		done, arrival = done-excess, arrival-excess
	}
	at.Busy = done
	took := c.Lines[taken.place].time(taken.wire)
	at.Deep = min(max(at.Deep, now)+took-took/8, now+c.Patience)
	if at.Asked <= seen.Heard[taken.place] {
		at.Asked = now
	}
	at.Packets++
	at.Bytes += length
	at.Wire += taken.wire
	s.Packets++
	if arrival < s.Latest {
		s.Late++
	} else {
		s.Latest = arrival
	}
}

// forgive takes the excess off all backlogs.
func (s *State) forgive(c *Config, excess uint64) {
	for i := range int(min(c.Count, MaxLines)) {
		if at := &s.Lines[i]; at.Busy > excess {
			at.Busy -= excess
		}
	}
	if s.Latest > excess {
		s.Latest -= excess
	}
}
