package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

const (
	public   = "203.0.113.200" // routed down all lines besides the lines' own addresses
	short    = 3 * time.Second // for what is not to be answered
	firewall = "[host]\nfirewall = true\n"
)

// owned are lines with an address each, and one more that the ISP routes down all of them.
func owned() lab.BondConfig {
	return lab.BondConfig{
		Lines:     slow(2),
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.20")},
		Block:     netip.MustParsePrefix(public + "/32"),
	}
}

// TestBondAddresses: lines with addresses that differ, and one that is routed down all of them.
func TestBondAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, more string }{
		{"masquerade", ""},
		{"SNAT", "[lan]\ninterfaces = [\"lan0\"]\nnat = \"" + public + "\"\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBonded(t, bondSet{lab: owned(), bond: "addresses = [\"" + public + "\"]\n", more: test.more})
			b.up(t)
			echo := lab.NewEcho(t, b.ISP, lab.BondServer+":0")
			talk, err := lab.DialTalk(t, b.LAN, echo.Address, limit)
			if err != nil {
				t.Fatal(err)
			}
			if err := talk.Say(limit); err != nil {
				t.Error(err)
			}
			if client := <-echo.Clients; !strings.HasPrefix(client, public+":") {
				t.Errorf("the server sees %s", client)
			}
			b.checkSpread(t)
			if strings.Contains(b.linebond.Log(), "per-packet bonding to one ISP needs") {
				t.Error("a warning of addresses that differ, though one for the bond is configured")
			}
		})
	}
}

// TestBondAddressesDiffer: what to do about it is in the log, once, and the lines work as far as they can.
func TestBondAddressesDiffer(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: owned()})
	b.linebond.Start(t)
	b.in(t, "a", "b")
	lab.Eventually(t, limit, func() error {
		return b.linebond.Logged("per-packet bonding to one ISP needs one address routed down all lines", "addresses = [")
	})
	if n := strings.Count(b.linebond.Log(), "per-packet bonding to one ISP needs"); n != 1 {
		t.Errorf("the log has the warning %d times", n)
	}
}

// TestBondForward: port forwards, and the firewall.
func TestBondForward(t *testing.T) {
	t.Parallel()
	forward := "[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"" + lab.HostLAN + ":8443\"\n"
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, more: forward})
	b.up(t)
	b.ISP.IP(t, "route add "+lab.HostLAN+" via "+lab.BondAddress+" dev ppp0 onlink") // somebody outside who knows of the LAN
	inside := lab.NewEcho(t, b.LAN, lab.HostLAN+":8443")
	lab.NewEcho(t, b.Router, "0.0.0.0:2222")
	reach := func(address string, want bool) {
		t.Helper()
		if !want {
			if _, err := lab.DialTalk(t, b.ISP, address, short); err == nil {
				t.Errorf("%s can be reached from outside", address)
			}
			return
		}
		var talk *lab.Talk
		lab.Eventually(t, limit, func() (err error) {
			talk, err = lab.DialTalk(t, b.ISP, address, short)
			return err
		})
		if err := talk.Say(limit); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	reach(lab.BondAddress+":443", true)
	if client := <-inside.Clients; !strings.HasPrefix(client, "1") {
		t.Errorf("the host sees %s", client)
	}
	reach(lab.HostLAN+":8443", true)
	reach(lab.BondAddress+":2222", true)
	b.configure(t, "", forward+firewall)
	if out, err := b.linebond.Run("reload"); err != nil {
		t.Fatalf("reload: %v: %s", err, out)
	}
	lab.Eventually(t, limit, func() error {
		out, err := b.Router.Command("nft", "list", "chain", "inet", "linebond", "input").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "drop") {
			return fmt.Errorf("no firewall: %v: %s", err, out)
		}
		return nil
	})
	reach(lab.BondAddress+":443", true)
	reach(lab.HostLAN+":8443", false)
	reach(lab.BondAddress+":2222", false)
	if err := b.ISP.Ping("", lab.BondAddress, 56); err != nil {
		t.Error(err)
	}
	b.reaches(t)
	if _, err := lab.DialTalk(t, b.LAN, lab.RouterLAN+":2222", limit); err != nil {
		t.Errorf("the LAN cannot reach the router: %v", err)
	}
}

// TestBondPing: a line whose echoes are answered but which leads nowhere is left while its session is kept.
func TestBondPing(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, more: "[health]\nping = [\"" + lab.BondServer + "\"]\nrejoin_after = \"100ms\"\n"})
	b.up(t)
	first, err := b.linebond.Line("a")
	if err != nil {
		t.Fatal(err)
	}
	device, err := b.Lines[0].SessionDevice()
	if err != nil {
		t.Fatal(err)
	}
	b.ISP.Run(t, "nft", "add table inet lab; add chain inet lab input { type filter hook input priority 0; }; add rule inet lab input iifname "+device+" drop")
	b.in(t, "b")
	lab.Eventually(t, limit, func() error {
		m, err := b.member("a")
		if err == nil && !strings.Contains(m.Reason, "pings unanswered") {
			err = fmt.Errorf("line a is out because of %q", m.Reason)
		}
		return err
	})
	b.reaches(t)
	b.ISP.Run(t, "nft", "delete table inet lab")
	b.in(t, "a", "b")
	if again, err := b.linebond.Line("a"); err != nil || again.Session == nil || again.Session.ID != first.Session.ID {
		t.Errorf("the session was not kept: %v: %+v, before %+v", err, again.Session, first.Session)
	}
}

// TestBondFallback: a fallback line is in only while no other is.
func TestBondFallback(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}, line: map[string]string{"b": "fallback = true\n"}})
	b.linebond.Start(t)
	lab.Eventually(t, limit, b.linebond.Reaches("b", "up", ""))
	b.in(t, "a")
	lab.Eventually(t, limit, func() error {
		m, err := b.member("b")
		if err == nil && !strings.Contains(m.Reason, "fallback") {
			err = fmt.Errorf("line b is out because of %q", m.Reason)
		}
		return err
	})
	talk := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
	b.Lines[0].Modem.BlackHole(t)
	b.in(t, "b")
	if err := talk.Say(limit); err != nil {
		t.Error(err)
	}
	b.Lines[0].Modem.Restore(t)
	b.in(t, "a")
	if err := talk.Say(limit); err != nil {
		t.Error(err)
	}
}

// TestBondDevice: a bond device that the kernel does not have.
func TestBondDevice(t *testing.T) {
	t.Parallel()
	b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(1)}})
	b.TEQL = map[bool]string{true: "teql14", false: "teql15"}[b.TEQL == "teql15"]
	b.configure(t, "", "")
	b.linebond.Start(t)
	lab.Eventually(t, limit, func() error { return b.linebond.Logged(b.TEQL, "max_equalizers") })
	lab.Eventually(t, limit, b.linebond.Reaches("a", "up", ""))
}
