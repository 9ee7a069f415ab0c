package e2e

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"linebond/auth"
	"linebond/lab"
	"linebond/lab/concentrator"
	"linebond/lab/isp"
)

// TestPairings: each data plane against each access concentrator, Debian's and
// ours, carries the same.
func TestPairings(t *testing.T) {
	t.Parallel()
	for _, dataplane := range []string{"kernel", "ebpf"} {
		file := "dataplane = \"" + dataplane + "\"\n"
		for ac, make := range map[string]func(*testing.T) *line{
			"pppoe-server": func(t *testing.T) *line { return newLine(t, set{ac: lab.ACConfig{IPv6: true}, file: file}) },
			"ours":         func(t *testing.T) *line { return newLineOfOurs(t, file) },
		} {
			t.Run(dataplane+", "+ac, func(t *testing.T) {
				t.Parallel()
				l := make(t)
				status := l.up(t)
				if status.Dataplane != dataplane {
					t.Errorf("the data plane is %s", status.Dataplane)
				}
				for _, size := range []int{56, 1492 - 28} {
					if err := l.router.Ping("", server, size); err != nil {
						t.Error(err)
					}
				}
				l.checkIPv6(t)
				talk := lab.NewTalk(t, l.router, l.isp, server)
				if err := talk.Say(limit); err != nil {
					t.Error(err)
				}
				up := lab.NewFlow(t, l.router, l.isp, server)
				up.GoesOn(t, 4<<20)
				up.Stop()
				down := lab.NewFlow(t, l.isp, l.router, status.IPv4.Address)
				down.GoesOn(t, 4<<20)
				down.Stop()
				if took := l.linebond.Stop(t); took > 5*time.Second {
					t.Errorf("stopping took %v", took)
				}
			})
		}
	}
}

// newLineOfOurs makes a line on VLAN 101 to an access concentrator of package
// isp, and does not start linebond.
func newLineOfOurs(t *testing.T, more string) *line {
	t.Helper()
	l := &line{router: lab.NewNamespace(t, "router"), isp: lab.NewNamespace(t, "isp")}
	l.isp.Run(t, "ip", "address", "add", server+"/32", "dev", "lo")
	l.cable = lab.NewCable(t, lab.CableConfig{Router: l.router, ISP: l.isp, RouterDevice: "eth1", ISPDevice: "ac1"}) // the AC tags by itself
	ac := isp.AC{Device: "ac1", Config: concentrator.Config{
		Auth: []auth.Method{auth.CHAPMD5}, Users: []concentrator.User{{Name: user, Password: auth.NewSecret(password)}},
		Local: netip.MustParseAddr("198.51.100.1"), Pool: netip.MustParsePrefix("203.0.113.0/24"), IPv6: true,
	}}
	var running *isp.ISP
	var err error
	l.isp.Do(t, func() { running, err = isp.Open(isp.Config{ACs: []isp.AC{ac}, DataPath: true}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(); err != nil {
			t.Error(err)
		}
	})
	l.linebond = lab.NewLinebond(t, l.router, os.Getenv(lab.BinaryVariable))
	l.linebond.Write(t, "lines.d/a.toml", file([]uint16{101}, password, more))
	return l
}
