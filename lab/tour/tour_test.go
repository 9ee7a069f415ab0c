package tour

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linebond/config"
	"linebond/control"
	"linebond/lab/netns"
)

// program is linebond, built for these tests. They run on this machine's kernel, as root, one after the other: there is one lab at a time.
var program string

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "linebond-tour-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // nobody must reach it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "linebond")
	if out, err := exec.Command("go", "build", "-o", program, "linebond/cmd/linebond").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building linebond: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func options(lines int) Options {
	return Options{Lines: lines, Bond: Bonds[0], Dataplane: Dataplanes[0], Program: program}
}

// nothingIsLeft fails the test if something of a lab is there.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	if names, err := netns.List(prefix); err != nil || names != nil {
		t.Errorf("namespaces are left: %v, %v", names, err)
	}
	if _, err := os.Stat(directory); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", directory, err)
	}
}

// decode reads events.
func decode(t *testing.T, r io.Reader) (all []Event) {
	t.Helper()
	for decoder := json.NewDecoder(r); ; {
		var e Event
		err := decoder.Decode(&e)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// TestRun is the whole tour.
func TestRun(t *testing.T) {
	multipath := options(1)
	multipath.Bond = config.ModeMultipath
	for _, o := range []Options{options(2), multipath} {
		t.Run(fmt.Sprint(o.Bond, o.Lines), func(t *testing.T) {
			var out bytes.Buffer
			err := Run(t.Context(), o, JSON{&out})
			told := decode(t, &out)
			if err != nil {
				t.Fatalf("%v\n%+v", err, told)
			}
			nothingIsLeft(t)
			all := steps(o)
			last := told[len(told)-1]
			if last.Kind != summary || len(last.Results) != len(all) {
				t.Fatalf("the last event is %+v", last)
			}
			for i, r := range last.Results {
				t.Logf("%s: %s", r.Title, r.Seen)
				if !r.OK || r.Error != "" || r.Title != all[i].title || r.Seen == "" || len(r.Measured) == 0 {
					t.Errorf("%+v", r)
				}
			}
			if o.compares() {
				weightedTold(t, told)
			}
			for i := range o.Lines {
				up := func(e Event) bool { return e.Kind == changed && e.Line.Name == lineName(i) && e.Line.State == "up" }
				if !slices.ContainsFunc(told, up) {
					t.Errorf("%s was never told to be up", lineName(i))
				}
			}
		})
	}
}

// weightedTold checks what only the tour of a weighted bond tells.
func weightedTold(t *testing.T, told []Event) {
	t.Helper()
	carries := func(e Event) bool {
		return e.Kind == figures && e.Bond.Scheduler.Packets > 0 && slices.ContainsFunc(e.Bond.Members, func(m control.Member) bool { return m.Scheduled != nil && m.Scheduled.Share > 0 })
	}
	if !slices.ContainsFunc(told, carries) {
		t.Error("it is not told what the bond carries")
	}
	for _, r := range told[len(told)-1].Results {
		switch r.Title {
		case "upload compared":
			if len(r.Compared) != 3 || r.Compared[2].Late == nil || r.Compared[2].Ping == nil {
				t.Errorf("%+v", r.Compared)
			}
		case "black hole":
			if r.Measured[0].Name != "passed over after" || r.Measured[1].Name != "packets elsewhere" || r.Measured[1].Value == 0 {
				t.Errorf("%+v", r.Measured)
			}
		case "daemon killed":
			if !strings.HasSuffix(r.Seen, "were taken over.") {
				t.Error(r.Seen)
			}
		}
	}
}

// A held is a `linebond lab --hold`, in a process of its own.
type held struct {
	*exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

// hold starts it by a program, if one is given, and waits until its lines are up.
func hold(t *testing.T, by ...string) *held {
	t.Helper()
	command := append(by, program, "lab", "--hold", "--lines", "1")
	h := &held{Cmd: exec.Command(command[0], command[1:]...)}
	h.Stderr = &h.stderr
	out, err := h.StdoutPipe()
	must(t, err)
	must(t, h.Start())
	t.Cleanup(func() { _ = h.Process.Kill() }) // if the test has not ended it
	h.out = bufio.NewReader(out)
	for {
		line, err := h.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %v\n%s", err, h.Wait(), &h.stderr)
		}
		if strings.HasPrefix(line, "The lab stays until Ctrl-C.") {
			return h
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// linebond runs the command line, and returns what it prints and its exit status.
func linebond(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	b, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// TestHold: what a person can do with a lab, and that there is but one.
func TestHold(t *testing.T) {
	h := hold(t)
	if out, status := linebond(t, "status", "--runtime-dir", runtimeDir); status != 0 || !strings.Contains(out, "line1") || !strings.Contains(out, "bras1") {
		t.Errorf("%d\n%s", status, out)
	}
	if out, status := linebond(t, "check", "--config", configDir); status != 0 {
		t.Errorf("%d\n%s", status, out)
	}
	if out, err := exec.Command("ip", "netns", "exec", lan, "ping", "-c", "1", "-W", "60", server.String()).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	must(t, filepath.WalkDir(directory, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && strings.HasPrefix(path, configDir) {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return nil
	}))
	for _, args := range [][]string{{"lab"}, {"lab", "--clean"}} {
		if out, status := linebond(t, args...); status != 1 || !strings.HasSuffix(out, "linebond: "+errBusy.Error()+"\n") {
			t.Errorf("beside another lab: %d\n%s", status, out)
		}
	}
	must(t, exec.Command("ip", "-n", wire, "link", "set", customer(0), "down").Run())
	awaitState(t, "held")
	must(t, exec.Command("ip", "-n", wire, "link", "set", customer(0), "up").Run())
	awaitState(t, "up")
	guest := exec.Command("ip", "netns", "exec", lan, "sleep", "1000") // somebody who is in the lab
	must(t, guest.Start())
	must(t, h.Process.Signal(syscall.SIGTERM))
	if err := h.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &h.stderr)
	}
	_ = guest.Wait() // killed
	nothingIsLeft(t)
}

// awaitState waits until line1 has a state.
func awaitState(t *testing.T, state string) {
	t.Helper()
	for deadline := time.After(limit); ; {
		status, err := control.NewClient(socket).Status(t.Context())
		must(t, err)
		if l := status.Lines[0]; l.State == state {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("line1 does not get to the state %s: %+v", state, status.Lines[0])
		case <-time.After(pause):
		}
	}
}

// TestKilled: what kill -9 leaves goes by --clean, and by the next lab.
func TestKilled(t *testing.T) {
	kill := func() {
		h := hold(t)
		must(t, h.Process.Kill())
		_ = h.Wait() // killed
	}
	kill()
	out, status := linebond(t, "lab", "--clean")
	for _, name := range []string{lan, router, wire, ispNS, web} {
		if !strings.Contains(out, "removed network namespace "+name+"\n") {
			t.Errorf("%s is not removed", name)
		}
	}
	if status != 0 || !strings.Contains(out, "removed "+configDir+"\n") {
		t.Errorf("%d\n%s", status, out)
	}
	nothingIsLeft(t)
	if out, status := linebond(t, "lab", "--clean"); status != 0 || out != "nothing to remove\n" {
		t.Errorf("where nothing is: %d\n%s", status, out)
	}
	kill()
	h := hold(t)
	must(t, h.Process.Signal(syscall.SIGINT))
	if err := h.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &h.stderr)
	}
	nothingIsLeft(t)
}

// TestDaemonDies: the lab ends with its daemon, and says how that ended.
func TestDaemonDies(t *testing.T) {
	h := hold(t)
	inside, err := netns.Processes(router)
	must(t, err)
	if len(inside) != 1 {
		t.Fatalf("in the router live %v", inside)
	}
	must(t, unix.Kill(inside[0], unix.SIGKILL))
	_ = h.Wait()
	if want := "linebond: the daemon has ended by itself: signal: killed\nits log ends:\n"; h.ProcessState.ExitCode() != 1 || !strings.HasPrefix(h.stderr.String(), want) {
		t.Errorf("%v\n%s", h.ProcessState, &h.stderr)
	}
	nothingIsLeft(t)
}

// TestNobodyReads: the lab ends when its reader has gone.
func TestNobodyReads(t *testing.T) {
	lab := exec.Command("sh", "-c", program+" lab | head -n 1")
	var stderr bytes.Buffer
	lab.Stderr = &stderr
	must(t, lab.Run())
	if stderr.String() != "linebond: write /dev/stdout: broken pipe\n" {
		t.Errorf("%s", &stderr)
	}
	nothingIsLeft(t)
}

// A faulty reporter panics.
type faulty struct{ Plain }

func (faulty) Scene(s Scene) error {
	if len(s.Status.Lines) > 0 { // the daemon runs
		panic("a fault in the view")
	}
	return nil
}

func TestPanic(t *testing.T) {
	defer func() {
		if p := recover(); p != "a fault in the view" {
			t.Errorf("%v", p)
		}
		nothingIsLeft(t)
	}()
	t.Error(Run(t.Context(), options(1), faulty{Plain{io.Discard}}))
}

// TestFailedStep: a step that fails ends the tour, with a summary.
func TestFailedStep(t *testing.T) {
	o := options(1)
	o.Program = "/bin/false"
	var out bytes.Buffer
	err := Run(t.Context(), o, JSON{&out})
	told := decode(t, &out)
	last := told[len(told)-1]
	if err == nil || err.Error() != "step 1 (lines dialled) has failed\nthe daemon ended with exit status 1" {
		t.Errorf("%v", err)
	}
	if r := last.Results; last.Kind != summary || len(r) != 1 || r[0].OK || !strings.HasPrefix(r[0].Error, "the daemon has ended by itself: exit status 1\n") {
		t.Errorf("%+v", last)
	}
	nothingIsLeft(t)
}

func TestNotRoot(t *testing.T) {
	cmd := exec.Command(program, "lab")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := cmd.CombinedOutput()
	if want := "linebond: `linebond lab` needs root, to make network namespaces: sudo linebond lab\n"; string(out) != want || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v\n%s", cmd.ProcessState, out)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--lines 9":          "--lines 9 is out of range; allowed: 1 to 8",
		"--lines 0":          "--lines 0 is out of range; allowed: 1 to 8",
		"--bond lacp":        "--bond lacp is unknown; allowed: " + strings.Join(Bonds, ", "),
		"--dataplane air":    "--dataplane air is unknown; allowed: auto, ebpf, kernel",
		"--config /etc":      "--config is not for the lab, which has folders of its own",
		"--runtime-dir /run": "--runtime-dir is not for the lab, which has folders of its own",
		"--state-dir /var":   "--state-dir is not for the lab, which has folders of its own",
		"--clean --hold":     "--clean goes alone, without --hold: it builds no lab",
		"--clean --json":     "--clean goes alone, without --json: it builds no lab",
		"now":                `lab takes no arguments, but got "now"`,
	} {
		out, status := linebond(t, append([]string{"lab"}, strings.Fields(args)...)...)
		if want = "linebond: " + want + " (see `linebond lab --help`)\n"; status != 1 || out != want {
			t.Errorf("%s: %d, %s", args, status, out)
		}
	}
}
