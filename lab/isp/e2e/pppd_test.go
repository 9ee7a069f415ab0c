// Package e2e proves our ISP by what others wrote: Debian's pppd, with its kernel PPPoE plugin, dials it on Debian's kernel.
package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linebond/auth"
	"linebond/lab"
	"linebond/lab/concentrator"
	"linebond/lab/isp"
	"linebond/lab/netns"
	"linebond/lab/vm"
)

func TestMain(m *testing.M) { vm.Main(m) }

const (
	user     = "user@isp"
	password = `se"cr et`
	local    = "198.51.100.1"
	server   = "192.0.2.1" // on the internet behind the ISP
	limit    = time.Minute
)

// world is an ISP and a router, joined by cables: eth1 to ac1, eth2 to ac2 ...
type world struct {
	t           *testing.T
	router, isp *lab.Namespace
	cables      []*lab.Cable
	running     *isp.ISP
}

// newWorld starts an ISP with an AC at each cable.
func newWorld(t *testing.T, cable lab.CableConfig, cables int, change func(*concentrator.Config)) *world {
	t.Helper()
	w := &world{t: t, router: lab.NewNamespace(t, "router"), isp: lab.NewNamespace(t, "isp")}
	w.isp.Run(t, "ip", "address", "add", server+"/32", "dev", "lo")
	cfg := concentrator.Config{
		Auth: []auth.Method{auth.CHAPMD5}, Users: []concentrator.User{{Name: user, Password: auth.NewSecret(password)}}, IPv6: true,
		Local: netip.MustParseAddr(local), Pool: netip.MustParsePrefix("203.0.113.0/24"), DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
	}
	if change != nil {
		change(&cfg)
	}
	var acs []isp.AC
	for i := range cables {
		// Our ISP needs no VLAN devices: the cable is bare, and only the router's end is tagged.
		cable.Router, cable.ISP = w.router, w.isp
		cable.RouterDevice, cable.ISPDevice = fmt.Sprintf("eth%d", i+1), fmt.Sprintf("ac%d", i+1)
		w.cables = append(w.cables, lab.NewCable(t, cable))
		acs = append(acs, isp.AC{Device: cable.ISPDevice, Config: cfg})
	}
	for _, id := range cable.VLAN { // those that NewCable made
		_ = w.isp.Command("ip", "link", "delete", fmt.Sprintf("ac1.%d", id)).Run() // the first takes the second with it
	}
	var err error
	w.isp.Do(t, func() {
		w.running, err = isp.Open(isp.Config{ACs: acs, DataPath: true, Log: func(ac, message string) { t.Logf("%s: %s", ac, message) }})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.running.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// dial has pppd dial through a cable.
func (w *world) dial(cable int, device string, mtu int) (*lab.Reference, error) {
	w.t.Helper()
	return lab.Dial(w.t, lab.ReferenceConfig{
		Namespace: w.router, Link: w.cables[cable].TagRouter(w.t), Device: device, User: user, Password: password, MTU: mtu, IPv6: true,
		Options: []string{"usepeerdns"},
	})
}

// session waits for one that is up with both protocols.
func (w *world) session() (s isp.Session) {
	w.t.Helper()
	lab.Eventually(w.t, limit, func() error {
		all := w.running.Sessions()
		if len(all) != 1 || !all[0].Remote.IsValid() || !all[0].RemoteLink.IsValid() {
			return fmt.Errorf("%+v", all)
		}
		s = all[0]
		return nil
	})
	return s
}

// gone waits for the end of all sessions and of their devices.
func (w *world) gone() {
	w.t.Helper()
	lab.Eventually(w.t, limit, func() error {
		if all := w.running.Sessions(); len(all) > 0 {
			return fmt.Errorf("%+v", all)
		}
		if links := w.isp.Run(w.t, "ip", "-o", "link"); strings.Contains(links, "isp0-") {
			return errors.New(links)
		}
		return nil
	})
}

// TestPPPD: pppd's session and ours carry packets of every size that fits, whatever the method and the tags.
func TestPPPD(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		method auth.Method
		cable  lab.CableConfig
		mtu    int
	}{
		{"PAP", auth.PAP, lab.CableConfig{}, 1492},
		{"CHAP", auth.CHAPMD5, lab.CableConfig{}, 1492},
		{"MS-CHAPv2", auth.MSCHAPv2, lab.CableConfig{}, 1492},
		{"MTU 1500", auth.CHAPMD5, lab.CableConfig{MTU: 1508}, 1500},
		{"VLAN", auth.CHAPMD5, lab.CableConfig{VLAN: []uint16{101}}, 1492},
		{"QinQ, MTU 1500", auth.CHAPMD5, lab.CableConfig{VLAN: []uint16{100, 101}, MTU: 1508}, 1500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.cable, 1, func(c *concentrator.Config) { c.Auth = []auth.Method{tt.method} })
			pppd, err := w.dial(0, "ppp-a", tt.mtu)
			if err != nil {
				t.Fatal(err)
			}
			s := w.session()
			if s.User != user || s.Auth != tt.method || s.MTU != tt.mtu || len(s.Tags) != len(tt.cable.VLAN) {
				t.Errorf("%+v", s)
			}
			t.Logf("pppd was up in %v", pppd.SetupIn)
			lab.Eventually(t, limit, func() error { // pppd detaches when the first of IPCP and IPv6CP is up
				if log := pppd.Log(); !strings.Contains(log, "primary   DNS address 192.0.2.53") {
					return fmt.Errorf("pppd was given no DNS server:\n%s", log)
				}
				return nil
			})
			w.carries(s, tt.mtu)
			pppd.Hangup(t)
			w.gone()
		})
	}
}

// carries has packets go both ways, up to the MTU, with IPv6 as well.
func (w *world) carries(s isp.Session, mtu int) {
	w.t.Helper()
	w.router.Run(w.t, "ip", "route", "replace", server, "dev", "ppp-a")
	for _, size := range []int{56, mtu - 28} {
		lab.Eventually(w.t, limit, func() error { return w.router.Ping("", local, size) })
		lab.Eventually(w.t, limit, func() error { return w.router.Ping("", server, size) })
		lab.Eventually(w.t, limit, func() error { return w.isp.Ping("", s.Remote.String(), size) })
	}
	if w.isp.Ping("", s.Remote.String(), mtu-27) == nil {
		w.t.Errorf("a packet of more than %d bytes passed", mtu)
	}
	lab.Eventually(w.t, limit, func() error { return w.router.Ping("ppp-a", s.LinkLocal.String(), 56) })
	lab.Eventually(w.t, limit, func() error { return w.isp.Ping(s.Device, s.RemoteLink.String(), mtu-48) })
}

// TestPPPDRefused: pppd hears that its password is wrong.
func TestPPPDRefused(t *testing.T) {
	t.Parallel()
	for _, method := range []auth.Method{auth.PAP, auth.CHAPMD5, auth.MSCHAPv2} {
		w := newWorld(t, lab.CableConfig{}, 1, func(c *concentrator.Config) {
			c.Auth, c.Users[0].Password = []auth.Method{method}, auth.NewSecret("another")
		})
		if _, err := w.dial(0, "ppp-a", 1492); err == nil || !strings.Contains(err.Error(), "authentication failed") {
			t.Errorf("%v: %v", method, err)
		}
		w.gone()
	}
}

// TestPPPDEnds: a session ends with the AC's PADT and Terminate-Request, and by itself when pppd is dead.
func TestPPPDEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(w *world) error
	}{
		{"PADT", func(w *world) error { return w.running.PADT("AC1", "maintenance") }},
		{"Terminate", func(w *world) error { return w.running.Terminate("AC1", "maintenance") }},
		{"restart", func(w *world) error { return w.running.Restart("AC1") }}, // pppd's next echo is answered by a PADT
	} {
		w := newWorld(t, lab.CableConfig{}, 1, nil)
		pppd, err := w.dial(0, "ppp-a", 1492)
		if err != nil {
			t.Fatal(err)
		}
		w.session()
		if err := tt.do(w); err != nil {
			t.Fatal(err)
		}
		w.gone()
		lab.Eventually(t, limit, func() error {
			if links := w.router.Run(t, "ip", "-o", "link"); strings.Contains(links, "ppp-a") {
				return fmt.Errorf("%s: pppd has not noticed:\n%s%s", tt.name, links, pppd.Log())
			}
			return nil
		})
	}
	w := newWorld(t, lab.CableConfig{}, 1, func(c *concentrator.Config) { c.EchoInterval, c.EchoFailures = time.Second, 3 })
	if _, err := w.dial(0, "ppp-a", 1492); err != nil {
		t.Fatal(err)
	}
	w.session()
	w.cables[0].Unplug(t)
	w.gone()
}

// TestShared: two pppds have one address; its packets go to them in turn, on a kernel from before tcx too.
func TestShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.CableConfig{}, 2, func(c *concentrator.Config) {
		c.Shared, c.IPv6 = netip.MustParseAddr("203.0.113.200"), false
	})
	for i, device := range []string{"ppp-a", "ppp-b"} {
		if _, err := w.dial(i, device, 1492); err != nil {
			t.Fatal(err)
		}
	}
	lab.Eventually(t, limit, func() error {
		if all := w.running.Sessions(); len(all) != 2 || all[0].Device == "" || all[1].Device == "" {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	lab.Eventually(t, limit, func() error { return w.isp.Ping("", "203.0.113.200", 56) })
	var each [2]uint64
	for range 5 { // now and then a packet of somebody else's is among them
		before := w.received()
		w.isp.Run(t, "ping", "-n", "-q", "-c", "100", "-i", "0.02", "-W", "10", "203.0.113.200")
		after := w.received()
		each = [2]uint64{after[0] - before[0], after[1] - before[1]}
		if each == [2]uint64{50, 50} {
			return
		}
	}
	t.Errorf("of 100 packets the devices received %d", each)
}

// received are the packets that ppp-a and ppp-b have received.
func (w *world) received() (packets [2]uint64) {
	w.t.Helper()
	handle, err := netns.Netlink(w.router.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer handle.Close()
	for i, device := range []string{"ppp-a", "ppp-b"} {
		l, err := handle.LinkByName(device)
		if err != nil {
			w.t.Fatal(err)
		}
		packets[i] = l.Attrs().Statistics.RxPackets
	}
	return packets
}
