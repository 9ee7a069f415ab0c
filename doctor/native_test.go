package doctor

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// TestNative: the probes, on the kernel that this runs on, which has all that they ask for, but for tcx if it is older than Linux 6.6.
func TestNative(t *testing.T) {
	before := devices(t)
	var n Native
	for name, err := range map[string]error{
		"namespace": n.Namespace(), "clsact": n.Clsact(), "veth": n.Veth(), "multipath": n.Multipath(), "qdisc": n.Qdisc("pfifo"),
		"writable": n.Writable(ipForward),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n.TCX(); err != nil && !errors.Is(err, ebpf.ErrNotSupported) {
		t.Error(err)
	}
	if err := n.Qdisc("nonesuch"); err == nil || err.Error() != "not in this kernel" {
		t.Errorf("a qdisc that there is not: %v", err)
	}
	if err := n.Writable("proc/sys/nonesuch"); err != unix.ENOENT {
		t.Errorf("a file that there is not: %v", err)
	}
	if after := devices(t); after != before {
		t.Errorf("%d devices before, %d after", before, after)
	}
}

// TestGiven: what others do is done by them, the table and the scheduler in a network namespace of its own.
func TestGiven(t *testing.T) {
	given := map[string]error{"pppoe": errors.New("1"), "vlan": errors.New("2"), "ebpf": errors.New("3"), "table": errors.New("4"), "scheduler": errors.New("5")}
	outside := namespace(t)
	n := Native{
		PPPoEAvailable: func() error { return given["pppoe"] }, VLANAvailable: func() error { return given["vlan"] },
		LoadEBPF: func() error { return given["ebpf"] },
		MakeTable: func(netstate.Table) error {
			if inside := namespace(t); inside == outside {
				t.Errorf("the table is made in %s, which is the process's own", inside)
			}
			return given["table"]
		},
		TryScheduler: func() error {
			if inside := namespace(t); inside == outside {
				t.Errorf("the scheduler is tried in %s, which is the process's own", inside)
			}
			return given["scheduler"]
		},
	}
	for name, err := range map[string]error{"pppoe": n.PPPoE(), "vlan": n.VLAN(), "ebpf": n.EBPF(), "table": n.Table(netstate.Table{}), "scheduler": n.Scheduler()} {
		if err != given[name] {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestApart: wherever a probe begins, the process and its first thread stay where they are.
func TestApart(t *testing.T) {
	outside := namespace(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := apart(func() error {
				if namespace(t) == outside {
					return errors.New("not in a namespace of its own")
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, file := range []string{"/proc/self/ns/net", "/proc/thread-self/ns/net"} {
		if now, err := os.Readlink(file); err != nil || now != outside {
			t.Errorf("%s: %s, was %s: %v", file, now, outside, err)
		}
	}
}

func TestListening(t *testing.T) {
	var n Native
	dir := t.TempDir()
	datagrams, err := net.ListenPacket("unixgram", filepath.Join(dir, "datagrams"))
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	stream, err := net.Listen("unix", filepath.Join(dir, "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"datagrams": "", "stream": "", "file": "connect: connection refused", "none": "connect: no such file or directory",
	} {
		got := ""
		if err := n.Listening(filepath.Join(dir, name)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// namespace is the calling thread's network namespace.
func namespace(t *testing.T) string {
	name, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return name
}

// devices counts those of this network namespace.
func devices(t *testing.T) int {
	t.Helper()
	all, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
