package concentrator

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"linebond/auth"
	"linebond/ppp"
	"linebond/pppoe"
)

// plain has no authentication, and IPv4 alone.
func plain(c *Config) { c.Auth, c.IPv6 = nil, false }

// TestDial: a session from PADI to PADT, each frame and timer.
func TestDial(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Auth = []auth.Method{auth.PAP} })
	padi := discovery(pppoe.PADI, 0, anyService, pppoe.Tag{Type: pppoe.TagPPPMaxPayload, Value: []byte{0x05, 0xdc}})
	offer := s.ac.Discovery(s.time(), home, padi)
	s.want("PADI", offer, `PADO AC-Name="bras1" Service-Name="" PPP-Max-Payload=05dc to 1/7`)
	s.want("PADR", s.ac.Discovery(s.time(), home, accept(t, offer[0].(SendDiscovery).Payload)), `
PADS 1 Service-Name="" to 1/7
timer setup 1m0s
1 LCP Configure-Request #1 01 04 05 d4 03 04 c0 23 05 06 00 00 00 04
timer lcp 300ms`)
	s.want("lost", s.fires("lcp", 300*time.Millisecond), `
1 LCP Configure-Request #1 01 04 05 d4 03 04 c0 23 05 06 00 00 00 04
timer lcp 375ms`)
	s.want("LCP Ack", s.says(1, ppp.LCP, ppp.ConfigureAck, 1, s.asked[1]...), "timer lcp 3s")
	s.want("early", s.says(1, ppp.IPCP, ppp.ConfigureRequest, 1), "")
	s.want("LCP request", s.says(1, ppp.LCP, ppp.ConfigureRequest, 7, 1, 4, 0x05, 0xc8, 5, 6, 9, 9, 9, 9), `
1 LCP Configure-Ack #7 01 04 05 c8 05 06 09 09 09 09
timer auth 10s`)
	s.want("LCP timer, late", s.fires("lcp", time.Second), "")
	request := append(append([]byte{3}, "bob"...), append([]byte{byte(len(password))}, password...)...)
	s.want("PAP", s.says(1, ppp.PAP, 1, 3, request...), `
1 PAP Authenticate-Ack #3 07 77 65 6c 63 6f 6d 65
1 IPCP Configure-Request #1 03 06 c6 33 64 01
timer ipcp 300ms
1 IPv6CP Configure-Request #1 01 0a 00 00 00 00 00 00 00 05
timer ipv6cp 300ms`)
	s.want("IPCP Ack", s.says(1, ppp.IPCP, ppp.ConfigureAck, 1, 3, 6, 198, 51, 100, 1), "timer ipcp 3s")
	s.want("IPCP request", s.says(1, ppp.IPCP, ppp.ConfigureRequest, 1, 3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0),
		"1 IPCP Configure-Nak #1 03 06 cb 00 71 01 81 06 c0 00 02 35")
	s.want("IPCP request", s.says(1, ppp.IPCP, ppp.ConfigureRequest, 2, 3, 6, 203, 0, 113, 1), `
1 IPCP Configure-Ack #2 03 06 cb 00 71 01
up 1 "bob" pap 198.51.100.1-203.0.113.1 invalid IP-invalid IP 1480`)
	s.want("IPv6CP Ack", s.says(1, ppp.IPv6CP, ppp.ConfigureAck, 1, 1, 10, 0, 0, 0, 0, 0, 0, 0, 5), "timer ipv6cp 3s")
	s.want("IPv6CP request", s.says(1, ppp.IPv6CP, ppp.ConfigureRequest, 1, 1, 10, 0, 0, 0, 0, 0, 0, 0, 8), `
1 IPv6CP Configure-Ack #1 01 0a 00 00 00 00 00 00 00 08
up 1 "bob" pap 198.51.100.1-203.0.113.1 fe80::5-fe80::8 1480`)
	s.want("setup, late", s.fires("setup", time.Minute), "")
	s.want("echo", s.says(1, ppp.LCP, ppp.EchoRequest, 5, 9, 9, 9, 9), "1 LCP Echo-Reply #5 00 00 00 04")
	s.want("CCP", s.says(1, 0x80fd, ppp.ConfigureRequest, 5), "1 LCP Protocol-Reject #1 80 fd 01 05 00 04")
	s.want("data", s.says(1, ppp.IPv4, 0x45, 0), "")
	s.want("Terminate-Request", s.says(1, ppp.LCP, ppp.TerminateRequest, 9, []byte("bye\n")...), `
down 1, over false: LCP is down
1 LCP Terminate-Ack #9
timer lcp 1s`)
	s.want("rest", s.fires("lcp", time.Second), `
PADT 1 Generic-Error="terminated by the host bye" to 1/7
down 1, over true: terminated by the host bye`)
	s.want("after it", s.says(1, ppp.LCP, ppp.EchoRequest, 6, 9, 9, 9, 9), `PADT 1 Generic-Error="no such session" to 1/7`)
}

// TestOtherHosts: a session is one host's, on one circuit.
func TestOtherHosts(t *testing.T) {
	s := newScript(t, plain)
	s.open(home)
	s.up(1)
	elsewhere := Host{home.MAC, 8}
	terminate := ppp.Packet{Code: ppp.TerminateRequest, ID: 1}.Append(nil)
	for _, other := range []Host{nobody, elsewhere} {
		s.want("its PADT", s.ac.Discovery(s.time(), other, discovery(pppoe.PADT, 1)), "")
		s.want("its Terminate-Request", s.ac.Frame(s.time(), 1, other, ppp.LCP, terminate), "")
	}
	s.want("the host's PADT", s.ac.Discovery(s.time(), home, discovery(pppoe.PADT, 1)), "down 1, over true: PADT from the host")
	s.want("once more", s.ac.Discovery(s.time(), home, discovery(pppoe.PADT, 1)), "")
}

// TestUnknownSession: a frame of a session that is not there is answered by a
// PADT, so that the host learns of a crash; not without bound, nor to many.
func TestUnknownSession(t *testing.T) {
	s := newScript(t, nil)
	frame := func(id uint16, from Host) []Action { return s.ac.Frame(s.time(), id, from, ppp.IPv4, nil) }
	s.want("unknown", frame(77, home), `PADT 77 Generic-Error="no such session" to 1/7`)
	s.want("no session", frame(0, home), "")
	s.want("from all", frame(77, Host{MAC: [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}), "")
	flood := func() (answers int) {
		for range 10000 {
			answers += len(frame(77, home))
		}
		return answers
	}
	if n := flood(); n > burst {
		t.Errorf("%d answers to a flood", n)
	}
	s.now += time.Second
	if n := flood(); n != perSecond {
		t.Errorf("%d answers a second later", n)
	}
}

// TestOfferDelay: PADOs come late, in their order, and not without bound.
func TestOfferDelay(t *testing.T) {
	s := newScript(t, func(c *Config) { c.OfferDelay = 100 * time.Millisecond })
	padi := discovery(pppoe.PADI, 0, anyService)
	pado := `PADO AC-Name="bras1" Service-Name="" to `
	s.want("PADI", s.ac.Discovery(s.time(), home, padi), "timer offer 100ms")
	s.now += 30 * time.Millisecond
	s.want("another", s.ac.Discovery(s.time(), nobody, padi), "")
	s.want("the first", s.fires("offer", 70*time.Millisecond), pado+"1/7\ntimer offer 30ms")
	late := s.timer["offer"]
	s.want("the second", s.fires("offer", 30*time.Millisecond), pado+"9/7")
	s.ac.SetOfferDelay(50 * time.Millisecond)
	s.want("a third", s.ac.Discovery(s.time(), home, padi), "timer offer 50ms")
	s.want("late", s.ac.Fired(s.time(), late), "")
	for range 10 * maxOffers {
		s.ac.Discovery(s.time(), nobody, padi)
	}
	if n := len(s.fires("offer", time.Second)); n != maxOffers {
		t.Errorf("%d PADOs", n)
	}
	s.ac.SetOfferDelay(0)
	s.want("at once", s.ac.Discovery(s.time(), home, padi), pado+"1/7")
}

// TestLimits: beyond them a PADR is refused in words.
func TestLimits(t *testing.T) {
	s := newScript(t, func(c *Config) { plain(c); c.MaxSessions, c.MaxSessionsPerHost = 3, 2 })
	s.open(home)
	s.open(home)
	s.want("a third", s.ac.Discovery(s.time(), home, s.padr(home)),
		`PADS Service-Name="" AC-System-Error="this host has as many sessions as it may have" to 1/7`)
	s.open(nobody)
	s.want("a fourth", s.ac.Discovery(s.time(), nobody, s.padr(nobody)), `PADS Service-Name="" AC-System-Error="no session is free" to 9/7`)
	s.want("PADT", s.ac.PADT(s.time(), 1, "full"), `
PADT 1 Generic-Error="full" to 1/7
down 1, over true: full`)
	if id := s.open(home); id != 4 {
		t.Errorf("id %d", id)
	}
}

// TestServices: what is not on offer gets no answer.
func TestServices(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Services = []string{"net"} })
	ask := func(service string) []Action {
		return s.ac.Discovery(s.time(), home, discovery(pppoe.PADI, 0, pppoe.Tag{Type: pppoe.TagServiceName, Value: []byte(service)}))
	}
	s.want("net", ask("net"), `PADO AC-Name="bras1" Service-Name="net" to 1/7`)
	s.want("tv", ask("tv"), "")
}

// TestTerminate: in every phase a session can be ended in good order.
func TestTerminate(t *testing.T) {
	s := newScript(t, plain)
	s.open(home)
	s.want("LCP is not open", s.ac.Terminate(s.time(), 1, "maintenance"), "1 LCP Terminate-Request #2\ntimer lcp 1s")
	s.want("Ack", s.says(1, ppp.LCP, ppp.TerminateAck, 2), `
PADT 1 Generic-Error="maintenance" to 1/7
down 1, over true: maintenance`)
	s.open(home)
	s.up(2)
	s.want("up", s.ac.Terminate(s.time(), 2, "maintenance"), `
down 2, over false: LCP is down
2 LCP Terminate-Request #2
timer lcp 1s`)
	s.want("lost", s.fires("lcp", time.Second), "2 LCP Terminate-Request #3\ntimer lcp 1s")
	s.want("given up", s.fires("lcp", time.Second), `
PADT 2 Generic-Error="maintenance" to 1/7
down 2, over true: maintenance`)
	s.want("over", s.ac.Terminate(s.time(), 2, ""), "")
	s.want("over", s.ac.PADT(s.time(), 2, ""), "")
}

// TestRenegotiation: a host that begins anew is down in between, and keeps its
// session and its address.
func TestRenegotiation(t *testing.T) {
	s := newScript(t, plain)
	s.open(home)
	s.up(1)
	s.want("LCP request", s.says(1, ppp.LCP, ppp.ConfigureRequest, 2), `
down 1, over false: LCP is down
timer setup 1m0s
1 LCP Configure-Request #2 01 04 05 d4 05 06 00 00 00 04
1 LCP Configure-Ack #2
timer lcp 3s`)
	s.want("LCP Ack", s.says(1, ppp.LCP, ppp.ConfigureAck, 2, s.asked[1]...), `
1 IPCP Configure-Request #2 03 06 c6 33 64 01
timer ipcp 300ms`)
	s.describe(s.says(1, ppp.IPCP, ppp.ConfigureAck, 2, 3, 6, 198, 51, 100, 1))
	s.want("IPCP request", s.says(1, ppp.IPCP, ppp.ConfigureRequest, 1, 3, 6, 203, 0, 113, 1), `
1 IPCP Configure-Ack #1 03 06 cb 00 71 01
up 1 "" none 198.51.100.1-203.0.113.1 invalid IP-invalid IP 1492`)
}

// TestRejectedIPCP: a host without IPv4 is left alone with it, until it asks.
func TestRejectedIPCP(t *testing.T) {
	s := newScript(t, plain)
	s.open(home)
	s.describe(s.says(1, ppp.LCP, ppp.ConfigureAck, 1, s.asked[1]...))
	s.describe(s.says(1, ppp.LCP, ppp.ConfigureRequest, 1))
	s.want("Protocol-Reject", s.says(1, ppp.LCP, ppp.ProtocolReject, 1, 0x80, 0x21), "")
	s.want("IPCP timer", s.fires("ipcp", time.Second), "")
	s.want("IPv6CP request", s.says(1, ppp.IPv6CP, ppp.ConfigureRequest, 1), "1 LCP Protocol-Reject #1 80 57 01 01 00 04")
	s.want("IPCP request", s.says(1, ppp.IPCP, ppp.ConfigureRequest, 1, 3, 6, 203, 0, 113, 1), `
1 IPCP Configure-Request #2 03 06 c6 33 64 01
timer ipcp 300ms
1 IPCP Configure-Ack #1 03 06 cb 00 71 01
timer ipcp 75ms`)
	s.want("never up", s.fires("setup", time.Minute), "1 LCP Terminate-Request #2\ntimer lcp 1s")
}

// TestWrongPassword: the verdict is sent, then the session ends; a password
// that is changed counts from the next session on.
func TestWrongPassword(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Auth = []auth.Method{auth.PAP} })
	s.ac.SetUsers([]User{{Name: "bob", Password: auth.NewSecret("other")}})
	s.open(home)
	s.describe(s.says(1, ppp.LCP, ppp.ConfigureAck, 1, s.asked[1]...))
	s.describe(s.says(1, ppp.LCP, ppp.ConfigureRequest, 1))
	request := append(append([]byte{3}, "bob"...), append([]byte{byte(len(password))}, password...)...)
	s.want("PAP", s.says(1, ppp.PAP, 1, 3, request...), `
1 PAP Authenticate-Nak #3 1b 77 72 6f 6e 67 20 75 73 65 72 20 6e 61 6d 65 20 6f 72 20 70 61 73 73 77 6f 72 64
1 LCP Terminate-Request #2
timer lcp 1s`)
	s.want("PAP again", s.says(1, ppp.PAP, 1, 4, request...), "")
}

// TestSessions: what is to be seen of them, without the password.
func TestSessions(t *testing.T) {
	s := newScript(t, plain)
	s.open(home)
	s.open(nobody)
	s.now = time.Second
	s.up(2)
	all := s.ac.Sessions()
	if len(all) != 2 || all[0] != (Session{ID: 1, Host: home, Since: epoch}) || all[1] != (Session{
		ID: 2, Host: nobody, State: Running, Since: epoch.Add(time.Second), MTU: 1492,
		Local: netip.MustParseAddr("198.51.100.1"), Remote: netip.MustParseAddr("203.0.113.1"),
	}) {
		t.Errorf("%+v", all)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(verb, s.ac.cfg); strings.Contains(text, password) {
			t.Errorf("%s shows the password", verb)
		}
	}
}

// TestMemory: a thousand sessions cost a few kilobytes each, and give it back.
func TestMemory(t *testing.T) {
	const n = 1000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	w := newWorld(t, 1, func(c *Config) {
		c.EchoInterval, c.EchoFailures, c.Pool = time.Second, 5, netip.MustParsePrefix("10.0.0.0/16")
	})
	for range n {
		w.addLine(nil)
	}
	w.await(time.Minute, "up", w.allAgreed)
	w.run(time.Minute, never)
	w.queue = nil // it holds the AC
	before := heap()
	w.ac = nil
	each := (before - heap()) / n
	runtime.KeepAlive(w) // its lines are not the AC's
	t.Logf("%d bytes a session", each)
	if each > 6000 {
		t.Errorf("%d bytes a session", each)
	}
}

// FuzzFrames hands an AC whatever a host may send, in whatever phase.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0xc0, 0x21, 1, 1, 0, 4, 1, 0xc0, 0x21, 5, 1, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newScript(t, func(c *Config) { c.Auth = nil })
		s.open(home)
		s.open(home)
		s.up(2)
		for len(b) > 2 { // session, protocol, packet
			n := min(len(b)-3, 24)
			if n < 0 {
				return
			}
			id, protocol := uint16(1+b[0]%2), ppp.Protocol(uint16(b[1])<<8|uint16(b[2]))
			actions := s.ac.Frame(s.time(), id, home, protocol, b[3:3+n])
			s.ac.Discovery(s.time(), home, b[3:3+n])
			if len(actions) > 16 {
				t.Errorf("%d actions", len(actions))
			}
			b = b[3+n:]
		}
	})
}
