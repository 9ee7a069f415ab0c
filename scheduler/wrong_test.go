package scheduler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
		{many, "the bond wanbond0: the line many-16: at most 16 lines can be in"},
		{[]Line{good, good}, "the bond wanbond0: the line ppp-0: it is named twice"},
		{[]Line{{Device: "ppp-9", Rate: 1e6}}, "the bond wanbond0: the line ppp-9: Link not found"},
		{with(func(l *Line) { l.Rate = 0 }), "the bond wanbond0: the line ppp-0: the rate of 0 bit/s is out of range: it must be from 1 kbit/s to 1 Tbit/s"},
		{with(func(l *Line) { l.Delay = -time.Second }), "the bond wanbond0: the line ppp-0: the delay of -1s is out of range: it must be from 0s to 10s"},
		{with(func(l *Line) { l.Overhead = 2000 }), "the bond wanbond0: the line ppp-0: the overhead of 2000 bytes is out of range: it must be from 0 to 1000"},
	} {
		if err := w.bond.SetLines(test.lines); err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
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
		"wanbond0": "the bond wanbond0: there is a device of that name that linebond did not make: give the bond another name: file exists",
		"ifb9":     "the bond ifb9: there is a device of that name that linebond did not make: give the bond another name: file exists",
		"wanbond1": "the bond wanbond1: adding a veth pair: file exists",
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

// A line that cannot be put in keeps no other out, and comes in when it can.
func TestOneBadLine(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{}, lineConfig{})
	const filter = "tc filter %s dev ppp-1 ingress pref 1 protocol ip handle 7 bpf bytecode '1,6 0 0 4294967295'"
	for _, test := range []struct {
		spoil, want string
		bad         Line
		mend        string
	}{
		{"tc qdisc add dev ppp-1 clsact; " + fmt.Sprintf(filter, "add"),
			"adding the tc filter linebond-hear: invalid argument: is there another's filter of another protocol with the priority 1? Give that another one",
			w.lines[1], "tc qdisc del dev ppp-1 clsact"},
		{"ip link set ppp-1 name away", "Link not found", w.lines[1], "ip link set away name ppp-1"},
		{"true", "the delay of 11s is out of range: it must be from 0s to 10s", Line{Device: "ppp-1", Rate: 1e6, Delay: 11 * time.Second}, "true"},
	} {
		must(t, w.bond.SetLines(w.lines[:1]))
		w.router.sh("%s", test.spoil)
		for range 2 { // and again
			err := w.bond.SetLines([]Line{w.lines[0], test.bad, w.lines[2]})
			if want := "the bond wanbond0: the line ppp-1: " + test.want; err == nil || err.Error() != want {
				t.Errorf("after %s:\ngot  %v\nwant %s", test.spoil, err, want)
			}
			if found, err := w.bond.Check(); err != nil || fmt.Sprint(found) != "{[ppp-0 ppp-2] []}" {
				t.Errorf("after %s: found %v, %v", test.spoil, found, err)
			}
		}
		w.router.sh("ping -c 2 -i 0.002 -W 10 %s", server)
		w.router.sh("%s", test.mend)
		must(t, w.bond.SetLines(w.lines))
		if found, err := w.bond.Check(); err != nil || fmt.Sprint(found) != "{[ppp-0 ppp-2 ppp-1] []}" {
			t.Errorf("after %s: found %v, %v", test.mend, found, err)
		}
	}
	must(t, w.bond.SetLines(w.lines)) // one that is in goes out when it is bad
	bad := w.lines[1]
	bad.Rate = 0
	if err := w.bond.SetLines([]Line{w.lines[0], bad}); err == nil || len(w.counters().Lines) != 1 {
		t.Errorf("%v, %+v", err, w.counters())
	}
}

// A bond whose device has another alias gets its own back.
func TestAlias(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	w.router.sh("ip link set wanbond0 alias other")
	must(t, w.bond.Close())
	w.open()
	if got := w.router.sh("ip link show wanbond0 | sed -n 's/ *alias //p'"); got != bondAlias+"\n" || !w.bond.Adopted() {
		t.Errorf("alias %q, adopted %v", got, w.bond.Adopted())
	}
}

// What one who died has made of a pair is no hindrance, and is found by Leftovers.
func TestHalfMade(t *testing.T) {
	h := newHost(t)
	half := fmt.Sprintf("ip link add wanbond0 type veth peer name wanbond0-port address %s", portAddress)
	h.sh("%s", half)
	must(t, h.do(func() error {
		all, err := Leftovers()
		if got := fmt.Sprint(all); got != "[ip link delete wanbond0-port]" {
			t.Errorf("leftovers: %s", got)
		}
		return errors.Join(err, Cleanup())
	}))
	if left := h.sh("ip -o link | grep wanbond0 || true"); left != "" {
		t.Errorf("left are %s", left)
	}
	h.sh("%s", half)
	must(t, h.do(func() error {
		s, err := Open("wanbond0", mtu)
		if err == nil {
			err = s.Remove()
		}
		return err
	}))
}

// While the host is worked on, which may take long, nobody waits who has something to tell or to ask of the programs.
func TestNoWait(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	w.bond.host.Lock()
	defer w.bond.host.Unlock()
	done := make(chan error)
	go func() {
		_, unread := w.bond.Counters()
		_, unwritten := w.bond.Leave("ppp-1")
		done <- errors.Join(w.bond.Heard("ppp-0"), w.bond.Echoed("ppp-0"), w.bond.SetMode(Mode{Cap: DefaultCap}), unread, unwritten)
	}()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("they wait")
	}
}

// A Scheduler that is closed says so, or does nothing.
func TestClosed(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	b := w.bond
	must(t, b.Close())
	if was, err := b.Leave("ppp-0"); was || err != nil {
		t.Errorf("Leave: %v, %v", was, err)
	}
	must(t, errors.Join(b.Heard("ppp-0"), b.Echoed("ppp-0"), b.Close()))
	_, unchecked := b.Check()
	_, uncounted := b.Counters()
	for what, err := range map[string]error{
		"Check": unchecked, "Counters": uncounted, "SetLines": b.SetLines(nil), "SetMode": b.SetMode(Mode{Cap: DefaultCap}),
	} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.open()
}

// The command of a leftover takes our filter alone, as Remove does.
func TestForeignFilter(t *testing.T) {
	w := newWorld(t, lineConfig{}, lineConfig{})
	for _, i := range []int{0, 1} {
		w.router.sh("tc filter add dev ppp-%d ingress pref 1 protocol all handle 7 bpf bytecode '1,6 0 0 4294967295'", i)
	}
	must(t, w.router.do(func() error {
		all, err := Leftovers()
		for _, l := range all {
			switch {
			case strings.HasPrefix(l.String(), "tc filter delete dev ppp-0 "):
				w.router.sh("%s", l.String())
			case strings.HasPrefix(l.String(), "tc "):
				err = errors.Join(err, l.Remove())
			}
		}
		return err
	}))
	for _, i := range []int{0, 1} {
		filters := w.router.sh("tc filter show dev ppp-%d ingress", i)
		if !strings.Contains(filters, "handle 0x7 ") || strings.Contains(filters, hearFilter) {
			t.Errorf("on ppp-%d there are\n%s", i, filters)
		}
	}
}

// Try leaves pinned maps alone, and nothing else behind.
func TestTry(t *testing.T) {
	h := newHost(t)
	before := h.sh("ip -o link; tc qdisc")
	var pins string
	must(t, h.do(func() error {
		directory, err := pinDirectory()
		pins = filepath.Join(directory, "doctor0")
		return errors.Join(err, os.MkdirAll(pins, 0o700), Try("doctor0", mtu))
	}))
	if _, err := os.Stat(pins); err != nil {
		t.Error(err)
	}
	if after := h.sh("ip -o link; tc qdisc"); after != before {
		t.Errorf("it leaves\n%s\nwhere there was\n%s", after, before)
	}
	must(t, unpin(pins))
}
