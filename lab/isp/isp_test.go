package isp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/auth"
	"linebond/datapath"
	"linebond/lab"
	"linebond/lab/concentrator"
	"linebond/lab/netns"
)

// TestSession: linebond's eBPF line and ours carry packets of every size that fits, whatever the tags and the method; nothing is left after it.
func TestSession(t *testing.T) {
	for _, tt := range []struct {
		name   string
		file   string
		tags   []datapath.Tag
		method auth.Method
		mtu    int // of the Ethernet
	}{
		{"untagged, PAP", "", nil, auth.PAP, 1500},
		{"untagged, MTU 1500, CHAP", "", nil, auth.CHAPMD5, 1508},
		{"VLAN, MS-CHAPv2", "vlan = 101\npriority = 5\n", []datapath.Tag{{Protocol: 0x8100, ID: 101}}, auth.MSCHAPv2, 1508},
		{"QinQ", "vlan = [100, 101]\n", []datapath.Tag{{Protocol: 0x88a8, ID: 100}, {Protocol: 0x8100, ID: 101}}, auth.CHAPMD5, 1512},
		{"QinQ of 802.1Q", "vlan = [100, 101]\nvlan_protocol = \"802.1q\"\n",
			[]datapath.Tag{{Protocol: 0x8100, ID: 100}, {Protocol: 0x8100, ID: 101}}, auth.CHAPMD5, 1512},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1, tt.mtu)
			w.open(AC{"ac1", settings(func(c *concentrator.Config) { c.Auth = []auth.Method{tt.method} })})
			w.line("a", "eth1", tt.file)
			w.linebond.Start(t)
			l := w.up("a")
			s, err := w.session(l.Session.ID)
			must(t, err)
			mtu := min(1500, tt.mtu-8)
			if s.AC != "AC1" || s.User != username || s.MTU != mtu || l.Session.MTU != mtu || s.Device != fmt.Sprintf("isp0-%d", s.ID) || s.Auth != tt.method {
				t.Errorf("%+v, the line %+v", s, l.Session)
			}
			if diff := cmp.Diff(tt.tags, s.Tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			w.carries(l.IPv4.Address, l.IPv6.Address, s.Device, mtu)
			w.linebond.Stop(t)
			lab.Eventually(t, limit, func() error {
				if got := w.running.Sessions(); len(got) > 0 {
					return fmt.Errorf("%+v", got)
				}
				if links := w.isp.Run(t, "ip", "-br", "link"); strings.Contains(links, s.Device) {
					return errors.New(links)
				}
				return nil
			})
			w.close()
		})
	}
}

// carries has packets go both ways, up to the MTU, with IPv6 as well.
func (w *world) carries(address, linkLocal, device string, mtu int) {
	w.t.Helper()
	for _, to := range []string{local, server} {
		lab.Eventually(w.t, limit, func() error { return w.router.Ping("", to, 56) })
		if err := w.router.Ping("", to, mtu-28); err != nil {
			w.t.Error(err)
		}
	}
	if err := w.isp.Ping("", address, mtu-28); err != nil {
		w.t.Error(err)
	}
	if w.isp.Ping("", address, mtu-27) == nil {
		w.t.Errorf("a packet of more than %d bytes passed", mtu)
	}
	lab.Eventually(w.t, limit, func() error { return w.isp.Ping(device, linkLocal, 56) })
}

// TestTwoACs share a device: each line finds its own.
func TestTwoACs(t *testing.T) {
	w := newWorld(t, 1, 1500)
	w.open(
		AC{"ac1", settings(func(c *concentrator.Config) { c.Name = "north" })},
		AC{"ac1", settings(func(c *concentrator.Config) {
			c.Name, c.Local, c.Pool = "south", netip.MustParseAddr("198.51.100.2"), netip.MustParsePrefix("198.51.100.64/26")
		})},
	)
	w.line("a", "eth1", "ac_name = \"north\"\nvlan = 101\n")
	w.line("b", "eth1", "ac_name = \"south\"\nvlan = 101\n")
	w.linebond.Start(t)
	a, b := w.up("a"), w.up("b")
	if a.Session.AC == b.Session.AC || a.Session.ACName != "north" || b.Session.ACName != "south" {
		t.Errorf("%+v, %+v", a.Session, b.Session)
	}
	lab.Eventually(t, limit, func() error { return w.router.Ping("ppp-a", local, 56) })
	lab.Eventually(t, limit, func() error { return w.router.Ping("ppp-b", "198.51.100.2", 56) })
}

// TestSharedAddress: the packets to an address that three sessions have go to them in turn, one by one; when one ends, to the others.
func TestSharedAddress(t *testing.T) {
	shared := netip.MustParseAddr("203.0.113.200")
	w := newWorld(t, 3, 1508)
	var acs []AC
	for i := range 3 {
		acs = append(acs, AC{fmt.Sprintf("ac%d", i+1), settings(func(c *concentrator.Config) { c.Shared = shared })})
		w.line(string(rune('a'+i)), fmt.Sprintf("eth%d", i+1), "")
	}
	w.open(acs...)
	w.linebond.Start(t)
	for _, name := range []string{"a", "b", "c"} {
		w.up(name)
	}
	w.router.Run(t, "ip", "address", "replace", shared.String()+"/32", "dev", "lo")
	w.download(shared, "ppp-a", "ppp-b", "ppp-c")
	must(t, w.running.Crash("AC2"))
	w.download(shared, "ppp-a", "ppp-c")
	must(t, w.running.PADT("AC3", ""))
	w.up("c")
	w.download(shared, "ppp-a", "ppp-c")
	must(t, w.running.Crash("AC1"))
	must(t, w.running.Crash("AC3"))
	if routes := w.isp.Run(t, "ip", "route"); strings.Contains(routes, shared.String()) {
		t.Errorf("a route without a session:\n%s", routes)
	}
	w.close()
}

// download sends a few megabytes by TCP to a server at the address, and wants each of the devices to receive as many packets as the others.
func (w *world) download(to netip.Addr, devices ...string) {
	w.t.Helper()
	before := w.received(devices)
	data := make([]byte, 4<<20)
	_, _ = rand.Read(data)
	var listener net.Listener
	must(w.t, netns.Do(w.router.Name, func() (err error) {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(to, 0).String())
		return err
	}))
	defer listener.Close()
	got := make(chan []byte, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		all, _ := io.ReadAll(conn)
		got <- all
	}()
	var conn net.Conn
	must(w.t, netns.Do(w.isp.Name, func() (err error) {
		conn, err = net.DialTimeout("tcp4", listener.Addr().String(), limit)
		return err
	}))
	must(w.t, conn.SetDeadline(time.Now().Add(limit)))
	_, err := conn.Write(data)
	must(w.t, err)
	must(w.t, conn.Close())
	select {
	case all := <-got:
		if string(all) != string(data) {
			w.t.Errorf("%d bytes came, and other ones than were sent", len(all))
		}
	case <-time.After(limit):
		w.t.Fatal("nothing came")
	}
	after := w.received(devices)
	least, most := after[0]-before[0], after[0]-before[0]
	for i := range devices {
		least, most = min(least, after[i]-before[i]), max(most, after[i]-before[i])
	}
	w.t.Logf("%v: %d to %d packets each", devices, least, most)
	// The kernel's own, of IPv6 multicast, may be among them.
	if want := uint64(len(data) / 1452 / len(devices)); least < want || most > least+5 {
		w.t.Errorf("%v received %d to %d packets each, of %d at least", devices, least, most, want)
	}
}

// received are the packets that devices of the router have received.
func (w *world) received(devices []string) (packets []uint64) {
	w.t.Helper()
	handle, err := netns.Netlink(w.router.Name)
	must(w.t, err)
	defer handle.Close()
	for _, d := range devices {
		l, err := handle.LinkByName(d)
		must(w.t, err)
		packets = append(packets, l.Attrs().Statistics.RxPackets)
	}
	return packets
}

// TestFaults: each does what it says, and the line comes back from it.
func TestFaults(t *testing.T) {
	w := newWorld(t, 1, 1500)
	i := w.open(AC{"ac1", settings(nil)})
	w.line("a", "eth1", "keepalive.interval = \"0.2s\"\nkeepalive.failures = 3\n")
	w.linebond.Start(t)
	id := w.up("a").Session.ID
	again := func(fault, ended string) {
		t.Helper()
		l := w.up("a")
		if l.Session.ID == id {
			t.Errorf("%s: still session %d", fault, id)
		}
		id = l.Session.ID
		if err := w.linebond.Logged(`"line": "a"`, ended); err != nil {
			t.Errorf("%s: %v", fault, err)
		}
		lab.Eventually(t, limit, func() error { return w.router.Ping("", server, 56) })
	}

	must(t, i.Garbage("AC1", 5000))
	if got := w.up("a").Session.ID; got != id {
		t.Errorf("garbage has ended session %d; now %d", id, got)
	}
	must(t, w.router.Ping("", server, 56))

	must(t, i.PADT("AC1", "maintenance"))
	again("PADT", "PADT: maintenance")

	must(t, i.Terminate("AC1", "maintenance"))
	again("Terminate", "terminated by peer")

	must(t, i.Crash("AC1"))
	if got := i.Sessions(); len(got) > 0 {
		t.Errorf("after a crash: %+v", got)
	}
	w.reaches("a", "discovery", "")
	must(t, i.Restart("AC1"))
	again("crash", "echo")

	must(t, i.Restart("AC1"))
	again("restart", "PADT: no such session")

	must(t, i.SetUsers("AC1", users("another")))
	must(t, i.PADT("AC1", ""))
	w.reaches("a", "waiting", "wrong user name or password")
	must(t, i.SetUsers("AC1", users(password)))
	_, err := w.linebond.Run("up", "a")
	must(t, err)
	again("wrong password", "wrong user name or password")

	must(t, i.SetOfferDelay("AC1", 100*time.Millisecond))
	must(t, i.PADT("AC1", ""))
	again("slow PADO", "PADT")

	for _, err := range []error{i.Crash("AC9"), i.Garbage("AC9", 1)} {
		if err == nil || err.Error() != "the ISP has no access concentrator AC9" {
			t.Error(err)
		}
	}
	w.close()
	if err := i.Restart("AC1"); err == nil || err.Error() != "the ISP is closed" {
		t.Error(err)
	}
}

// TestCable: the device may go down and come back.
func TestCable(t *testing.T) {
	w := newWorld(t, 1, 1500)
	w.open(AC{"ac1", settings(nil)})
	w.line("a", "eth1", "")
	w.linebond.Start(t)
	id := w.up("a").Session.ID
	w.isp.IP(t, "link set ac1 down")
	w.reaches("a", "held", "")
	w.isp.IP(t, "link set ac1 up")
	w.reaches("a", "up", "")
	if got := w.up("a").Session.ID; got != id {
		t.Errorf("session %d after %d", got, id)
	}
	lab.Eventually(t, limit, func() error { return w.router.Ping("", server, 56) })
	must(t, w.running.PADT("AC1", ""))
	w.up("a")
	lab.Eventually(t, limit, func() error { return w.router.Ping("", server, 56) })
	w.linebond.Stop(t)
}

// TestNoDataPath: a session whose device cannot be made is ended, and the line told why.
func TestNoDataPath(t *testing.T) {
	w := newWorld(t, 1, 1500)
	w.open(AC{"ac1", settings(func(c *concentrator.Config) { c.IPv6 = false })})
	w.line("a", "eth1", "mtu = 1279\nipv6 = false\n")
	w.linebond.Start(t)
	lab.Eventually(t, limit, func() error { return w.linebond.Logged(`"line": "a"`, "PADT: the ISP cannot carry its packets") })
}

// TestErrors says what is wrong and what to do, and leaves nothing behind.
func TestErrors(t *testing.T) {
	w := newWorld(t, 1, 1500)
	w.isp.Run(t, "ip", "link", "add", "down0", "type", "veth", "peer", "name", "down1")
	before := w.state()
	for _, tt := range []struct {
		acs  []AC
		want string
	}{
		{[]AC{{Device: "nowhere0"}}, "starting the ISP: opening the device nowhere0: route ip+net: no such network interface"},
		{[]AC{{Device: "down0"}}, "starting the ISP: opening the device down0: it must be an Ethernet device that is up (`ip link set down0 up`)"},
		{[]AC{{Device: "lo"}}, "starting the ISP: opening the device lo: it must be an Ethernet device that is up (`ip link set lo up`)"},
		{[]AC{{Device: "ac1"}, {Device: "ac1", Config: concentrator.Config{Name: "AC1"}}},
			"starting the ISP: there are two access concentrators of the name AC1"},
		{[]AC{{Device: "ac1", Config: concentrator.Config{MaxPayload: 1500}}},
			"starting the ISP: AC1 is to grant packets of 1500 bytes, for which ac1 needs an MTU of 1508; it has 1500 (RFC 4638)"},
		{[]AC{{Device: "ac1", Config: concentrator.Config{MAC: net.HardwareAddr{1, 0, 0, 0, 0, 1}}}},
			`starting the ISP: the address "01:00:00:00:00:01" of AC1 is not one station's`},
		{[]AC{{Device: "ac1", Config: concentrator.Config{Pool: netip.MustParsePrefix("2001:db8::/64")}}},
			"starting the ISP: the address 2001:db8:: of AC1: IPCP knows IPv4 alone"},
	} {
		var err error
		w.isp.Do(t, func() { _, err = Open(Config{ACs: tt.acs, DataPath: true}) })
		if err == nil || err.Error() != tt.want {
			t.Errorf("%v\nwant %s", err, tt.want)
		}
	}
	if after := w.state(); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}
