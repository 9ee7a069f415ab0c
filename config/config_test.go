package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/auth"
)

func TestVLANDevices(t *testing.T) {
	tests := []struct {
		line string
		Line
		want []VLANDevice
		link string
	}{
		{"none", Line{Interface: "eth1"}, nil, "eth1"},
		{"one", Line{Interface: "eth1", VLAN: []uint16{101}, VLANProtocol: "802.1q"},
			[]VLANDevice{{"eth1.101", "eth1", 101, "802.1q"}}, "eth1.101"},
		{"two", Line{Interface: "eth1", VLAN: []uint16{100, 101}, VLANProtocol: "802.1ad"},
			[]VLANDevice{{"eth1.100", "eth1", 100, "802.1ad"}, {"eth1.100.101", "eth1.100", 101, "802.1q"}}, "eth1.100.101"},
		{"eBPF", Line{Interface: "eth1", VLAN: []uint16{101}, Dataplane: DataplaneEBPF}, nil, "eth1"},
		{"just fits", Line{Interface: "enp0s31f6", VLAN: []uint16{10101}},
			[]VLANDevice{{Name: "enp0s31f6.10101", Parent: "enp0s31f6", ID: 10101}}, "enp0s31f6.10101"},
		{"too long", Line{Interface: "enx001122334455", VLAN: []uint16{4000, 101}},
			[]VLANDevice{
				{Name: "1122334455.4000", Parent: "enx001122334455", ID: 4000},
				{Name: "334455.4000.101", Parent: "1122334455.4000", ID: 101, Protocol: "802.1q"},
			}, "334455.4000.101"},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.VLANDevices()); diff != "" {
				t.Errorf("VLANDevices: -want +got\n%s", diff)
			}
			if got := test.Link(); got != test.link {
				t.Errorf("Link() = %s, want %s", got, test.link)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	line := func(change func(*Line)) Line {
		l := defaultLine("a")
		l.Password = auth.NewSecret("hunter2")
		l.HostUniq = []byte{0x0a}
		change(&l)
		return l
	}
	same := line(func(*Line) {})
	if !same.Equal(line(func(*Line) {})) {
		t.Error("two lines made alike are not equal")
	}
	changes := map[string]func(*Line){
		"password":  func(l *Line) { l.Password = auth.NewSecret("hunter3") },
		"host_uniq": func(l *Line) { l.HostUniq[0]++ },
		"auth":      func(l *Line) { l.Auth = l.Auth[:1] },
		"keepalive": func(l *Line) { l.Keepalive.Failures++ },
		"mtu":       func(l *Line) { l.MTU-- },
	}
	for name, change := range changes {
		if same.Equal(line(change)) {
			t.Errorf("a line with another %s is equal", name)
		}
	}
	// The bond is nothing to the session.
	if other := line(func(l *Line) { l.Bond, l.Fallback = "teql0", true }); !same.Equal(other) || !other.Equal(same) {
		t.Error("a line of another bond is not equal")
	}
}

func TestPasswordIsNotPrinted(t *testing.T) {
	c := Config{Lines: []Line{{Name: "a", Password: auth.NewSecret("hunter2")}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{c, &c, c.Lines, c.Lines[0], &c.Lines[0]} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "hunter2") || strings.Contains(got, "68756e74657232") {
				t.Errorf("%s of %T shows the password: %s", verb, v, got)
			}
		}
	}
	got, err := json.Marshal(c)
	if err != nil || strings.Contains(string(got), "hunter2") {
		t.Errorf("json.Marshal: %s, %v", got, err)
	}
}

func TestParseRate(t *testing.T) {
	tests := []struct {
		text string
		want Rate // 0: refused
	}{
		{"1bit", 1},
		{"18.5mbit", 18_500_000},
		{"0.3gbit", 300_000_000},
		{"64kbit", 64_000},
		{"2tbit", 2_000_000_000_000},
		{"1000tbit", 1_000_000_000_000_000},
		{"100Mbit", 100_000_000},
		{"1kibit", 1024},
		{"1mibit", 1 << 20},
		{"1gibit", 1 << 30},
		{"1tibit", 1 << 40},
		{"1bps", 8},
		{"1kbps", 8000},
		{"1MBps", 8_000_000},
		{"1gbps", 8_000_000_000},
		{"1tbps", 8_000_000_000_000},
		{"1KiBps", 8 << 10},
		{"1mibps", 8 << 20},
		{"1gibps", 8 << 30},
		{"1tibps", 8 << 40},
		{".5kbit", 500},

		{"", 0},
		{"20", 0},
		{"mbit", 0},
		{"0mbit", 0},
		{"0.4bit", 0},
		{"-1mbit", 0},
		{"+1mbit", 0},
		{"1e3mbit", 0},
		{"infbit", 0},
		{"1.2.3mbit", 0},
		{"1 mbit", 0},
		{"1mbit ", 0},
		{"1mbits", 0},
		{"1001tbit", 0},
		{strings.Repeat("9", 400) + "tbit", 0},
	}
	for _, test := range tests {
		got, ok := parseRate(test.text)
		if got != test.want || ok != (test.want != 0) {
			t.Errorf("parseRate(%q) = %d, %v, want %d", test.text, got, ok, test.want)
		}
	}
}

// What looks like a rate in another notation is told by that of the file, and what is one may be meant otherwise.
func TestMeantRate(t *testing.T) {
	const none = `; allowed: a rate such as "18.5mbit" (Mbit/s) or "2MBps" (Mbyte/s), or "auto"`
	for text, want := range map[string]string{
		`"5"`:          `"5" is no rate; did you mean "5mbit"?`,
		`5`:            `5 is no rate; did you mean "5mbit"?`,
		`5.5`:          `5.5 is no rate; did you mean "5.5mbit"?`,
		`"5,5 Mbit/s"`: `"5,5 Mbit/s" is no rate; did you mean "5.5mbit"?`,
		`"5mbit/s"`:    `"5mbit/s" is no rate; did you mean "5mbit"?`,
		`"5 mbits"`:    `"5 mbits" is no rate; did you mean "5mbit"?`,
		`"300K"`:       `"300K" is no rate; did you mean "300kbit"?`,
		`"Auto"`:       `"Auto" is no rate; did you mean "auto"?`,
		`"5mb"`:        `"5mb" is out of range or no rate` + none,
		`"0mbit"`:      `"0mbit" is out of range or no rate` + none,
		`"0"`:          `"0" is out of range or no rate` + none,
		`""`:           `"" is out of range or no rate` + none,
		`-5`:           `must be` + strings.TrimPrefix(none, "; allowed:") + `, not a whole number`,
		`true`:         `must be` + strings.TrimPrefix(none, "; allowed:") + `, not true or false`,
		`[]`:           `must be` + strings.TrimPrefix(none, "; allowed:") + `, not a list`,
	} {
		expect(t, etc(map[string]string{"lines.d/a.toml": "interface = 'eth1'\n" + minimal + "upload = " + text}), "lines.d/a.toml:4:10: upload: "+want)
	}
	for text, want := range map[string]string{
		`"5mbps"`:   `"5mbps" counts bytes, and is 40 Mbit/s; for 5 Mbit/s write "5mbit"`,
		`"5Mbps"`:   `"5Mbps" counts bytes, and is 40 Mbit/s; for 5 Mbit/s write "5Mbit"`,
		`"8kibps"`:  `"8kibps" counts bytes, and is 65.54 kbit/s; for 8.192 kbit/s write "8kibit"`,
		`"0.1bps"`:  "",
		`"5MBps"`:   "",
		`"5mbit"`:   "",
		`"0.5Mbit"`: "",
	} {
		var problems []string
		if want != "" {
			problems = append(problems, "lines.d/a.toml:4:12: warning: download: "+want)
		}
		expect(t, etc(map[string]string{"lines.d/a.toml": "interface = 'eth1'\n" + minimal + "download = " + text}), problems...)
	}
}

func TestNearest(t *testing.T) {
	tests := []struct{ name, want string }{
		{"usrename", "username"},         // two letters changed places
		{"pasword", "password"},          // one is missing
		{"Service-Name", "service_name"}, // other spelling
		{"vlans", "vlan"},                // one too many
		{"keepalive.intervall", "keepalive.interval"},
		{"failures", "keepalive.failures"}, // without its table
		{"passwordfile", "password_file"},
		{"user", "username"}, // short for it
		{"Pass", "password"},
		{"passwd", "password"},
		{"iface", "interface"},
		{"if", "interface"},
		{"dev", "device"},
		{"service", "service_name"},
		{"keepalive.int", "keepalive.interval"},
		{"fail", "keepalive.failures"},
		{"pap", ""}, // letters of none in their order
		{"face", ""},
		{"u", ""},
		{"Log", ""},                 // of another kind of file
		{"keep_alive", "keepalive"}, // a table
		{"mtuuu", ""},
		{"frobnicate", ""},
		{"x", ""},
		{"", ""},
		{strings.Repeat("mtu", 1<<20), ""},
	}
	for _, test := range tests {
		if got := nearest(test.name, lineKeys(&lineFile{})); got != test.want {
			t.Errorf("nearest(%.20q) = %q, want %q", test.name, got, test.want)
		}
	}
}
