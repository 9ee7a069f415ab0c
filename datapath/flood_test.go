package datapath

import (
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"linebond/ppp"
)

func TestFloodCount(t *testing.T) {
	quiet, loud, start := station{2, 0, 0, 0, 0, 1}, station{2, 0, 0, 0, 0, 2}, time.Unix(0, 0)
	for _, test := range []struct {
		name  string
		send  func(f *flood) (over int)
		most  int // stations that are known afterwards
		wants int // how often one was too much
	}{
		{"as many as may be", func(f *flood) int { return repeat(f, loud, floodFrames, start) }, 1, 0},
		{"one more", func(f *flood) int { return repeat(f, loud, floodFrames+1, start) }, 1, 1},
		{"many more are told once", func(f *flood) int { return repeat(f, loud, 3*floodFrames, start) }, 1, 1},
		{"of two stations", func(f *flood) int {
			return repeat(f, loud, floodFrames, start) + repeat(f, quiet, floodFrames, start)
		}, 2, 0},
		{"in two windows", func(f *flood) int {
			return repeat(f, loud, floodFrames, start) + repeat(f, loud, floodFrames, start.Add(floodWindow))
		}, 1, 0},
		{"again in the next window", func(f *flood) int {
			return repeat(f, loud, floodFrames+1, start) + repeat(f, loud, floodFrames+1, start.Add(floodWindow))
		}, 1, 2},
		{"of more stations than there can be", func(f *flood) (over int) {
			for i := range 10 * mostCounted {
				over += repeat(f, station{2, 1, byte(i >> 8), byte(i)}, 1, start)
			}
			return over
		}, mostCounted + 1, 0},
	} {
		f := &flood{frames: map[station]int{}}
		if got := test.send(f); got != test.wants || len(f.frames) > test.most {
			t.Errorf("%s: %d times too much, want %d; %d stations known", test.name, got, test.wants, len(f.frames))
		}
	}
}

// repeat counts n frames and says how often that was too much.
func repeat(f *flood, from station, n int, at time.Time) (over int) {
	for range n {
		if f.count(from, at) {
			over++
		}
	}
	return over
}

// The whole address counts: nobody can have another barred whose address is like his own.
func TestRefuse(t *testing.T) {
	vm, err := bpf.NewVM(append(refuse(station{0xf2, 1, 2, 3, 4, 0xf5}), bpf.RetConstant{Val: 1}))
	must(t, err)
	for _, test := range []struct {
		from station
		want int
	}{
		{station{0xf2, 1, 2, 3, 4, 0xf5}, 0},
		{station{0xf0, 1, 2, 3, 4, 0xf5}, 1},
		{station{0xf2, 0, 2, 3, 4, 0xf5}, 1},
		{station{0xf2, 1, 0, 3, 4, 0xf5}, 1},
		{station{0xf2, 1, 2, 3, 4, 0xf6}, 1},
	} {
		got, err := vm.Run(append(make([]byte, addressLen), test.from[:]...))
		if err != nil || got != test.want {
			t.Errorf("from %x: %d, %v; want %d", test.from, got, err, test.want)
		}
	}
}

// A station that floods is barred for a while, others are heard.
func TestFlood(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			d := newDial(t, link.tags, link.bytes)
			s := d.open()
			socket := s.trunk.sessions
			barred := func() bool { return socket.bars(stranger) }
			eventually(t, "the flood to be noticed", func() bool {
				for range floodFrames {
					d.far.send(session(d.home.mac, stranger, d.tags, sessionID, uint16(ppp.LCP), echo('1')))
				}
				return barred()
			})
			d.send(ppp.LCP, echo('a'))
			next(t, s.Frames())
			if _, floods, err := s.trunk.trouble(); floods == 0 || err != nil {
				t.Errorf("%d floods were counted, %v", floods, err)
			}
			eventually(t, "the end of that", func() bool { return !barred() })
		})
	}
}

// Who is barred is not heard, and afterwards is again.
func TestBar(t *testing.T) {
	for _, link := range links {
		t.Run(link.name, func(t *testing.T) {
			d := newDial(t, link.tags, link.bytes)
			s := d.open()
			var other *Session
			d.home.in(func() {
				var err error
				other, err = d.home.path.OpenSession(SessionConfig{Link: d.link, AC: stranger, ID: sessionID})
				must(t, err)
			})
			t.Cleanup(func() { other.Close() })
			socket := s.trunk.sessions
			eventually(t, "a fence while the access concentrator is barred", func() bool {
				for len(s.Frames()) > 0 { // of a round in which it was not barred to the end
					<-s.Frames()
				}
				socket.bar(station(d.isp.mac))
				d.send(ppp.LCP, echo('a'))
				d.far.send(session(d.home.mac, stranger, d.tags, sessionID, uint16(ppp.LCP), echo('b')))
				next(t, other.Frames())
				still := socket.bars(d.isp.mac)
				if still && len(s.Frames()) > 0 {
					t.Error("it was heard")
				}
				return still
			})
			eventually(t, "the access concentrator to be heard again", func() bool {
				d.send(ppp.LCP, echo('z'))
				return len(s.Frames()) > 0
			})
		})
	}
}

// bars says whether a station is barred now.
func (s *socket) bars(mac net.HardwareAddr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.barred, station(mac))
}
