package bond

import (
	"fmt"
	"slices"
	"testing"

	"linebond/config"
)

// spreadOver is a configuration with these lines in a multipath bond, and one beside it.
func spreadOver(names ...string) *config.Config {
	c := &config.Config{Bonds: []config.Bond{{Device: config.ModeMultipath, Mode: config.ModeMultipath}}}
	slices.Sort(names)
	for _, name := range names {
		c.Lines = append(c.Lines, config.Line{Name: name, Device: "ppp-" + name, Bond: config.ModeMultipath})
	}
	c.Lines = append(c.Lines, config.Line{Name: "zz", Device: "ppp-zz"})
	return c
}

// Each line has a number of its own, as many as there may be, and a line more or less does not change those of others (but where two names
// have one hash).
func TestNumbers(t *testing.T) {
	var names []string
	for i := range config.MaxMultipath {
		names = append(names, fmt.Sprintf("l%d", i))
		all := numbers(spreadOver(names...))
		seen := map[uint32]bool{}
		for name, n := range all {
			if n < 1 || n > config.MaxMultipath || seen[n] {
				t.Fatalf("of %d lines %s has the number %d", i+1, name, n)
			}
			seen[n] = true
		}
		if len(all) != i+1 {
			t.Fatalf("%d lines have %d numbers", i+1, len(all))
		}
	}
	few, more := numbers(spreadOver("b", "d")), numbers(spreadOver("a", "b", "c", "d", "e"))
	if few["b"] != more["b"] || few["d"] != more["d"] || few["b"] != 57 {
		t.Errorf("%v, with other lines %v", few, more)
	}
}

// The numbers of a multipath bond's lines do not depend on bonds by numgen, of which some may have none.
func TestNumbersWithoutEBPF(t *testing.T) {
	var names []string
	for i := range config.MaxMultipath - 2 {
		names = append(names, fmt.Sprintf("l%d", i))
	}
	c := spreadOver(names...)
	before := numbers(c)
	c.Bonds = append(c.Bonds, config.Bond{Device: "wanbond0", Mode: config.ModeWeighted})
	for _, name := range []string{"a", "b"} {
		c.Lines = append(c.Lines, config.Line{Name: name, Device: "ppp-" + name, Bond: "wanbond0"})
	}
	if after := numbers(c); len(after) != len(before) {
		t.Errorf("with eBPF: %d numbers", len(after))
	}
	after := numbers(withoutEBPF(c))
	seen := map[uint32]bool{}
	for name, n := range after {
		if before[name] != 0 && before[name] != n || seen[n] {
			t.Errorf("%s has the number %d, and had %d", name, n, before[name])
		}
		seen[n] = true
	}
	if after["a"] == 0 || after["b"] == 0 || after["bond wanbond0"] != 0 || c.Bonds[1].Mode != config.ModeWeighted {
		t.Errorf("a has %d, b has %d, their bond %d", after["a"], after["b"], after["bond wanbond0"])
	}
}

func TestRatio(t *testing.T) {
	for _, test := range []struct{ rates, want []uint64 }{
		{nil, nil},
		{[]uint64{1}, []uint64{1}},
		{[]uint64{950_000, 950_000, 950_000}, []uint64{1, 1, 1}},
		{[]uint64{20e6, 5e6}, []uint64{4, 1}},
		{[]uint64{5e6, 20e6}, []uint64{1, 4}},
		{[]uint64{10e6, 20e6, 40e6}, []uint64{1, 2, 4}},
		{[]uint64{20.1e6, 5e6}, []uint64{4, 1}},
		{[]uint64{18.5e6, 4.2e6}, []uint64{22, 5}},
		{[]uint64{3e6, 2e6}, []uint64{3, 2}},
		{[]uint64{1e9, 1e6}, []uint64{100, 1}},
	} {
		if got := ratio(test.rates); !slices.Equal(got, test.want) {
			t.Errorf("%d: %d, want %d", test.rates, got, test.want)
		}
	}
}

func TestWeigh(t *testing.T) {
	type rates struct{ up, down config.Rate }
	for _, test := range []struct {
		lines []rates
		want  []uint64
	}{
		{[]rates{{}}, []uint64{1}},
		{[]rates{{}, {}, {}}, []uint64{1, 1, 1}},
		{[]rates{{up: 20e6}, {up: 5e6}}, []uint64{4, 1}},
		{[]rates{{up: 20e6, down: 50e6}, {up: 20e6, down: 100e6}}, []uint64{1, 2}},
		{[]rates{{up: 20e6, down: 50e6}, {up: 20e6}}, []uint64{1, 1}},
		{[]rates{{down: 50e6}, {up: 20e6}}, []uint64{1, 1}},
		{[]rates{{up: 18.5e6}, {up: 4.2e6}}, []uint64{100, 23}},
		{[]rates{{down: 1}, {down: 1e15}}, []uint64{1, 100}},
	} {
		var lines []slot
		for _, r := range test.lines {
			lines = append(lines, slot{Member: Member{Config: config.Line{Upload: r.up, Download: r.down}}})
		}
		if got := weigh(lines); !slices.Equal(got, test.want) {
			t.Errorf("%+v: weights %v, want %v", test.lines, got, test.want)
		}
	}
}
