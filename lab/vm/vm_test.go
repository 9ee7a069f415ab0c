package vm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scenarioVariable chooses what this binary does as a guest. Without it the tests run on the host and boot guests of themselves.
const scenarioVariable = "LINEBOND_VM_SCENARIO"

// scenarios are run by TestScenario in the guest.
var scenarios = map[string]func(t *testing.T){
	"habitable": habitable,
	"fail":      func(t *testing.T) { t.Error("this line reaches the host") },
	"panic":     func(*testing.T) { panic("a panic in the guest") },
	"slow":      func(*testing.T) { fmt.Println("waiting"); select {} },
	"hang": func(t *testing.T) { // the whole process: its own -test.timeout cannot help
		t.Error(syscall.Kill(os.Getpid(), syscall.SIGSTOP))
	},
}

func TestMain(m *testing.M) {
	scenario := os.Getenv(scenarioVariable)
	if scenario == "" && os.Getenv(directoryVariable) == "" {
		os.Exit(m.Run())
	}
	switch scenario {
	case "hang":
		grace = time.Second
	case "slow": // the guest itself is to notice, however long a busy machine takes to boot it
		grace = 10 * time.Minute
	}
	Main(m)
}

// TestScenario is the guest's side of the other tests.
func TestScenario(t *testing.T) {
	if scenario, ok := scenarios[os.Getenv(scenarioVariable)]; ok && Inside() {
		t.Run("in the guest", scenario)
	}
}

func guest(t *testing.T, scenario string, flags ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"-test.run=^TestScenario$", "-test.v"}, flags...)...)
	cmd.Env = append(os.Environ(), scenarioVariable+"="+scenario, "TMPDIR="+t.TempDir())
	return cmd
}

func TestGuest(t *testing.T) {
	tests := []struct {
		name   string
		flags  []string
		status int
		output []string
	}{
		{name: "habitable", output: []string{"=== RUN   TestScenario/in_the_guest\n", "    --- PASS: TestScenario/in_the_guest", "\nPASS\n"}},
		{name: "fail", status: 1, output: []string{"this line reaches the host\n", "\n--- FAIL: TestScenario", "\nFAIL\n"}},
		{name: "panic", status: 2, output: []string{"panic: a panic in the guest", "\ngoroutine "}},
		{name: "slow", flags: []string{"-test.timeout=1s"}, status: 2, output: []string{"waiting\n", "panic: test timed out after 1s"}},
		{name: "hang", flags: []string{"-test.timeout=20s"}, status: 1, output: []string{"vm: the guest was killed: no end within -timeout 20s and 1s more\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := guest(t, test.name, test.flags...)
			out, err := cmd.CombinedOutput()
			if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if status := cmd.ProcessState.ExitCode(); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, want := range test.output {
				if !bytes.Contains(out, []byte(want)) {
					t.Errorf("the output lacks %q", want)
				}
			}
			for _, chatter := range []string{"SELinux", "reboot:", "SeaBIOS", "\r", "\x1b"} {
				if bytes.Contains(out, []byte(chatter)) {
					t.Errorf("the output has %q", chatter)
				}
			}
			if _, err := os.Stat("written-by-the-guest"); err == nil {
				t.Error("a file that the guest wrote is on the host")
			}
			if left := processes(t, cmd.Env); len(left) > 0 {
				t.Errorf("processes left: %q", left)
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
		})
	}
}

// A guest does not outlive the test binary that booted it, even if that is killed without a word.
func TestKilledParent(t *testing.T) {
	cmd := guest(t, "slow", "-test.timeout=1m")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "waiting" { // the guest's output comes while the guest runs
	}
	if len(processes(t, cmd.Env)) == 0 {
		t.Fatal("no process of the guest is to be seen while it runs: this test does not look in the right place")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // the pipe ends with its last holder
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the killed test binary had status 0")
	}
	deadline := time.After(time.Minute)
	for left := processes(t, cmd.Env); len(left) > 0; left = processes(t, cmd.Env) {
		select {
		case <-deadline:
			t.Fatalf("processes left: %q", left)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// processes lists the command lines of all processes of the guest whose temporary directory env names.
func processes(t *testing.T, env []string) []string {
	t.Helper()
	directory, _ := strings.CutPrefix(env[len(env)-1], "TMPDIR=")
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), directory) { // a process that has just ended has no such file
			found = append(found, string(line))
		}
	}
	return found
}

// Whoever lacks something is told what to do, in one line.
func TestMissing(t *testing.T) {
	module := t.TempDir()
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module linebond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, variable, directory, want string }{
		{"QEMU", "PATH=/nonexistent", "", "vm: qemu-system-x86_64 is not installed, and these tests need it: " +
			"apt-get install -y --no-install-recommends qemu-system-x86 kmod "},
		{"kernel", "A=B", module, "vm: " + module + "/bin/kernel has no kernel, and these tests need one: make bin/kernel\n"},
		{"module", "A=B", "/", "vm: / is not in a Go module"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := guest(t, "habitable")
			cmd.Env = append(cmd.Env, test.variable)
			cmd.Dir = test.directory
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.HasPrefix(string(out), test.want) || strings.Count(string(out), "\n") != 1 {
				t.Errorf("error %v, output:\n%s", err, out)
			}
		})
	}
}

// habitable checks, in the guest, what the tests of other packages take for granted.
func habitable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Errorf("user %d, want root", os.Getuid())
	}
	if directory := os.TempDir(); directory != guestTemporary {
		t.Errorf("temporary files go to %s", directory)
	}
	if info, err := os.Stat("/dev/ppp"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("/dev/ppp is no character device: %v, %v", info, err)
	}
	loaded, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range append([]string{"ppp_generic", "pppox"}, slices.Concat(rootModules, modules)...) {
		if !bytes.Contains(append([]byte("\n"), loaded...), []byte("\n"+module+" ")) {
			t.Errorf("the module %s is not loaded", module)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name == "lo" && i.Flags&net.FlagUp == 0 {
			t.Error("lo is not up")
		}
	}
	if _, err := os.Stat("vm_test.go"); err != nil {
		t.Errorf("the working directory is not the package's: %v", err)
	}
	if err := os.WriteFile("written-by-the-guest", nil, 0o600); err != nil { // TestScenario's own directory: into the overlay
		t.Error(err)
	}
	if n := runtime.NumCPU(); n != 2 {
		t.Errorf("%d processors, want 2", n)
	}
	t.Run("network", network)
	t.Run("TEQL comes on request", teql)
	t.Run("clock and netpoller", clockAndNetpoller)
}

// network makes what the kernels of smaller machines lack.
func network(t *testing.T) {
	for _, command := range []string{
		"ip link add habitable type dummy",
		"ip link set habitable up",
		"tc qdisc add dev habitable root cake bandwidth 10mbit",
		"nft add table inet habitable",
		"nft add chain inet habitable out { type nat hook postrouting priority srcnat ; }",
		"nft add rule inet habitable out oifname habitable ct state new masquerade",
		"nft delete table inet habitable",
		"ip link delete habitable",
	} {
		runCommand(t, command)
	}
}

// teql: the module is not loaded at boot; modprobe finds it, and so does the kernel itself.
func teql(t *testing.T) {
	if _, err := net.InterfaceByName("teql0"); err == nil {
		t.Fatal("teql0 is there at boot")
	}
	runCommand(t, "ip link add habitable type dummy")
	if out, err := exec.Command("tc", "qdisc", "add", "dev", "habitable", "root", "teql0").CombinedOutput(); err == nil {
		t.Errorf("a queueing discipline teql0 before there was a device: %s", out)
	}
	runCommand(t, "modprobe sch_teql")
	runCommand(t, "tc qdisc add dev habitable root teql0")
	runCommand(t, "ip link set teql0 up")
	runCommand(t, "ip link delete habitable")

	runCommand(t, "ip link add habitable type vrf table 77") // for this the kernel requests rtnl-link-vrf
	runCommand(t, "ip link delete habitable")
}

func runCommand(t *testing.T, command string) {
	t.Helper()
	fields := strings.Fields(command)
	if out, err := exec.Command(fields[0], fields[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
}

// clockAndNetpoller lets 50 connections wait for their deadlines at once: timers fire in time, none of them early, and a read that
// waits does not hold up another.
func clockAndNetpoller(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	const connections, wait = 50, 100 * time.Millisecond
	took := make(chan time.Duration, connections)
	for range connections {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		go func() {
			start := time.Now()
			_ = connection.SetReadDeadline(start.Add(wait))
			_, _ = connection.Read(make([]byte, 1))
			took <- time.Since(start)
		}()
	}
	for range connections {
		if d := <-took; d < wait {
			t.Errorf("a deadline of %v fired after %v", wait, d)
		}
	}
}
