package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// The guest's TEQL devices are made with their module: none is ever made or deleted later. They live in the namespace that the guest
// starts with, and come back there when the one that they were moved into goes. linebond takes the first 16 of them by name, teql0 to
// teql15; those after are for the other end of the lines.
const (
	teqlDevices = 64
	teqlClient  = 16
)

var teql struct {
	sync.Mutex
	load sync.Once
	err  error
}

// TEQL moves a free TEQL device, of teql0 to teql15, into a namespace, and returns its name. It waits until there is one.
func TEQL(t testing.TB, n *Namespace) string {
	t.Helper()
	return takeTEQL(t, n, 0, teqlClient)
}

// takeTEQL takes a device of those from number first up to, not including, end.
func takeTEQL(t testing.TB, n *Namespace, first, end int) string {
	t.Helper()
	LoadTEQL(t)
	var device string
	Eventually(t, 5*time.Minute, func() error {
		teql.Lock()
		defer teql.Unlock()
		for number := first; number < end; number++ {
			device = fmt.Sprintf("teql%d", number)
			if _, err := os.Stat("/sys/class/net/" + device); err == nil {
				return moveTEQL(device, n)
			}
		}
		return errors.New("every TEQL device is in use")
	})
	return device
}

// LoadTEQL makes TEQL devices, if there are none yet.
func LoadTEQL(t testing.TB) {
	t.Helper()
	teql.load.Do(loadTEQL)
	if teql.err != nil {
		t.Fatal(teql.err)
	}
}

// loadTEQL loads the module with as many devices as the tests need; one loaded before with fewer has to go first.
func loadTEQL() {
	if _, err := os.Stat(fmt.Sprintf("/sys/class/net/teql%d", teqlDevices-1)); err == nil {
		return
	}
	for _, args := range []string{"-r sch_teql", fmt.Sprintf("sch_teql max_equalizers=%d", teqlDevices)} {
		if out, err := exec.Command("modprobe", strings.Fields(args)...).CombinedOutput(); err != nil {
			teql.err = fmt.Errorf("modprobe %s: %w: %s", args, err, out)
		}
	}
}

// moveTEQL gives the device the properties of a new one: those that its last user has set outlive the namespace.
func moveTEQL(device string, n *Namespace) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("link set %s down mtu 1500 txqueuelen 100\nlink set %s alias \"\"\nlink set %s netns %s\n",
		device, device, device, n.Name))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("moving %s to %s: %w: %s", device, n.Name, err, out)
	}
	return nil
}
