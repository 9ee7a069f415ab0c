// Package load runs the linebond binary with many lines, on eBPF, against one simulated access concentrator, in network namespaces.
package load

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/auth"
	"linebond/control"
	"linebond/lab/concentrator"
	"linebond/lab/isp"
	"linebond/lab/netns"
	"linebond/line"
)

const (
	password = "correct horse"
	// patience is for what should never happen: a test that waits this long has failed.
	patience = 2 * time.Minute
	// pause is how often is looked.
	pause = 100 * time.Millisecond
)

// ac is the access concentrator's own address.
var ac = netip.MustParseAddr("100.64.0.1")

// worlds is how many there have been.
var worlds int

// A world is a namespace for the daemon and one for the ISP, joined by a cable, eth1 to eth1.
type world struct {
	t         *testing.T
	dir       string // of the configuration
	runtime   string // the daemon's runtime directory, in memory as /run is
	home, far string
	handle    *netlink.Handle // at home
	isp       *isp.ISP
	process   *exec.Cmd
	end       <-chan error
	log       string // the daemon's log, a file
}

func newWorld(t *testing.T, binary string, lines int, packets bool) *world {
	t.Helper()
	w := emptyWorld(t, "eth1")
	for n := range lines {
		w.configure(n, "eth1", "")
	}
	w.serve(lines, packets)
	w.run(binary)
	return w
}

// emptyWorld has cables, and neither daemon nor ISP.
func emptyWorld(t *testing.T, devices ...string) *world {
	t.Helper()
	worlds++
	name := fmt.Sprintf("linebond-load-%d-%d-", os.Getpid(), worlds)
	w := &world{t: t, dir: t.TempDir(), home: name + "home", far: name + "isp"}
	for _, ns := range []string{w.home, w.far} {
		must(t, netns.Create(ns))
		t.Cleanup(func() { must(t, netns.Delete(ns)) })
	}
	for _, device := range devices {
		must(t, netns.Cable(netns.End{Namespace: w.home, Device: device}, netns.End{Namespace: w.far, Device: device}, 1500))
	}
	var err error
	w.handle, err = netns.Netlink(w.home)
	must(t, err)
	t.Cleanup(w.handle.Close)
	w.runtime, err = os.MkdirTemp("/dev/shm", "linebond-load-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(w.runtime) })
	must(t, os.WriteFile(filepath.Join(w.dir, "linebond.toml"), []byte("[log]\nto = \"stderr\"\n"), 0o600))
	must(t, os.Mkdir(filepath.Join(w.dir, "lines.d"), 0o700))
	return w
}

// configure writes the file of line n, with more keys than it must have.
func (w *world) configure(n int, device, more string) {
	w.t.Helper()
	text := fmt.Sprintf("interface = %q\ndataplane = \"ebpf\"\nusername = \"user%d\"\npassword = %q\n%s", device, n, password, more)
	must(w.t, os.WriteFile(filepath.Join(w.dir, "lines.d", fmt.Sprintf("l%04d.toml", n)), []byte(text), 0o600))
}

// run starts the daemon.
func (w *world) run(binary string) {
	w.t.Helper()
	w.process = exec.Command(binary, "run", "--config", w.dir, "--runtime-dir", w.runtime)
	w.log = filepath.Join(w.dir, "log")
	log, err := os.Create(w.log)
	must(w.t, err)
	w.process.Stdout, w.process.Stderr = log, log
	w.end, err = netns.Start(w.home, w.process)
	must(w.t, err)
	w.t.Cleanup(func() {
		w.process.Process.Kill()
		if w.t.Failed() {
			text, _ := os.ReadFile(w.log)
			w.t.Logf("the end of the daemon's log:\n%s", text[max(0, len(text)-4000):])
		}
		log.Close()
	})
}

// serve starts the access concentrator, whose sessions carry packets or, to try the daemon alone, none.
func (w *world) serve(lines int, packets bool) {
	w.t.Helper()
	w.isp = w.open(isp.Config{DataPath: packets, ACs: []isp.AC{{Device: "eth1", Config: bras("bras", lines)}}})
}

// bras is the configuration of an access concentrator for lines 0 to lines-1.
func bras(name string, lines int) concentrator.Config {
	cfg := concentrator.Config{
		Name: name, Auth: []auth.Method{auth.CHAPMD5}, IPv6: true,
		Pool: netip.MustParsePrefix("100.64.0.0/16"), Local: ac, DNS: []netip.Addr{ac},
	}
	for n := range lines {
		cfg.Users = append(cfg.Users, concentrator.User{Name: fmt.Sprintf("user%d", n), Password: auth.NewSecret(password)})
	}
	return cfg
}

// open starts an ISP.
func (w *world) open(cfg isp.Config) (i *isp.ISP) {
	w.t.Helper()
	must(w.t, netns.Do(w.far, func() (err error) {
		i, err = isp.Open(cfg)
		return err
	}))
	w.t.Cleanup(func() { must(w.t, i.Close()) })
	return i
}

// status asks the daemon.
func (w *world) status() control.Status {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := control.NewClient(filepath.Join(w.runtime, "linebond.sock")).Status(ctx)
	must(w.t, err)
	return s
}

// answers says whether the daemon is there.
func (w *world) answers() bool {
	_, err := control.NewClient(filepath.Join(w.runtime, "linebond.sock")).Status(context.Background())
	return err == nil
}

// up counts the lines that the kernel has an address and a route for.
func (w *world) up() int {
	w.t.Helper()
	routes, err := w.handle.RouteListFiltered(unix.AF_INET, &netlink.Route{Protocol: 108}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return 0 // it has changed meanwhile
	}
	return len(routes)
}

// wait waits until done, and returns how long that took from start on.
func (w *world) wait(what string, start time.Time, done func() bool) time.Duration {
	w.t.Helper()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for !done() {
		select {
		case err := <-w.end:
			w.t.Fatalf("waiting for %s: the daemon has ended: %v", what, err)
		case <-ticker.C:
		}
		if time.Since(start) > patience {
			w.t.Fatalf("waited for %s", what)
		}
	}
	return time.Since(start)
}

// stop ends the daemon and returns how long it took.
func (w *world) stop() time.Duration {
	w.t.Helper()
	start := time.Now()
	must(w.t, w.process.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-w.end:
		must(w.t, err)
	case <-time.After(patience):
		w.t.Fatal("the daemon does not end")
	}
	return time.Since(start)
}

// check wants every line to be up, echoes answered and none lost, and nothing left to be set.
func (w *world) check(lines int) {
	w.t.Helper()
	s := w.status()
	if s.Trouble != "" || len(s.Lines) != lines {
		w.t.Errorf("%d lines of %d; trouble: %s", len(s.Lines), lines, s.Trouble)
	}
	addresses := map[string]bool{}
	for _, l := range s.Lines {
		if l.State != line.Running.String() || l.Echo.RTT == 0 || l.Echo.Loss != 0 || l.IPv4 == nil || l.IPv6 == nil || l.Counters.Sessions != 1 {
			w.t.Fatalf("line %s: %+v", l.Name, l)
		}
		addresses[l.IPv4.Address] = true
	}
	if len(addresses) != lines {
		w.t.Errorf("%d addresses for %d lines", len(addresses), lines)
	}
}

// finished wants no session to be left at the ISP's, and no device at home.
func (w *world) finished() {
	w.t.Helper()
	if sessions := w.isp.Sessions(); len(sessions) > 0 {
		w.t.Errorf("the access concentrator still has %d sessions, the first: %+v", len(sessions), sessions[0])
	}
	links, err := w.handle.LinkList()
	must(w.t, err)
	if len(links) != 2 {
		w.t.Errorf("%d devices are left", len(links))
	}
}

// build compiles linebond as a user has it.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "linebond")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "linebond/cmd/linebond")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building linebond: %v\n%s", err, out)
	}
	return binary
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Fifty lines come up together, keep their echoes, and go.
func TestFifty(t *testing.T) {
	const lines = 50
	w := newWorld(t, build(t), lines, false)
	start := time.Now()
	w.wait("all lines", start, func() bool { return w.up() == lines })
	w.wait("echoes of all lines", start, func() bool {
		for _, l := range w.status().Lines {
			if l.Echo.RTT == 0 {
				return false
			}
		}
		return true
	})
	w.check(lines)
	w.stop()
	w.finished()
}
