package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"linebond/lab/modem"
)

// patience is for what should never happen: a test that waits this long has failed.
const patience = time.Minute

// A host is a network namespace that lasts as long as its test.
type host struct {
	t  testing.TB
	ns netns.NsHandle
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t}
	must(t, onThread(func() (err error) {
		h.ns, err = netns.New()
		return err
	}))
	t.Cleanup(func() { h.ns.Close() })
	h.sh("ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 " +
		"net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1")
	return h
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

// do calls f inside.
func (h *host) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("entering a namespace: %w", err)
		}
		return f()
	})
}

func (h *host) try(lines string, args ...any) (string, error) {
	var out []byte
	err := h.do(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out, err = exec.CommandContext(ctx, "/bin/sh", "-ec", fmt.Sprintf(lines, args...)).CombinedOutput()
		return err
	})
	return string(out), err
}

// sh runs shell commands in the host and returns what they print.
func (h *host) sh(lines string, args ...any) string {
	h.t.Helper()
	out, err := h.try(lines, args...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", fmt.Sprintf(lines, args...), err, out)
	}
	return out
}

// start starts a program in the host, and waits for it to print a text. It is killed with the test, or by stop.
func (h *host) start(ready, line string, args ...any) (stop func()) {
	h.t.Helper()
	out, w, err := os.Pipe()
	must(h.t, err)
	c := exec.Command("/bin/sh", "-ec", "exec "+fmt.Sprintf(line, args...))
	c.Stdout, c.Stderr = w, w
	must(h.t, h.do(c.Start))
	w.Close()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			c.Process.Kill()
			c.Wait()
			out.Close()
		}
	}
	h.t.Cleanup(stop)
	must(h.t, out.SetReadDeadline(time.Now().Add(patience)))
	var said []byte
	for b := make([]byte, 1000); !strings.Contains(string(said), ready); {
		n, err := out.Read(b)
		if err != nil {
			h.t.Fatalf("%s did not say %q: %v\n%s", c, ready, err, said)
		}
		said = append(said, b[:n]...)
	}
	return stop
}

// lineConfig is a line of a world. Without a rate it is a cable.
type lineConfig struct {
	rate  int64 // bit/s
	delay time.Duration
	queue time.Duration // of the modem, both ways: what it sends in that time; then the rate is that of both ways. 0: its default
	loss  float64       // upwards
	ppp   bool          // it is a session of two of Debian's pppd
}

// ethernet is what a packet takes on a modem's line besides its bytes.
const ethernet = 14 + modem.Overhead

// world is
//
//	lan eth0 == lan router wanbond0: ppp-0 == [modem] == ppp-0 isp
//	                                 ppp-1 == [modem] == ppp-1
//
// The ISP answers on the first line. No end needs ARP, as all ends have one address.
type world struct {
	*testing.T
	lan, router, isp *host
	modems           []*modem.Modem
	bond             *Scheduler
	lines            []Line
}

const (
	station = "02:00:00:00:00:01"
	server  = "10.10.0.1"
	server6 = "2001:db8:10::1"
	mtu     = 1492
)

func newWorld(t *testing.T, lines ...lineConfig) *world {
	t.Helper()
	w := &world{T: t, lan: newHost(t), router: newHost(t), isp: newHost(t)}
	w.isp.sh("ip addr add %s/32 dev lo; ip addr add %s/128 dev lo", server, server6)
	cable(w.lan, "eth0", w.router, "lan")
	w.lan.sh("ip addr add 10.7.0.2/24 dev eth0; ip addr add 2001:db8:7::2/64 dev eth0; ip link set eth0 up; " +
		"ip route add default via 10.7.0.1; ip route add default via 2001:db8:7::1")
	w.router.sh("ip addr add 10.7.0.1/24 dev lan; ip addr add 2001:db8:7::1/64 dev lan; ip link set lan up")
	for i, l := range lines {
		w.addLine(i, l)
	}
	w.isp.sh("ip route add 10.9.0.1 dev ppp-0 src %[1]s; ip route add 10.7.0.0/24 dev ppp-0 src %[1]s; "+
		"ip route add 2001:db8:9::1 dev ppp-0 src %[2]s; ip route add 2001:db8:7::/64 dev ppp-0 src %[2]s", server, server6)
	w.open()
	w.Cleanup(func() { must(t, w.bond.Close()) })
	w.setLines(w.lines)
	w.router.sh("ip addr add 10.9.0.1/32 dev wanbond0; ip addr add 2001:db8:9::1/128 dev wanbond0; "+
		"ip link set wanbond0 address %s; ip link set wanbond0 up; ip route add default dev wanbond0; ip -6 route add default dev wanbond0", station)
	return w
}

func (w *world) open() {
	w.Helper()
	must(w, w.router.do(func() (err error) {
		w.bond, err = Open("wanbond0", mtu)
		return err
	}))
}

func (w *world) setLines(lines []Line) {
	w.Helper()
	must(w, w.bond.SetMode(Mode{Cap: 20 * time.Millisecond}))
	must(w, w.bond.SetLines(lines))
}

func (w *world) addLine(i int, l lineConfig) {
	w.Helper()
	name := fmt.Sprintf("ppp-%d", i)
	line := Line{Device: name, Rate: 1e9, Delay: l.delay, Overhead: ethernet}
	if l.ppp {
		w.dial(i)
		w.lines = append(w.lines, line)
		return
	}
	if l.rate == 0 {
		cable(w.router, name, w.isp, name)
	} else {
		wire := newHost(w)
		cable(w.router, name, wire, "customer")
		cable(wire, "carrier", w.isp, name)
		var m *modem.Modem
		must(w, wire.do(func() (err error) {
			up, down := modem.Direction{Rate: l.rate, Delay: l.delay, Loss: l.loss}, modem.Direction{Delay: l.delay}
			if l.queue != 0 {
				up.Queue = int(float64(l.rate) / 8 * l.queue.Seconds())
				down.Rate, down.Queue = up.Rate, up.Queue
			}
			m, err = modem.Open(modem.Config{Customer: "customer", Carrier: "carrier", Up: up, Down: down})
			return err
		}))
		w.Cleanup(func() { must(w, m.Close()) })
		w.modems = append(w.modems, m)
		line.Rate = uint64(l.rate)
	}
	for j, h := range []*host{w.router, w.isp} {
		h.sh("ip link set %[1]s address %[2]s arp off gso_max_segs 1 mtu %[6]d up; ip addr add 10.8.%[3]d.%[4]d peer 10.8.%[3]d.%[5]d dev %[1]s",
			name, station, i, j+1, 2-j, mtu)
	}
	w.lines = append(w.lines, line)
}

// dial makes a line of two pppd.
func (w *world) dial(i int) {
	w.Helper()
	const options = "nodetach noauth local noccp novj nodefaultroute mtu %d mru %d ifname ppp-%d +ipv6 10.8.%d.%d:10.8.%d.%d"
	end := func(a, b int) string { return fmt.Sprintf(options, mtu, mtu, i, i, a, i, b) }
	isp := fmt.Sprintf("nsenter --net=/proc/%d/fd/%d pppd notty %s", os.Getpid(), int(w.isp.ns), end(2, 1))
	w.router.start("remote IP address", "pppd %s pty '%s'", end(1, 2), isp)
	eventually(w, func() error {
		_, err := w.isp.try("ip -4 addr show dev ppp-%d | grep -q peer", i)
		return err
	})
}

// cable joins two hosts by a veth pair.
func cable(a *host, nameA string, b *host, nameB string) {
	a.t.Helper()
	must(a.t, a.do(func() error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = nameA
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: nameB, PeerNamespace: netlink.NsFd(b.ns)})
	}))
}

func (w *world) counters() Counters {
	w.Helper()
	c, err := w.bond.Counters()
	must(w, err)
	return c
}

// report is what iperf3 says of a transfer.
type report struct {
	End struct {
		Received struct {
			Rate float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sent struct {
			Retransmits int
		} `json:"sum_sent"`
		Sum struct {
			Packets int
			Lost    int `json:"lost_packets"`
		}
	}
	Server string `json:"server_output_text"` // which alone knows what came out of order
	Error  string
}

// transfer has iperf3 send to the ISP's server.
func (w *world) transfer(from *host, how string) (r report) {
	w.Helper()
	stop := w.isp.start("Server listening", "iperf3 -s -1 --forceflush")
	defer stop()
	out, err := from.try("iperf3 -J --get-server-output -c %s", how)
	_, object, _ := strings.Cut(out, "{") // warnings may come before
	if jsonErr := json.Unmarshal([]byte("{"+object), &r); err != nil || jsonErr != nil || r.Error != "" {
		w.Fatalf("iperf3 %s: %v, %v\n%s", how, err, jsonErr, out)
	}
	return r
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
