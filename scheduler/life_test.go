package scheduler

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// during runs a transfer by UDP, and calls f again and again until it is over.
func (w *world) during(how string, f func(round int)) (rounds int, r report) {
	w.Helper()
	done := make(chan report)
	go func() { done <- w.transfer(w.router, how) }()
	for ; ; rounds++ {
		select {
		case r = <-done:
			return rounds, r
		default:
			f(rounds)
		}
	}
}

// A daemon that starts again under traffic takes the bond over: not a packet is lost, and counters go on.
func TestRestart(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	before := w.counters()
	rounds, r := w.during(server+" -u -b 5M -l 1000 -t 3", func(int) {
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
	t.Logf("%d restarts; %+v", rounds, r.End.Sum)
	if r.End.Sum.Lost != 0 || r.End.Sum.Packets == 0 || rounds < 3 {
		t.Errorf("%d restarts: %+v", rounds, r.End.Sum)
	}
	if c := w.counters(); c.Packets < uint64(r.End.Sum.Packets) {
		t.Errorf("%d packets were sent; counted were %+v", r.End.Sum.Packets, c)
	}
}

// Lines join and leave under traffic, a thousand times: not a packet is lost while one is in.
func TestJoinAndLeave(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{}, lineConfig{})
	left := 0
	rounds, r := w.during(server+" -u -b 5M -l 1000 -t 4", func(round int) {
		lines := slices.Clone(w.lines)
		out := round % 3
		lines = slices.Delete(lines, out, out+1)
		must(t, w.bond.SetLines(lines))
		must(t, w.bond.SetLines(w.lines))
		left++
	})
	t.Logf("left %d times; %+v", left, r.End.Sum)
	if r.End.Sum.Lost != 0 || r.End.Sum.Packets == 0 || rounds < 100 {
		t.Errorf("%d rounds: %+v", rounds, r.End.Sum)
	}
	if c := w.counters(); c.NoLine != 0 || len(c.Lines) != 3 {
		t.Errorf("%+v", c)
	}
}

// A line whose device is gone is lost, and stays so when another has its name, until that is put in.
func TestLost(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	for _, step := range []struct{ do, want string }{
		{"true", "[]"}, {"ip link del ppp-1", "[ppp-1]"}, {"ip link add ppp-1 type ifb", "[ppp-1]"}, {"ip link del ppp-0", "[ppp-0 ppp-1]"},
	} {
		w.router.sh("%s", step.do)
		lost, err := w.bond.Lost()
		must(t, err)
		if got := fmt.Sprint(lost); got != step.want {
			t.Errorf("after %s: %s, want %s", step.do, got, step.want)
		}
	}
	must(t, w.bond.SetLines(w.lines[1:]))
	if lost, err := w.bond.Lost(); err != nil || len(lost) > 0 {
		t.Errorf("lost %v, %v", lost, err)
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
	_, r := w.during(server+" -u -b 5M -l 1000 -t 2", func(int) {
		must(t, w.bond.Close())
		reopen()
		if w.bond.Adopted() {
			t.Error("adopted")
		}
		w.setLines(w.lines)
	})
	if r.End.Sum.Lost != 0 || r.End.Sum.Packets == 0 {
		t.Errorf("%+v", r.End.Sum)
	}
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
