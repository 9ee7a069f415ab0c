package doctor

import (
	"testing"

	"linebond/config"
)

// TestMTU: what of an Ethernet device's MTU is left for a session.
func TestMTU(t *testing.T) {
	line := func(mtu int, vlan ...uint16) config.Line {
		return config.Line{Interface: "eth1", VLAN: vlan, VLANProtocol: "802.1q", MTU: mtu}
	}
	one := map[string]string{"sys/class/net/eth1/mtu": "1508"}
	for name, c := range map[string]struct {
		line           config.Line
		files          map[string]string
		detail, remedy string
	}{
		"enough":           {line(1500), one, "sessions of 1500 fit through eth1; the access concentrator has to know RFC 4638", ""},
		"one tag is extra": {line(1500, 7), one, "sessions of 1500 fit through eth1; the access concentrator has to know RFC 4638", ""},
		"two are not":      {line(1500, 7, 8), one, "sessions of 1496 at most fit through eth1, and the line's mtu is 1500", "ip link set dev eth1 mtu 1512"},
		"classic":          {line(1492), map[string]string{"sys/class/net/eth1/mtu": "1500"}, "sessions of 1492 fit through eth1", ""},
		"too little":       {line(1492), map[string]string{"sys/class/net/eth1/mtu": "1400"}, "sessions of 1392 at most fit through eth1, and the line's mtu is 1492", "ip link set dev eth1 mtu 1500"},
		"somebody's VLAN device": {line(1500, 7), with(one, map[string]string{"sys/class/net/eth1.7/mtu": "1500"}),
			"sessions of 1492 at most fit through eth1.7, and the line's mtu is 1500", "ip link set dev eth1.7 mtu 1508"},
		"our VLAN device": {line(1500, 7), with(one, map[string]string{"sys/class/net/eth1.7/mtu": "1500", "sys/class/net/eth1.7/ifalias": "linebond\n"}),
			"sessions of 1500 fit through eth1; the access concentrator has to know RFC 4638", ""},
		"not told": {line(1500), nil, "", ""},
	} {
		e := &examination{Machine: Machine{Files: machine{files: c.files}.tree()}}
		if f := e.mtu(c.line); f.Detail != c.detail || f.Remedy != c.remedy || (f.Level == Warning) != (c.remedy != "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestClients: who is told of a line's device.
func TestClients(t *testing.T) {
	l := config.Line{Interface: "eth1", VLAN: []uint16{7}}
	for _, c := range []struct {
		p    process
		want bool
	}{
		{process{name: "pppd", args: []string{"pppd", "nic-eth1.7"}}, true},
		{process{name: "pppd", args: []string{"pppd", "eth1.7"}}, true},
		{process{name: "pppoe", args: []string{"pppoe", "-I", "eth1.7"}}, true},
		{process{name: "pppoe", args: []string{"pppoe", "-Ieth1.7"}}, true},
		{process{name: "pppd", args: []string{"pppd", "eth1"}}, false}, // not in the VLAN
		{process{name: "pppd", args: []string{"pppd", "call", "dsl"}}, false},
		{process{name: "linebond", args: []string{"linebond", "up", "eth1.7"}}, false},
	} {
		if got := c.p.names(l); got != c.want {
			t.Errorf("%v: %t", c.p, got)
		}
	}
	const want = "pppd call dsl (process 7)"
	if got := (process{"7", "pppd", []string{"/usr/sbin/pppd", "call", "dsl", "password", "tiger"}}).String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
