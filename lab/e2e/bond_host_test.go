package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"linebond/lab"
)

const public = "203.0.113.200" // routed down all lines besides the lines' own addresses

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
			b.checkRemoved(t, test.more)
			if strings.Contains(b.linebond.Log(), "per-packet bonding to one ISP needs") {
				t.Error("a warning of addresses that differ, though one for the bond is configured")
			}
		})
	}
}

// checkRemoved takes the addresses of their own from the lines, which have the bond's instead. They carry the LAN's packets as before.
func (b *bonded) checkRemoved(t *testing.T, more string) {
	t.Helper()
	b.reload(t, "addresses = [\""+public+"\"]\nline_addresses = \"remove\"\n", more)
	lab.Eventually(t, limit, func() error {
		for _, l := range b.Lines {
			out := b.Router.Run(t, "ip", "-4", "-o", "address", "show", "dev", "ppp-"+l.Name)
			if strings.Count(out, " inet ") != 1 || !strings.Contains(out, " inet "+public+"/32 ") {
				return fmt.Errorf("the addresses of line %s: %s", l.Name, out)
			}
		}
		return b.Router.HasAddress(b.TEQL, public+"/32")
	})
	b.checkSpread(t)
	if err := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer).Say(limit); err != nil {
		t.Errorf("lines without addresses of their own: %v", err)
	}
	if err := b.ISP.Ping("", public, 56); err != nil {
		t.Errorf("lines without addresses of their own, from outside: %v", err)
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

// TestBondFallback: a fallback line is in only while no other is, also where it has another address than the bond.
func TestBondFallback(t *testing.T) {
	t.Parallel()
	blackHole, killed := bondFaults[0], bondFaults[3]
	tests := []struct {
		fault bondFault
		set   bondSet
		keeps bool // connections: the address stays the same
	}{
		{blackHole, bondSet{lab: lab.BondConfig{Lines: slow(2)}}, true},
		{killed, bondSet{lab: owned(), bond: "addresses = [\"" + public + "\"]\n"}, false},
	}
	for _, test := range tests {
		t.Run(test.fault.name, func(t *testing.T) {
			t.Parallel()
			test.set.line = map[string]string{"b": "fallback = true\n"}
			b := newBonded(t, test.set)
			b.linebond.Start(t)
			lab.Eventually(t, limit, b.linebond.Reaches("b", "up", ""))
			b.in(t, "a")
			b.isSpare(t, "b")
			talk := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
			for _, in := range []string{"b", "a"} {
				if in == "b" {
					test.fault.begin(t, b.Lines[0])
				} else {
					test.fault.over(t, b.Lines[0])
				}
				b.in(t, in)
				b.reaches(t)
				if !test.keeps {
					talk = lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
				}
				if err := talk.Say(limit); err != nil {
					t.Errorf("over line %s: %v", in, err)
				}
			}
		})
	}
}

// isSpare waits until the daemon says that a line is out as a fallback.
func (b *bonded) isSpare(t *testing.T, name string) {
	t.Helper()
	lab.Eventually(t, limit, func() error {
		m, err := b.member(name)
		if err == nil && !strings.Contains(m.Reason, "fallback") {
			err = fmt.Errorf("line %s is out because of %q", name, m.Reason)
		}
		return err
	})
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
	lab.Eventually(t, limit, func() error {
		status, err := b.linebond.Status()
		if err == nil && !strings.Contains(status.Trouble, "max_equalizers") {
			err = fmt.Errorf("the daemon's trouble is %q", status.Trouble)
		}
		return err
	})
	if out, err := b.linebond.Run("status"); err != nil || !strings.Contains(out, "\n! ") {
		t.Errorf("status does not show the trouble: %v:\n%s", err, out)
	}
	if err := b.linebond.Logged("joined"); err == nil {
		t.Error("the log has a line join a bond that is not there")
	}
}
