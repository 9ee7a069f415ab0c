package datapath

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/florianl/go-tc"
	"github.com/florianl/go-tc/core"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// attachers are the ways to attach that this kernel has.
var attachers = map[string]attacher{"best": attachBest, "clsact": attachClsact}

// state is all that a line could leave in a host.
func (h *host) state() string {
	h.t.Helper()
	text := h.sh("ip -o -d link; tc qdisc; for d in eth1 lo; do tc filter show dev $d ingress; tc filter show dev $d egress; done")
	h.in(func() {
		ifi, err := net.InterfaceByName("eth1")
		must(h.t, err)
		attached, err := link.QueryPrograms(link.QueryOptions{Target: ifi.Index, Attach: ebpf.AttachTCXIngress})
		if err == nil { // a kernel that has no tcx does not know the question
			text += fmt.Sprintln(len(attached.Programs), "tcx programs on eth1")
		}
	})
	return text
}

// Several lines, closed in any order and by any way of attaching, carry packets until each is closed, and leave nothing.
func TestCloseLeavesNothing(t *testing.T) {
	for name, attach := range attachers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1500)
			w.home.path.attach = attach
			before := w.home.state()
			var lines []*Line
			for n := range 3 {
				home, _ := w.pair(n, nil, 0)
				lines = append(lines, home)
			}
			for _, n := range []int{0, 2, 1} {
				w.home.sh("ping -qc 1 -W 5 10.0.%d.2", n)
				w.home.in(func() {
					must(t, lines[n].Close())
					must(t, lines[n].Close())
				})
			}
			if diff := cmp.Diff(before, w.home.state()); diff != "" {
				t.Errorf("what is left (-before +after):\n%s", diff)
			}
			if len(w.home.path.uplinks) != 0 {
				t.Errorf("uplinks: %v", w.home.path.uplinks)
			}
			var key programsSession
			var port uint32
			maps := w.home.path.programs.programsMaps
			for m, k := range map[*ebpf.Map]any{maps.Sessions: &key, maps.Ports: &port, maps.Counts: &port} {
				if err := m.NextKey(nil, k); err == nil {
					t.Errorf("%v is not empty", m)
				}
			}
		})
	}
}

// A clsact qdisc of somebody else's stays, and so does ours when somebody else has a filter in it.
func TestOthersFilters(t *testing.T) {
	w := newWorld(t, 1500)
	w.home.path.attach = attachClsact
	w.home.sh("tc qdisc add dev eth1 clsact")
	before := w.home.state()
	home, _ := w.pair(0, nil, 0)
	w.home.in(func() { must(t, home.Close()) })
	if diff := cmp.Diff(before, w.home.state()); diff != "" {
		t.Errorf("after Close (-before +after):\n%s", diff)
	}

	w.home.sh("tc qdisc delete dev eth1 clsact")
	home, _ = w.pair(1, nil, 0)
	w.home.in(func() {
		ifi, err := net.InterfaceByName("eth1")
		must(t, err)
		conn, err := tc.Open(&tc.Config{})
		must(t, err)
		defer conn.Close()
		other, name := filter(ifi.Index, w.home.path.programs.Down.FD()), "other"
		other.Info, other.BPF.Name = core.BuildHandle(1, uint32(htons(unix.ETH_P_ALL))), &name
		must(t, conn.Filter().Add(other))
		must(t, home.Close())
		must(t, Cleanup())
	})
	if got := w.home.sh("tc filter show dev eth1 ingress"); !strings.Contains(got, "other") || strings.Contains(got, mark) {
		t.Errorf("the filters after Close:\n%s", got)
	}
}

// A device that somebody deletes, or an Ethernet device that goes away, is no obstacle to Close.
func TestCloseAfterOthers(t *testing.T) {
	for name, attach := range attachers {
		for _, device := range []string{"ppp-0", "eth1"} {
			t.Run(name+", "+device, func(t *testing.T) {
				w := newWorld(t, 1500)
				w.home.path.attach = attach
				home, _ := w.pair(0, nil, 0)
				w.home.sh("ip link delete %s", device)
				w.home.in(func() { must(t, home.Close()) })
				if left := w.home.sh("ip -o link"); strings.Contains(left, "ppp-0") {
					t.Errorf("left:\n%s", left)
				}
			})
		}
	}
}

// victim is in the environment of a child of this test binary that makes a line, and waits to be killed.
const victim = "LINEBOND_VICTIM"

func TestMain(m *testing.M) {
	if attach := os.Getenv(victim); attach != "" {
		if err := makeLine(attachers[attach]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		select {}
	}
	os.Exit(m.Run())
}

func makeLine(attach attacher) error {
	p, err := New()
	if err != nil {
		return err
	}
	p.attach = attach
	_, err = p.CreateLine(LineConfig{
		Device: "ppp-a", Link: Link{"eth1", []Tag{{ID: 101}}}, AC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Session: sessionID,
	})
	return err
}

func TestCleanup(t *testing.T) {
	for attach := range attachers {
		t.Run(attach, func(t *testing.T) {
			w := newWorld(t, 1500)
			w.home.sh("ip link add veth9 type veth peer name veth10; tc qdisc add dev veth9 clsact; ip link set veth10 alias linebond")
			before := w.home.state()
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), victim+"="+attach)
			out, err := child.StdoutPipe()
			must(t, err)
			w.home.in(func() { must(t, child.Start()) })
			line, err := bufio.NewReader(out).ReadString('\n')
			must(t, err)
			if line != "ready\n" {
				t.Fatal(line)
			}
			must(t, child.Process.Kill())
			child.Wait()
			if w.home.state() == before {
				t.Error("the child has left nothing to clean up")
			}
			w.home.in(func() {
				found, err := Leftovers()
				must(t, err)
				want := "[ip link delete ppp-a-port]"
				if attach == "clsact" {
					want = fmt.Sprintf("[tc filter delete dev eth1 ingress pref %d ip link delete ppp-a-port]", filterPriority)
				}
				if got := fmt.Sprint(found); got != want {
					t.Errorf("what is left: %s, want %s", got, want)
				}
				must(t, Cleanup())
				must(t, Cleanup())
				for _, l := range found {
					must(t, l.Remove()) // it is gone
				}
			})
			if diff := cmp.Diff(before, w.home.state()); diff != "" {
				t.Errorf("after Cleanup (-before +after):\n%s", diff)
			}
		})
	}
}

// Pairs of a process that was killed before it could give them their aliases are left over as well, and any number is removed.
func TestCleanupUnmarked(t *testing.T) {
	w := newWorld(t, 1500)
	before := w.home.state()
	w.home.in(func() {
		m, err := newMaker()
		must(t, err)
		defer m.close()
		for n := range removalsAtOnce + 1 {
			name := fmt.Sprintf("ppp-%d", n)
			must(t, m.route.do(request{what: name, message: addPair(name, 1492, net.HardwareAddr{2, 0, 0, 0, 0, 1})}))
		}
		must(t, Cleanup())
	})
	if diff := cmp.Diff(before, w.home.state()); diff != "" {
		t.Errorf("after Cleanup (-before +after):\n%s", diff)
	}
}

// Where somebody has the qdisc ingress, which Linux before 6.6 lets us use, our filter is found, and replaced.
func TestOthersIngress(t *testing.T) {
	w := newWorld(t, 1500)
	w.home.sh("tc qdisc add dev eth1 ingress")
	before := w.home.state()
	device := index(w.home.host, "eth1")
	w.home.in(func() {
		for range 2 { // the first process is killed
			_, err := attachClsact(device, w.home.path.programs.Down)
			must(t, err)
		}
		found, err := Leftovers()
		must(t, err)
		if got, want := fmt.Sprint(found), fmt.Sprintf("[tc filter delete dev eth1 ingress pref %d]", filterPriority); got != want {
			t.Errorf("what is left: %s, want %s", got, want)
		}
		must(t, Cleanup())
	})
	if diff := cmp.Diff(before, w.home.state()); diff != "" {
		t.Errorf("after Cleanup (-before +after):\n%s", diff)
	}
}

// One pair that cannot be removed with the others does not keep them.
func TestRemoveOneByOne(t *testing.T) {
	w := newWorld(t, 1500)
	before := w.home.state()
	w.home.in(func() {
		m, err := newMaker()
		must(t, err)
		defer m.close()
		var ports []int
		for _, name := range []string{"ppp-a", "ppp-b"} {
			p, err := m.make(name, 1492, nil)
			must(t, err)
			ports = append(ports, p.port)
		}
		const wrong = -1
		if err := m.route.removePorts([]int{ports[0], wrong, ports[1]}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("removePorts() = %v, want EINVAL", err)
		}
	})
	if diff := cmp.Diff(before, w.home.state()); diff != "" {
		t.Errorf("what is left (-before +after):\n%s", diff)
	}
}

// A device that leaves a bridge is there still.
func TestBridge(t *testing.T) {
	w := newWorld(t, 1500)
	var l *Line
	w.home.in(func() {
		var err error
		config := LineConfig{Device: "ppp-a", Link: Link{Ethernet: "eth1"}, AC: w.isp.mac, Session: sessionID}
		l, err = w.home.path.newLine(config, func() { t.Error("the device was taken for gone") })
		must(t, err)
	})
	w.home.sh("ip link add br0 type bridge; ip link set ppp-a master br0; ip link set ppp-a nomaster; ip link set ppp-a mtu 1300")
	eventually(t, "the news of the MTU", func() bool {
		w.home.path.mu.Lock()
		defer w.home.path.mu.Unlock()
		return l.value.Receive == 1300
	})
	w.home.in(func() { must(t, l.Close()) })
}

// That a device was deleted while its line was made is noticed.
func TestDeletedAtOnce(t *testing.T) {
	w := newWorld(t, 1500)
	w.home.path.attach = func(device int, program *ebpf.Program) (detach, error) {
		if out, err := command("ip link delete ppp-a || true").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return func() error { return nil }, nil
	}
	ended := make(chan struct{}, 2)
	w.home.in(func() {
		config := LineConfig{Device: "ppp-a", Link: Link{Ethernet: "eth1"}, AC: w.isp.mac, Session: sessionID}
		l, err := w.home.path.newLine(config, func() { ended <- struct{}{} })
		must(t, err)
		next(t, ended)
		must(t, l.Close())
	})
}

// A look at the devices that is under way does not disturb Close.
func TestCloseWhileLooking(t *testing.T) {
	h := newHost(t)
	h.in(func() {
		p, err := New()
		must(t, err)
		begun := make(chan struct{})
		p.following.Go(func() {
			close(begun)
			for range 1000 {
				if _, err := p.linkAt(1); err != nil {
					t.Error(err)
				}
			}
		})
		<-begun
		must(t, p.Close())
	})
}

func TestCreateLineErrors(t *testing.T) {
	w := newWorld(t, 1500)
	w.home.sh("ip link add down0 type veth peer name down1")
	good := LineConfig{Device: "ppp-a", Link: Link{Ethernet: "eth1"}, AC: w.isp.mac, Session: sessionID}
	open := good
	w.home.line(open)
	before := w.home.state()
	for _, test := range []struct {
		want   string
		change func(*LineConfig)
	}{
		{"there is a device of that name, or of the name ppp-a-port, already", func(c *LineConfig) { c.Session++ }},
		{"another line has this very session open", func(c *LineConfig) { c.Device = "ppp-b" }},
		{"the device nowhere0: ", func(c *LineConfig) { c.Link.Ethernet = "nowhere0" }},
		{"the device down0 is down (`ip link set down0 up`)", func(c *LineConfig) { c.Link.Ethernet = "down0" }},
		{"the device lo is not an Ethernet device", func(c *LineConfig) { c.Link.Ethernet = "lo"; c.Session++ }},
		{"3 VLAN tags: at most 2 are possible", func(c *LineConfig) { c.Link.Tags = make([]Tag, 3) }},
		{"VLAN 4095: the id must be from 1 to 4094", func(c *LineConfig) { c.Link.Tags = []Tag{{ID: 4095}} }},
		{"VLAN 5: the protocol 0x9100 is neither", func(c *LineConfig) { c.Link.Tags = []Tag{{0x9100, 5}} }},
		{"the session id 0x0 is reserved", func(c *LineConfig) { c.Session = 0 }},
		{"the session id 0xffff is reserved", func(c *LineConfig) { c.Session = 0xffff }},
		{"each must be one station's", func(c *LineConfig) { c.AC = nil }},
		{"each must be one station's", func(c *LineConfig) { c.AC = broadcast }},
		{"an MTU of 1279: it must be from 1280 to 1500", func(c *LineConfig) { c.MTU = 1279 }},
		{"an MTU of 1500 needs one of 1508 on eth1, which has 1500 (`ip link set eth1 mtu 1508`; RFC 4638)", func(c *LineConfig) { c.MTU = 1500 }},
	} {
		config := good
		test.change(&config)
		w.home.in(func() {
			if _, err := w.home.path.CreateLine(config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("CreateLine() = %v, want %q", err, test.want)
			}
		})
	}
	if diff := cmp.Diff(before, w.home.state()); diff != "" {
		t.Errorf("what is left (-before +after):\n%s", diff)
	}
}

func TestPortName(t *testing.T) {
	for device, want := range map[string]string{
		"ppp-a": "ppp-a-port", "ppp-123456": "ppp-123456-port", "ppp-1234567": "p3c536434-port", "ppp-12345678901": "p3f97999e-port",
	} {
		if got := portName(device); got != want || len(got) > 15 {
			t.Errorf("portName(%q) = %q, want %q", device, got, want)
		}
	}
}
