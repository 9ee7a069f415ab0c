package netstate

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func wantShaper(r *rand.Rand, s *State) {
	if r.IntN(3) > 0 {
		s.Shapers = append(s.Shapers, Shaper{Device: testScheduler, Rate: uint64(8 * (1 + r.IntN(3))), Overhead: pick(r, 0, 14, 40), Cells: r.IntN(2) == 0})
	}
}

func (m *model) changeShaper(op Op) error {
	switch o := op.(type) {
	case SetShaper:
		s := o.Shaper
		if !m.links[s.Device].Weighted {
			return fmt.Errorf("%s: is no device of a weighted bond", o)
		}
		s.Kind = ShaperCake
		if h, ours := m.shapers[s.Device]; ours {
			s.Kind = h.Kind
		}
		m.shapers[s.Device] = s
	case DeleteShaper:
		if _, ours := m.shapers[o.Device]; !ours {
			return fmt.Errorf("%s: there is %v", o, m.shapers)
		}
		delete(m.shapers, o.Device)
	}
	return nil
}

// disturbShaper has another program delete, replace or change a shaper, or an earlier process have had another kernel.
func (m *model) disturbShaper(r *rand.Rand) {
	delete(m.shapers, testScheduler)
	if r.IntN(2) == 0 {
		m.shapers[testScheduler] = Shaper{Device: testScheduler, Rate: pick(r, uint64(0), 8), Overhead: 14, Kind: pick(r, ShaperTBF, ShaperCake)}
	}
}

// checkShaped wants the shapers to be as wanted.
func (m *model) checkShaped(t *testing.T, want State) {
	t.Helper()
	wanted := map[string]Shaper{}
	for _, s := range want.normal().Shapers {
		wanted[s.Device] = s
	}
	for device, l := range m.links {
		w, isWanted := wanted[device]
		h, ours := m.shapers[device]
		w.Kind = h.Kind
		if l.Weighted && (ours != isWanted || h != w) {
			t.Errorf("the shaper of %s is %v, want %v", device, h, wanted)
		}
	}
}
