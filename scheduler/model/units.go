package model

import (
	"fmt"
	"time"
)

// Ranges of what a Config holds.
const (
	MinRate = 1_000             // bit/s
	MaxRate = 1_000_000_000_000 // bit/s; there, the pace is off by at most 0.006 %

	MaxDelay     = 10 * time.Second
	MaxDeadAfter = 10 * time.Minute
	MaxPatience  = 10 * time.Minute
	MaxOverhead  = 1_000 // bytes

	MinCap = time.Millisecond
	MaxCap = 10 * time.Second
)

const paceShift = 20

// ATM cells (ITU-T I.361): 48 of 53 bytes are payload.
const (
	cell    = 53
	payload = 48
)

// Pace is the time that a byte takes at a rate in bits per second, in ns x 2^20, rounded.
func Pace(rate uint64) (uint64, error) {
	if rate < MinRate || rate > MaxRate {
		return 0, fmt.Errorf("the rate of %d bit/s is out of range: it must be from 1 kbit/s to 1 Tbit/s", rate)
	}
	return (8e9<<paceShift + rate/2) / rate, nil
}

// Nanoseconds checks a duration, by its name in the error, and gives it in ns.
func Nanoseconds(name string, d, least, most time.Duration) (uint64, error) {
	if d < least || d > most {
		return 0, fmt.Errorf("the %s of %v is out of range: it must be from %v to %v", name, d, least, most)
	}
	return uint64(d), nil
}

// Overhead checks the bytes that a line adds to a packet.
func Overhead(bytes int) (uint32, error) {
	if bytes < 0 || bytes > MaxOverhead {
		return 0, fmt.Errorf("the overhead of %d bytes is out of range: it must be from 0 to %d", bytes, MaxOverhead)
	}
	return uint32(bytes), nil
}

// wire is how many bytes an IP packet of this length takes on the line.
func (l *Line) wire(length uint64) uint64 {
	bytes := length + uint64(l.Overhead)
	if l.Cells != 0 {
		bytes = (bytes + payload - 1) / payload * cell
	}
	return bytes
}

// time is how long these bytes take on the line, in ns.
func (l *Line) time(wire uint64) uint64 { return wire * l.Pace >> paceShift }
