//go:build bench

package daemon

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/bond"
	"linebond/config"
	"linebond/kernel"
	"linebond/line"
	"linebond/netstate"
)

// TestBenchReconcile measures the CPU time of what a change of one line of four leads to, on this machine's own kernel, in a network
// namespace: the plan, an observation, the operations, and the round that their announcement causes. The lines are TUN devices. They
// stand by themselves, since TEQL is not to be had everywhere; NAT, firewall and forwards are there.
func TestBenchReconcile(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the namespace ends with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("making a network namespace, as root: %v", err)
	}
	k, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	b, members := fourLines(t)
	round := func() {
		for range 2 {
			plan := b.Plan(time.Now(), members)
			have, err := k.Observe(plan.State)
			if err == nil {
				err = k.Apply(netstate.Diff(plan.State, have))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	round()
	var costs []float64
	for i := range 101 {
		members[0].Status.State = []line.State{line.Held, line.Running}[i%2]
		begin := threadTime(t)
		round()
		costs = append(costs, 1000*(threadTime(t)-begin).Seconds())
	}
	slices.Sort(costs)
	fmt.Printf("reconciliation after one line's change, 4 lines, native kernel: %.2f ms of CPU (median; at most %.2f)\n", costs[50], costs[100])
}

func fourLines(t *testing.T) (*bond.Bonds, []bond.Member) {
	t.Helper()
	files := fstest.MapFS{"etc/linebond.toml": {Mode: 0o600, Data: []byte(
		"[lan]\ninterfaces = [\"lan0\"]\n[host]\nfirewall = true\nspread_cpus = false\n[[forward]]\nport = 443\nto = \"192.168.7.2\"\n")}}
	for i, name := range []string{"a", "b", "c", "d"} {
		text := fmt.Sprintf("interface = \"eth%d\"\nusername = \"u\"\npassword = \"p\"\nmetric = %d\n", i+1, 200+i)
		files["etc/lines.d/"+name+".toml"] = &fstest.MapFile{Mode: 0o600, Data: []byte(text)}
	}
	c, problems := config.Load(files, "/etc")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var members []bond.Member
	for i, l := range c.Lines {
		tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: l.Device}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1}
		if err := netlink.LinkAdd(tun); err != nil {
			t.Fatal(err)
		}
		local := netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		members = append(members, bond.Member{Config: l, Status: line.Status{
			Name: l.Name, Device: l.Device, State: line.Running, Session: &line.Session{ID: 1, MTU: 1492},
			IPv4: line.IPv4{Local: local, Peer: netip.MustParseAddr("198.51.100.1")},
		}})
	}
	return bond.New(c, 1), members
}

func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
