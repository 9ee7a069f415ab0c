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
		{"overhead = 'VDSL'", Overhead{}, `4:12: overhead: 'VDSL' is unknown; did you mean "vdsl"?`},
		{"overhead = 'vdsl2'", Overhead{}, `4:12: overhead: 'vdsl2' is unknown; did you mean "vdsl"?`},
		{"overhead = 'adsl'", Overhead{}, `4:12: overhead: 'adsl' is unknown; did you mean "adsl-llc-pppoe"?`},
		{"overhead = 'FTTP'", Overhead{}, `4:12: overhead: 'FTTP' is unknown; did you mean "fttp-ethernet"?`},
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

func TestShaping(t *testing.T) {
	const (
		bond = "[bond]\nmode = 'weighted'\n"
		rate = "upload = '1mbit'\n"
	)
	warning := func(device, line string) string {
		return `linebond.toml:3:1: warning: bond.shaping: "cake" works as "none" until every line of ` + device + " has an upload, and " + line +
			` has none; write into its file what it carries, such as upload = "20mbit", or upload = "auto"`
	}
	equal := "linebond.toml:1:2: warning: bond: upload is given for some lines of wanbond0 but not for b, so each gets an equal share of the bytes; give it for all of them, as a number or as \"auto\""
	alone := "linebond.toml:1:2: warning: bond: wanbond0 has one line, a, which gets no faster by it"
	tests := []struct {
		daemon, a, b string
		want         string
		problems     []string
	}{
		{bond, rate, rate, "cake", nil},
		{bond + "shaping = 'cake'", rate, rate, "cake", nil},
		{bond + "shaping = 'none'", rate, rate, "none", nil},
		{bond, rate, "", "none", []string{equal}},
		{bond + "shaping = 'cake'", rate, "", "none", []string{equal, warning("wanbond0", "b")}},
		{bond + "shaping = 'cake'", rate, "fallback = true", "cake", nil},
		{bond + "shaping = 'cake'", rate, "enabled = false", "cake", nil},
		{bond + "shaping = 'cake'", rate, "bond = 'none'", "cake", []string{alone}},
		{bond + "shaping = 'fq_codel'", rate, rate, "none", []string{`linebond.toml:3:11: bond.shaping: 'fq_codel' is unknown; allowed: "cake", "none"`}},
		{"[bond]\nmode = 'teql'\n", rate, rate, "none", nil},
		{"[bond]\nmode = 'multipath'\nshaping = 'none'", rate, rate, "none", nil},
		{"[bond]\nmode = 'multipath'\nshaping = 'cake'", rate, rate, "none", []string{
			`linebond.toml:3:1: bond.shaping: "cake" goes with mode "weighted" alone; leave this out`}},
	}
	for _, test := range tests {
		files := map[string]string{"linebond.toml": test.daemon}
		for name, text := range map[string]string{"a": test.a, "b": test.b} {
			files["lines.d/"+name+".toml"] = "interface = 'eth1'\n" + minimal + text
		}
		c := expect(t, etc(files), test.problems...)
		if got := c.Bonds[0].Shaping; got != test.want {
			t.Errorf("%q, a %q, b %q: %s, want %s", test.daemon, test.a, test.b, got, test.want)
		}
	}
}

// A rate may be left to be learned, where that is done.
func TestUploadAuto(t *testing.T) {
	const none = `lines.d/a.toml:4:1: warning: upload: "auto" has no effect: rates are learned in a bond of mode "weighted" alone`
	for _, test := range []struct {
		daemon, a, b string
		shaping      string
		problems     []string
	}{
		{"[bond]\nmode = 'weighted'", "auto", "auto", "cake", nil},
		{"[bond]\nmode = 'weighted'\nshaping = 'none'", "auto", "5mbit", "none", nil},
		{"[bond]\nmode = 'teql'", "auto", "5mbit", "none", []string{none}},
		{"[bond]\nmode = 'multipath'", "auto", "5mbit", "none", []string{
			"linebond.toml:1:2: warning: bond: upload is given for some lines of multipath but not for a, so all get as many connections; give it for all of them", none}},
		{"", "auto", "5mbit", "", []string{none}},
		{"[bond]\nmode = 'weighted'", "AUTO", "5mbit", "cake", []string{"lines.d/a.toml:4:10: upload: 'AUTO' is no rate; did you mean \"auto\"?"}},
	} {
		files := map[string]string{"linebond.toml": test.daemon}
		for name, upload := range map[string]string{"a": test.a, "b": test.b} {
			files["lines.d/"+name+".toml"] = "interface = 'eth1'\n" + minimal + "upload = '" + upload + "'"
		}
		c := expect(t, etc(files), test.problems...)
		if len(c.Bonds) > 0 && c.Bonds[0].Shaping != test.shaping {
			t.Errorf("%+v: shaping %q", test, c.Bonds[0].Shaping)
		}
		if len(c.Lines) == 2 && (c.Lines[0].UploadAuto != (test.a == "auto") || c.Lines[0].Upload != 0 || c.Lines[1].UploadAuto != (test.b == "auto") || c.Lines[1].UploadAuto == (c.Lines[1].Upload == 5e6)) {
			t.Errorf("%+v: %+v", test, c.Lines)
		}
	}
}
