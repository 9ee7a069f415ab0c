package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linebond/lab/vm"
)

func TestMain(m *testing.M) { vm.Main(m) }

var users = map[string]string{"user@isp": `se"cr et`}

// line is one line with an AC at its far end; change adjusts it before it is made.
func line(t *testing.T, change func(*CableConfig, *ACConfig)) (*Cable, *AC, ReferenceConfig) {
	t.Helper()
	router, isp := NewNamespace(t, "router"), NewNamespace(t, "isp")
	isp.Run(t, "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
	cable := CableConfig{Router: router, ISP: isp, RouterDevice: "eth1", ISPDevice: "ac1", VLAN: []uint16{101}}
	ac := ACConfig{Namespace: isp, Users: users}
	change(&cable, &ac)
	c := NewCable(t, cable)
	ac.Device = c.ISPLink()
	client := ReferenceConfig{Namespace: router, Link: c.TagRouter(t), Device: "ppp-a", User: "user@isp", Password: users["user@isp"]}
	return c, NewAC(t, ac), client
}

func dial(t *testing.T, c ReferenceConfig) *Reference {
	t.Helper()
	r, err := Dial(t, c)
	if err != nil {
		t.Fatal(err)
	}
	c.Namespace.Run(t, "ip", "route", "add", "192.0.2.1", "dev", c.Device)
	return r
}

func TestSession(t *testing.T) {
	tests := []struct {
		name   string
		change func(*CableConfig, *ACConfig)
		mtu    int // that the client asks for
		want   int // that it gets
		log    []string
	}{
		{
			name: "PAP, no VLAN, named AC and service",
			change: func(c *CableConfig, a *ACConfig) {
				c.VLAN = nil
				a.Auth, a.Name, a.Service = "pap", "bras1.example", "internet"
			},
			mtu: 1492, want: 1492,
			log: []string{"rcvd [PAP AuthReq"},
		},
		{
			name: "CHAP, IPv6, DNS, 1500 refused",
			change: func(_ *CableConfig, a *ACConfig) {
				a.IPv6, a.DNS = true, []netip.Addr{netip.MustParseAddr("192.0.2.53")}
			},
			mtu: 1500, want: 1492,
			log: []string{"<auth chap MD5>", "sent [IPV6CP ConfAck", "ms-dns1 192.0.2.53"},
		},
		{
			name:   "MS-CHAPv2, QinQ, 1500",
			change: func(c *CableConfig, a *ACConfig) { c.VLAN, c.MTU, a.Auth = []uint16{100, 101}, 1508, "mschapv2" },
			mtu:    1500, want: 1500,
			log: []string{"<auth chap MS-v2>"},
		},
		{
			name:   "kernel session, 1500",
			change: func(c *CableConfig, a *ACConfig) { c.MTU, a.Kernel = 1508, true },
			mtu:    1500, want: 1500,
			log: []string{"Connect: ppp0 <--> ac1.101"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, ac, client := line(t, test.change)
			client.IPv6, client.MTU = ac.config.IPv6, test.mtu
			client.Options = []string{"usepeerdns"}
			r := dial(t, client)
			t.Logf("IPCP up in %v", r.SetupIn)
			for _, want := range test.log {
				if !strings.Contains(ac.Log(), want) {
					t.Errorf("the AC's log lacks %q", want)
				}
			}
			if err := client.Namespace.HasAddress(client.Device, "203.0.113.10 peer 198.51.100.1/32"); err != nil {
				t.Error(err)
			}
			if client.IPv6 {
				Eventually(t, 5*time.Second, func() error { return client.Namespace.HasAddress(client.Device, "fe80:") })
			}
			if err := client.Namespace.Ping("", "192.0.2.1", test.want-28); err != nil {
				t.Error(err)
			}
			if client.Namespace.Ping("", "192.0.2.1", test.want-27) == nil {
				t.Errorf("a packet of more than %d bytes passed", test.want)
			}
			if t.Failed() {
				t.Log(r.Log())
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	_, ac, client := line(t, func(*CableConfig, *ACConfig) {})
	client.Password = "wrong"
	if _, err := Dial(t, client); err == nil {
		t.Error("a session with the wrong password")
	}
	if !strings.Contains(ac.Log(), "sent [CHAP Failure") {
		t.Error("the AC did not send a CHAP Failure")
	}
}

// Ends of a session, as the client sees them.
func TestEnd(t *testing.T) {
	const echoLost, terminated, padt = "No response to 3 echo-requests", "LCP terminated by peer", "Modem hangup"
	tests := []struct {
		name     string
		kernel   bool
		end      func(*testing.T, *AC, *Cable)
		want     string
		comeback bool // the AC takes a new session at once
	}{
		{name: "kill", end: func(t *testing.T, a *AC, _ *Cable) { a.Kill(t); a.Start(t) }, want: echoLost, comeback: true},
		{name: "kill, kernel session", kernel: true, end: func(t *testing.T, a *AC, _ *Cable) { a.Kill(t) }, want: echoLost},
		{name: "stop", end: func(t *testing.T, a *AC, _ *Cable) { a.Stop(t) }, want: padt},
		{name: "terminate", end: func(t *testing.T, a *AC, _ *Cable) { a.Terminate(t) }, want: terminated, comeback: true},
		{name: "unplug", end: func(t *testing.T, _ *AC, c *Cable) { c.Unplug(t); c.Plug(t); c.Unplug(t) }, want: echoLost},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cable, ac, client := line(t, func(_ *CableConfig, a *ACConfig) { a.Kernel = test.kernel })
			r := dial(t, client)
			if n := ac.Sessions(); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
			test.end(t, ac, cable)
			Eventually(t, 15*time.Second, func() error {
				if !strings.Contains(r.Log(), test.want) {
					return fmt.Errorf("the client's log lacks %q", test.want)
				}
				return nil
			})
			if !test.comeback {
				return
			}
			r.Hangup(t)
			Eventually(t, 5*time.Second, func() error {
				if ac.Sessions() > 0 {
					return errors.New("the AC has the old session still")
				}
				return nil
			})
			dial(t, client)
		})
	}
}

func TestThroughput(t *testing.T) {
	for _, kernel := range []bool{false, true} {
		t.Run(fmt.Sprintf("kernel=%v", kernel), func(t *testing.T) {
			_, ac, client := line(t, func(_ *CableConfig, a *ACConfig) { a.Kernel = kernel })
			dial(t, client)
			c := ThroughputConfig{Client: client.Namespace, Server: ac.config.Namespace, Address: "192.0.2.1", Duration: time.Second}
			up := Throughput(t, c)
			c.Reverse = true
			down := Throughput(t, c)
			t.Logf("%.0f Mbit/s up, %.0f Mbit/s down", up/1e6, down/1e6)
			if up < 1e6 || down < 1e6 {
				t.Error("that is no throughput")
			}
		})
	}
}

func TestDo(t *testing.T) {
	n := NewNamespace(t, "inside")
	n.Run(t, "ip", "address", "add", "192.0.2.1/32", "dev", "lo")
	listen := func() error {
		listener, err := net.Listen("tcp", "192.0.2.1:0")
		if err == nil {
			err = listener.Close()
		}
		return err
	}
	var inside error
	n.Do(t, func() { inside = listen() })
	if inside != nil {
		t.Errorf("in the namespace: %v", inside)
	}
	if listen() == nil {
		t.Error("this goroutine is in the namespace, too")
	}
}
