package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ACConfig describes an access concentrator. Only Namespace, Device and Users have no default.
type ACConfig struct {
	Namespace *Namespace
	Device    string // where it listens, such as Cable.ISPLink. Its MTU decides: at 1508 a client that asks gets 1500, else 1492.

	Name    string            // AC-Name, default "AC1". Two ACs in one namespace have different names.
	Service string            // the one Service-Name that it offers; default: any that the client leaves empty
	Auth    string            // "pap", "chap" or "mschapv2"; default "chap"
	Users   map[string]string // user name -> password

	Local netip.Addr   // default 198.51.100.1
	Pool  netip.Addr   // what the first session gets; those after it count on from there. Default 203.0.113.10.
	Same  bool         // every session gets Pool itself, also beside one that has it
	DNS   []netip.Addr // offered to clients that ask
	IPv6  bool

	// Kernel has the sessions' packets moved by the kernel (some Gbit/s in the guest), for measurements of throughput. Without it
	// they pass through a process per session, as Debian's pppoe-server has it (less than 100 Mbit/s).
	Kernel bool

	// ReuseIDs has each start of the AC count session ids from the same number, as a device without a memory does. Without it, ids of a
	// former start mean nothing to the next one.
	ReuseIDs bool

	Options []string // more lines for pppd's option file, such as "lcp-echo-interval 1"
}

// AC is Debian's pppoe-server with a pppd per session.
type AC struct {
	config    ACConfig
	directory string
	server    *exec.Cmd // nil when it does not run
	starts    int
}

const maxSessions = 16

// NewAC sets an AC up and starts it. It ends, like a crash, with the test.
func NewAC(t testing.TB, c ACConfig) *AC {
	t.Helper()
	if c.Name == "" {
		c.Name = "AC1"
	}
	if c.Auth == "" {
		c.Auth = "chap"
	}
	if !c.Local.IsValid() {
		c.Local = netip.MustParseAddr("198.51.100.1")
	}
	if !c.Pool.IsValid() {
		c.Pool = netip.MustParseAddr("203.0.113.10")
	}
	a := &AC{config: c, directory: t.TempDir()}
	setSecrets(t, a.authName(), c.Users)
	a.write(t, "options", strings.Join(a.options(), "\n")+"\n", 0o600)
	a.write(t, "pppd", kernelSession, 0o700)
	a.write(t, "pool", strings.Repeat(c.Pool.String()+"\n", maxSessions), 0o600)
	t.Cleanup(func() {
		if a.server != nil {
			a.Kill(t)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", c.Name, a.Log())
		}
	})
	a.Start(t)
	return a
}

// options is the content of the sessions' option file. pppoe-server itself adds mtu and mru.
func (a *AC) options() []string {
	require := map[string]string{"pap": "require-pap", "chap": "require-chap", "mschapv2": "require-mschap-v2"}
	options := []string{
		"debug", "logfile " + a.path("log"), "name " + quote(a.authName()), require[a.config.Auth],
		"nodefaultroute", "noproxyarp", "noccp",
	}
	if a.config.IPv6 {
		options = append(options, "+ipv6")
	} else {
		options = append(options, "noipv6")
	}
	for _, server := range a.config.DNS {
		options = append(options, "ms-dns "+server.String())
	}
	return append(options, a.config.Options...)
}

// authName is what the sessions' pppds call themselves to their peers, in a CHAP Challenge for instance.
func (a *AC) authName() string { return a.config.Name + "." + a.config.Namespace.Name }

// kernelSession stands in for pppd at pppoe-server, which starts it as
//
//	pppd pty "pppoe -n -I DEVICE -e SESSION:MAC ..." OPTIONS
//
// and makes it attach pppd to the session through the kernel instead.
const kernelSession = `#!/bin/sh
device=${2#* -I }; session=${2#* -e }; shift 2
exec pppd plugin rp-pppoe.so "nic-${device%% *}" rp_pppoe_sess "${session%% *}" "$@"
`

// Start starts the AC (again). It returns when the AC answers.
func (a *AC) Start(t testing.TB) {
	t.Helper()
	a.starts++
	args := []string{
		"-F", "-I", a.config.Device, "-C", a.config.Name, "-O", a.path("options"),
		"-L", a.config.Local.String(), "-R", a.config.Pool.String(), "-N", strconv.Itoa(maxSessions),
		"-o", strconv.Itoa(a.firstID()),
	}
	if a.config.Service != "" {
		args = append(args, "-S", a.config.Service)
	}
	if a.config.Same {
		args = append(args, "-p", a.path("pool"))
	}
	if a.config.Kernel {
		args = append(args, "-q", a.path("pppd"))
	}
	server := a.config.Namespace.Command("pppoe-server", args...)
	var output strings.Builder
	server.Stdout, server.Stderr = &output, &output
	if err := server.Start(); err != nil {
		t.Fatalf("starting pppoe-server: %v", err)
	}
	a.server = server
	Eventually(t, time.Minute, a.listening)
}

func (a *AC) firstID() int {
	if a.config.ReuseIDs {
		return 100
	}
	return 100 * a.starts
}

// listening looks for the packet socket of discovery (ethertype 8863), whose inode the server must hold.
func (a *AC) listening() error {
	sockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/packet", a.server.Process.Pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(sockets)) {
		fields := strings.Fields(line)
		if fields[3] == "8863" && a.holds("socket:["+fields[len(fields)-1]+"]") {
			return nil
		}
	}
	return errors.New("pppoe-server does not listen")
}

func (a *AC) holds(file string) bool {
	descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", a.server.Process.Pid))
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err == nil && target == file {
			return true
		}
	}
	return false
}

// Stop ends the AC as pppoe-server ends on SIGTERM: each session gets a PADT ("Shutting Down"), then two Terminate-Requests that come
// too late. It returns when all processes have ended, which takes pppd 6 s.
func (a *AC) Stop(t testing.TB) {
	t.Helper()
	processes := descendants(a.server.Process.Pid)
	a.signal(t, syscall.SIGTERM, []int{a.server.Process.Pid})
	_ = a.server.Wait()
	a.server = nil
	a.ended(t, processes)
}

// Kill ends the AC as a power cut does: nothing more is sent.
func (a *AC) Kill(t testing.TB) {
	t.Helper()
	processes := a.freeze(t)
	a.signal(t, syscall.SIGKILL, processes)
	_ = a.server.Wait()
	a.server = nil
	a.ended(t, processes[1:])
}

// freeze stops the server and all below it, or one would notice the end of another, and say PADT. It looks again until there are no
// more: a process may start another one in the moment before it is stopped.
func (a *AC) freeze(t testing.TB) []int {
	t.Helper()
	processes := []int{a.server.Process.Pid}
	a.signal(t, syscall.SIGSTOP, processes)
	for {
		found := append(processes[:1:1], descendants(processes[0])...)
		a.signal(t, syscall.SIGSTOP, found)
		if slices.Equal(found, processes) {
			return found
		}
		processes = found
	}
}

// Terminate ends every session in good order, as an operator at the AC does: Terminate-Request, and PADT after the Ack. The AC goes on.
func (a *AC) Terminate(t testing.TB) {
	t.Helper()
	sessions := a.sessions()
	if len(sessions) == 0 {
		t.Fatalf("%s has no session to terminate", a.config.Name)
	}
	a.signal(t, syscall.SIGTERM, sessions)
	a.ended(t, sessions)
}

// Sessions is the number of sessions that the AC has now, established or not.
func (a *AC) Sessions() int { return len(a.sessions()) }

// sessions are the AC's pppds: its direct children.
func (a *AC) sessions() []int {
	var found []int
	for _, pid := range descendants(a.server.Process.Pid) {
		if parent, ok := parentOf(pid); ok && parent == a.server.Process.Pid {
			found = append(found, pid)
		}
	}
	return found
}

// Log is what the sessions' pppds have logged since the AC was made, with each control packet sent and received.
func (a *AC) Log() string {
	data, err := os.ReadFile(a.path("log"))
	if err != nil {
		return "" // no session yet
	}
	return string(data)
}

func (a *AC) signal(t testing.TB, s syscall.Signal, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("%s: %v to process %d: %v", a.config.Name, s, pid, err)
		}
	}
}

func (a *AC) ended(t testing.TB, pids []int) {
	t.Helper()
	Eventually(t, time.Minute, func() error {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("process %d of %s runs", pid, a.config.Name)
			}
		}
		return nil
	})
}

func (a *AC) path(name string) string { return filepath.Join(a.directory, name) }

func (a *AC) write(t testing.TB, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(a.path(name), []byte(content), mode); err != nil {
		t.Fatalf("writing the files of %s: %v", a.config.Name, err)
	}
}
