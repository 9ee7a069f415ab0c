package modem

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience is for what should never happen: a test that waits this long has failed.
const patience = time.Minute

// space is a network namespace without a name.
type space struct{ handle netns.NsHandle }

func newSpace(t testing.TB) space {
	t.Helper()
	var s space
	must(t, onThread(func() (err error) {
		s.handle, err = netns.New()
		return err
	}))
	t.Cleanup(func() { s.handle.Close() })
	return s
}

// do calls f inside.
func (s space) do(t testing.TB, f func() error) {
	t.Helper()
	must(t, onThread(func() error {
		if err := netns.Set(s.handle); err != nil {
			return fmt.Errorf("entering a namespace: %w", err)
		}
		return f()
	}))
}

// onThread calls f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until check returns nil.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still: %v", patience, err)
		}
	}
}

// bench is a modem on a bench: eth1 == customer [modem] carrier == ac1. The far ends have an MTU of 9000 and the addresses 10.0.0.1 and
// 10.0.0.2.
type bench struct {
	router, wire, isp space
	modem             *Modem
}

func newBench(t testing.TB, up, down Direction) *bench {
	t.Helper()
	b := &bench{router: newSpace(t), wire: newSpace(t), isp: newSpace(t)}
	b.wire.do(t, func() error {
		for _, cable := range []struct {
			here, there string
			far         space
		}{{"customer", "eth1", b.router}, {"carrier", "ac1", b.isp}} {
			attributes := netlink.NewLinkAttrs()
			attributes.Name = cable.here
			veth := &netlink.Veth{LinkAttrs: attributes, PeerName: cable.there, PeerNamespace: netlink.NsFd(cable.far.handle), PeerMTU: 9000}
			if err := netlink.LinkAdd(veth); err != nil {
				return fmt.Errorf("making the cable %s: %w", cable.here, err)
			}
		}
		return nil
	})
	b.router.do(t, func() error { return setUp("eth1", "10.0.0.1/24") })
	b.isp.do(t, func() error { return setUp("ac1", "10.0.0.2/24") })
	b.wire.do(t, func() (err error) {
		b.modem, err = Open(Config{Customer: "customer", Carrier: "carrier", Up: up, Down: down, Seed: 1})
		return err
	})
	t.Cleanup(func() { must(t, b.modem.Close()) })
	for _, end := range []struct {
		space  space
		device string
	}{{b.router, "eth1"}, {b.isp, "ac1"}} {
		eventually(t, func() error { return carrier(t, end.space, end.device, netlink.OperUp) })
	}
	return b
}

// setUp gives a device an address; IPv6 stays silent.
func setUp(device, address string) error {
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/disable_ipv6", []byte("1"), 0); err != nil {
		return err
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer handle.Close()
	link, err := handle.LinkByName(device)
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := handle.AddrAdd(link, parsed); err != nil {
		return err
	}
	return handle.LinkSetUp(link)
}

// carrier returns nil when the device is in the state.
func carrier(t testing.TB, s space, device string, want netlink.LinkOperState) error {
	var got netlink.LinkOperState
	s.do(t, func() error {
		link, err := netlink.LinkByName(device)
		if err == nil {
			got = link.Attrs().OperState
		}
		return err
	})
	if got != want {
		return fmt.Errorf("%s is %v, want %v", device, got, want)
	}
	return nil
}
