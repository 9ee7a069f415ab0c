package kernel

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLoadAnswers has modprobe leave teql1 missing in each way that it can.
func TestLoadAnswers(t *testing.T) {
	status := errors.New("exit status 1")
	const first, loaded = "proc/sys/net/core/netdev_budget", "sys/module/sch_teql/initstate"
	tests := []struct {
		name   string
		files  []string
		output string
		err    error
		want   string
	}{
		{"loaded before", []string{first, loaded}, "", nil,
			"the module sch_teql is loaded already, and teql1 is not there: it was loaded with fewer devices, or the device has been renamed or moved. " +
				"Take the module out, with `rmmod sch_teql`, when nothing uses it; and for the next boot write `options sch_teql max_equalizers=2` " +
				"to /etc/modprobe.d/linebond.conf"},
		{"built in", []string{first}, "", nil,
			"the kernel has sch_teql built in, and teql1 is not there: add sch_teql.max_equalizers=2 to the kernel's command line"},
		{"another namespace", nil, "", nil,
			"the kernel has sch_teql built in, and teql1 is not there: add sch_teql.max_equalizers=2 to the kernel's command line. " +
				"TEQL devices are born in the first network namespace, which is not this one: there, `ip link set dev teql1 netns PID` gives one to the " +
				"namespace of a process"},
		{"no module", []string{first}, "modprobe: FATAL: Module sch_teql not found in directory /lib/modules/7", status,
			"exit status 1: modprobe: FATAL: Module sch_teql not found in directory /lib/modules/7: the kernel RELEASE has no module sch_teql: " +
				"install the package with the rest of the kernel's modules (such as linux-modules-extra-RELEASE or kernel-modules-extra), " +
				"or build the kernel with CONFIG_NET_SCH_TEQL; or give the bond mode = \"weighted\", which needs none"},
		{"no privilege", []string{first}, "modprobe: ERROR: could not insert 'sch_teql': Operation not permitted", status,
			"exit status 1: modprobe: ERROR: could not insert 'sch_teql': Operation not permitted: this needs the capability CAP_SYS_MODULE: " +
				"load the module as root, before linebond starts, with `linebond modules`"},
		{"no modprobe", []string{first}, "", exec.ErrNotFound,
			"executable file not found in $PATH: install kmod, or load the module sch_teql before; or give the bond mode = \"weighted\", which needs none"},
		{"another failure", []string{first}, "modprobe: ERROR: out of luck", status, "exit status 1: modprobe: ERROR: out of luck"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for _, file := range test.files {
				if err := errors.Join(os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755), os.WriteFile(filepath.Join(root, file), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			m := &teqlModule{now: time.Now, root: root, run: func(...string) (string, error) { return test.output, test.err }}
			err := m.load("modprobe sch_teql max_equalizers=2", func() ([]string, error) { return []string{"teql1"}, nil })
			want := strings.ReplaceAll(test.want, "RELEASE", release())
			if err == nil || err.Error() != want || !errors.Is(err, test.err) && test.err != nil {
				t.Errorf("error: %v\nwant:  %s", err, want)
			}
		})
	}
}

// TestLoadIsNotRepeated asks for devices again and again.
func TestLoadIsNotRepeated(t *testing.T) {
	now := time.Unix(1e9, 0)
	var commands []string
	made := false
	m := &teqlModule{root: t.TempDir(), now: func() time.Time { return now }, run: func(command ...string) (string, error) {
		commands = append(commands, strings.Join(command, " "))
		return "", nil
	}}
	missing := func() ([]string, error) {
		if made {
			return nil, nil
		}
		return []string{"teql1"}, nil
	}
	const two, three = "modprobe sch_teql max_equalizers=2", "modprobe sch_teql max_equalizers=3"
	first := m.load(two, missing)
	now = now.Add(29 * time.Second)
	if again := m.load(two, missing); again != first || first == nil {
		t.Errorf("after 29 s: %v, want %v", again, first)
	}
	m.load(three, missing) // another wish is another try
	now = now.Add(30 * time.Second)
	made = true
	for range 2 { // a success does not count
		if err := m.load(three, missing); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{two, three, three, three}, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestLoadModules(t *testing.T) {
	k := host(t)
	k.teql = &teqlModule{root: t.TempDir(), now: time.Now, run: func(command ...string) (string, error) {
		if command[1] == "pppoe" {
			return "FATAL: Module pppoe not found.", errors.New("exit status 1")
		}
		return "", nil
	}}
	loaded, err := k.LoadModules([]string{"pppoe", "8021q"}, nil)
	const wrong = "modprobe pppoe: exit status 1: FATAL: Module pppoe not found."
	if err == nil || err.Error() != wrong || strings.Join(loaded, ";") != "8021q" {
		t.Errorf("%q, %v", loaded, err)
	}
	loaded, err = k.LoadModules([]string{"8021q"}, []string{"eth1", "teql2"})
	if err == nil || !strings.Contains(err.Error(), "modprobe sch_teql max_equalizers=3: eth1 is a device of another kind") || strings.Join(loaded, ";") != "8021q" {
		t.Errorf("%q, %v", loaded, err)
	}
	loaded, err = k.LoadModules(nil, []string{"teql1"})
	if err == nil || !strings.Contains(err.Error(), "teql1 is not there: add sch_teql.max_equalizers=2 to the kernel's command line") || loaded != nil {
		t.Errorf("%q, %v", loaded, err)
	}
}

func TestExecute(t *testing.T) {
	out, err := execute("ls", "/linebond-is-not-here")
	if err == nil || !strings.Contains(out, "No such file") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := execute("linebond-has-no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no program: %v", err)
	}
}
