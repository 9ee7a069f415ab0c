package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linebond/auth"
)

// minimal is the shortest line file; interface is left to be added.
const minimal = "username = \"user\"\npassword = \"hunter2\"\n"

// netips lets cmp look at addresses.
var netips = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

// etc makes a file system of files below /etc/linebond, which only their
// owner can read.
func etc(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"etc/linebond": {Mode: fs.ModeDir | 0o755}}
	for name, text := range files {
		fsys["etc/linebond/"+name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
	}
	return fsys
}

// messages prints problems as the user sees them, less the directory.
func messages(problems []Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, strings.TrimPrefix(p.String(), "/etc/linebond/"))
	}
	return all
}

// expect compares what is wrong with files with what should be.
func expect(t *testing.T, fsys fs.FS, want ...string) *Config {
	t.Helper()
	c, problems := Load(fsys, "etc/linebond")
	if diff := cmp.Diff(want, messages(problems)); diff != "" {
		t.Errorf("problems: -want +got\n%s", diff)
	}
	return c
}

func TestLoad(t *testing.T) {
	fsys := etc(map[string]string{
		"linebond.toml":    "[log]\nto = 'stderr'\nlevel = 'debug'\nfacility = 'local3'\n[dns]\nsystem = 'auto'\n",
		"lines.d/a-b.toml": "interface = 'eth1'\n" + minimal,
		"lines.d/a.toml": `
interface = "eth1"
vlan = [100, 101]
vlan_protocol = "802.1q"
priority = 6
device = "wan"
dataplane = "ebpf"
username = "ü@isp.example"
password_file = "../secrets/a"
auth = ["chap", "pap"]
service_name = "internet"
ac_name = "ac1"
host_uniq = "0A1b"
mtu = 1_492
keepalive = { interval = "500ms", failures = 10 }
upload = "18.5mbit"
download = "2MBps"
enabled = false
ipv6 = false
default_route = false
metric = 0x64
`,
		"lines.d/c.toml":         "interface = 'eth2'\nvlan = 7\nauth = 'pap'\n" + minimal + "[keepalive]\nfailures = 3\n",
		"lines.d/README":         "not TOML",
		"lines.d/c.toml.bak":     "not TOML",
		"lines.d/.#c.toml":       "not TOML",
		"secrets/a":              "hunter2 \r\n",
		"lines.d/c.toml.d/x.txt": "",
	})
	got, problems := Load(fsys, "/etc/linebond/")
	if problems != nil {
		t.Errorf("problems: %v", problems)
	}
	want := &Config{
		Log: Log{To: "stderr", Level: "debug", Facility: "local3", Socket: "/dev/log", Format: "auto"},
		DNS: DNS{System: "auto"}, Host: Host{SpreadCPUs: true}, LAN: LAN{NAT: NATMasquerade},
		Health: Health{Failures: 3, RejoinAfter: 5 * time.Second},
		Lines: []Line{{
			Name: "a", Enabled: false,
			Interface: "eth1", VLAN: []uint16{100, 101}, VLANProtocol: "802.1q", Priority: 6, Device: "wan", Dataplane: DataplaneEBPF,
			Username: "ü@isp.example", Password: auth.NewSecret("hunter2 "), Auth: []auth.Method{auth.CHAPMD5, auth.PAP},
			ServiceName: "internet", ACName: "ac1", HostUniq: []byte{0x0a, 0x1b},
			MTU: 1492, Keepalive: Keepalive{Interval: 500 * time.Millisecond, Failures: 10},
			Upload: 18_500_000, Download: 16_000_000, Metric: 100,
		}, {
			Name: "a-b", Enabled: true, Interface: "eth1", Device: "ppp-a-b", Dataplane: DataplaneAuto,
			Username: "user", Password: auth.NewSecret("hunter2"), Auth: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP},
			MTU: 1500, Keepalive: Keepalive{Interval: time.Second, Failures: 5}, IPv6: true, DefaultRoute: true, Metric: 200,
		}, {
			Name: "c", Enabled: true, Interface: "eth2", VLAN: []uint16{7}, VLANProtocol: "802.1q", Device: "ppp-c", Dataplane: DataplaneAuto,
			Username: "user", Password: auth.NewSecret("hunter2"), Auth: []auth.Method{auth.PAP},
			MTU: 1500, Keepalive: Keepalive{Interval: time.Second, Failures: 3}, IPv6: true, DefaultRoute: true, Metric: 200,
		}},
	}
	if diff := cmp.Diff(want, got, netips); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDirectory(t *testing.T) {
	const noLine = "lines.d: warning: there is no line to dial; create NAME.toml here, with interface, username and password"
	t.Run("missing", func(t *testing.T) {
		expect(t, fstest.MapFS{}, "/etc/linebond: there is no such directory; create it, with one file lines.d/NAME.toml per line, or name another by --config")
	})
	t.Run("is a file", func(t *testing.T) {
		expect(t, fstest.MapFS{"etc/linebond": {}}, "/etc/linebond: is not a directory")
	})
	t.Run("empty", func(t *testing.T) {
		c := expect(t, etc(nil), noLine)
		want := &Config{
			Log: Log{To: "auto", Level: "info", Facility: "daemon", Socket: "/dev/log", Format: "auto"}, DNS: DNS{System: "none"},
			Host: Host{SpreadCPUs: true}, LAN: LAN{NAT: NATMasquerade}, Health: Health{Failures: 3, RejoinAfter: 5 * time.Second},
		}
		if diff := cmp.Diff(want, c, netips); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	t.Run("no line", func(t *testing.T) {
		expect(t, etc(map[string]string{"linebond.toml": "[log]", "lines.d/a.toml.off": ""}), noLine)
	})
	t.Run("lines.d is a file", func(t *testing.T) {
		expect(t, etc(map[string]string{"lines.d": ""}), "lines.d: cannot be read: not implemented")
	})
	t.Run("no permission", func(t *testing.T) {
		const advice = "no permission to read it; linebond runs as root, and the file must belong to root"
		expect(t, locked{etc(nil), "etc/linebond"}, "/etc/linebond: "+advice)
		files := etc(map[string]string{"linebond.toml": "", "lines.d/a.toml": ""})
		expect(t, locked{files, "etc/linebond/lines.d"}, "lines.d: "+advice)
		expect(t, locked{files, "etc/linebond/lines.d/a.toml"}, "lines.d/a.toml: "+advice)
		delete(files, "etc/linebond/lines.d/a.toml")
		expect(t, locked{files, "etc/linebond/linebond.toml"}, "linebond.toml: "+advice, noLine)
	})
	t.Run("no file to read", func(t *testing.T) {
		fsys := etc(map[string]string{"lines.d/a.toml": strings.Repeat("#", 64<<10) + "#"})
		fsys["etc/linebond/lines.d/b.toml"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
		fsys["etc/linebond/lines.d/c.toml"] = &fstest.MapFile{Mode: fs.ModeDir}
		expect(t, fsys,
			"lines.d/a.toml: is longer than 65536 bytes",
			"lines.d/b.toml: is not a regular file",
			"lines.d/c.toml: is not a regular file")
	})
}

// Files that look like lines, where there is none, are told where to be.
func TestMisplaced(t *testing.T) {
	const noLine = "warning: there is no line to dial; this file is not read, for lines belong into lines.d/NAME.toml; if it is one, "
	line := "interface = 'eth1'\n" + minimal
	t.Run("other names", func(t *testing.T) {
		expect(t, etc(map[string]string{
			"linebond.toml":       "",
			"my line.toml":        line,
			"notes.txt":           "",
			".#a.toml":            "",
			"lines.d/fast.conf":   line,
			"lines.d/slow":        line,
			"lines.d/.hidden":     "",
			"lines.d/a.toml.bak":  "",
			"lines.d/old/b.toml":  line,
			"lines.toml/oops.txt": "",
		}),
			"my line.toml: "+noLine+"move it to '/etc/linebond/lines.d/my line.toml'",
			"lines.d/fast.conf: "+noLine+"rename it to fast.toml",
			"lines.d/slow: "+noLine+"rename it to slow.toml")
	})
	t.Run("the directory of the lines", func(t *testing.T) {
		_, problems := Load(etc(map[string]string{"lines.d/a.toml": line, "lines.d/b.toml": line}), "/etc/linebond/lines.d")
		want := []string{
			"lines.d/a.toml: " + noLine + "give --config /etc/linebond",
			"lines.d/b.toml: " + noLine + "give --config /etc/linebond",
		}
		if diff := cmp.Diff(want, messages(problems)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
	t.Run("besides a line", func(t *testing.T) {
		expect(t, etc(map[string]string{"b.toml": "", "lines.d/README": "", "lines.d/a.toml": line}))
	})
}

// locked is a file system of which one file must not be opened.
type locked struct {
	fs.FS
	name string
}

func (l locked) Open(name string) (fs.File, error) {
	if name == l.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.FS.Open(name)
}

func TestLineNames(t *testing.T) {
	line := "interface = 'eth1'\n" + minimal
	c := expect(t, etc(map[string]string{
		"lines.d/a.b.toml":                   line,
		"lines.d/eleven-long.toml":           line,
		"lines.d/twelve_chars.toml":          line,
		"lines.d/twelve_Chars.toml":          "device = 'wan'\n" + line,
		"lines.d/ü.toml":                     line,
		"lines.d/a b.toml":                   "mtu = 1",
		"lines.d/much_longer_and_worse.toml": "mtu",
	}),
		"lines.d/a b.toml: the file's name without .toml names the line; allowed: letters, digits, - and _",
		"lines.d/a b.toml:1:1: interface: is missing; give the Ethernet device that the line is connected to",
		"lines.d/a b.toml:1:1: username: is missing; give the user name that the provider expects",
		"lines.d/a b.toml:1:1: password: is missing; give password or password_file",
		"lines.d/a b.toml:1:7: mtu: 1 is out of range; allowed: 576 to 1500",
		"lines.d/a.b.toml: the file's name without .toml names the line; allowed: letters, digits, - and _",
		"lines.d/much_longer_and_worse.toml:1:3: expected '=' after key",
		"lines.d/twelve_chars.toml: the line's name twelve_chars is longer than 11 bytes, too long for the device ppp-twelve_chars; rename the file, or set device",
		"lines.d/ü.toml: the file's name without .toml names the line; allowed: letters, digits, - and _",
	)
	var names []string
	for _, l := range c.Lines {
		names = append(names, l.Name)
	}
	if diff := cmp.Diff([]string{"eleven-long", "twelve_Chars"}, names); diff != "" {
		t.Errorf("lines: -want +got\n%s", diff)
	}
}

func TestPasswordFile(t *testing.T) {
	tests := []struct {
		name, keys, content string
		want                []string
	}{
		{"relative", `password_file = "p"`, "hunter2\n", nil},
		{"absolute", `password_file = "/etc/linebond/lines.d/p"`, "hunter2", nil},
		{"255 bytes", `password_file = "p"`, strings.Repeat("x", 255) + "\r\n", nil},
		{"256 bytes", `password_file = "p"`, strings.Repeat("x", 256) + "\n",
			[]string{"password_file: the password in it must have 1 to 255 bytes"}},
		{"much longer", `password_file = "p"`, strings.Repeat("x", 1000),
			[]string{"password_file: is longer than 257 bytes; a relative path begins at /etc/linebond/lines.d"}},
		{"empty", `password_file = "p"`, "\n", []string{"password_file: the password in it must have 1 to 255 bytes"}},
		{"two lines", `password_file = "p"`, "hunter2\nhunter2\n",
			[]string{"password_file: has more than one line; it must hold the password alone"}},
		{"the password by mistake", `password_file = "hunter2"`, "",
			[]string{"password_file: there is no such file; a relative path begins at /etc/linebond/lines.d"}},
		{"missing", `password_file = "/p"`, "", []string{"password_file: there is no such file"}},
		{"directory", `password_file = "../../.."`, "",
			[]string{"password_file: is not a regular file; a relative path begins at /etc/linebond/lines.d"}},
		{"zero byte", `password_file = "p\u0000"`, "",
			[]string{"password_file: there is no such file; a relative path begins at /etc/linebond/lines.d"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := test.keys + "\ninterface = 'eth1'\nusername = 'user'\n"
			var want []string
			for _, w := range test.want {
				want = append(want, "lines.d/a.toml:1:1: "+w)
			}
			c := expect(t, etc(map[string]string{"lines.d/a.toml": line, "lines.d/p": test.content}), want...)
			if want != nil {
				return
			}
			if got := c.Lines[0].Password.Reveal(); got != strings.TrimSpace(test.content) {
				t.Errorf("password is %q", got)
			}
		})
	}
	t.Run("both", func(t *testing.T) {
		expect(t, etc(map[string]string{"lines.d/a.toml": "interface = 'eth1'\n" + minimal + "password_file = 'p'", "lines.d/p": "hunter2"}),
			"lines.d/a.toml:4:1: password_file: is given besides password; keep one of the two")
	})
}

func TestReadableSecrets(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o700, 0o622, 0o400, 0o640, 0o604, 0o644} {
		fsys := etc(map[string]string{
			"lines.d/a.toml":   "interface = 'eth1'\n" + minimal,
			"lines.d/b.toml":   "interface = 'eth1'\nusername = 'user'\npassword_file = \"it's b\"",
			"lines.d/it's b":   "hunter2",
			"lines.d/c.toml.x": "",
		})
		for _, f := range fsys {
			if f.Mode.IsRegular() {
				f.Mode = mode
			}
		}
		var want []string
		if mode&0o044 != 0 {
			want = []string{
				"lines.d/a.toml:3:1: warning: password: others than the owner can read it; run: chmod 600 /etc/linebond/lines.d/a.toml",
				"lines.d/b.toml:3:1: warning: password_file: others than the owner can read it; run: chmod 600 '/etc/linebond/lines.d/it'\\''s b'",
			}
		}
		if c := expect(t, fsys, want...); len(c.Lines) != 2 {
			t.Errorf("%v: a warning takes away a line: %v", mode, c.Lines)
		}
	}
}

func TestLinesTogether(t *testing.T) {
	tests := []struct {
		name    string
		a, b, c string
		want    []string
	}{
		{"two sessions over one wire", "interface = 'eth1'\nvlan = 7", "interface = 'eth1'\nvlan = 7", "interface = 'eth1'\nvlan = [7, 8]\nvlan_protocol = '802.1q'", nil},
		{"a VLAN device made by others", "interface = 'eth1.7'", "interface = 'eth1.7'", "interface = 'eth1'", nil},
		{"same device", "interface = 'eth1'\ndevice = 'wan'", "device = 'wan'\ninterface = 'eth1'", "interface = 'eth1'\ndevice = 'ppp-a'", []string{
			"lines.d/b.toml:1:1: device: wan is the device of line a already"}},
		{"default device", "interface = 'eth1'\ndevice = 'ppp-b'", "interface = 'eth1'", "interface = 'eth1'", []string{
			"lines.d/b.toml:1:1: device: ppp-b is the device of line a already"}},
		{"device is the interface", "interface = 'eth1'\ndevice = 'eth1'", "interface = 'eth2'", "interface = 'ppp-b'", []string{
			"lines.d/a.toml:1:1: interface: eth1 is the PPP device of line a; give an Ethernet device",
			"lines.d/c.toml:1:1: interface: ppp-b is the PPP device of line b; give an Ethernet device"}},
		{"device is the VLAN device", "interface = 'eth1'\nvlan = 7\ndevice = 'eth1.7'", "interface = 'eth1'", "interface = 'eth2'", []string{
			"lines.d/a.toml:2:1: vlan: its device eth1.7 is the PPP device of line a"}},
		{"outer tag is another's only tag", "interface = 'eth1'\nvlan = [7, 8]", "interface = 'eth1'\nvlan = 7", "interface = 'eth1'", []string{
			"lines.d/b.toml:2:1: vlan: its device eth1.7 is 802.1q VLAN 7 on eth1, but line a has it as 802.1ad VLAN 7 on eth1"}},
		{"names cut alike", "interface = 'enx001122334455'\nvlan = 100", "interface = 'wan001122334455'\nvlan = 100", "interface = 'eth1'", []string{
			"lines.d/b.toml:2:1: vlan: its device 01122334455.100 is 802.1q VLAN 100 on wan001122334455, but line a has it as 802.1q VLAN 100 on enx001122334455"}},
		{"interface is another's VLAN device", "interface = 'eth1.7'", "interface = 'eth1'\nvlan = 7", "interface = 'eth1'", []string{
			"lines.d/a.toml:1:1: interface: eth1.7 is made for line b; write interface and vlan as it does"}},
		{"a tag of two protocols", "interface = 'eth1'\nvlan = 7\ndataplane = 'ebpf'",
			"interface = 'eth1'\nvlan = 7\nvlan_protocol = '802.1ad'", "interface = 'eth2'\nvlan = 7\nvlan_protocol = '802.1ad'\ndataplane = 'ebpf'", []string{
				"lines.d/b.toml:2:1: vlan: VLAN 7 on eth1 is 802.1ad here, but 802.1q for line a; give both the same vlan_protocol"}},
		{"outer tag is another's only tag, with eBPF", "interface = 'eth1'\nvlan = [7, 8]\ndataplane = 'ebpf'",
			"interface = 'eth1'\nvlan = 7\ndataplane = 'ebpf'", "interface = 'eth1'\nvlan = [8, 7]\ndataplane = 'ebpf'", []string{
				"lines.d/b.toml:2:1: vlan: VLAN 7 on eth1 is 802.1q here, but 802.1ad for line a; give both the same vlan_protocol"}},
		{"device is another's port", "interface = 'eth1'", "interface = 'eth1'\ndevice = 'ppp-a-port'", "interface = 'eth1'\ndevice = 'x-port'", []string{
			`lines.d/b.toml:2:1: device: ppp-a-port is what eBPF makes beside the device of line a; set another device, or dataplane = "kernel" for a`}},
		{"the kernel's devices have no port", "interface = 'eth1'\ndataplane = 'kernel'", "interface = 'eth1'\ndevice = 'ppp-a-port'\ndataplane = 'ebpf'", "interface = 'eth1'", nil},
		{"vlan_protocol alone", "interface = 'eth1'\nvlan_protocol = '802.1q'", "interface = 'eth1'", "interface = 'eth1'", []string{
			"lines.d/a.toml:2:1: vlan_protocol: is given without vlan, which it is about"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, etc(map[string]string{
				"lines.d/a.toml": test.a + "\n" + minimal,
				"lines.d/b.toml": test.b + "\n" + minimal,
				"lines.d/c.toml": test.c + "\n" + minimal,
			}), test.want...)
		})
	}
}

// All problems of all files come at once, and the good lines all the same.
func TestAllAtOnce(t *testing.T) {
	c := expect(t, etc(map[string]string{
		"linebond.toml":  "[log]\nlevel = 'loud'\n",
		"lines.d/a.toml": "mtu = 9000\nusername = 'ü' x\n",
		"lines.d/b.toml": "interface = 'eth1'\n" + minimal,
		"lines.d/c.toml": "interface = 'eth1'\nmtu = 9000\nmetric = -1\n" + minimal,
	}),
		"linebond.toml:2:9: log.level: 'loud' is unknown; allowed: \"debug\", \"info\", \"warn\", \"error\"",
		"lines.d/a.toml:1:7: mtu: 9000 is out of range; allowed: 576 to 1500",
		"lines.d/a.toml:2:16: expected newline",
		"lines.d/c.toml:2:7: mtu: 9000 is out of range; allowed: 576 to 1500",
		"lines.d/c.toml:3:10: metric: -1 is out of range; allowed: 1 to 2147483647",
	)
	if len(c.Lines) != 1 || c.Lines[0].Name != "b" || c.Log.Level != "info" {
		t.Errorf("got %+v", c)
	}
}

func TestReason(t *testing.T) {
	got := reason(&fs.PathError{Op: "read", Path: "hunter2", Err: errors.New("input/output error")})
	if want := "cannot be read: input/output error"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
