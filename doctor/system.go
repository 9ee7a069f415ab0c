package doctor

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// system is what the machine's files tell of its kernel and of this process.
type system struct {
	files     fs.FS
	arch      string // as Debian calls it
	release   string // of the kernel
	distro    string // "debian", "ubuntu" or ""
	pretty    string // name and version of the distribution
	container bool
	modular   bool              // the kernel can load modules
	sealed    bool              // it could, but that has been switched off
	installed bool              // there are files of modules for this kernel
	state     map[string]state  // of modules
	config    map[string]string // of the kernel: "y" or "m"; nil: not known
	rights    uint64            // effective capabilities
	processes []process         // of this network namespace, as far as can be told
}

// state is that of a module of the kernel.
type state int

const (
	hidden   state = iota // nothing is known of it
	absent                // there is none
	loadable              // there is a file of it
	loaded
	builtIn
)

// readSystem reads all of it. What cannot be read counts as not there.
func readSystem(files fs.FS, arch string) *system {
	s := &system{files: files, arch: arch, release: text(files, "proc/sys/kernel/osrelease"), state: map[string]state{}}
	s.readDistribution()
	s.container = exists(files, "run/.containerenv") || exists(files, ".dockerenv") || exists(files, "run/systemd/container")
	s.modular = exists(files, "proc/modules") || exists(files, "proc/sys/kernel/modprobe")
	s.sealed = text(files, "proc/sys/kernel/modules_disabled") == "1"
	s.readModules()
	s.readConfig()
	for line := range strings.Lines(text(files, "proc/self/status")) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			s.rights, _ = strconv.ParseUint(strings.TrimSpace(set), 16, 64)
		}
	}
	s.readProcesses()
	return s
}

func (s *system) has(capability int) bool { return s.rights&(1<<capability) != 0 }

// root says whether this process may look at everything.
func (s *system) root() bool { return s.has(unix.CAP_NET_ADMIN) }

func (s *system) readDistribution() {
	release := fields(text(s.files, "etc/os-release"))
	s.pretty = release["PRETTY_NAME"]
	for _, id := range append([]string{release["ID"]}, strings.Fields(release["ID_LIKE"])...) {
		if s.distro == "" && (id == "debian" || id == "ubuntu") {
			s.distro = id
		}
	}
}

// readModules takes from depmod(8)'s files what there is, and from the kernel what is loaded.
func (s *system) readModules() {
	directory := path.Join("lib/modules", s.release)
	for line := range strings.Lines(text(s.files, path.Join(directory, "modules.dep"))) {
		file, _, _ := strings.Cut(line, ":")
		s.state[moduleName(file)] = loadable
		s.installed = true
	}
	for line := range strings.Lines(text(s.files, path.Join(directory, "modules.builtin"))) {
		s.state[moduleName(line)] = builtIn
	}
	for line := range strings.Lines(text(s.files, "proc/modules")) {
		name, _, _ := strings.Cut(line, " ")
		s.state[name] = loaded
	}
}

// moduleName gives that of a file such as kernel/net/8021q/8021q.ko.xz.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(strings.TrimSpace(file)), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// readConfig reads what the kernel was built with, which is not everywhere to be had.
func (s *system) readConfig() {
	config, err := fs.ReadFile(s.files, "boot/config-"+s.release)
	if err != nil {
		packed, _ := fs.ReadFile(s.files, "proc/config.gz")
		unpack, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return
		}
		if config, err = io.ReadAll(unpack); err != nil {
			return
		}
	}
	s.config = map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(config)); lines.Scan(); {
		if symbol, value, ok := strings.Cut(lines.Text(), "="); ok {
			s.config[symbol] = value
		}
	}
}

// module says what becomes of a module, or, without a name, of what is never one. The symbol is the kernel's CONFIG_ of it; evidence is a
// file that there is only with it.
func (s *system) module(name, symbol, evidence string) state {
	known := s.state[name]
	switch {
	case known == loaded || known == builtIn:
		return known
	case evidence != "" && exists(s.files, evidence), s.config[symbol] == "y":
		return builtIn
	case known == loadable && s.sealed:
		return absent
	case known == loadable:
		return loadable
	case s.config != nil && s.config[symbol] == "", s.installed && name != "", evidence != "" && !s.modular:
		return absent
	}
	return hidden
}

// process is a program that runs.
type process struct {
	pid  string
	name string // the first 15 bytes
	args []string
}

// String gives e.g. "pppd call dsl (process 703)". Of other arguments one may be a password.
func (p process) String() string {
	what := p.name
	if i := slices.Index(p.args, "call"); p.name == "pppd" && i >= 0 && i+1 < len(p.args) {
		what += " call " + p.args[i+1]
	}
	return what + " (process " + p.pid + ")"
}

// readProcesses lists what may be of interest. What lives in another network namespace has other devices than ours; where a process lives
// that this user may not look at cannot be told, so it counts.
func (s *system) readProcesses() {
	names, _ := fs.Glob(s.files, "proc/[0-9]*/comm") // the pattern is right
	home, _ := fs.ReadLink(s.files, "proc/self/ns/net")
	for _, file := range names {
		directory := path.Dir(file)
		if at, err := fs.ReadLink(s.files, path.Join(directory, "ns/net")); home != "" && err == nil && at != home {
			continue
		}
		p := process{pid: path.Base(directory), name: text(s.files, file)}
		switch p.name {
		case "pppd", "pppoe", "linebond", "NetworkManager", "systemd-network", "ModemManager":
			p.args = strings.Split(strings.TrimRight(text(s.files, path.Join(directory, "cmdline")), "\x00"), "\x00")
			s.processes = append(s.processes, p)
		}
	}
}

// running says whether a program of this name runs; a name has 15 bytes at most.
func (s *system) running(name string) bool {
	return slices.ContainsFunc(s.processes, func(p process) bool { return p.name == name })
}

// text reads a small file, without the space around its text. One that cannot be read has none.
func text(files fs.FS, file string) string {
	data, _ := fs.ReadFile(files, file)
	return strings.TrimSpace(string(data))
}

func exists(files fs.FS, file string) bool {
	_, err := fs.Stat(files, file)
	return !errors.Is(err, fs.ErrNotExist)
}

// fields reads lines KEY=VALUE; quotes around a value are dropped.
func fields(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return values
}
