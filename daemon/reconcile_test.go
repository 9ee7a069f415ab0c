package daemon

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linebond/netstate"
)

const routeA = "route default dev ppp-a proto 108 metric 200"

func dropRoutes(h *fakeHost) { h.state.Routes = nil }

// TestRepair: what someone else takes away comes back at once.
func TestRepair(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.host.change(dropRoutes)
		time.Sleep(2 * settleTime)
		synctest.Wait()
		if !strings.Contains(w.host.String(), routeA) {
			t.Errorf("the route is not back:\n%s", w.host)
		}
	})
}

// TestRepairUnannounced: what the kernel does not announce is found in time.
func TestRepairUnannounced(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.host.mu.Lock()
		w.host.state.Sysctls[0].Value = "0"
		w.host.mu.Unlock()
		time.Sleep(checkEvery)
		synctest.Wait()
		if !strings.Contains(w.host.String(), "ppp-a/accept_ra=2") {
			t.Errorf("the setting is not back:\n%s", w.host)
		}
	})
}

// TestBurst: many changes are looked at together, and changes without an end
// do not put the repair off.
func TestBurst(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		time.Sleep(time.Second)
		w.host.mu.Lock()
		before := w.host.applies
		w.host.mu.Unlock()
		w.host.change(dropRoutes)
		for range 100 {
			w.host.change(func(*fakeHost) {})
			time.Sleep(settleTime / 10)
		}
		synctest.Wait()
		if !strings.Contains(w.host.String(), routeA) {
			t.Error("the route is not back")
		}
		if n := w.host.applies - before; n < 2 || n > 12 {
			t.Errorf("applied %d times in 100 ms", n)
		}
	})
}

// TestApplyFails: it is tried again each second, and told of once.
func TestApplyFails(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		time.Sleep(time.Second)
		w.host.change(func(h *fakeHost) { dropRoutes(h); h.refuse = errors.New("no room") })
		time.Sleep(10 * time.Second)
		w.expect(1, "warn host networking is not as it should be", "no room")
		w.host.mu.Lock()
		w.host.refuse = nil // nobody announces that
		w.host.mu.Unlock()
		time.Sleep(retryAfter + time.Millisecond)
		synctest.Wait()
		w.expect(1, "info host networking is as it should be")
		if !strings.Contains(w.host.String(), routeA) {
			t.Errorf("the route is not back:\n%s", w.host)
		}
	})
}

// TestFailsAtReload: an error is tried again after a reload, too.
func TestFailsAtReload(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		time.Sleep(time.Second)
		w.host.mu.Lock()
		w.host.refuse = errors.New("no room")
		w.host.mu.Unlock()
		w.write("lines.d/b.toml", lineFile("eth2", "vlan = 7"))
		w.hup()
		w.host.mu.Lock()
		w.host.refuse = nil
		w.host.mu.Unlock()
		w.reaches("b", "up")
		if d := time.Since(w.status()["b"].Since); d > 2*retryAfter {
			t.Errorf("%v", d)
		}
	})
}

// TestCarrier: a line hears of the device below it, in the right order.
func TestCarrier(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.host.change(func(h *fakeHost) { h.cut["eth1"] = true })
		w.reaches("a", "held")
		w.expect(1, "info held line=a reason=carrier lost")
		if strings.Contains(w.host.String(), routeA) {
			t.Error("the route is still there")
		}
		for i := range 101 { // two changes in quick succession: the last one counts
			w.host.change(func(h *fakeHost) { h.cut["eth1"] = i%2 == 1 })
			time.Sleep(settleTime)
		}
		w.reaches("a", "up")
		w.host.change(func(h *fakeHost) { h.remove("eth1") })
		w.reaches("a", "unplugged")
		w.host.change(func(h *fakeHost) { h.state.Links = append(h.state.Links, netstate.Link{Name: "eth1", MTU: 1500}) })
		if l := w.reaches("a", "up"); l.Session.MTU != 1492 {
			t.Errorf("the new device's MTU did not reach the line: %+v", l.Session)
		}
	})
}

// TestBlind: a device that vanishes while the kernel cannot be asked is missed
// when it can be asked again.
func TestBlind(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.host.change(func(h *fakeHost) { h.blind["eth1"] = true })
		time.Sleep(2 * retryAfter)
		w.expect(1, "warn host networking is not as it should be", "netlink is tired")
		if s := w.status()["a"].State; s != "up" {
			t.Errorf("the line is %s", s)
		}
		w.host.change(func(h *fakeHost) { h.blind["eth1"] = false; h.remove("eth1") })
		w.reaches("a", "unplugged")
	})
}

// TestSharedDevice: two lines on one device, added one after the other.
func TestSharedDevice(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		w.write("lines.d/b.toml", lineFile("eth1", ""))
		w.hup()
		w.reaches("b", "up")
		w.host.change(func(h *fakeHost) { h.cut["eth1"] = true })
		w.reaches("a", "held")
		w.reaches("b", "held")
	})
}

// TestNoIPv6: a kernel without IPv6 is not asked for it.
func TestNoIPv6(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.options.Effects.IPv6 = false
		w.up()
		time.Sleep(time.Second)
		if l := w.status()["a"]; l.IPv6 != nil || strings.Contains(w.host.String(), "fe80") {
			t.Errorf("%+v\n%s", l, w.host)
		}
		w.expect(1, "IPv6 is switched off", "line=a")
	})
}

// TestUndone: who undoes all that we do, again and again, is answered a few
// times a second, and in the end the host is right.
func TestUndone(t *testing.T) {
	bubble(t, one, func(t *testing.T, w *world) {
		w.up()
		time.Sleep(10 * time.Second)
		w.host.change(func(h *fakeHost) { h.ops = nil })
		for range 10_000 {
			w.host.change(dropRoutes)
			time.Sleep(time.Millisecond)
		}
		w.host.mu.Lock()
		n := len(w.host.ops)
		w.host.mu.Unlock()
		if n < 40 || n > 200 {
			t.Errorf("done %d times in 10 s", n)
		}
		time.Sleep(settleLong + time.Millisecond)
		synctest.Wait()
		if !w.has(routeA) {
			t.Errorf("the route is not back:\n%s", w.host)
		}
		time.Sleep(time.Second)
		w.host.change(dropRoutes)
		time.Sleep(2 * settleTime)
		synctest.Wait()
		if !w.has(routeA) {
			t.Error("a single change is not answered at once any more")
		}
	})
}
