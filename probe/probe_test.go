package probe

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linebond/lab/vm"
)

func TestMain(m *testing.M) { vm.Main(m) }

var (
	source = netip.MustParseAddr("203.0.113.10")  // ours, on both lines
	target = netip.MustParseAddr("198.51.100.1")  // answers by line two only
	nobody = netip.MustParseAddr("198.51.100.99") // does not answer
)

func script(t *testing.T, text string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", text).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", text, err, out)
	}
}

// topology is two cables, one and two, to a namespace with the target. One address of ours is on both, and the way back is line two.
// (The neighbours are told, and IPv6 is off, so that nothing but pings crosses a cable.)
const topology = `
ip netns add isp
ip -batch - <<END
link add one address 02:00:00:00:00:01 type veth peer name isp-one address 02:00:00:00:00:02 netns isp
link add two address 02:00:00:00:00:01 type veth peer name isp-two address 02:00:00:00:00:02 netns isp
END
for line in one two; do
	echo 1 >/proc/sys/net/ipv6/conf/$line/disable_ipv6
	echo 2 >/proc/sys/net/ipv4/conf/$line/rp_filter
done
ip -batch - <<END
address add 203.0.113.10/32 dev one
address add 203.0.113.10/32 dev two
link set one up
link set two up
neigh replace 198.51.100.1 lladdr 02:00:00:00:00:02 dev one
neigh replace 198.51.100.1 lladdr 02:00:00:00:00:02 dev two
neigh replace 198.51.100.99 lladdr 02:00:00:00:00:02 dev two
route add 198.51.100.0/24 dev two
END
ip netns exec isp sh -e <<'ISP'
for line in isp-one isp-two; do
	echo 1 >/proc/sys/net/ipv6/conf/$line/disable_ipv6
	echo 0 >/proc/sys/net/ipv4/conf/$line/rp_filter
done
ip -batch - <<END
link set lo up
address add 198.51.100.1/32 dev lo
link set isp-one up
link set isp-two up
neigh replace 203.0.113.10 lladdr 02:00:00:00:00:01 dev isp-one
neigh replace 203.0.113.10 lladdr 02:00:00:00:00:01 dev isp-two
route add 203.0.113.10 dev isp-two
END
ISP
`

// lines makes the topology.
func lines(t *testing.T) {
	t.Helper()
	script(t, topology)
	t.Cleanup(func() { script(t, "ip link delete one; ip link delete two; ip netns delete isp") })
}

func open(t *testing.T) *Pinger {
	t.Helper()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() }) // may be closed already
	return p
}

// packets reads what a device has received or sent: rx or tx.
func packets(t *testing.T, device, way string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/sys/class/net", device, "statistics", way+"_packets"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// await returns the next reply.
func await(t *testing.T, p *Pinger) Reply {
	t.Helper()
	select {
	case r, ok := <-p.Replies():
		if !ok {
			t.Fatal("the socket has failed")
		}
		return r
	case <-time.After(5 * time.Second):
		t.Fatal("no reply")
	}
	return Reply{}
}

// TestSend: a request leaves by the device that it is for, against the routes, and its answer may come by another.
func TestSend(t *testing.T) {
	lines(t)
	p := open(t)
	for i, c := range []struct {
		device   string
		one, two int // requests that left there
	}{{"one", 1, 0}, {"two", 0, 1}} {
		one, two, back := packets(t, "one", "tx"), packets(t, "two", "tx"), packets(t, "two", "rx")
		before := time.Now()
		sequence := uint16(65535 - i)
		if err := p.Send(c.device, source, target, sequence); err != nil {
			t.Fatal(err)
		}
		r := await(t, p)
		if r.Target != target || r.Sequence != sequence || r.At.Before(before) || r.At.After(time.Now()) {
			t.Errorf("by %s: %+v", c.device, r)
		}
		one, two, back = packets(t, "one", "tx")-one, packets(t, "two", "tx")-two, packets(t, "two", "rx")-back
		if one != c.one || two != c.two || back != 1 {
			t.Errorf("by %s: %d left by one, %d by two, and %d came back by two", c.device, one, two, back)
		}
	}
}

// TestForeign: what answers others, or nobody, is not a reply to us.
func TestForeign(t *testing.T) {
	lines(t)
	p, other := open(t), open(t)
	script(t, "ping -n -c 3 -i 0.2 -I "+source.String()+" "+target.String())
	if err := errors.Join(other.Send("two", source, target, 1), p.Send("two", source, nobody, 2), p.Send("two", source, target, 3)); err != nil {
		t.Fatal(err)
	}
	if r := await(t, p); r.Sequence != 3 {
		t.Errorf("%+v", r)
	}
	if r := await(t, other); r.Sequence != 1 {
		t.Errorf("the other: %+v", r)
	}
}

// TestParse: what comes from the wire is not trusted.
func TestParse(t *testing.T) {
	p := &Pinger{id: 0x1234, token: []byte("0123456789abcdef")}
	from := &net.IPAddr{IP: net.IPv4(198, 51, 100, 1)}
	good := append([]byte{0, 0, 0, 0, 0x12, 0x34, 0, 7}, p.token...)
	if r, ok := p.parse(good, from); !ok || r.Sequence != 7 || r.Target != target {
		t.Errorf("%+v, %v", r, ok)
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty":               func([]byte) []byte { return nil },
		"cut off":             func(b []byte) []byte { return b[:7] },
		"request":             func(b []byte) []byte { b[0] = 8; return b },
		"another identifier":  func(b []byte) []byte { b[5]++; return b },
		"another token":       func(b []byte) []byte { b[9]++; return b },
		"no token":            func(b []byte) []byte { return b[:8] },
		"more than the token": func(b []byte) []byte { return append(b, 0) },
	} {
		if r, ok := p.parse(change(append([]byte(nil), good...)), from); ok {
			t.Errorf("%s: taken for %+v", name, r)
		}
	}
}

func TestSendFails(t *testing.T) {
	lines(t)
	p := open(t)
	for _, device := range []string{"three", "a-name-that-is-too-long", ""} {
		err := p.Send(device, source, target, 1)
		if !errors.Is(err, unix.ENODEV) || !strings.HasPrefix(err.Error(), "pinging 198.51.100.1 from 203.0.113.10 by "+device+": ") {
			t.Errorf("%q: %v", device, err)
		}
	}
	if err := p.Send("one", netip.MustParseAddr("192.0.2.1"), target, 1); err == nil {
		t.Error("sent from an address that is not ours")
	}
	script(t, "ip link set one down")
	if err := p.Send("one", source, target, 1); err == nil {
		t.Error("sent by a device that is down")
	}
}

// TestFull: a device that takes nothing holds the sender up for a moment at most.
func TestFull(t *testing.T) {
	lines(t)
	p := open(t)
	if err := p.conn.SetWriteBuffer(1); err != nil { // the least that the kernel gives
		t.Fatal(err)
	}
	script(t, "tc qdisc add dev one root tbf rate 1kbit burst 1600 limit 1mb")
	var err error
	for range 1000 {
		begin := time.Now()
		err = p.Send("one", source, target, 1)
		if d := time.Since(begin); d > 10*sendLimit {
			t.Fatalf("it took %v", d)
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("a full device: %v", err)
	}
}

// TestClose: nothing is left running, even when nobody takes the replies.
func TestClose(t *testing.T) {
	lines(t)
	before := runtime.NumGoroutine()
	p := open(t)
	for i := range 2 * backlog {
		if err := p.Send("two", source, target, uint16(i)); err != nil {
			t.Fatal(err)
		}
	}
	soon := func(what func() bool) {
		for deadline := time.Now().Add(time.Minute); !what() && time.Now().Before(deadline); {
			runtime.Gosched()
		}
	}
	soon(func() bool { return len(p.replies) >= backlog })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range p.Replies() {
		n++
	}
	if n < backlog {
		t.Errorf("%d replies, after which the channel is closed", n)
	}
	soon(func() bool { return runtime.NumGoroutine() <= before }) // it closes the channel a moment before it ends
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
	if err := p.Send("two", source, target, 1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWithoutCapability(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, fewer [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	fewer = all
	fewer[0].Effective &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&header, &fewer[0]); err != nil {
		t.Fatal(err)
	}
	_, err := Open()
	if restored := unix.Capset(&header, &all[0]); restored != nil {
		t.Fatal(restored)
	}
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
		t.Errorf("without the capability: %v", err)
	}
}
