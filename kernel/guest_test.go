package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"linebond/lab/vm"
	"linebond/netstate"
)

func TestMain(m *testing.M) { vm.Main(m) }

// run executes a command line, split at its spaces, and returns what it prints.
func run(t *testing.T, command string) string {
	t.Helper()
	fields := strings.Fields(command)
	out, err := exec.Command(fields[0], fields[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// hostNetwork is all that a person sees of the guest's networking.
func hostNetwork(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, command := range []string{"ip link", "ip address", "ip route", "ip -6 route", "ip rule", "nft list ruleset"} {
		b.WriteString(run(t, command))
	}
	return b.String()
}

// host makes a host with an Ethernet device eth1 (a veth pair whose other end is ac1) and opens its kernel. In the end all of it goes.
func host(t *testing.T) *Kernel {
	t.Helper()
	before := hostNetwork(t)
	run(t, "ip link add eth1 type veth peer name ac1")
	run(t, "ip link set ac1 up")
	k, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Close()
		run(t, "ip link delete eth1")
		if diff := cmp.Diff(before, hostNetwork(t)); diff != "" {
			t.Errorf("the test has left something behind (-before +after):\n%s", diff)
		}
	})
	return k
}

// pppUnit makes a PPP network device as the wire room does, though with no line behind it. It goes with the function that is returned.
func pppUnit(t *testing.T, name string) (remove func()) {
	t.Helper()
	f, err := os.OpenFile("/dev/ppp", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	unit := int32(-1)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.PPPIOCNEWUNIT, uintptr(unsafe.Pointer(&unit))); errno != 0 {
		t.Fatal("making a PPP unit:", errno)
	}
	run(t, fmt.Sprintf("ip link set ppp%d name %s", unit, name))
	removed := false
	remove = func() {
		if !removed {
			removed = true
			f.Close()
		}
	}
	t.Cleanup(remove)
	return remove
}

// ethernet wants what a line runs on: eth1, and on it one VLAN device for each identifier, outermost first. The outer tag of two or more
// has the protocol given, every other tag is 802.1Q.
func ethernet(ids []uint16, outer netstate.VLANProtocol, priority uint8) []netstate.Link {
	links := []netstate.Link{{Name: "eth1", Up: true}}
	for i, id := range ids {
		vlan := netstate.VLAN{Parent: links[i].Name, ID: id, Protocol: netstate.Dot1Q, Egress: netstate.Priority(priority)}
		if i == 0 && len(ids) > 1 {
			vlan.Protocol = outer
		}
		links = append(links, netstate.Link{Name: fmt.Sprintf("%s.%d", vlan.Parent, id), VLAN: vlan, Ours: true, Up: true})
	}
	return links
}

// lineUp is what a dual-stack line on VLAN 101 wants of the host.
func lineUp(device string) netstate.State {
	return netstate.State{
		Links: append(ethernet([]uint16{101}, netstate.Dot1AD, 6), netstate.Link{Name: device, Line: true, Up: true, MTU: 1492}),
		Addresses: []netstate.Address{
			netstate.PeerAddress(device, netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("198.51.100.1")),
			netstate.PeerAddress(device, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")),
		},
		Routes: []netstate.Route{
			{Destination: netstate.DefaultIPv4, Device: device, Metric: 200},
			{Destination: netstate.DefaultIPv6, Device: device, Metric: 200},
		},
		Sysctls: []netstate.Sysctl{{Key: "net/ipv6/conf/" + device + "/accept_ra", Value: "2"}},
	}
}

func observe(t *testing.T, k *Kernel, interest netstate.State) netstate.State {
	t.Helper()
	have, err := k.Observe(interest)
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// reconcile brings the host to what is wanted, and checks that one round is enough. It returns the operations.
func reconcile(t *testing.T, k *Kernel, want netstate.State) []netstate.Op {
	t.Helper()
	ops := netstate.Diff(want, observe(t, k, want))
	if err := k.Apply(ops); err != nil {
		t.Fatal(err)
	}
	if more := netstate.Diff(want, observe(t, k, want)); len(more) > 0 {
		t.Fatalf("after %v there is more to do: %v\nobserved:\n%s", ops, more, observe(t, k, want))
	}
	return ops
}

// contains checks that the output of a command has each of the texts in it.
func contains(t *testing.T, command string, texts ...string) {
	t.Helper()
	out := strings.Join(strings.Fields(run(t, command)), " ")
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%s: no %q in %q", command, text, out)
		}
	}
}
