package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/bond"
	"linebond/config"
	"linebond/kernel"
	"linebond/lab"
	lineroom "linebond/line"
	"linebond/netstate"
)

var seeds = flag.Int("seeds", 1, "random histories in TestRandomBond")

// TestRandomBond: whatever happens to a bond of real sessions, and whoever interferes, it ends as a fresh start would have made it.
func TestRandomBond(t *testing.T) {
	t.Parallel()
	for i := range 2 * *seeds {
		mode, seed := []string{"teql", "weighted"}[i%2], i/2
		t.Run(fmt.Sprintf("%s %d", mode, seed), func(t *testing.T) {
			t.Parallel()
			b := newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(3)}, mode: mode, more: "[health]\nrejoin_after = \"0s\"\n"})
			before := b.settled(t)
			b.up(t)
			fresh := b.observed(t)
			faults := b.faults(t)
			random := rand.New(rand.NewPCG(uint64(seed), 5))
			for range 3 {
				for range 1 + random.IntN(4) {
					fault := faults[random.IntN(len(faults))]
					l := b.Lines[random.IntN(len(b.Lines))]
					t.Logf("line %s: %s", l.Name, fault.name)
					fault.do(l)
				}
				for _, l := range b.Lines {
					l.Modem.Restore(t)
					l.Cable.Plug(t)
				}
				b.in(t, b.names()...)
			}
			lab.Eventually(t, limit, func() error { // a line whose end is not noticed yet leaves once more
				if diff := cmp.Diff(fresh, b.observed(t)); diff != "" {
					return fmt.Errorf("the host differs from one of a fresh start (-fresh +played):\n%s", diff)
				}
				return nil
			})
			b.reaches(t)
			b.linebond.Stop(t)
			b.becomes(t, before)
		})
	}
}

type hostFault struct {
	name string
	do   func(*lab.BondLine)
}

// faults are what can happen to a line, or to the host. Nothing of it need succeed: what it is about may be gone at the moment.
func (b *bonded) faults(t *testing.T) []hostFault {
	shell := func(command string) hostFault {
		return hostFault{command, func(l *lab.BondLine) {
			_ = b.Router.Command("sh", "-c", strings.NewReplacer("PPP", "ppp-"+l.Name, "ETH", l.Device, "BOND", b.device()).Replace(command)).Run()
		}}
	}
	return []hostFault{
		{"black hole", func(l *lab.BondLine) { l.Modem.BlackHole(t) }},
		{"restored", func(l *lab.BondLine) { l.Modem.Restore(t) }},
		{"unplugged", func(l *lab.BondLine) { l.Cable.Unplug(t) }},
		{"plugged in", func(l *lab.BondLine) { l.Cable.Plug(t) }},
		{"AC killed and started", func(l *lab.BondLine) { l.AC.Kill(t); l.AC.Start(t) }},
		{"AC terminates", func(l *lab.BondLine) {
			if l.AC.Sessions() > 0 {
				l.AC.Terminate(t)
			}
		}},
		{"redial", func(l *lab.BondLine) { _, _ = b.linebond.Run("redial", l.Name) }},
		{"down and up", func(l *lab.BondLine) { _, _ = b.linebond.Run("down", l.Name); _, _ = b.linebond.Run("up", l.Name) }},
		{"reload", func(*lab.BondLine) { _, _ = b.linebond.Run("reload") }},
		{"linebond killed and started", func(*lab.BondLine) {
			b.linebond.Kill(t)
			b.linebond.Start(t)
			lab.Eventually(t, limit, func() error { _, err := b.linebond.Status(); return err })
		}},
		shell("ip link set ETH down; ip link set ETH up"), shell("ip link delete ETH.101"), shell("ip link set PPP down"),
		shell("ip address flush dev PPP"), shell("tc qdisc delete dev PPP root"), shell("ip address flush dev BOND"),
		shell("ip link set BOND down"), shell("ip link delete BOND"), shell("ip route flush proto 108"), shell("nft flush ruleset"), shell("nft delete table inet linebond"),
	}
}

// observed is all of the router's kernel that concerns linebond.
func (b *bonded) observed(t *testing.T) string {
	t.Helper()
	c, problems := config.Load(os.DirFS("/"), filepath.Join(filepath.Dir(filepath.Dir(b.linebond.Runtime("x"))), "etc"))
	if len(c.Lines) != len(b.Lines) {
		t.Fatalf("the configuration: %v", problems)
	}
	var members []bond.Member
	for _, l := range c.Lines {
		members = append(members, bond.Member{Config: l, Status: lineroom.Status{
			Name: l.Name, Device: l.Device, State: lineroom.Running, Session: &lineroom.Session{MTU: 1492},
		}})
	}
	var state netstate.State
	var err error
	b.Router.Do(t, func() {
		var k *kernel.Kernel
		if k, err = kernel.Open(); err != nil {
			return
		}
		defer k.Close()
		interest := bond.New(c, 2).Plan(members[0].Status.Since, members).State // names the devices and settings
		state, err = k.Observe(interest)
	})
	if err != nil {
		t.Fatal(err)
	}
	return state.String()
}
