package datapath

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// patience is for what should never happen: a test that waits this long has failed.
const patience = 20 * time.Second

const sessionID = 0x1234

// A host is a network namespace that lasts as long as its test.
type host struct {
	t  *testing.T
	ns netns.NsHandle
}

// newHost makes a host whose loopback device is up. The test's goroutine stays on one thread, so that it can be in one host at a time.
func newHost(t *testing.T) *host {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	home, err := netns.Get()
	must(t, err)
	ns, err := netns.New()
	must(t, err)
	must(t, netns.Set(home))
	h := &host{t, ns}
	t.Cleanup(func() {
		ns.Close()
		home.Close()
	})
	h.sh("ip link set lo up")
	return h
}

// in runs do in the host.
func (h *host) in(do func()) {
	h.t.Helper()
	home, err := netns.Get()
	must(h.t, err)
	defer home.Close()
	must(h.t, netns.Set(h.ns))
	defer func() { must(h.t, netns.Set(home)) }()
	do()
}

// command prepares a program for the host. It must be started within in.
func command(line string, args ...any) *exec.Cmd {
	return exec.Command("/bin/sh", "-ec", fmt.Sprintf(line, args...))
}

// sh runs shell commands in the host and returns what they print.
func (h *host) sh(lines string, args ...any) string {
	h.t.Helper()
	text, err := h.try(lines, args...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", fmt.Sprintf(lines, args...), err, text)
	}
	return text
}

func (h *host) try(lines string, args ...any) (text string, err error) {
	h.in(func() {
		var b []byte
		b, err = command(lines, args...).CombinedOutput()
		text = string(b)
	})
	return text, err
}

// background starts a program in the host that is killed when the test ends, and waits for it to print a line with this text.
func (h *host) background(ready, line string, args ...any) {
	h.t.Helper()
	c := command("exec "+line, args...)
	out, w, err := os.Pipe()
	must(h.t, err)
	c.Stdout, c.Stderr = w, w
	h.in(func() { must(h.t, c.Start()) })
	w.Close()
	h.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		out.Close()
	})
	must(h.t, out.SetReadDeadline(time.Now().Add(patience)))
	var said []byte
	for b := make([]byte, 1000); !strings.Contains(string(said), ready); {
		n, err := out.Read(b)
		if err != nil {
			h.t.Fatalf("%s did not say %q: %v\n%s", c, ready, err, said)
		}
		said = append(said, b[:n]...)
	}
}

// cable joins two hosts by a veth pair and waits for its carrier.
func cable(a *host, nameA string, b *host, nameB string, mtu int) {
	a.t.Helper()
	a.in(func() {
		attributes := netlink.NewLinkAttrs()
		attributes.Name, attributes.MTU = nameA, mtu
		must(a.t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attributes, PeerName: nameB, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(b.ns),
		}))
	})
	for h, name := range map[*host]string{a: nameA, b: nameB} {
		h.sh("sysctl -qw net.ipv6.conf.%[1]s.disable_ipv6=1; ip link set %[1]s up", name)
	}
	operating(a, nameA)
	operating(b, nameB)
}

// operating waits until a device transmits: some time after it has a carrier.
func operating(h *host, name string) {
	h.t.Helper()
	h.in(func() {
		updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
		must(h.t, netlink.LinkSubscribe(updates, done))
		defer func() {
			close(done)
			for range updates { // it is closed when the subscription has ended
			}
		}()
		for deadline := time.After(patience); ; {
			l, err := netlink.LinkByName(name)
			must(h.t, err)
			if l.Attrs().OperState == netlink.OperUp {
				return
			}
			select {
			case <-updates:
			case <-deadline:
				h.t.Fatalf("%s has no carrier", name)
			}
		}
	})
}

func (h *host) address(device string) (mac net.HardwareAddr) {
	h.t.Helper()
	h.in(func() {
		ifi, err := net.InterfaceByName(device)
		must(h.t, err)
		mac = ifi.HardwareAddr
	})
	return mac
}

// A world is two hosts with a cable, home eth1 to isp eth1, and a Path in each.
type world struct {
	t         *testing.T
	home, isp *end
}

// An end is one of them.
type end struct {
	*host
	path *Path
	mac  net.HardwareAddr // of eth1
}

func newWorld(t *testing.T, mtu int) *world {
	t.Helper()
	w := &world{t: t, home: newEnd(t), isp: newEnd(t)}
	cable(w.home.host, "eth1", w.isp.host, "eth1", mtu)
	w.home.mac, w.isp.mac = w.home.address("eth1"), w.isp.address("eth1")
	return w
}

// newEnd makes a host with a Path that attaches as this test binary was told to.
func newEnd(t *testing.T) *end {
	t.Helper()
	e := &end{host: newHost(t)}
	e.in(func() {
		var err error
		e.path, err = New()
		must(t, err)
	})
	t.Cleanup(func() { must(t, e.path.Close()) })
	return e
}

// line makes a line from an end to the station ac. It is closed with the test.
func (e *end) line(config LineConfig) *Line {
	e.t.Helper()
	var l *Line
	e.in(func() {
		var err error
		l, err = e.path.CreateLine(config)
		must(e.t, err)
	})
	e.t.Cleanup(func() { e.in(func() { must(e.t, l.Close()) }) })
	return l
}

// pair makes line number n, from 0 on, at both ends: 10.0.n.1 and 2001:db8:n::1 at home, .2 at the ISP's.
func (w *world) pair(n int, tags []Tag, mtu int) (home, isp *Line) {
	w.t.Helper()
	link := Link{"eth1", tags}
	name := fmt.Sprintf("ppp-%d", n)
	home = w.home.line(LineConfig{Device: name, Link: link, AC: w.isp.mac, Session: sessionID + uint16(n), MTU: mtu})
	isp = w.isp.line(LineConfig{Device: name, Link: link, AC: w.home.mac, Session: sessionID + uint16(n), MTU: mtu})
	for i, e := range []*end{w.home, w.isp} {
		e.sh("ip addr add 10.0.%[1]d.%[2]d peer 10.0.%[1]d.%[3]d dev %[4]s; ip link set %[4]s up; "+
			"ip addr add 2001:db8:%[1]d::%[2]d/64 dev %[4]s", n, i+1, 2-i, name)
		operating(e.host, portName(name)) // before, the kernel throws away what is received
	}
	return home, isp
}

func counters(t *testing.T, l *Line) Counters {
	t.Helper()
	c, err := l.Counters()
	must(t, err)
	return c
}

// eventually waits for something that another goroutine, or the kernel, does soon.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

func index(h *host, device string) (index int) {
	h.t.Helper()
	h.in(func() {
		ifi, err := net.InterfaceByName(device)
		must(h.t, err)
		index = ifi.Index
	})
	return index
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
