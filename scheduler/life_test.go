package scheduler

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// during sends packets to the ISP, and calls f again and again meanwhile. Each of them has to arrive: the ISP's kernel counts them, as an
// overflowing socket would tell of a busy machine only.
func (w *world) during(rounds int, f func(round int)) (sent uint64) {
	w.Helper()
	w.isp.sh("nft 'add table inet count; flush table inet count; add chain inet count c { type filter hook input priority 0; }; " +
		"add rule inet count c udp dport 9 counter drop'")
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		stopped <- w.router.do(func() error {
			conn, err := net.Dial("udp", server+":9")
			if err != nil {
				return err
			}
			defer conn.Close()
			tick := time.NewTicker(time.Millisecond) // which is late on a busy machine, and never catches up
			defer tick.Stop()
			for ; ; <-tick.C {
				select {
				case <-stop:
					return nil
				default:
				}
				if _, err := conn.Write(make([]byte, 1000)); err != nil {
					return err
				}
				sent++
			}
		})
	}()
	for round := range rounds {
		f(round)
	}
	close(stop)
	must(w, <-stopped)
	arrived := func() error {
		if counted := w.isp.sh("nft list table inet count"); !strings.Contains(counted, fmt.Sprintf("counter packets %d bytes", sent)) {
			return fmt.Errorf("%d packets were sent:\n%s", sent, counted)
		}
		return nil
	}
	eventually(w, arrived)
	return sent
}

// A daemon that starts again under traffic takes the bond over: not a packet is lost, and counters go on.
func TestRestart(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	before := w.counters()
	first := before.Packets
	sent := w.during(20, func(int) {
		must(t, w.bond.Close())
		w.open()
		if !w.bond.Adopted() || w.bond.Unpinned() != nil {
			t.Errorf("adopted %v, %v", w.bond.Adopted(), w.bond.Unpinned())
		}
		w.setLines(w.lines)
		c := w.counters()
		if c.Packets < before.Packets || len(c.Lines) != 2 || c.Lines[0].Packets < before.Lines[0].Packets {
			t.Errorf("%+v; before %+v", c, before)
		}
		before = c
	})
	if c := w.counters(); c.Packets < first+sent {
		t.Errorf("%d packets were sent; counted were %d at first, then %+v", sent, first, c)
	}
}

// Lines join and leave under traffic, a thousand times: not a packet is lost while one is in.
func TestJoinAndLeave(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{}, lineConfig{})
	sent := w.during(1000, func(round int) {
		out := round % 3
		must(t, w.bond.SetLines(slices.Delete(slices.Clone(w.lines), out, out+1)))
		must(t, w.bond.SetLines(w.lines))
	})
	t.Logf("%d packets", sent)
	if c := w.counters(); c.NoLine != 0 || len(c.Lines) != 3 || c.Packets < sent {
		t.Errorf("%+v", c)
	}
}

// Without a BPF file system a bond goes on as well; the one that takes it over begins to count anew.
func TestUnpinned(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	must(t, w.bond.Remove())
	reopen := func() {
		must(t, w.router.do(func() (err error) {
			must(t, unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS))
			must(t, unix.Mount("", fileSystem, "tmpfs", 0, ""))
			w.bond, err = Open("wanbond0", mtu)
			return err
		}))
	}
	reopen()
	const want = "there is no BPF file system at /sys/fs/bpf (`mount -t bpf bpf /sys/fs/bpf`)"
	if err := w.bond.Unpinned(); err == nil || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
	w.setLines(w.lines)
	w.router.sh("ip addr add 10.9.0.1/32 dev wanbond0; ip link set wanbond0 address %s up; ip route replace default dev wanbond0", station)
	w.during(20, func(int) {
		must(t, w.bond.Close())
		reopen()
		if w.bond.Adopted() {
			t.Error("adopted")
		}
		w.setLines(w.lines)
	})
}

// settled is what a bond can leave on a host: devices, qdiscs, filters and files.
func (w *world) settled() string {
	w.Helper()
	files, err := filepath.Glob(fileSystem + "/linebond/*/*")
	must(w, err)
	return w.router.sh("ip -o link | cut -d' ' -f2; tc qdisc; for i in 0 1; do tc filter show dev ppp-$i ingress; done") + strings.Join(files, "\n")
}

// A bond that nobody removed is found, and nothing of it stays; nor does anything of one that was removed.
func TestCleanup(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	for name, remove := range map[string]func() error{
		"Remove":  func() error { return w.bond.Remove() },
		"Cleanup": func() error { return errors.Join(w.bond.Close(), w.router.do(Cleanup)) },
	} {
		must(t, remove())
		before := w.settled()
		w.open()
		w.setLines(w.lines)
		var commands []string
		must(t, w.router.do(func() error {
			all, err := Leftovers()
			for _, l := range all {
				commands = append(commands, l.String())
			}
			return err
		}))
		for i, c := range commands {
			if strings.HasPrefix(c, "rm -r "+fileSystem+"/linebond/") {
				commands[i] = "rm -r"
			}
		}
		slices.Sort(commands)
		want := []string{
			"ip link delete wanbond0-port", "rm -r",
			"tc filter delete dev ppp-0 ingress pref 1 protocol all handle 0x6c62 bpf",
			"tc filter delete dev ppp-1 ingress pref 1 protocol all handle 0x6c62 bpf",
		}
		if diff := cmp.Diff(want, commands); diff != "" {
			t.Errorf("%s: leftovers (-want +got):\n%s", name, diff)
		}
		must(t, remove())
		if diff := cmp.Diff(before, w.settled()); diff != "" {
			t.Errorf("%s left something (-before +after):\n%s", name, diff)
		}
		w.open()
	}
}

// A line that leaves for good is sent nothing more, whoever names its device, until that is another one.
func TestLeave(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{}, lineConfig{})
	for _, want := range []bool{true, false} {
		if was, err := w.bond.Leave("ppp-2"); was != want || err != nil {
			t.Errorf("was in %v, %v; want %v", was, err, want)
		}
	}
	in := func() (devices []string) {
		for _, l := range w.counters().Lines {
			devices = append(devices, l.Device)
		}
		slices.Sort(devices)
		return devices
	}
	must(t, w.bond.SetLines(w.lines))
	if got := fmt.Sprint(in()); got != "[ppp-0 ppp-1]" {
		t.Errorf("in are %s", got)
	}
	if filters := w.router.sh("tc filter show dev ppp-2 ingress"); filters != "" {
		t.Errorf("on the line that has left:\n%s", filters)
	}
	w.during(50, func(round int) {
		if round == 10 {
			must(t, onlyError(w.bond.Leave("ppp-0")))
		}
		w.counters()
	})
	w.router.sh("ip link del ppp-2; ip link add ppp-2 type ifb")
	must(t, w.bond.SetLines(w.lines))
	if got := fmt.Sprint(in()); got != "[ppp-1 ppp-2]" {
		t.Errorf("in are %s", got)
	}
}

func onlyError(_ bool, err error) error { return err }
