package internet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience is for what should never happen: a test that waits this long has failed.
const patience = time.Minute

var (
	server4 = netip.MustParseAddr("192.0.2.1")
	server6 = netip.MustParseAddr("2001:db8::1")
)

// space is a network namespace without a name, whose loopback device has the servers' addresses.
type space struct{ handle netns.NsHandle }

func newSpace(t testing.TB) space {
	t.Helper()
	var s space
	must(t, onThread(func() (err error) {
		if s.handle, err = netns.New(); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		for _, addr := range []string{"192.0.2.1/32", "2001:db8::1/128"} {
			parsed, err := netlink.ParseAddr(addr)
			if err != nil {
				return err
			}
			parsed.Flags = unix.IFA_F_NODAD // at once to be bound to
			if err := netlink.AddrAdd(lo, parsed); err != nil {
				return fmt.Errorf("adding %s: %w", addr, err)
			}
		}
		return nil
	}))
	t.Cleanup(func() { s.handle.Close() })
	return s
}

// do calls f inside.
func (s space) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(s.handle); err != nil {
			return fmt.Errorf("entering a namespace: %w", err)
		}
		return f()
	})
}

// dial is a Dialer. The kernel adds the route of IPv6 when it finds the time.
func (s space) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	for deadline := time.Now().Add(patience); ; {
		err = s.do(func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		if !errors.Is(err, unix.ENETUNREACH) || !strings.Contains(address, server6.String()) || time.Now().After(deadline) {
			return conn, err
		}
		runtime.Gosched()
	}
}

// serve starts a server that ends with the test.
func (s space) serve(t testing.TB, addr netip.Addr) *Server {
	t.Helper()
	var server *Server
	must(t, s.do(func() (err error) {
		server, err = Serve(addr)
		return err
	}))
	t.Cleanup(func() { must(t, server.Close()) })
	return server
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
