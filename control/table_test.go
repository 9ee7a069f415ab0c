package control

import (
	"encoding/json"
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/auth"
	"linebond/lcp"
	"linebond/line"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is the time of the golden files.
var now = time.Date(2025, 11, 21, 6, 32, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// everyState has a line in each state.
func everyState() Status {
	ac := net.HardwareAddr{2, 0, 0, 0, 0, 0xac}
	session := func(mtu int, upSince time.Time) *line.Session {
		return &line.Session{ID: 7, AC: ac, ACName: "ac1.example.net", ServiceName: "internet", Auth: auth.CHAPMD5, MTU: mtu, UpSince: upSince}
	}
	echo := lcp.EchoStats{Sent: 200, Received: 199, Silent: 1, RTT: 12340 * time.Microsecond, Least: 11 * time.Millisecond, Loss: 0.05}
	address := line.IPv4{
		Local: netip.MustParseAddr("203.0.113.10"), Peer: netip.MustParseAddr("198.51.100.1"),
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")},
	}
	linkLocal := line.IPv6{Local: netip.MustParseAddr("fe80::1"), Peer: netip.MustParseAddr("fe80::2")}
	reason := func(c line.Cause, detail string) line.Reason { return line.Reason{Cause: c, Detail: detail} }
	nameless := session(1492, ago(3*time.Minute))
	nameless.ACName, nameless.MTULimit = "", "the access concentrator does not know PPP-Max-Payload (RFC 4638)"
	statuses := []line.Status{
		{Name: "adsl", State: line.Running, Reason: reason(line.Negotiated, ""), Since: ago(50 * time.Hour), Session: session(1500, ago(50*time.Hour)), IPv4: address, IPv6: linkLocal, Echo: echo,
			Counters: line.Counters{Malformed: 1, Unexpected: 2, WrongMagic: 3, Unknown: 4, StalePADT: 5, Excess: 7, Established: 6}},
		{Name: "down", State: line.Stopped, Reason: reason(line.Operator, ""), Since: ago(8 * time.Second), Echo: echo},
		{Name: "establishes", State: line.Establish, Reason: reason(line.SessionMade, ""), Since: ago(100 * time.Millisecond), Session: session(0, time.Time{})},
		{Name: "held", State: line.Held, Reason: reason(line.CarrierLost, "on eth1"), Since: ago(30 * time.Second), Session: session(1500, ago(time.Hour)), IPv4: address, Echo: echo},
		{Name: "network", State: line.Network, Reason: reason(line.NetworkStarted, ""), Since: ago(20 * time.Millisecond), Session: session(1500, time.Time{})},
		{Name: "proving", State: line.Authenticate, Reason: reason(line.AuthDemanded, "chap"), Since: now, Session: session(0, time.Time{})},
		{Name: "searching", State: line.Discovery, Reason: reason(line.Dialling, ""), Since: ago(3 * time.Second)},
		{Name: "six", State: line.Running, Reason: reason(line.Negotiated, ""), Since: ago(3 * time.Minute), Session: nameless, IPv6: line.IPv6{Local: linkLocal.Local}},
		{Name: "stopping", State: line.Terminate, Reason: reason(line.Shutdown, ""), Since: ago(time.Second), Session: session(1500, ago(time.Hour)), IPv4: address},
		{Name: "unplugged", State: line.Unplugged, Reason: reason(line.NoDevice, "eth9"), Since: ago(26 * time.Hour)},
		{Name: "waiting", State: line.Waiting, Reason: reason(line.AuthRefused, "wrong user name or password"), Since: ago(time.Minute), NextDial: now.Add(4 * time.Minute), Failures: 3},
	}
	s := Status{Version: "v1.2.3", Started: ago(51 * time.Hour), Bonds: []Bond{}}
	for _, status := range statuses {
		status.Device, status.Link = "ppp-"+status.Name, "eth1.101"
		l := FromLine(status)
		l.Dataplane = "kernel"
		if l.Name == "six" {
			l.Dataplane, l.Dropped = "ebpf", map[string]uint64{"tx_too_long": 7, "rx_bad_length": 0}
		}
		s.Lines = append(s.Lines, l)
	}
	s.Lines[0].Traffic = &Traffic{RxBytes: 123456789, TxBytes: 9876543, RxPackets: 100000, TxPackets: 90000}
	return s
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as in %s (-update writes it anew):\n%s", path, diff)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := everyState().WriteTable(&b, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.txt", b.String())
	b.Reset()
	if err := (Status{}).WriteTable(&b, now); err != nil || b.String() != "no lines are configured\n" {
		t.Errorf("without lines: %q, %v", b.String(), err)
	}
	b.Reset()
	const trouble = "no lines are configured\n\n! host networking is not as it should be: no room\n"
	if err := (Status{Trouble: "no room"}).WriteTable(&b, now); err != nil || b.String() != trouble {
		t.Errorf("without lines, in trouble: %q, %v", b.String(), err)
	}
}

// TestJSON: the names of the fields are for programs and do not change.
func TestJSON(t *testing.T) {
	text, err := json.MarshalIndent(everyState(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", string(text)+"\n")
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:                    "0.0s",
		0:                             "0.0s",
		449 * time.Millisecond:        "0.4s",
		9999 * time.Millisecond:       "9.9s",
		10 * time.Second:              "10s",
		time.Minute - 1:               "59s",
		time.Minute:                   "1m0s",
		3*time.Minute + 4*time.Second: "3m4s",
		time.Hour - 1:                 "59m59s",
		5*time.Hour + 6*time.Minute:   "5h6m",
		24*time.Hour - 1:              "23h59m",
		7*24*time.Hour + 8*time.Hour + 59*time.Minute: "7d8h",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %s, not %s", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 999: "999B", 1000: "1.0kB", 1234: "1.2kB", 9949: "9.9kB", 9950: "10kB", 34_000_000: "34MB",
		999_499: "999kB", 999_500: "1.0MB", 1e15: "1.0PB", 1<<64 - 1: "18447PB",
	} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %s, not %s", n, got, want)
		}
	}
}
