package netstate

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scheduled is a weighted bond of two lines in full work.
func scheduled() State {
	return State{
		Links: []Link{
			{Name: "ppp-a", Line: true, Up: true, MTU: 1492},
			{Name: "ppp-b", Line: true, Up: true, MTU: 1480},
			{Name: "wanbond0", Weighted: true, Ours: true, Up: true, MTU: 1480},
		},
		Addresses: []Address{testAddress("wanbond0", "203.0.113.10/32")},
		Routes:    []Route{{Destination: DefaultIPv4, Device: "wanbond0", Metric: 100}},
		Schedulers: []Scheduler{{Device: "wanbond0", DeadAfter: time.Second, Lines: []ScheduledLine{
			{Device: "ppp-b", Rate: 4_750_000, Overhead: 40, Cells: true, Delay: 15 * time.Millisecond},
			{Device: "ppp-a", Rate: 19_000_000, Overhead: 30},
		}}},
	}
}

func TestDiffSchedulers(t *testing.T) {
	const both = "wanbond0 dead-after 1s: ppp-a rate 19000000bit delay 0s overhead 30, ppp-b rate 4750000bit delay 15ms overhead 40 atm"
	const a = "wanbond0 dead-after 1s: ppp-a rate 19000000bit delay 0s overhead 30"
	lines := func(change func([]ScheduledLine) []ScheduledLine) func(*State) {
		return func(s *State) {
			s.Schedulers = slices.Clone(s.Schedulers)
			s.Schedulers[0].Lines = change(slices.Clone(s.Schedulers[0].Lines))
		}
	}
	withoutB := lines(func(l []ScheduledLine) []ScheduledLine { return l[1:] })
	untaken := func(s *State) { s.Schedulers = nil }
	tests := []struct {
		name       string
		want, have State
		ops        []string
	}{
		{name: "all as it should be", want: scheduled(), have: scheduled()},
		{
			name: "the device is made first; what is on it comes in the next round",
			want: scheduled(), have: State{Links: []Link{{Name: "ppp-a", MTU: 1500}, {Name: "ppp-b", MTU: 1500}}},
			ops: []string{
				"ip link add wanbond0 type veth # with an eBPF scheduler, unless it is there",
				"ip link set dev ppp-a mtu 1492",
				"ip link set dev ppp-b mtu 1480",
				"ip link set dev ppp-a up",
				"ip link set dev ppp-b up",
			},
		},
		{
			name: "then lines before routes",
			want: scheduled(),
			have: State{
				Links:      append(scheduled().Links[:2:2], Link{Name: "wanbond0", Weighted: true, Ours: true, MTU: 1500}),
				Schedulers: []Scheduler{{Device: "wanbond0"}},
			},
			ops: []string{
				"ip link set dev wanbond0 mtu 1480",
				"ip link set dev wanbond0 up",
				"# packets by " + both,
				"ip address replace 203.0.113.10/32 dev wanbond0",
				"ip route append default dev wanbond0 proto 108 metric 100",
			},
		},
		{
			name: "one that an earlier process has left is taken over, and told at once",
			want: scheduled(), have: scheduled().with(untaken),
			ops: []string{"ip link add wanbond0 type veth # with an eBPF scheduler, unless it is there", "# packets by " + both},
		},
		{
			name: "a line that is not wanted leaves before all else",
			want: scheduled().with(withoutB).with(func(s *State) { s.Links = append(s.Links[:1:1], s.Links[2:]...); s.Links[1].MTU = 1492 }),
			have: scheduled(),
			ops:  []string{"# lines leave " + a, "ip link set dev wanbond0 mtu 1492"},
		},
		{
			name: "a line whose device is another one by now leaves, and comes again",
			want: scheduled(), have: scheduled().with(lines(func(l []ScheduledLine) []ScheduledLine { l[0].Gone = true; return l })),
			ops: []string{"# lines leave " + a, "# packets by " + both},
		},
		{
			name: "a line whose device is gone leaves",
			want: scheduled(),
			have: scheduled().with(lines(func(l []ScheduledLine) []ScheduledLine { l[0].Gone = true; return l })).with(func(s *State) {
				s.Links = append(s.Links[:1:1], s.Links[2:]...)
			}),
			ops: []string{"# lines leave " + a},
		},
		{
			name: "another rate",
			want: scheduled(), have: scheduled().with(lines(func(l []ScheduledLine) []ScheduledLine { l[1].Rate = 1; return l })),
			ops: []string{"# packets by " + both},
		},
		{
			name: "what somebody has undone is put right",
			want: scheduled(), have: scheduled().with(func(s *State) { s.Schedulers = slices.Clone(s.Schedulers); s.Schedulers[0].Damaged = true }),
			ops: []string{"# packets by " + both},
		},
		{
			name: "a line leaves one of which somebody has undone something",
			want: scheduled().with(withoutB).with(func(s *State) { s.Schedulers[0].Patience = time.Minute }),
			have: scheduled().with(func(s *State) { s.Schedulers = slices.Clone(s.Schedulers); s.Schedulers[0].Damaged = true }),
			ops: []string{
				"# lines leave " + a,
				"# packets by wanbond0 dead-after 1s patience 1m0s: ppp-a rate 19000000bit delay 0s overhead 30",
			},
		},
		{
			name: "a foreign device of its name is left alone",
			want: scheduled(), have: scheduled().with(untaken).with(func(s *State) {
				s.Links[2] = Link{Name: "wanbond0", Up: true, MTU: 1500}
				s.Addresses, s.Routes = nil, nil
			}),
			ops: []string{"ip link add wanbond0 type veth # with an eBPF scheduler, unless it is there"},
		},
		{
			name: "the end",
			have: scheduled(),
			ops: []string{
				"# lines leave wanbond0 dead-after 1s: no line",
				"ip route delete default dev wanbond0 proto 108 metric 100",
				"ip address delete 203.0.113.10/32 dev wanbond0",
				"ip link delete dev wanbond0",
			},
		},
		{
			name: "the end of one that was never taken over",
			have: scheduled().with(untaken).with(func(s *State) { s.Addresses, s.Routes = nil, nil }),
			ops:  []string{"ip link delete dev wanbond0"},
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
