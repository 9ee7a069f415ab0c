package tour

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestInterrupted: a tour that a signal ends says so, to people and to programs.
func TestInterrupted(t *testing.T) {
	lab := exec.Command(program, "lab", "--lines", "1", "--json")
	var stderr bytes.Buffer
	lab.Stderr = &stderr
	out, err := lab.StdoutPipe()
	must(t, err)
	must(t, lab.Start())
	t.Cleanup(func() { _ = lab.Process.Kill() })
	var last Event
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = Event{}
		must(t, json.Unmarshal(lines.Bytes(), &last))
		if last.Kind == begins && last.Step == 2 {
			must(t, lab.Process.Signal(syscall.SIGINT))
		}
	}
	_ = lab.Wait()
	if last.Kind != summary || !last.Interrupted || len(last.Results) != 1 {
		t.Errorf("%+v", last)
	}
	if stderr.String() != "linebond: interrupted\n" || lab.ProcessState.ExitCode() != 1 {
		t.Errorf("%v\n%s", lab.ProcessState, &stderr)
	}
	nothingIsLeft(t)
}

// TestStalled: a lab whose output nobody takes ends by a second signal.
func TestStalled(t *testing.T) {
	const size = 4096
	reader, writer, err := os.Pipe()
	must(t, err)
	defer reader.Close()
	defer writer.Close()
	if n, err := unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, size); err != nil || n != size {
		t.Fatal(n, err)
	}
	_, err = writer.Write(make([]byte, size))
	must(t, err)
	lab := exec.Command(program, "lab", "--lines", "1")
	lab.Stdout = writer
	must(t, lab.Start())
	ended := make(chan error, 1)
	go func() { ended <- lab.Wait() }()
	deadline, tick := time.After(limit), time.NewTicker(pause)
	defer tick.Stop()
	for built := false; ; {
		select {
		case err := <-ended:
			if !built || err == nil {
				t.Errorf("%v, built: %v", err, built)
			}
			if out, status := linebond(t, "lab", "--clean"); status != 0 {
				t.Errorf("%d\n%s", status, out)
			}
			nothingIsLeft(t)
			return
		case <-deadline:
			_ = lab.Process.Kill()
			t.Fatal("it does not end")
		case <-tick.C:
		}
		if _, err := os.Stat(configDir + "/linebond.toml"); err == nil {
			built = true
			_ = lab.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}
}

// TestNohup: a SIGHUP that whoever started the lab has it ignore stays ignored.
func TestNohup(t *testing.T) {
	h := hold(t, "nohup")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Process.Pid))
	must(t, err)
	_, after, _ := strings.Cut(string(status), "SigIgn:")
	var ignored uint64
	if _, err := fmt.Sscanf(after, "%x", &ignored); err != nil || ignored&1 == 0 {
		t.Errorf("ignored are %x, %v", ignored, err)
	}
	must(t, h.Process.Signal(syscall.SIGTERM))
	if err := h.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &h.stderr)
	}
	nothingIsLeft(t)
}

// TestInTheWay: where the directory should be is something else. It is not followed.
func TestInTheWay(t *testing.T) {
	for _, target := range []string{"/nowhere", t.TempDir()} {
		must(t, os.Symlink(target, directory))
		out, status := linebond(t, "lab", "--clean")
		must(t, os.Remove(directory))
		if want := "linebond: /run/linebond-lab is to be the lab's directory, and something else is there: remove it\n"; status != 1 || out != want {
			t.Errorf("%s: %d\n%s", target, status, out)
		}
	}
}

// TestKernelDataplane: where the kernel has no PPPoE that is said at once, in one line.
func TestKernelDataplane(t *testing.T) {
	out, status := linebond(t, "lab", "--lines", "1", "--dataplane", "kernel")
	if said := strings.HasPrefix(out, "linebond: --dataplane kernel cannot be had here: ") && strings.Count(out, "\n") == 1; said != (status == 1) {
		t.Errorf("%d\n%s", status, out)
	}
	t.Log(out)
	nothingIsLeft(t)
}

func TestLacks(t *testing.T) {
	const all = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	for effective, want := range map[uint32]string{
		all: "", ^uint32(0): "", all &^ (1 << unix.CAP_NET_RAW): "CAP_NET_RAW", 0: "CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW",
	} {
		if want != "" {
			want = "`linebond lab` needs " + want + ", which this process lacks though it is root's (in a container: --privileged)"
		}
		got := ""
		if err := lacks(effective); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%x: %s", effective, got)
		}
	}
}

func TestWhyNot(t *testing.T) {
	s := scene()
	s.Status.Bonds[0].Members[1].Reason = "fell once; waits 1s"
	if reason, _ := s.whyNot("line2"); reason != "fell once; waits 1s" {
		t.Error(reason)
	}
	s.Status.Bonds = nil
	if reason, _ := s.whyNot("line2"); reason != "dialling" {
		t.Error(reason)
	}
}
