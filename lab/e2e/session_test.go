package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"linebond/control"
	"linebond/lab"
)

const (
	user     = "user@isp"
	password = `se"cr et`
	server   = "192.0.2.1" // on the internet behind the ISP
	limit    = time.Minute
)

// line is a router with linebond, a cable, and an ISP with an AC.
type line struct {
	router, isp *lab.Namespace
	cable       *lab.Cable
	ac          *lab.AC
	linebond    *lab.Linebond
}

// set says how a test's line differs from the usual one: VLAN 101, CHAP.
type set struct {
	cable lab.CableConfig
	ac    lab.ACConfig
	file  string // more of the line's file
}

// newLine makes a line, and does not start linebond.
func newLine(t *testing.T, s set) *line {
	t.Helper()
	l := &line{router: lab.NewNamespace(t, "router"), isp: lab.NewNamespace(t, "isp")}
	l.isp.Run(t, "ip", "address", "add", server+"/32", "dev", "lo")
	s.cable.Router, s.cable.ISP, s.cable.RouterDevice, s.cable.ISPDevice = l.router, l.isp, "eth1", "ac1"
	if s.cable.VLAN == nil {
		s.cable.VLAN = []uint16{101}
	}
	l.cable = lab.NewCable(t, s.cable)
	s.ac.Namespace, s.ac.Device, s.ac.Users = l.isp, l.cable.ISPLink(), map[string]string{user: password}
	l.ac = lab.NewAC(t, s.ac)
	l.linebond = lab.NewLinebond(t, l.router, os.Getenv(lab.BinaryVariable))
	l.linebond.Write(t, "lines.d/a.toml", file(s.cable.VLAN, password, s.file))
	return l
}

// file is the text of a line's file.
func file(vlan []uint16, password, more string) string {
	var ids []string
	for _, id := range vlan {
		ids = append(ids, fmt.Sprint(id))
	}
	text := fmt.Sprintf("interface = \"eth1\"\nusername = %q\npassword = '%s'\n", user, password)
	switch len(ids) {
	case 0:
	case 1:
		text += "vlan = " + ids[0] + "\n"
	default:
		text += "vlan = [" + strings.Join(ids, ", ") + "]\n"
	}
	return text + more
}

// up starts linebond and waits for the line.
func (l *line) up(t *testing.T) control.Line {
	t.Helper()
	l.linebond.Start(t)
	return l.isUp(t)
}

// isUp waits until the line is up and carries packets.
func (l *line) isUp(t *testing.T) control.Line {
	t.Helper()
	lab.Eventually(t, limit, l.linebond.Reaches("a", "up", ""))
	lab.Eventually(t, limit, func() error { return l.router.Ping("", server, 56) })
	status, err := l.linebond.Line("a")
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// network is what the router's kernel says of its devices, addresses and routes.
func (l *line) network(t *testing.T) string {
	t.Helper()
	var all []string
	for _, args := range [][]string{
		{"-d", "-o", "link"}, {"-o", "address"}, {"route", "show", "table", "all"}, {"-6", "route", "show", "table", "all"}, {"rule"},
	} {
		lines := strings.Split(l.router.Run(t, "ip", args...), "\n")
		slices.Sort(lines)
		all = append(all, lines...)
	}
	return strings.Join(all, "\n")
}

// settled is network once IPv6 has found its addresses to be unique.
func (l *line) settled(t *testing.T) string {
	t.Helper()
	var text string
	lab.Eventually(t, limit, func() error {
		if text = l.network(t); strings.Contains(text, "tentative") || !strings.Contains(text, "fe80") {
			return fmt.Errorf("not settled: %s", text)
		}
		return nil
	})
	return text
}

// TestSession is the main job, in each way that a session can be had.
func TestSession(t *testing.T) {
	t.Parallel()
	dns := []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")}
	tests := []struct {
		name string
		set  set
		auth string
		mtu  int
		log  string // in linebond's log
	}{
		{name: "PAP", set: set{ac: lab.ACConfig{Auth: "pap"}}, auth: "pap"},
		{name: "CHAP-MD5", set: set{ac: lab.ACConfig{Auth: "chap"}}, auth: "chap"},
		{name: "MS-CHAPv2", set: set{ac: lab.ACConfig{Auth: "mschapv2"}}, auth: "mschapv2"},
		{name: "only PAP allowed", set: set{ac: lab.ACConfig{Auth: "pap"}, file: "auth = \"pap\"\n"}, auth: "pap"},
		{name: "IPv6 and DNS", set: set{ac: lab.ACConfig{IPv6: true, DNS: dns}}},
		{name: "untagged", set: set{cable: lab.CableConfig{VLAN: []uint16{}}}},
		{name: "QinQ", set: set{cable: lab.CableConfig{VLAN: []uint16{100, 101}}}},
		{name: "QinQ of 802.1Q", set: set{cable: lab.CableConfig{VLAN: []uint16{100, 101}, OuterProtocol: "802.1Q"}, file: "vlan_protocol = \"802.1q\"\n"}},
		{name: "named", set: set{
			ac:   lab.ACConfig{Name: "bras1", Service: "internet"},
			file: "service_name = \"internet\"\nac_name = \"bras1\"\nhost_uniq = \"deadbeef\"\ndevice = \"wan0\"\npriority = 6\n"}},
		{name: "MTU 1500", set: set{cable: lab.CableConfig{MTU: 1508}}, mtu: 1500},
		{name: "MTU 1500 in the kernel's server", set: set{cable: lab.CableConfig{MTU: 1508}, ac: lab.ACConfig{Kernel: true}}, mtu: 1500},
		{name: "MTU 1492, since the device has no more", set: set{}, log: "eth1.101 has MTU 1500; 1508 are needed for 1500"},
		{name: "MTU 1400, as configured", set: set{cable: lab.CableConfig{MTU: 1508}, file: "mtu = 1400\n"}, mtu: 1400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, test.set)
			before := l.settled(t)
			status := l.up(t)
			test.mtu = max(test.mtu, 1400)
			if test.mtu == 1400 && !strings.Contains(test.set.file, "mtu") {
				test.mtu = 1492
			}
			if status.Session.MTU != test.mtu || test.auth != "" && status.Session.Auth != test.auth {
				t.Errorf("session: %+v", status.Session)
			}
			if err := l.router.Ping("", server, test.mtu-28); err != nil {
				t.Error(err)
			}
			if l.router.Ping("", server, test.mtu-27) == nil {
				t.Errorf("a packet of more than %d bytes passed", test.mtu)
			}
			if err := l.router.HasAddress(status.Device, status.IPv4.Address+" peer 198.51.100.1/32"); err != nil {
				t.Error(err)
			}
			if test.log != "" {
				if err := l.linebond.Logged("up", test.log); err != nil {
					t.Error(err)
				}
			}
			if test.set.ac.IPv6 {
				l.checkIPv6(t)
				l.checkDNS(t, dns)
			}
			if took := l.linebond.Stop(t); took > 5*time.Second {
				t.Errorf("stopping took %v", took)
			}
			if after := l.network(t); after != before {
				t.Errorf("linebond left something behind.\nbefore:\n%s\nafter:\n%s", before, after)
			}
			if text := l.linebond.Log(); strings.Contains(text, password) {
				t.Error("the password is in the log")
			}
		})
	}
}

func (l *line) checkIPv6(t *testing.T) {
	t.Helper()
	lab.Eventually(t, limit, func() error {
		status, err := l.linebond.Line("a")
		if err != nil {
			return err
		}
		if status.IPv6 == nil {
			return fmt.Errorf("no IPv6: %+v", status)
		}
		return l.router.Ping(status.Device, status.IPv6.Peer, 56)
	})
}

func (l *line) checkDNS(t *testing.T, servers []netip.Addr) {
	t.Helper()
	lab.Eventually(t, limit, func() error {
		text, err := os.ReadFile(l.linebond.Runtime("resolv/a.conf"))
		for _, s := range servers {
			if !strings.Contains(string(text), "nameserver "+s.String()+"\n") {
				return fmt.Errorf("resolv/a.conf lacks %v: %w: %s", s, err, text)
			}
		}
		return nil
	})
}

// TestClose has the server see the orderly close: Terminate-Request, PADT.
func TestClose(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	padts := padts(t, l.isp, l.cable.ISPLink())
	l.up(t)
	l.linebond.Stop(t)
	lab.Eventually(t, limit, func() error {
		if !strings.Contains(l.ac.Log(), "rcvd [LCP TermReq") {
			return fmt.Errorf("the server saw no Terminate-Request:\n%s", l.ac.Log())
		}
		if padts() == 0 {
			return fmt.Errorf("the server saw no PADT")
		}
		if n := l.ac.Sessions(); n != 0 {
			return fmt.Errorf("the server still has %d sessions", n)
		}
		return nil
	})
	for _, state := range []string{"waiting", "discovery", "establish", "authenticate", "network", "up", "terminate", "down"} {
		if err := l.linebond.Logged("  "+state+"  ", `"line": "a"`, `"reason"`); err != nil {
			t.Error(err)
		}
	}
	if err := l.linebond.Logged("down", `"up":`, `"rx_bytes":`, `"tx_bytes":`); err != nil {
		t.Error(err)
	}
}

// TestStatus is what a person and a program see.
func TestStatus(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	l.up(t)
	table, err := l.linebond.Run("status")
	if err != nil || !strings.Contains(table, "203.0.113.1") {
		t.Errorf("status: %v\n%s", err, table)
	}
	text, err := l.linebond.Run("status", "--json")
	var status control.Status
	if err == nil {
		err = json.Unmarshal([]byte(text), &status)
	}
	if err != nil || len(status.Lines) != 1 || status.Lines[0].State != "up" {
		t.Errorf("status --json: %v\n%s", err, text)
	}
	lab.Eventually(t, limit, func() error {
		s, err := l.linebond.Line("a")
		if err == nil && (s.Echo.Received < 2 || s.Echo.RTT <= 0 || s.Traffic == nil || s.Traffic.TxBytes == 0) {
			err = fmt.Errorf("echo %+v, traffic %+v", s.Echo, s.Traffic)
		}
		return err
	})
}
