package netstate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiffShapers(t *testing.T) {
	shaper := func(s Shaper) func(*State) {
		return func(state *State) { s.Device = "wanbond0"; state.Shapers = []Shaper{s} }
	}
	want := scheduled().with(shaper(Shaper{Rate: 24_500_007, Overhead: 40, Cells: true}))
	ours := Shaper{Rate: 24_500_000, Overhead: 40, Cells: true, Kind: ShaperTBF}
	faster, changed := ours, ours
	faster.Rate, changed.Rate = 30_000_000, 0
	const set = "tc qdisc replace dev wanbond0 root handle 108: cake bandwidth 24500000bit dual-srchost nat overhead 40 atm"
	tests := []struct {
		name       string
		want, have State
		ops        []string
	}{
		{"as it should be, of whatever kind", want, scheduled().with(shaper(ours)), nil},
		{"set on a device that is there", want, scheduled(), []string{set}},
		{"set in another rate", want, scheduled().with(shaper(faster)), []string{set}},
		{"changed by somebody", want, scheduled().with(shaper(changed)), []string{set}},
		{"not wanted", scheduled(), scheduled().with(shaper(ours)), []string{"tc qdisc delete dev wanbond0 root"}},
		{
			"no overhead is less than Ethernet's", scheduled().with(shaper(Shaper{Rate: 8})),
			scheduled().with(shaper(Shaper{Rate: 8, Overhead: 14, Kind: ShaperCake})), nil,
		},
		{
			"after lines have come in, before the route",
			want,
			scheduled().with(func(s *State) {
				s.Schedulers, s.Addresses, s.Routes, s.Links[2].Up = []Scheduler{{Device: "wanbond0"}}, nil, nil, false
			}),
			[]string{
				"ip link set dev wanbond0 up",
				"# packets by " + scheduled().normal().Schedulers[0].String(),
				set,
				"ip address replace 203.0.113.10/32 dev wanbond0",
				"ip route append default dev wanbond0 proto 108 metric 100",
			},
		},
		{
			"not before its device, which is made in another round",
			want.with(func(s *State) { s.Links = s.Links[2:] }), State{},
			[]string{"ip link add wanbond0 type veth # with an eBPF scheduler, unless it is there"},
		},
		{
			"not on a device of another kind",
			want, scheduled().with(func(s *State) { s.Links[2] = Link{Name: "wanbond0"}; s.Addresses, s.Routes = nil, nil }), nil,
		},
		{
			"goes with its device", State{},
			State{Links: []Link{{Name: "wanbond0", Weighted: true, Ours: true}}}.with(shaper(ours)), []string{"ip link delete dev wanbond0"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var ops []string
			for _, op := range Diff(test.want, test.have) {
				ops = append(ops, op.String())
			}
			if diff := cmp.Diff(test.ops, ops); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestShaperText(t *testing.T) {
	s := State{Shapers: []Shaper{
		{Device: "wanbond1", Rate: 8_000_000, Overhead: 46, Kind: ShaperTBFCoDel},
		{Device: "wanbond0", Rate: 24_500_007, Cells: true},
	}}
	const want = "qdisc cake dev wanbond0 root bandwidth 24500000bit overhead 14 atm\nqdisc tbf+fq_codel dev wanbond1 root bandwidth 8000000bit overhead 46"
	if got := s.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
