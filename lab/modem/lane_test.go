package modem

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// fixed hands out the numbers given, and then none of the chances comes true.
func fixed(numbers ...float64) func() float64 {
	return func() float64 {
		if len(numbers) == 0 {
			return 0.999
		}
		n := numbers[0]
		numbers = numbers[1:]
		return n
	}
}

// sized is a frame that takes the bits on the line, named by its first byte.
func sized(name byte, bits int) []byte {
	frame := make([]byte, bits/8-Overhead)
	frame[0] = name
	return frame
}

// play puts a frame of 10,000 bits at each of the times, takes whenever the lane asks for it, and tells what came out: "a@10ms".
func play(l *lane, puts []time.Duration) string {
	var out []string
	take := func(now time.Duration) {
		for frame, ok := l.take(now); ok; frame, ok = l.take(now) {
			out = append(out, fmt.Sprintf("%c@%v", frame[0], now))
		}
	}
	for i := 0; ; {
		at, some := l.next()
		switch {
		case i < len(puts) && (!some || puts[i] <= at):
			l.put(puts[i], sized('a'+byte(i%26), 10_000))
			take(puts[i])
			i++
		case some:
			take(at)
		default:
			return strings.Join(out, " ")
		}
	}
}

func TestLane(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Direction
		random []float64
		puts   []time.Duration
		want   string
	}{
		{"a cable", Direction{}, nil, []time.Duration{0, 0, 5 * ms}, "a@0s b@0s c@5ms"},
		{"the first frame takes its time too", Direction{Rate: 1e6}, nil, []time.Duration{0, 0, 0}, "a@10ms b@20ms c@30ms"},
		{"no credit for silence", Direction{Rate: 1e6}, nil, []time.Duration{0, 100 * ms, 100 * ms}, "a@10ms b@110ms c@120ms"},
		{"a frame in time to follow", Direction{Rate: 1e6}, nil, []time.Duration{0, 4 * ms, 20 * ms}, "a@10ms b@20ms c@30ms"},
		{"delay", Direction{Delay: 7 * ms}, nil, []time.Duration{0, 1 * ms}, "a@7ms b@8ms"},
		{"rate and delay", Direction{Rate: 1e6, Delay: 7 * ms}, nil, []time.Duration{0, 0}, "a@17ms b@27ms"},
		{"jitter keeps the order", Direction{Delay: 1 * ms, Jitter: 10 * ms}, []float64{0.5, 0, 0.9},
			[]time.Duration{0, 1 * ms, 2 * ms}, "a@6ms b@6ms c@12ms"},
		{"a full queue", Direction{Rate: 1e6, Queue: 2500}, nil, []time.Duration{0, 0, 0, 10 * ms, 10 * ms}, "a@10ms b@20ms d@30ms"},
		{"a queue too small for a frame", Direction{Rate: 1e6, Queue: 1}, nil, []time.Duration{0, 5 * ms, 10 * ms}, "a@10ms c@20ms"},
		{"loss takes time on the line", Direction{Rate: 1e6, Loss: 0.5}, []float64{0.4, 0.6}, []time.Duration{0, 0}, "b@20ms"},
		{"duplicate", Direction{Rate: 1e6, Duplicate: 0.1}, []float64{0.05}, []time.Duration{0, 0}, "a@10ms a@10ms b@20ms"},
		{"reorder", Direction{Rate: 1e6, Reorder: 0.1}, []float64{0.05}, []time.Duration{0, 0, 0}, "b@20ms a@20ms c@30ms"},
		{"reorder where none follows", Direction{Rate: 1e6, Reorder: 0.1}, []float64{0.05}, []time.Duration{0, 50 * ms}, "a@30ms b@60ms"},
		{"reorder where the next is lost", Direction{Rate: 1e6, Reorder: 0.1, Loss: 0.1}, []float64{0.5, 0.05, 0.05},
			[]time.Duration{0, 0, 0}, "c@30ms a@30ms"},
		{"reorder and duplicate", Direction{Rate: 1e6, Reorder: 0.1, Duplicate: 0.1}, []float64{0.05, 0.05}, []time.Duration{0, 0},
			"b@20ms b@20ms a@20ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &lane{config: test.config, random: fixed(test.random...)}
			if got := play(l, test.puts); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Whoever asks late gets the same frames in the same order, and the line has lost no time by that.
func TestLaneAskedLate(t *testing.T) {
	config := Direction{Rate: 1e6, Delay: 3 * ms, Jitter: 20 * ms, Loss: 0.2, Duplicate: 0.2, Reorder: 0.3}
	puts := make([]time.Duration, 200)
	for i := range puts {
		puts[i] = time.Duration(i*i%37) * ms
		if i > 0 {
			puts[i] += puts[i-1]
		}
	}
	names := func(timed string) (names string) {
		for _, f := range strings.Fields(timed) {
			names += f[:strings.IndexByte(f, '@')]
		}
		return names
	}
	inTime := &lane{config: config, random: rand.New(rand.NewPCG(1, 2)).Float64}
	want := names(play(inTime, puts))
	late := &lane{config: config, random: rand.New(rand.NewPCG(1, 2)).Float64}
	for i, at := range puts {
		late.put(at, sized('a'+byte(i%26), 10_000))
	}
	var got string
	for frame, ok := late.take(time.Hour); ok; frame, ok = late.take(time.Hour) {
		got += string(rune(frame[0]))
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if inTime.lost != late.lost || inTime.duplicated != late.duplicated || inTime.reordered != late.reordered || late.reordered == 0 {
		t.Errorf("in time %+v, late %+v", counted(inTime), counted(late))
	}
}

// A frame that is put after its time goes as if it had been put in time, as long as what went before is as it was.
func TestLanePutLate(t *testing.T) {
	l := &lane{config: Direction{Rate: 1e6}, random: fixed()}
	l.put(0, sized('a', 10_000))
	l.take(15 * ms)
	l.put(8*ms, sized('b', 10_000)) // while a was being sent
	l.take(70 * ms)
	l.put(50*ms, sized('c', 10_000)) // on an idle line
	l.put(55*ms, sized('d', 10_000))
	var got []time.Duration
	for at, some := l.next(); some; at, some = l.next() {
		got = append(got, at)
		l.take(at)
	}
	if want := []time.Duration{60 * ms, 70 * ms}; !slices.Equal(got, want) || l.last != 70*ms {
		t.Errorf("c and d arrive at %v, want %v", got, want)
	}
}

func counted(l *lane) []uint64 {
	return []uint64{l.received, l.dropped, l.lost, l.duplicated, l.reordered}
}

// Over any time the line has sent what its rate allows, to the bit.
func TestLaneRate(t *testing.T) {
	for _, size := range []int{42, 60, 1526, 9014} {
		l := &lane{config: Direction{Rate: 7_654_321, Queue: 1 << 24}, random: fixed()}
		const frames = 1000
		for range frames {
			l.put(0, make([]byte, size))
		}
		want := time.Duration(float64(frames*(max(size, 60)+24)*8) / 7_654_321 * 1e9)
		var last time.Duration
		for at, ok := l.next(); ok; at, ok = l.next() {
			last = at
			for _, ok := l.take(at); ok; _, ok = l.take(at) {
			}
		}
		if off := want - last; off < 0 || off > frames*time.Nanosecond {
			t.Errorf("%d frames of %d bytes took %v, want %v", frames, size, last, want)
		}
	}
}

func TestLaneSet(t *testing.T) {
	for _, test := range []struct {
		name string
		to   Direction
		want string
	}{
		{"faster", Direction{Rate: 2e6}, "a@7.5ms b@12.5ms"},
		{"slower", Direction{Rate: 5e5}, "a@15ms b@35ms"},
		{"unlimited", Direction{}, "a@5ms b@5ms"},
		{"less delay", Direction{Rate: 1e6, Delay: 1 * ms}, "a@11ms b@21ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &lane{config: Direction{Rate: 1e6}, random: fixed()}
			l.put(0, sized('a', 10_000))
			l.put(0, sized('b', 10_000))
			l.set(5*ms, test.to)
			if got := play(l, nil); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A frame that flies is not overtaken by one that was sent after the delay became less.
func TestLaneSetKeepsOrder(t *testing.T) {
	l := &lane{config: Direction{Delay: 50 * ms}, random: fixed()}
	l.put(0, sized('a', 10_000))
	l.set(1*ms, Direction{Delay: 1 * ms})
	l.put(1*ms, sized('b', 10_000))
	if got, want := play(l, nil), "a@50ms b@50ms"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLaneBlackHole(t *testing.T) {
	l := &lane{config: Direction{Rate: 1e6, Delay: 100 * ms, Reorder: 1}, random: fixed(0)}
	for i := range byte(3) { // by 25 ms the first is held, the second and the first fly, the third is being sent
		l.put(0, sized('a'+i, 10_000))
	}
	l.advance(25 * ms)
	l.blackHole(true)
	l.put(26*ms, sized('d', 10_000))
	if at, ok := l.next(); ok {
		t.Errorf("something is to come out at %v", at)
	}
	l.blackHole(false)
	l.config.Reorder = 0
	l.put(200*ms, sized('e', 10_000))
	if got, want := play(l, nil), "e@310ms"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := counted(l), []uint64{5, 0, 4, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("received, dropped, lost, duplicated, reordered: got %v, want %v", got, want)
	}
	if l.waitingBytes != 0 || l.flyingBytes != 0 {
		t.Errorf("%d bytes wait and %d fly in an empty lane", l.waitingBytes, l.flyingBytes)
	}
}

// Without a rate the frames that fly are bounded all the same.
func TestLaneMemory(t *testing.T) {
	l := &lane{config: Direction{Delay: time.Hour, Duplicate: 1}, random: fixed()}
	for range 2 * memory / 9014 {
		l.put(0, make([]byte, 9014))
	}
	if l.flyingBytes > memory+9014 || l.dropped == 0 { // a duplicate that had no room shares its frame with the original
		t.Errorf("%d bytes fly, %d frames were dropped", l.flyingBytes, l.dropped)
	}
}

func TestDefaultQueue(t *testing.T) {
	for _, test := range []struct {
		config Direction
		want   int
	}{
		{Direction{}, 65536},
		{Direction{Rate: 1e6}, 65536},
		{Direction{Rate: 100e6}, 1_250_000},
		{Direction{Rate: 1e18}, 12_500_000_000_000_000},
		{Direction{Rate: 100e6, Queue: 3000}, 3000},
	} {
		if got := test.config.queue(); got != test.want {
			t.Errorf("%+v: got %d, want %d", test.config, got, test.want)
		}
	}
}
