package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

const patience = time.Minute // for what should never happen

// create makes a namespace for the test, and returns its name.
func create(t *testing.T, name string) string {
	t.Helper()
	name = fmt.Sprintf("netns-test-%d-%s", os.Getpid(), name)
	must(t, Create(name))
	t.Cleanup(func() { must(t, Delete(name)) })
	return name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, prefix string) []string {
	t.Helper()
	found, err := List(prefix)
	must(t, err)
	return found
}

func TestNames(t *testing.T) {
	b, a := create(t, "b"), create(t, "a")
	if found := names(t, strings.TrimSuffix(a, "a")); !slices.Equal(found, []string{a, b}) {
		t.Errorf("%v", found)
	}
	out, err := exec.Command("ip", "-o", "-n", a, "link").CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "lo: <LOOPBACK,UP,LOWER_UP>") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := Create(a); !errors.Is(err, fs.ErrExist) || !strings.HasPrefix(err.Error(), "making the network namespace "+a+": ") {
		t.Errorf("again: %v", err)
	}
	for range 2 {
		must(t, Delete(a))
		if found := names(t, a); found != nil {
			t.Errorf("after Delete: %v", found)
		}
	}
	must(t, os.WriteFile(path(a), nil, 0o444)) // as after a Create that was killed
	must(t, Delete(a))
	none := "entering the network namespace " + a + ": open /run/netns/" + a + ": no such file or directory"
	if err := Do(a, func() error { return nil }); err == nil || err.Error() != none {
		t.Errorf("%v", err)
	}
}

// TestDo: what is done inside happens there, and nothing of it comes back.
func TestDo(t *testing.T) {
	name := create(t, "inside")
	home, err := os.Readlink("/proc/thread-self/ns/net")
	must(t, err)
	must(t, Do(name, func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "nt-inside"}, PeerName: "nt-peer"}); err != nil {
			return err
		}
		_, err := os.Stat("/sys/class/net/nt-inside")
		return err
	}))
	if _, err := net.InterfaceByName("nt-inside"); err == nil {
		t.Error("the device is outside, too")
	}
	if err := Do(name, func() error { return io.EOF }); err != io.EOF {
		t.Errorf("%v", err)
	}
	here := make(chan string, 100)
	for range cap(here) { // on whatever threads there are now
		go func() {
			ns, _ := os.Readlink("/proc/thread-self/ns/net")
			here <- ns
		}()
	}
	for range cap(here) {
		if ns := <-here; ns != home {
			t.Fatalf("a goroutine is in %s, and the test in %s", ns, home)
		}
	}
}

func TestStart(t *testing.T) {
	name := create(t, "processes")
	shell := exec.Command("sh", "-c", "ip -o link; echo ready; exec cat")
	in, err := shell.StdinPipe()
	must(t, err)
	out, err := shell.StdoutPipe()
	must(t, err)
	end, err := Start(name, shell)
	must(t, err)
	lines := bufio.NewReader(out)
	if said, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(said, "1: lo: ") {
		t.Errorf("%v, %s", err, said)
	}
	if said, err := lines.ReadString('\n'); err != nil || said != "ready\n" {
		t.Errorf("%v, %s", err, said)
	}
	found, err := Processes(name)
	must(t, err)
	if !slices.Equal(found, []int{shell.Process.Pid}) {
		t.Errorf("%v, not %d", found, shell.Process.Pid)
	}
	must(t, in.Close())
	must(t, <-end)
	if found, err = Processes(name); err != nil || found != nil {
		t.Errorf("afterwards: %v, %v", found, err)
	}
	_, err = Start(name, exec.Command("/none"))
	if want := "starting none in the network namespace " + name + ": "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// TestStartDies: who is killed takes along what it has started.
func TestStartDies(t *testing.T) {
	if name := os.Getenv("NETNS_TEST_START"); name != "" {
		child := exec.Command("cat")
		child.Stdin = os.Stdin
		end, err := Start(name, child)
		must(t, err)
		fmt.Println(child.Process.Pid)
		t.Fatal(<-end)
	}
	name := create(t, "dies")
	parent := exec.Command(os.Args[0], "-test.run", "^TestStartDies$")
	parent.Env = append(os.Environ(), "NETNS_TEST_START="+name)
	_, err := parent.StdinPipe()
	must(t, err)
	out, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	var child int
	_, err = fmt.Fscan(out, &child)
	must(t, err)
	if found, err := Processes(name); err != nil || !slices.Equal(found, []int{child}) {
		t.Errorf("%v, %v", found, err)
	}
	must(t, parent.Process.Kill())
	_ = parent.Wait() // killed
	eventually(t, func() error {
		found, err := Processes(name)
		if found != nil {
			err = fmt.Errorf("%v live on", found)
		}
		return err
	})
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	for deadline := time.After(patience); ; {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestCable(t *testing.T) {
	a, b := create(t, "left"), create(t, "right")
	must(t, Cable(End{a, "nt-east"}, End{b, "nt-west"}, 1508))
	for _, end := range []End{{a, "nt-east"}, {b, "nt-west"}} {
		eventually(t, func() error { // the kernel takes its time to see a carrier
			return Do(end.Namespace, func() error {
				ifi, err := net.InterfaceByName(end.Device)
				if err == nil && (ifi.MTU != 1508 || ifi.Flags&net.FlagRunning == 0) {
					err = fmt.Errorf("%+v", ifi)
				}
				return err
			})
		})
		if _, err := net.InterfaceByName(end.Device); err == nil {
			t.Errorf("%s is outside", end.Device)
		}
	}
	err := Cable(End{a, "nt-east"}, End{b, "nt-other"}, 1500)
	if want := fmt.Sprintf("laying a cable from nt-east in %s to nt-other in %s: adding a veth pair: file exists", a, b); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if err := Cable(End{a, "x"}, End{"netns-test-none", "y"}, 1500); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestHouse: who comes later finds what was left in the BPF file system, nobody else does, and at the end nobody stays.
func TestHouse(t *testing.T) {
	name := create(t, "house")
	h, err := Open(name)
	must(t, err)
	const kept = "/sys/fs/bpf/netns-test"
	must(t, h.Do(func() error { return os.Mkdir(kept, 0o700) }))
	end, err := h.Start(exec.Command("test", "-d", kept))
	must(t, err)
	must(t, <-end)
	if _, err := os.Stat(kept); err == nil {
		t.Errorf("%s is outside", kept)
	}
	end, err = h.Start(exec.Command("sleep", "1000"))
	must(t, err)
	if found, err := Processes(name); err != nil || len(found) != 1 {
		t.Errorf("in there live %v, %v", found, err)
	}
	must(t, h.Close())
	if err := <-end; err == nil || err.Error() != "signal: killed" {
		t.Errorf("%v", err)
	}
	if _, err := Open("netns-test-none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
