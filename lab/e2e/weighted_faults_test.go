package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

// weightedFault is something that happens to a line under load, and its end.
type weightedFault struct {
	name        string
	reason      string // for which the line leaves the bond; "": it does not
	begin, over func(*testing.T, *lab.BondLine, uneven)
}

// The places of weightedFaults.
const (
	pulled = iota
	blackHoled
	endedByPADT
	killedAC
	slowed
)

var weightedFaults = []weightedFault{
	pulled: {"pulled", "carrier lost",
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.Cable.Unplug(t) },
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.Cable.Plug(t) }},
	blackHoled: {"black-holed", "echo",
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.Modem.BlackHole(t) },
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.Modem.Restore(t) }},
	endedByPADT: {"PADT", "PADT",
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.AC.Stop(t) },
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.AC.Start(t) }},
	killedAC: {"AC killed", "echo",
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.AC.Kill(t) },
		func(t *testing.T, l *lab.BondLine, _ uneven) { l.AC.Start(t) }},
	slowed: {"slowed to half", "",
		func(t *testing.T, l *lab.BondLine, u uneven) { l.Modem.SetUp(t, u.up/2) },
		func(t *testing.T, l *lab.BondLine, u uneven) { l.Modem.SetUp(t, u.up) }},
}

// fails has a line fail under load. The flow goes on, the line leaves for the reason that it should, and carries a part again afterwards.
func (w *weighted) fails(t *testing.T, f weightedFault, i int) {
	t.Helper()
	l := w.Lines[i]
	flow := lab.NewFlow(t, w.LAN, w.ISP, lab.BondServer)
	flow.GoesOn(t, 64<<10)
	begin := time.Now()
	f.begin(t, l, w.lines[i])
	flow.GoesOn(t, 16<<10)
	t.Logf("line %s %s: 64 KiB more after %v", l.Name, f.name, time.Since(begin).Round(time.Millisecond))
	if f.reason != "" {
		w.left(t, l, f.reason)
		t.Logf("line %s %s: out of the bond after %v", l.Name, f.name, time.Since(begin).Round(time.Millisecond))
	}
	flow.GoesOn(t, 64<<10)
	begin = time.Now()
	f.over(t, l, w.lines[i])
	w.in(t, w.names()...)
	t.Logf("line %s %s: back in the bond %v after the end of that", l.Name, f.name, time.Since(begin).Round(time.Millisecond))
	w.checkUse(t, "line "+l.Name+" "+f.name+" and back", flow)
	flow.Stop()
}

// left waits until a line is out of the bond, and the log says why.
func (w *weighted) left(t *testing.T, l *lab.BondLine, reason string) {
	t.Helper()
	w.in(t, w.others(l)...)
	lab.Eventually(t, limit, func() error {
		for line := range strings.Lines(w.linebond.Log()) {
			if strings.Contains(line, "  left  ") && strings.Contains(line, fmt.Sprintf("%q: %q", "line", l.Name)) && strings.Contains(line, reason) {
				return nil
			}
		}
		return fmt.Errorf("line %s has not left because of %q", l.Name, reason)
	})
}
