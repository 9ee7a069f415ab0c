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
			"ip link delete wanbond0-port", "rm -r", "tc filter delete dev ppp-0 ingress pref 1", "tc filter delete dev ppp-1 ingress pref 1",
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

// With no line in, packets are dropped and counted; what is wrong is said.
func TestRefusals(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	many := make([]Line, 17)
	for i := range many {
		many[i] = Line{Device: fmt.Sprintf("many-%d", i), Rate: 1e6}
		w.router.sh("ip link add many-%d type ifb", i)
	}
	good := w.lines[0]
	with := func(change func(*Line)) []Line {
		l := good
		change(&l)
		return []Line{l}
	}
	for _, test := range []struct {
		lines []Line
		want  string
	}{
		{many, "the bond wanbond0: 17 lines: at most 16 can be in"},
		{[]Line{good, good}, "the bond wanbond0: the line ppp-0 is named twice"},
		{[]Line{{Device: "ppp-9", Rate: 1e6}}, "the bond wanbond0: the line ppp-9: Link not found"},
		{with(func(l *Line) { l.Rate = 0 }), "the bond wanbond0: the line ppp-0: the rate of 0 bit/s is out of range: it must be from 1 kbit/s to 1 Tbit/s"},
		{with(func(l *Line) { l.Delay = -time.Second }), "the bond wanbond0: the line ppp-0: the delay of -1s is out of range: it must be from 0s to 10s"},
		{with(func(l *Line) { l.Overhead = 2000 }), "the bond wanbond0: the line ppp-0: the overhead of 2000 bytes is out of range: it must be from 0 to 1000"},
	} {
		if err := w.bond.SetLines(test.lines); err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
	if c := w.counters(); len(c.Lines) != 2 {
		t.Errorf("an error has changed the lines: %+v", c)
	}
	const mode = "the bond wanbond0: the cap of 0s is out of range: it must be from 1ms to 10s"
	if err := w.bond.SetMode(Mode{}); err == nil || err.Error() != mode {
		t.Errorf("got %v; want %s", err, mode)
	}
	must(t, w.bond.SetLines(many[:16]))
	must(t, w.bond.SetLines(nil))
	w.router.try("ping -c 1 -W 0.1 %s", server)
	if c := w.counters(); c.NoLine != 1 || len(c.Lines) != 0 {
		t.Errorf("%+v", c)
	}
}

// A device that is not ours is left alone.
func TestForeignDevice(t *testing.T) {
	h := newHost(t)
	h.sh("ip link add wanbond0 type veth peer other; ip link add ifb9 type ifb; ip link add wanbond1-port type ifb")
	before := h.sh("ip -o link")
	for device, want := range map[string]string{
		"wanbond0": "the bond wanbond0: there is a device of that name that linebond did not make: give the bond another name, or `ip link delete wanbond0`: file exists",
		"ifb9":     "the bond ifb9: there is a device of that name that linebond did not make: give the bond another name, or `ip link delete ifb9`: file exists",
		"wanbond1": "the bond wanbond1: adding a veth pair (the kernel needs CONFIG_VETH): file exists",
	} {
		err := h.do(func() error {
			_, err := Open(device, mtu)
			return err
		})
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if diff := cmp.Diff(before, h.sh("ip -o link")); diff != "" {
		t.Errorf("devices (-before +after):\n%s", diff)
	}
	if files, err := filepath.Glob(fileSystem + "/linebond/*/wanbond1"); len(files) != 0 || err != nil {
		t.Errorf("pinned maps stay: %v, %v", files, err)
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
