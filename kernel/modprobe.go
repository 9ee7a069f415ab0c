package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"linebond/netstate"
)

const (
	loadRetry   = 30 * time.Second // how long an error stands for another try
	loadTimeout = 10 * time.Second
)

// teqlModule loads the kernel module sch_teql.
type teqlModule struct {
	run  func(command ...string) (output string, err error)
	now  func() time.Time
	root string // of the file system, with a slash

	mu     sync.Mutex
	tried  string // the command that has failed,
	at     time.Time
	answer error
}

// execute runs a program. Its output is what it writes to either stream.
func execute(command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// LoadModules loads modules by their names, and that of TEQL so that the bond devices exist, if any. It does not stop at one that fails.
// loaded are modprobe's arguments for those that are there now.
func (k *Kernel) LoadModules(names, bonds []string) (loaded []string, err error) {
	var errs []error
	for _, name := range names {
		if out, err := k.teql.run("modprobe", name); err != nil {
			errs = append(errs, fmt.Errorf("modprobe %s: %w: %s", name, err, out))
		} else {
			loaded = append(loaded, name)
		}
	}
	if len(bonds) > 0 {
		op := netstate.LoadBonds{Devices: bonds}
		if err := k.Apply([]netstate.Op{op}); err != nil {
			errs = append(errs, err)
		} else {
			loaded = append(loaded, strings.TrimPrefix(op.String(), "modprobe "))
		}
	}
	return loaded, errors.Join(errs...)
}

// loadBonds has bond devices made.
func (k *Kernel) loadBonds(o netstate.LoadBonds) error {
	return k.teql.load(o.String(), func() ([]string, error) {
		var missing []string
		for _, device := range o.Devices {
			link, err := k.link(device)
			switch {
			case errors.Is(err, unix.ENODEV):
				missing = append(missing, device)
			case err != nil:
				return nil, err
			case !isBond(link):
				return nil, fmt.Errorf("%s is a device of another kind: rename it, or choose another device for the bond", device)
			}
		}
		return missing, nil
	})
}

// load runs the command, which is to make devices that are missing. When that fails, its error stands for a while.
func (m *teqlModule) load(command string, missing func() ([]string, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer != nil && m.tried == command && m.now().Sub(m.at) < loadRetry {
		return m.answer
	}
	m.tried, m.at, m.answer = command, m.now(), nil
	if _, err := missing(); err != nil {
		m.answer = err
		return err
	}
	words := strings.Fields(command)
	out, failure := m.run(words...)
	devices, err := missing()
	if err == nil && len(devices) > 0 {
		err = m.explain(words[len(words)-1], devices, out, failure)
	}
	m.answer = err
	return err
}

// without is the way out for a bond where there is no module to be had.
const without = `; or give the bond mode = "weighted", which needs none`

// explain says why there are still devices missing after an attempt to load the module with a parameter such as max_equalizers=2.
func (m *teqlModule) explain(parameter string, missing []string, out string, failure error) error {
	devices := strings.Join(missing, ", ")
	switch {
	case m.loaded():
		return fmt.Errorf("the module sch_teql is loaded already, and %s is not there: it was loaded with fewer devices, "+
			"or the device has been renamed or moved. Take the module out, with `rmmod sch_teql`, when nothing uses it; "+
			"and for the next boot write `options sch_teql %s` to /etc/modprobe.d/linebond.conf%s", devices, parameter, m.elsewhere(devices))
	case errors.Is(failure, exec.ErrNotFound):
		return fmt.Errorf("%w: install kmod, or load the module sch_teql before%s", failure, without)
	case failure != nil && strings.Contains(out, "not found"):
		return fmt.Errorf("%w: %s: the kernel %s has no module sch_teql: install the package with the rest of the kernel's modules "+
			"(such as linux-modules-extra-%[3]s or kernel-modules-extra), or build the kernel with CONFIG_NET_SCH_TEQL%s%s",
			failure, out, release(), without, m.elsewhere(devices))
	case failure != nil && strings.Contains(out, "not permitted"):
		return fmt.Errorf("%w: %s: this needs the capability CAP_SYS_MODULE: load the module as root, before linebond starts, "+
			"with `linebond modules`%s", failure, out, m.elsewhere(devices))
	case failure != nil:
		return fmt.Errorf("%w: %s", failure, out)
	}
	return fmt.Errorf("the kernel has sch_teql built in, and %s is not there: add sch_teql.%s to the kernel's command line%s",
		devices, parameter, m.elsewhere(devices))
}

func (m *teqlModule) exists(file string) bool {
	_, err := os.Stat(filepath.Join(m.root, file))
	return err == nil
}

// loaded says whether sch_teql is a module in the kernel. One that is built in has no initstate.
func (m *teqlModule) loaded() bool { return m.exists("sys/module/sch_teql/initstate") }

// elsewhere says what is the matter in a network namespace that is not the first one. Only the first has the setting.
func (m *teqlModule) elsewhere(devices string) string {
	if m.exists("proc/sys/net/core/netdev_budget") {
		return ""
	}
	return fmt.Sprintf(". TEQL devices are born in the first network namespace, which is not this one: "+
		"there, `ip link set dev %s netns PID` gives one to the namespace of a process", devices)
}
