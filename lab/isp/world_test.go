package isp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linebond/auth"
	"linebond/control"
	"linebond/lab"
	"linebond/lab/concentrator"
)

const (
	username = "user@isp"
	password = "correct horse"
	local    = "198.51.100.1"
	server   = "192.0.2.1" // on the internet behind the ISP
	limit    = time.Minute
)

// linebond is the program: built once.
var linebond = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "linebond-isp-")
	if err != nil {
		return "", err
	}
	built = directory
	path := filepath.Join(directory, "linebond")
	if out, err := exec.Command("go", "build", "-o", path, "linebond/cmd/linebond").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building linebond: %w\n%s", err, out)
	}
	return path, nil
})

var built string // the directory that it is in; "" as long as no test needed it

func TestMain(m *testing.M) {
	status := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(status)
}

// world is an ISP and a router with linebond, joined by cables: eth1 to ac1, eth2 to ac2 ...
type world struct {
	t           *testing.T
	router, isp *lab.Namespace
	linebond    *lab.Linebond
	before      string // of the ISP's namespace, without an ISP
	running     *ISP
}

// newWorld lays the cables.
func newWorld(t *testing.T, cables, mtu int) *world {
	t.Helper()
	w := &world{t: t, router: lab.NewNamespace(t, "ispt-router"), isp: lab.NewNamespace(t, "ispt-isp")}
	for i := range cables {
		lab.NewCable(t, lab.CableConfig{
			Router: w.router, ISP: w.isp, RouterDevice: fmt.Sprintf("eth%d", i+1), ISPDevice: fmt.Sprintf("ac%d", i+1), MTU: mtu,
		})
	}
	w.isp.Run(t, "ip", "address", "add", server+"/32", "dev", "lo")
	for i := range cables { // no addresses that come when they like
		w.isp.Run(t, "sysctl", "-qw", fmt.Sprintf("net.ipv6.conf.ac%d.disable_ipv6=1", i+1))
	}
	lab.Eventually(t, limit, func() error {
		if state := w.state(); strings.Contains(state, "NO-CARRIER") {
			return errors.New(state)
		}
		return nil
	})
	w.before = w.state()
	path, err := linebond()
	if err != nil {
		t.Fatal(err)
	}
	w.linebond = lab.NewLinebond(t, w.router, path)
	return w
}

// state is all that an ISP could leave in its namespace.
func (w *world) state() string {
	var text strings.Builder
	for _, command := range []string{"-br link", "-br address", "route show table all", "-6 route show table all"} {
		text.WriteString(w.isp.Run(w.t, "ip", strings.Fields(command)...))
	}
	return text.String() + w.isp.Run(w.t, "tc", "qdisc") + w.isp.Run(w.t, "tc", "filter", "show", "dev", "ac1", "ingress")
}

// settings are those of an AC where a test does not say otherwise.
func settings(change func(*concentrator.Config)) concentrator.Config {
	cfg := concentrator.Config{
		Auth: []auth.Method{auth.CHAPMD5}, Users: users(password), IPv6: true,
		Local: netip.MustParseAddr(local), Pool: netip.MustParsePrefix("203.0.113.0/24"), DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func users(password string) []concentrator.User {
	return []concentrator.User{{Name: username, Password: auth.NewSecret(password)}}
}

// open starts the ISP. It is closed with the test, which wants to find nothing of it then.
func (w *world) open(acs ...AC) *ISP {
	w.t.Helper()
	var err error
	w.isp.Do(w.t, func() {
		w.running, err = Open(Config{ACs: acs, DataPath: true, Log: func(ac, message string) { w.t.Logf("%s: %s", ac, message) }})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.close)
	return w.running
}

func (w *world) close() {
	w.t.Helper()
	if w.running == nil {
		return
	}
	if err := w.running.Close(); err != nil {
		w.t.Error(err)
	}
	w.running = nil
	if after := w.state(); after != w.before {
		w.t.Errorf("what the ISP has left behind:\n%s\nbefore:\n%s", after, w.before)
	}
}

// line writes a line's file; more is more of it.
func (w *world) line(name, device, more string) {
	w.t.Helper()
	w.linebond.Write(w.t, "lines.d/"+name+".toml", fmt.Sprintf("interface = %q\nusername = %q\npassword = %q\ndataplane = \"ebpf\"\n%s",
		device, username, password, more))
}

// up waits until a line is up with IPv4 and IPv6, and the ISP carries the same.
func (w *world) up(name string) control.Line {
	w.t.Helper()
	var l control.Line
	lab.Eventually(w.t, limit, func() (err error) {
		l, err = w.linebond.Line(name)
		if err != nil {
			return err
		}
		if l.State != "up" || l.IPv4 == nil || l.IPv6 == nil || l.Session == nil {
			return fmt.Errorf("line %s: %s, %s", name, l.State, l.Reason)
		}
		s, err := w.session(l.Session.ID)
		if err != nil {
			return err
		}
		if s.State != concentrator.Running || s.Remote.String() != l.IPv4.Address {
			return fmt.Errorf("%+v, session %+v", l, s)
		}
		return nil
	})
	return l
}

// session is the ISP's of this id.
func (w *world) session(id uint16) (Session, error) {
	all := w.running.Sessions()
	i := slices.IndexFunc(all, func(s Session) bool { return s.ID == id })
	if i < 0 {
		return Session{}, fmt.Errorf("no session %d: %+v", id, all)
	}
	return all[i], nil
}

// reaches waits for a line's state and reason.
func (w *world) reaches(name, state, reason string) {
	w.t.Helper()
	lab.Eventually(w.t, limit, w.linebond.Reaches(name, state, reason))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
