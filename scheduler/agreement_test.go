package scheduler

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linebond/scheduler/model"
)

const (
	shot       = 2 // TC_ACT_SHOT
	redirected = 7 // TC_ACT_REDIRECT
)

// simulator is the program with a clock that the test sets.
type simulator struct {
	*testing.T
	programs programsObjects
	random   *rand.Rand

	now    uint64
	config model.Config
	state  model.State
	seen   model.Stamps
}

func newSimulator(t *testing.T) *simulator {
	t.Helper()
	spec, err := loadPrograms()
	must(t, err)
	s := &simulator{T: t}
	must(t, spec.Variables["simulated"].Set(uint8(1)))
	must(t, spec.LoadAndAssign(&s.programs, nil))
	t.Cleanup(func() { s.programs.Close() })
	return s
}

// The model and the program agree after each packet of 10,000 histories: on the line, and on all that they remember and count.
func TestAgreement(t *testing.T) {
	s := newSimulator(t)
	var packets, passed, late, forgiven uint64
	histories := uint64(10_000)
	if testing.Short() {
		histories = 500
	}
	for history := range histories {
		s.random = rand.New(rand.NewPCG(history, 5))
		s.begin()
		for range 10 + s.random.IntN(40) {
			s.something()
			latest := s.state.Latest
			s.packet(history)
			if s.state.Latest < latest {
				forgiven++
			}
		}
		for _, l := range s.state.Lines {
			packets += l.Packets
			passed += l.Passed
		}
		late += s.state.Late
	}
	t.Logf("%d packets; %d passed over a silent line, %d late, %d times an excess was forgiven", packets, passed, late, forgiven)
	if min(packets, passed, late, forgiven) < histories/10 {
		t.Error("the histories are too dull")
	}
}

// begin makes a new bond.
func (s *simulator) begin() {
	s.now = uint64(s.any(int64(time.Second), int64(1000*time.Hour)))
	s.config, s.state, s.seen = model.Config{}, model.State{}, model.Stamps{}
	s.config.Count = uint64(s.random.IntN(model.MaxLines + 1))
	s.config.Cap = uint64(s.any(int64(model.MinCap), int64(200*time.Millisecond)))
	if s.random.IntN(4) > 0 {
		s.config.DeadAfter = uint64(s.any(1, int64(500*time.Millisecond)))
		s.config.Patience = uint64(s.any(0, int64(5*time.Second)))
	}
	for i := range s.config.Count {
		s.config.Lines[i] = s.line()
	}
	s.write()
}

// any is a number from a range, of any order of magnitude.
func (s *simulator) any(least, most int64) int64 {
	span := most - least
	return least + s.random.Int64N(1+span>>s.random.IntN(30))
}

func (s *simulator) line() model.Line {
	if s.random.IntN(8) == 0 {
		return model.Line{}
	}
	rate := uint64(s.any(1_000_000, 1_000_000_000))
	if s.random.IntN(10) == 0 {
		rate = uint64(s.any(model.MinRate, model.MaxRate))
	}
	pace, err := model.Pace(rate)
	must(s.T, err)
	return model.Line{
		Device: 1 + s.random.Uint32N(1000), Epoch: s.random.Uint32N(5), Pace: pace, Delay: uint64(s.any(0, int64(100*time.Millisecond))),
		Overhead: uint32(s.random.IntN(model.MaxOverhead)), Cells: uint32(s.random.IntN(4) / 3),
	}
}

// something happens between two packets, or only time passes.
func (s *simulator) something() {
	i := s.random.IntN(model.MaxLines)
	switch s.random.IntN(14) {
	case 0:
		s.seen.Heard[i] = s.now
	case 1:
		s.config.Lines[i] = s.line()
	case 2:
		s.config.Lines[i].Epoch++
	case 3:
		s.seen.Echoed[i] = s.now - min(s.now, uint64(s.any(0, int64(time.Second))))
	case 4:
		for i := range s.seen.Echoed {
			s.seen.Echoed[i] = s.now
		}
	case 5:
		s.now -= min(s.now, 1000) // another processor's clock
	case 6, 7:
		s.now += uint64(s.any(0, int64(time.Second)))
	default:
		s.now += uint64(s.any(0, int64(time.Millisecond)))
		return
	}
	s.write()
}

func (s *simulator) write() {
	must(s.T, s.programs.Config.Put(uint32(0), s.config))
	must(s.T, s.programs.Stamps.Put(uint32(0), s.seen))
	if s.state == (model.State{}) {
		must(s.T, s.programs.State.Put(uint32(0), s.state))
	}
}

// packet has both choose a line for a packet.
func (s *simulator) packet(history uint64) {
	length := 40 + s.random.IntN(1461) // the kernel tests with no less than an IPv6 header
	place, ok := s.state.Choose(&s.config, &s.seen, s.now, uint64(length))
	verdict := s.run(s.programs.Choose, etherTypes[s.random.IntN(2)], length)
	if ok != (verdict == redirected) {
		s.Fatalf("history %d: the model's line: %d, %v; the program's verdict: %d", history, place, ok, verdict)
	}
	var state model.State
	must(s.T, s.programs.State.Lookup(uint32(0), &state))
	if state != s.state {
		diff := cmp.Diff(s.state, state, cmpopts.IgnoreUnexported(model.State{}, model.LineState{}))
		s.Fatalf("history %d, line %d: the program's state is another than the model's (-model +program):\n%s", history, place, diff)
	}
}

var etherTypes = []uint16{0x0800, 0x86dd}

// run has a program handle a packet.
func (s *simulator) run(p *ebpf.Program, etherType uint16, length int) uint32 {
	const tstamp, size = 152, 192 // of struct __sk_buff
	context := make([]byte, size)
	binary.NativeEndian.PutUint64(context[tstamp:], s.now)
	data := make([]byte, 14+length)
	binary.BigEndian.PutUint16(data[12:], etherType)
	verdict, err := p.Run(&ebpf.RunOptions{Data: data, Context: context})
	must(s.T, err)
	return verdict
}

// What is not IP is dropped and counted.
func TestNotIP(t *testing.T) {
	s := newSimulator(t)
	s.config = model.Config{Count: 1, Lines: [model.MaxLines]model.Line{{Device: 1, Pace: 1}}}
	s.write()
	if verdict := s.run(s.programs.Choose, 0x0806, 28); verdict != shot {
		t.Errorf("verdict %d", verdict)
	}
	must(t, s.programs.State.Lookup(uint32(0), &s.state))
	if s.state != (model.State{NotIP: 1}) {
		t.Errorf("%+v", s.state)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
