package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"linebond/config"
)

type fakeLoader struct{ refuse string }

func (l fakeLoader) LoadModules(names, bonds []string) (loaded []string, err error) {
	for _, name := range names {
		if name == l.refuse {
			err = errors.New("no " + name)
		} else {
			loaded = append(loaded, name)
		}
	}
	return append(loaded, fmt.Sprint("bonds ", bonds)), err
}

func TestLoadModules(t *testing.T) {
	vlan := config.Line{VLAN: []uint16{7}}
	ebpf := config.Line{VLAN: []uint16{7}, Dataplane: config.DataplaneEBPF}
	no := errors.New("no pppoe")
	for name, c := range map[string]struct {
		config config.Config
		refuse string
		out    string
		err    error
	}{
		"no lines":  {out: "pppoe\nbonds []\n"},
		"no VLAN":   {config: config.Config{Lines: []config.Line{{}}}, out: "pppoe\nbonds []\n"},
		"VLANs":     {config: config.Config{Lines: []config.Line{{}, vlan, vlan}}, out: "pppoe\n8021q\nbonds []\n"},
		"eBPF":      {config: config.Config{Lines: []config.Line{ebpf}}, out: "bonds []\n"},
		"eBPF, too": {config: config.Config{Lines: []config.Line{ebpf, {}}}, out: "pppoe\nbonds []\n"},
		"bonds": {config: config.Config{Bonds: []config.Bond{
			{Device: "teql2", Mode: config.ModeTEQL}, {Device: "multipath", Mode: config.ModeMultipath}, {Device: "teql0", Mode: config.ModeTEQL},
		}}, out: "pppoe\nbonds [teql2 teql0]\n"},
		"refused": {config: config.Config{Lines: []config.Line{vlan}}, refuse: "pppoe", out: "8021q\nbonds []\n", err: no},
	} {
		var out strings.Builder
		if err := LoadModules(fakeLoader{c.refuse}, &c.config, &out); fmt.Sprint(err) != fmt.Sprint(c.err) || out.String() != c.out {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
	}
}
