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

// TestNamespaces: processes count that live in our network namespace, and those of which that cannot be told.
func TestNamespaces(t *testing.T) {
	const home, away = "net:[4026531840]", "net:[4026532008]"
	for name, c := range map[string]struct {
		self, theirs string // where the links lead; "": there is none
		denied       bool
		want         bool
	}{
		"here":                 {home, home, false, true},
		"elsewhere":            {home, away, false, false},
		"may not be looked at": {home, away, true, true},
		"has ended":            {home, "", false, true},
		"we are nowhere":       {"", away, false, true},
	} {
		m := machine{files: with(debian), links: map[string]string{}, asked: map[string]bool{}}
		m.files["proc/703/comm"], m.files["proc/703/cmdline"] = "pppd\n", "/usr/sbin/pppd\x00nic-eth1.101\x00"
		if c.self != "" {
			m.links["proc/self/ns/net"], m.files["proc/self/ns/"+c.self] = c.self, ""
		}
		for _, file := range []string{"proc/703/ns/net", "proc/900/ns/net"} {
			if c.theirs != "" {
				m.links[file] = c.theirs
			}
			if c.denied {
				m.denied = append(m.denied, file)
			}
		}
		report := m.examine()
		client, daemon := report.finding("line.a", "client"), report.finding("host", "linebond")
		if (client.Detail == "pppd (process 703) dials on it, too") != c.want || (daemon.Detail == "runs: linebond (process 900)") != c.want {
			t.Errorf("%s: %+v, %+v", name, client, daemon)
		}
	}
}

// TestCommand: a remedy is for the configuration that was asked about.
func TestCommand(t *testing.T) {
	for directory, want := range map[string]string{
		"/etc/linebond": "sudo linebond doctor", "/srv/dsl": "sudo linebond doctor --config /srv/dsl",
	} {
		m := machines["nobody"]
		m.asked = map[string]bool{}
		report := Examine(Machine{m.tree(), "amd64", m}, Subject{directory, &config.Config{}, nil, choose})
		if f := report.finding("host", "capabilities"); f.Remedy != want {
			t.Errorf("%s: %+v", directory, f)
		}
	}
}
