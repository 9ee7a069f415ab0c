package load

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linebond/control"
	"linebond/lab/internet"
	"linebond/lab/netns"
)

// command carries out an operator's wish.
func (w *unequal) command(line string, verb control.Verb) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(w.t, control.NewClient(filepath.Join(w.runtime, "linebond.sock")).Command(ctx, line, verb))
}

// flood sends packets of a kilobyte from the LAN, 2 Mbit/s of them, until stop is called, which returns how many there were. A machine that
// is busy has them come later, and never together.
func (w *unequal) flood() (stop func() int) {
	w.t.Helper()
	w.sh(w.host, "nft 'add table inet count; flush table inet count; add chain inet count c { type filter hook input priority 0; }; "+
		"add rule inet count c udp dport 9 counter drop'")
	conn, err := w.dial(context.Background(), "udp", net.JoinHostPort(webServer.String(), "9"))
	must(w.t, err)
	end, sent, failed := make(chan struct{}), 0, make(chan error)
	go func() {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				failed <- conn.Close()
				return
			case <-tick.C:
			}
			if _, err := conn.Write(make([]byte, 1000)); err != nil {
				failed <- err
				return
			}
			sent++
		}
	}()
	return func() int {
		close(end)
		must(w.t, <-failed)
		return sent
	}
}

// arrived is how many of them have.
func (w *unequal) arrived() (packets int) {
	w.t.Helper()
	must(w.t, netns.Do(w.host, func() error {
		out, err := exec.Command("nft", "list", "table", "inet", "count").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		_, counter, _ := strings.Cut(string(out), "counter packets ")
		_, err = fmt.Sscan(counter, &packets)
		return err
	}))
	return packets
}

// An operator takes down the line that carries all there is: not a packet is lost on its way up. (Of those on its way down, some are. And a
// line that comes up may lose some: the access concentrator takes longer than we do until it is ready.)
func TestWeightedPlannedLeave(t *testing.T) {
	w := newUnequal(t)
	for range 3 {
		w.wait("both lines", w.in(true, true))
		upload := internet.StartUpload(w.dial, webServer)
		w.goesOn(upload, 500e3)
		upload.Close()

		stop := w.flood()
		more := func() {
			before := w.arrived()
			w.wait("packets", func(control.Bond) bool { return w.arrived() > before+50 })
		}
		more()
		w.command("l0", control.Down)
		w.wait("l0 to be out", w.in(false, true))
		more()
		sent := stop()
		w.wait(fmt.Sprintf("%d packets", sent), func(control.Bond) bool { return w.arrived() == sent })
		t.Logf("%d packets were sent, and have arrived", sent)
		w.command("l0", control.Up)
	}
}

// What other programs undo is put right at once, under way.
func TestWeightedRepaired(t *testing.T) {
	w := newUnequal(t)
	w.wait("both lines", w.in(true, true))
	upload := internet.StartUpload(w.dial, webServer)
	defer upload.Close()
	w.goesOn(upload, 1e6)
	const choose, hear = "tc filter show dev wanbond0-port ingress | grep -q linebond-choose", "tc filter show dev ppp-l1 ingress | grep -q linebond-hear"
	for _, test := range []struct{ undo, holds string }{
		{"tc filter delete dev wanbond0-port ingress", choose},
		{"tc qdisc delete dev wanbond0-port clsact", choose},
		{"tc filter delete dev ppp-l1 ingress pref 1", hear},
		{"tc qdisc delete dev ppp-l1 clsact", hear},
		{"ip link set wanbond0 gso_max_segs 64", "ip -d link show wanbond0 | grep -q 'gso_max_segs 1 '"},
		{"ip link set wanbond0 arp on", "ip link show wanbond0 | grep -q NOARP"},
		{"ip link set wanbond0-port arp on", "ip link show wanbond0-port | grep -q NOARP"},
		{"ip link set wanbond0-port down", "ip link show wanbond0-port | grep -q ,UP"},
		{"ip link set wanbond0 down", "ip link show wanbond0 | grep -q ,UP"},
		{"ip link delete wanbond0", choose + " && " + hear + " && ip route | grep -q 'default dev wanbond0'"},
	} {
		w.sh(w.home, test.undo)
		start := time.Now()
		w.wait("repair of: "+test.undo, func(control.Bond) bool {
			return netns.Do(w.home, func() error { return exec.Command("/bin/sh", "-ec", test.holds).Run() }) == nil
		})
		took := time.Since(start)
		t.Logf("%-45s repaired in %v", test.undo, took)
		told := !strings.Contains(test.undo, "gso_max_segs") // the only one that the kernel announces to nobody
		if told && took > 40*time.Second {                   // the daemon looks once a minute by itself
			t.Errorf("%s: it was not noticed for %v", test.undo, took)
		}
		w.wait("both lines", w.in(true, true))
		if strings.HasSuffix(test.undo, "wanbond0 down") || strings.HasSuffix(test.undo, "delete wanbond0") {
			upload.Close() // MASQUERADE forgets the connections of a device that is down
			upload = internet.StartUpload(w.dial, webServer)
			defer upload.Close()
		}
		w.goesOn(upload, 200e3)
	}
}
