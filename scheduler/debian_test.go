package scheduler

import (
	"os"
	"os/exec"
	"testing"

	"linebond/lab/vm"
)

// TestDebian runs tests on Debian's kernel, 6.1, and those that need the kernel's PPP.
func TestDebian(t *testing.T) {
	if !vm.Inside() {
		c := exec.Command(os.Args[0], "-test.run=^TestDebian$", "-test.v", "-test.short", "-test.timeout=5m")
		c.Env = append(os.Environ(), debianVariable+"=1", insideVariable+"=")
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		must(t, err)
		return
	}
	t.Run("Agreement", TestAgreement)
	t.Run("NotIP", TestNotIP)
	t.Run("Cleanup", TestCleanup)
	t.Run("Ping", TestPing)
	t.Run("Restart", TestRestart)
	t.Run("PPP", testPPP)
}

// Lines may be devices of the kernel's PPP, which have no Ethernet header.
func testPPP(t *testing.T) {
	w := newWorld(t, lineConfig{ppp: true}, lineConfig{ppp: true})
	for i := range w.lines {
		w.lines[i].Rate = 1e6 // so that a packet of many fragments takes both
	}
	must(t, w.bond.SetLines(w.lines))
	for _, h := range []*host{w.router, w.lan} {
		for _, to := range []string{server, server6} {
			for _, size := range []string{"56", "1444", "10000"} {
				eventually(t, func() error { // IPv6CP takes its time
					_, err := h.try("ping -c 2 -i 0.1 -W 5 -s %s %s", size, to)
					return err
				})
			}
		}
	}
	c := w.counters()
	if c.NotIP+c.NoLine+c.Unsegmented != 0 || c.Lines[0].Packets == 0 || c.Lines[1].Packets == 0 {
		t.Errorf("%+v", c)
	}
	t.Logf("%+v", c)
}
