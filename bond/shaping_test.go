package bond

import (
	"math/rand/v2"
	"testing"

	"linebond/config"
	"linebond/netstate"
)

// onWire is what a packet of so many bytes takes up, in bytes.
func onWire(bytes int, o config.Overhead) float64 {
	bytes += o.Bytes
	if o.Cells {
		return float64((bytes + cellPayload - 1) / cellPayload * cell)
	}
	return float64(bytes)
}

// shaperOf is that of lines with these framings, and the rates of the lines.
func shaperOf(r *rand.Rand, mtu int, framings []config.Overhead) (s netstate.Shaper, rates []uint64) {
	var lines []slot
	for _, o := range framings {
		rates = append(rates, 64_000+r.Uint64N(100_000_000))
		l := slot{Member: Member{}, record: &record{in: true}}
		l.Config.Upload, l.Config.Overhead = config.Rate(rates[len(rates)-1]), o
		lines = append(lines, l)
	}
	p := &planner{}
	p.shape(config.Bond{Device: "wanbond0", Shaping: config.ShapingCake}, mtu, lines)
	return p.State.Shapers[0], rates
}

// Whatever the lines' framings are, a queue full of packets of one size gives no line more than it carries; and lines that are alike 99 %,
// as those that differ in bytes alone, with packets of the MTU.
func TestShaperFillsNoLine(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for range 300 {
		mtu := 576 + r.IntN(925)
		framings := []config.Overhead{{Bytes: 14 + r.IntN(60), Cells: r.IntN(2) == 0}}
		for range 1 + r.IntN(4) {
			other := config.Overhead{Bytes: 14 + r.IntN(60), Cells: r.IntN(2) == 0}
			if r.IntN(2) == 0 {
				other = framings[0]
			}
			framings = append(framings, other)
		}
		s, rates := shaperOf(r, mtu, framings)
		alike, cells := true, false
		for _, o := range framings {
			alike, cells = alike && o == framings[0], cells || o.Cells
		}
		for bytes := 20; bytes <= mtu; bytes++ {
			lines := 0.0 // packets of this size that they carry, in bit/s of such packets
			for i, o := range framings {
				lines += float64(rates[i]) / onWire(bytes, o)
			}
			used := float64(s.Rate) / onWire(bytes, config.Overhead{Bytes: s.Overhead, Cells: s.Cells}) / lines
			exact := alike || !cells && bytes == mtu
			if used > 0.990001 || exact && used < 0.98999 {
				t.Fatalf("lines %v of %v, %s: packets of %d bytes fill %.4f", rates, framings, s, bytes, used)
			}
		}
	}
}
