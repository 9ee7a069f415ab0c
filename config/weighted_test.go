package config

import (
	"fmt"
	"testing"
)

func TestOverhead(t *testing.T) {
	const given = `; allowed: "vdsl", "fttp-ethernet", "adsl-llc-pppoe", or a number of bytes from 0 to 200`
	tests := []struct {
		text string
		want Overhead
		fail string
	}{
		{"", Overhead{Bytes: 22}, ""},
		{"vlan = 7", Overhead{Bytes: 26}, ""},
		{"vlan = [7, 8]", Overhead{Bytes: 30}, ""},
		{"overhead = 'vdsl'", Overhead{Bytes: 30}, ""},
		{"overhead = 'vdsl'\nvlan = 7", Overhead{Bytes: 34}, ""},
		{"overhead = 'fttp-ethernet'", Overhead{Bytes: 46}, ""},
		{"overhead = 'adsl-llc-pppoe'", Overhead{Bytes: 40, Cells: true}, ""},
		{"overhead = 0\nvlan = 7", Overhead{}, ""},
		{"overhead = 200", Overhead{Bytes: 200}, ""},
		{"overhead = 201", Overhead{}, "4:12: overhead: 201 is out of range; allowed: 0 to 200"},
		{"overhead = 'docsis'", Overhead{}, "4:12: overhead: 'docsis' is unknown" + given},
		{"overhead = true", Overhead{}, "4:12: overhead: must be one of" + given[len("; allowed:"):] + ", not true or false"},
	}
	for _, test := range tests {
		var want []string
		if test.fail != "" {
			want = []string{"lines.d/a.toml:" + test.fail}
		}
		c := expect(t, etc(map[string]string{"lines.d/a.toml": "interface = 'eth1'\n" + minimal + test.text}), want...)
		if test.fail == "" && c.Lines[0].Overhead != test.want {
			t.Errorf("%q: %+v, want %+v", test.text, c.Lines[0].Overhead, test.want)
		}
	}
}

// There are so many places in the program's tables.
func TestTooManyForWeighted(t *testing.T) {
	for _, n := range []int{MaxWeighted, MaxWeighted + 1} {
		files := map[string]string{"linebond.toml": "[bond]\nmode = 'weighted'\n"}
		for i := range n {
			files[fmt.Sprintf("lines.d/l%d.toml", i)] = "interface = 'eth1'\nupload = '1mbit'\n" + minimal
		}
		var want []string
		if n > MaxWeighted {
			want = append(want, `linebond.toml:2:1: bond.mode: a bond of mode "weighted" may have up to 16 lines, and this has 17`)
		}
		expect(t, etc(files), want...)
	}
}
