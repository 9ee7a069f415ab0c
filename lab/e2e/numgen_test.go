package e2e

import (
	"strings"
	"testing"

	"linebond/lab"
)

// newRefused is a weighted bond of two lines, of 8 and 2 Mbit/s, and a linebond that the kernel does not let load eBPF programs.
func newRefused(t *testing.T) *bonded {
	t.Helper()
	modems := slow(2)
	modems[0].Up, modems[1].Up = 8, 2
	b := newBonded(t, bondSet{
		lab: lab.BondConfig{Lines: modems}, mode: "weighted",
		line: map[string]string{"a": "upload = \"8mbit\"\n", "b": "upload = \"2mbit\"\n"},
	})
	b.mode = "multipath" // as which it looks in the kernel
	b.linebond.Through = []string{"setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"}
	return b
}

// checkTurns counts what of the packets of f goes by which line.
func (b *bonded) checkTurns(t *testing.T, what string, exactly bool, f func()) {
	t.Helper()
	const want, off = 0.8, 0.02
	since := b.traffic(t, "a", "b")
	f()
	sent := b.arrived(t, since)
	share := float64(sent[0]) / float64(sent[0]+sent[1])
	t.Logf("%s: %v packets, %.4f by line a", what, sent, share)
	if exactly && (share < want-off || share > want+off) {
		t.Errorf("%s: %.4f of the packets go by line a", what, share)
	}
}

// TestWeightedWithoutEBPF: the kernel's refusal is told, and packets take turns on the lines, of the LAN and of the router itself, with one
// address; also while lines fall and come back.
func TestWeightedWithoutEBPF(t *testing.T) {
	t.Parallel()
	b := newRefused(t)
	before := b.settled(t)
	b.up(t)
	err := b.linebond.Logged(`mode "weighted" goes on without eBPF`, `the kernel refuses the eBPF scheduler`, "operation not permitted", "CAP_BPF")
	if err != nil {
		t.Error(err)
	}
	text, err := b.linebond.Run("status")
	t.Logf("linebond status:\n%s", text)
	if err != nil || !strings.Contains(text, "hint: wanbond0 goes on without eBPF") {
		t.Errorf("status: %v", err)
	}
	if status, err := b.linebond.Status(); err != nil || !status.Bonds[0].Numgen || status.Trouble != "" || status.Bonds[0].Members[0].Share != 0.8 {
		t.Errorf("status: %v: %+v", err, status)
	}
	if links := b.Router.Run(t, "ip", "-o", "link"); strings.Contains(links, "wanbond0") {
		t.Errorf("devices:\n%s", links)
	}
	for name, from := range map[string]*lab.Namespace{"the LAN": b.LAN, "the router": b.Router} {
		echo := lab.NewEcho(t, b.ISP, lab.BondServer+":0")
		talk, err := lab.DialTalk(t, from, echo.Address, limit)
		if err != nil {
			t.Fatal(err)
		}
		if client := <-echo.Clients; !strings.HasPrefix(client, lab.BondAddress+":") {
			t.Errorf("a connection of %s comes from %s", name, client)
		}
		say(t, name, talk)
		b.checkTurns(t, "pings of "+name, true, func() {
			if out := from.Run(t, "ping", "-q", "-i", "0.01", "-c", "400", lab.BondServer); !strings.Contains(out, " 400 received") {
				t.Errorf("pings of %s: %s", name, out)
			}
		})
	}
	b.checkTurns(t, "a flow of TCP", false, func() {
		flow := lab.NewFlow(t, b.LAN, b.ISP, lab.BondServer)
		flow.GoesOn(t, 4<<20)
		flow.Stop()
	})
	talk := lab.NewTalk(t, b.LAN, b.ISP, lab.BondServer)
	for i, f := range bondFaults {
		b.checkFault(t, f, b.Lines[i%2])
		say(t, f.name, talk)
	}
	b.checkTurns(t, "pings after all faults", true, func() {
		b.LAN.Run(t, "ping", "-q", "-i", "0.01", "-c", "400", lab.BondServer)
	})
	b.linebond.Kill(t)
	b.up(t)
	say(t, "after kill -9", talk)
	if took := b.linebond.Stop(t); took > stopLimit {
		t.Errorf("to end took linebond %v", took)
	}
	b.becomes(t, before)
}
