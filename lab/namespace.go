package lab

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"linebond/lab/netns"
)

// Namespace is a network namespace, under the name that `ip netns` shows.
type Namespace struct{ Name string }

var namespaces atomic.Int64

// NewNamespace makes a namespace in which only lo is, up. Its name gets a number, so that tests can run in parallel. It goes, with
// all devices in it, when the test ends.
func NewNamespace(t testing.TB, name string) *Namespace {
	t.Helper()
	n := &Namespace{fmt.Sprintf("%s-%d", name, namespaces.Add(1))}
	if err := netns.Create(n.Name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(n.Name); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Command is exec.Command in the namespace. The process that it starts is the command itself: `ip netns exec` replaces itself.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Start starts a command of exec.Command in the namespace, as if the caller lived there: no other process comes before it.
func (n *Namespace) Start(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	var err error
	n.Do(t, func() { err = cmd.Start() })
	return err
}

// Run runs a command in the namespace to its end and returns what it wrote to stdout. A status other than 0 fails the test.
func (n *Namespace) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return run(t, n.Command(name, args...))
}

// IP runs commands of ip(8), such as "link set eth1 up", in one process: in the guest to start one takes longer than what it does.
func (n *Namespace) IP(t testing.TB, commands ...string) {
	t.Helper()
	cmd := exec.Command("ip", "-n", n.Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	run(t, cmd)
}

// Do calls f in the namespace, on a thread of its own, which also has the namespace's /sys. Sockets that f opens stay in the
// namespace, and processes that it starts; goroutines do not run there. f must not end the test by t.Fatal.
func (n *Namespace) Do(t testing.TB, f func()) {
	t.Helper()
	err := netns.Do(n.Name, func() error {
		f()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// HasAddress returns nil when the device has the address (as `ip` writes it, such as "203.0.113.10", or a prefix of it, such as
// "fe80:"), and otherwise an error that shows what it has.
func (n *Namespace) HasAddress(device, address string) error {
	out, err := n.Command("ip", "-o", "address", "show", "dev", device).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s has no address: %s", device, strings.TrimSpace(string(out)))
	}
	if !strings.Contains(string(out), " "+address) {
		return fmt.Errorf("%s has no address %s: %s", device, address, strings.TrimSpace(string(out)))
	}
	return nil
}

// Ping sends one echo request of size bytes of payload (an IPv4 packet of size+28), not to be fragmented, and waits 1 s for its
// reply. device is the one to send from, or "".
func (n *Namespace) Ping(device, to string, size int) error {
	args := []string{"-n", "-q", "-c", "1", "-W", "1", "-M", "do", "-s", fmt.Sprint(size)}
	if device != "" {
		args = append(args, "-I", device)
	}
	if out, err := n.Command("ping", append(args, to)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ping %s of %d bytes from %s: %w: %s", to, size, n.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var complaints strings.Builder // ip complains, and succeeds, when another test's namespace goes at the moment
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, complaints.String())
	}
	return string(out)
}
