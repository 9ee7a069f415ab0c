package datapath

import (
	"slices"
	"time"

	"golang.org/x/net/bpf"
)

// A station that sends more than floodFrames in a floodWindow to one socket floods it: a thousand lines that are dialled at once are sent less
// by their access concentrator. It is not heard for floodPause, by the socket's filter, which costs next to nothing; else its frames, which
// the kernel brings faster than they can be read, would leave no room for those of others on the device. Most stations are at most barred
// together; who can send by more addresses than that, or by another station's, has the whole segment in his hands anyhow.
const (
	floodFrames = 5000
	floodWindow = 100 * time.Millisecond
	floodPause  = 500 * time.Millisecond
	mostBarred  = 8
	// mostCounted bounds the stations that are told apart in a window.
	mostCounted = 1024
)

// station is an Ethernet address.
type station [addressLen]byte

// A flood counts the frames of each station.
type flood struct {
	began  time.Time // the window
	frames map[station]int
}

// count counts one, and says whether it is the first that is too much.
func (f *flood) count(from station, now time.Time) bool {
	if now.Sub(f.began) >= floodWindow || len(f.frames) > mostCounted {
		f.began = now
		clear(f.frames)
	}
	f.frames[from]++
	return f.frames[from] == floodFrames+1
}

// bar has the socket not hear a station for a while.
func (s *socket) bar(from station) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.barred) == mostBarred || s.closed || slices.Contains(s.barred, from) {
		return
	}
	s.floods++
	s.barred = append(s.barred, from)
	if len(s.barred) == 1 {
		s.lifting = time.AfterFunc(floodPause, s.lift)
	}
	_ = s.filter() // without memory for it, the flood goes on
}

// lift has it hear all stations again.
func (s *socket) lift() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.barred = nil
	if s.filter() != nil { // the kernel has no memory at the moment
		s.lifting.Reset(floodPause)
	}
}

// filter sets the filter anew.
func (s *socket) filter() error {
	program, err := compile(s.barred, s.checks)
	if err != nil {
		return err
	}
	return s.conn.SetBPF(program)
}

// refuse drops the frames of a station:
//
//	ld [source + 2]; jne #its last four bytes, over; ldh [source]; jne #its first two, over; ret #0; over:
func refuse(s station) []bpf.Instruction {
	first, last := uint32(s[0])<<8|uint32(s[1]), uint32(s[2])<<24|uint32(s[3])<<16|uint32(s[4])<<8|uint32(s[5])
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: addressLen + 2, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: last, SkipTrue: 3},
		bpf.LoadAbsolute{Off: addressLen, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: first, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}
