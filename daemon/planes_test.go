package daemon

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/netstate"
	"linebond/pppoe"
)

// TestDataplane: the log says which a line has, and the status; another one is
// another session. Of eBPF there are no VLAN devices.
func TestDataplane(t *testing.T) {
	bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 101")}, func(t *testing.T, w *world) {
		w.up()
		w.expect(1, "info data plane line=a dataplane=kernel reason=for a test")
		l := w.status()["a"]
		if l.Dataplane != "kernel" || l.Link != "eth1.101" || l.Dropped != nil || !strings.Contains(w.host.String(), "eth1.101") {
			t.Errorf("%+v\n%v", l, w.host)
		}
		w.ac.dropped = map[string]uint64{"tx_too_long": 7}
		w.write("lines.d/a.toml", lineFile("eth1", "vlan = 101\ndataplane = 'ebpf'"))
		w.hup()
		time.Sleep(time.Second)
		w.reaches("a", "up")
		w.expect(1, "info data plane line=a dataplane=ebpf reason=as configured")
		l = w.status()["a"]
		if diff := cmp.Diff(w.ac.dropped, l.Dropped); diff != "" || l.Dataplane != "ebpf" || l.Link != "eth1" {
			t.Errorf("%+v", l)
		}
		if strings.Contains(w.host.String(), "eth1.101") {
			t.Errorf("a VLAN device:\n%v", w.host)
		}
		if w.ac.cleanups != 1 {
			t.Errorf("cleaned up %d times", w.ac.cleanups)
		}
	})
}

// TestPlanesFail: the log says so, and the line is dialled all the same.
func TestPlanesFail(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.ac.refuse.cleanup, w.ac.refuse.plane = errors.New("netlink is tired"), errors.New("no PPPoE")
		w.up()
		w.expect(1, "error data plane line=a dataplane=kernel reason=for a test error=no PPPoE")
		w.expect(1, "warn cleaning up after the last run error=netlink is tired")
	})
}

// TestMTUChanged: the session is agreed upon anew.
func TestMTUChanged(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		for _, mtu := range []int{1480, 1508} {
			w.host.change(func(h *fakeHost) { h.link("eth1").MTU = mtu })
			time.Sleep(time.Second)
			synctest.Wait()
			if l := w.reaches("a", "up"); l.Session.MTU != min(1500, mtu-8) {
				t.Errorf("MTU %d: %+v", mtu, l.Session)
			}
		}
		w.expect(1, "reason=session dropped by the kernel: the MTU of eth1 is now 1480")
	})
}

// TestAddressChanged: the access concentrator knows the line by its address.
func TestAddressChanged(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		before := w.status()["a"].Session.ID
		w.host.change(func(h *fakeHost) { h.addresses["eth1"] = "02:00:00:00:00:99" })
		time.Sleep(time.Second)
		synctest.Wait()
		if l := w.reaches("a", "up"); l.Session.ID == before {
			t.Errorf("the session has stayed: %+v", l.Session)
		}
		w.expect(1, "reason=session dropped by the kernel: the address of eth1 is now 02:00:00:00:00:99")
	})
}

// TestMixedPlanes: the log says which lines TEQL takes not together; a multipath
// bond takes them.
func TestMixedPlanes(t *testing.T) {
	files := map[string]string{"linebond.toml": bondFile, "lines.d/a.toml": two["lines.d/a.toml"], "lines.d/b.toml": lineFile("eth2", "dataplane = 'ebpf'")}
	bonded(t, files, func(t *testing.T, w *world) {
		w.start()
		w.expect(1, "warn lines of one bond have different data planes", "bond=teql0 kernel=[a] ebpf=[b]")
		w.write("lines.d/a.toml", lineFile("eth1", "dataplane = 'ebpf'"))
		w.hup()
		time.Sleep(time.Second)
		w.expect(1, "warn lines of one bond have different data planes")
		w.write("lines.d/b.toml", lineFile("eth2", "dataplane = 'kernel'"))
		w.hup()
		time.Sleep(time.Second)
		w.expect(1, "warn lines of one bond have different data planes", "bond=teql0 kernel=[b] ebpf=[a]")
	})
	files["linebond.toml"] = "[bond]\nmode = \"multipath\"\n"
	bubble(t, files, func(t *testing.T, w *world) {
		w.start()
		w.expect(0, "different data planes")
	})
}

// TestStaleSessionOfOtherPlane: the line may have another one than before.
func TestStaleSessionOfOtherPlane(t *testing.T) {
	bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 101")}, func(t *testing.T, w *world) {
		w.up()
		crashed, err := os.ReadFile(w.sessionFile("a"))
		if err != nil {
			t.Fatal(err)
		}
		w.ac.with(func(a *fakeAC) { a.silent = true }) // it does not hear that the line goes
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		w.ac.with(func(a *fakeAC) { a.silent, a.padts = false, nil })
		if err := os.WriteFile(w.sessionFile("a"), crashed, 0o600); err != nil {
			t.Fatal(err)
		}
		w.write("lines.d/a.toml", lineFile("eth1", "vlan = 101\ndataplane = 'ebpf'"))
		w.up()
		if len(w.ac.padts) != 1 {
			t.Errorf("PADTs for %v", w.ac.padts)
		}
	})
}

// TestStaleSessionOfOtherVLAN: eBPF has no device by which it could be told.
func TestStaleSessionOfOtherVLAN(t *testing.T) {
	for name, c := range map[string]struct {
		vlan  []uint16
		padts int
	}{"same": {[]uint16{101}, 1}, "other": {[]uint16{102}, 0}, "none": {nil, 0}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]string{"lines.d/a.toml": lineFile("eth1", "vlan = 101\ndataplane = 'ebpf'")}, func(t *testing.T, w *world) {
				text, err := json.Marshal(saved{"eth1", c.vlan, pppoe.Session{AC: acMAC, ID: 7}})
				if err == nil {
					err = os.MkdirAll(filepath.Dir(w.sessionFile("a")), 0o755)
				}
				if err == nil {
					err = os.WriteFile(w.sessionFile("a"), text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				w.up()
				if len(w.ac.padts) != c.padts {
					t.Errorf("PADTs for %v", w.ac.padts)
				}
			})
		})
	}
}

// relic is something left behind that is not netstate's.
type relic struct {
	gone   bool
	refuse error
}

func (r *relic) String() string { return "ip link delete ppp-a-port" }
func (r *relic) Remove() error  { r.gone = r.refuse == nil; return r.refuse }

// TestCleanupLeftovers: what is left of data planes is listed, and goes.
func TestCleanupLeftovers(t *testing.T) {
	for _, dryRun := range []bool{true, false} {
		r := &relic{}
		var out strings.Builder
		err := Cleanup(&fakeHost{state: netstate.State{}}, []Leftover{r}, dryRun, &out)
		if err != nil || !strings.HasPrefix(out.String(), "ip link delete ppp-a-port\n#") || r.gone == dryRun {
			t.Errorf("dry run %v: %v, gone %v\n%s", dryRun, err, r.gone, &out)
		}
	}
	no := errors.New("no")
	if err := Cleanup(&fakeHost{}, []Leftover{&relic{refuse: no}}, false, &strings.Builder{}); !errors.Is(err, no) {
		t.Error(err)
	}
}
