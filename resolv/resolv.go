// Package resolv publishes the DNS servers that a line was told of: in a file of its own for each line, and, if asked to, by way of the
// program that owns the machine's /etc/resolv.conf.
//
//	DIR/resolv/NAME.conf    always; the format of resolv.conf(5), as for pppd's usepeerdns
//	resolvconf(8)           an entry named DEVICE.linebond, of openresolv or Debian's resolvconf
//	systemd-resolved        the servers of the link DEVICE, which resolved forgets when the device goes
//
// /etc/resolv.conf itself is never written to.
package resolv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// The values of dns.system in linebond.toml.
const (
	None            = "none"             // the files only
	Auto            = "auto"             // the first of the following that is there
	SystemdResolved = "systemd-resolved" // resolvectl(1)
	Resolvconf      = "resolvconf"       // resolvconf(8)
)

// system is an owner of /etc/resolv.conf. Its methods run a program, for at most commandTimeout.
type system interface {
	set(device string, conf []byte, servers []netip.Addr) error
	clear(device string) error
	cleanup() error   // clears what an earlier process has left behind
	describe() string // what follows "written to DIR"
}

// Publisher publishes DNS servers. It belongs to one goroutine, and alone remembers what it has published.
type Publisher struct {
	dir    string
	system system
	known  map[string]published // by the name of the line
}

type published struct {
	device string // that the system was told of, be it without success
	index  int    // of the device: another one of the same name has another index. 0: it is not there.
	conf   string // that the system was successfully told; "": none was
}

// New returns a publisher that keeps its files in runtimeDir/resolv and hands servers to the system named, one of the constants above.
// It fails if there is no such system here; None always works.
func New(runtimeDir, systemName string) (*Publisher, error) {
	system, err := find(systemName)
	if err != nil {
		return nil, err
	}
	return &Publisher{dir: filepath.Join(runtimeDir, "resolv"), system: system, known: map[string]published{}}, nil
}

// Describe says, for the log, where DNS servers go.
func (p *Publisher) Describe() string {
	return "DNS servers are written to " + p.dir + p.system.describe()
}

// Set publishes the servers of a line, in their order. Doing it again changes nothing and runs nothing, unless the device has been made
// anew: systemd-resolved has forgotten the servers together with the old one. After an error, it is worth doing again.
func (p *Publisher) Set(device, name string, servers []netip.Addr) error {
	conf := render(name, device, servers)
	err := p.writeFile(name, conf)
	now := published{device: device, index: index(device), conf: string(conf)}
	if before := p.known[name]; before != now {
		err = errors.Join(err, p.replace(name, before.device, now, servers))
	}
	return wrap("publishing the DNS servers of "+name, err)
}

// index is a device's number, 0 if it is not there. (net.InterfaceByName lists all devices, of which there are many where lines are.)
func index(device string) int {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0 // the name is too long for one
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0
	}
	return int(request.Uint32())
}

// replace tells the system of a line's servers, and first takes back what it was told of another device.
func (p *Publisher) replace(name, before string, now published, servers []netip.Addr) error {
	if before != "" && before != now.device {
		if err := p.system.clear(before); err != nil {
			return err
		}
	}
	p.known[name] = published{device: now.device}
	if err := p.system.set(now.device, []byte(now.conf), servers); err != nil {
		return err
	}
	p.known[name] = now
	return nil
}

// Keep takes back what Set has published for all lines but those named. Doing it again changes nothing and runs nothing; after an error,
// it is worth doing again.
func (p *Publisher) Keep(names ...string) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.known)) {
		if wanted[name] {
			continue
		}
		err := errors.Join(remove(p.path(name)), p.system.clear(p.known[name].device))
		if err == nil {
			delete(p.known, name)
		}
		errs = append(errs, wrap("taking back the DNS servers of "+name, err))
	}
	return errors.Join(errs...)
}

// Cleanup takes back what an earlier process has published and not taken back: files and entries are known by their names. It is for the
// start.
func (p *Publisher) Cleanup() error {
	var errs []error
	for _, pattern := range []string{p.path("*"), p.path("*") + temporary} {
		files, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, file := range files {
			errs = append(errs, remove(file))
		}
	}
	_ = os.Remove(p.dir) // refused when someone else keeps a file there
	return wrap("taking back the DNS servers of an earlier run", append(errs, p.system.cleanup())...)
}

// render writes the servers as resolv.conf(5) has them.
func render(name, device string, servers []netip.Addr) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# DNS servers of line %s (%s), written by linebond\n", name, device)
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	return b.Bytes()
}

// writeFile replaces a line's file in one step, so that a reader finds the old content or the new. It leaves an equal file alone, for
// the sake of those who watch it.
func (p *Publisher) writeFile(name string, conf []byte) error {
	path := p.path(name)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, conf) {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+temporary, conf, 0o644); err != nil {
		return err
	}
	return os.Rename(path+temporary, path)
}

// temporary ends the name of a file that is being written.
const temporary = ".new"

// path is where the file of a line is.
func (p *Publisher) path(name string) string { return filepath.Join(p.dir, name+".conf") }

// remove removes a file, which may not be there.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// wrap joins the errors that there are and says what was being done.
func wrap(doing string, errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// find looks for the system of the given name.
func find(name string) (system, error) {
	switch name {
	case None:
		return nobody{}, nil
	case Resolvconf:
		program, err := exec.LookPath("resolvconf")
		if err != nil {
			return nil, fmt.Errorf(`looking for resolvconf: %w: install openresolv, or set dns.system to "auto" or "none"`, err)
		}
		return resolvconf{program}, nil
	case SystemdResolved:
		program, err := exec.LookPath("resolvectl")
		if err != nil {
			return nil, fmt.Errorf(`looking for systemd-resolved: %w: install it, or set dns.system to "auto" or "none"`, err)
		}
		return resolved{program}, nil
	case Auto:
		return findAny(), nil
	}
	return nil, fmt.Errorf("dns.system %q is not known: it is one of %s, %s, %s, %s", name, None, Auto, Resolvconf, SystemdResolved)
}

// findAny prefers systemd-resolved where it is running: a command named resolvconf is then often an alias of its own.
func findAny() system {
	running := false
	for _, sign := range []string{"/run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/io.systemd.Resolve"} {
		_, err := os.Stat(sign)
		running = running || err == nil
	}
	if program, err := exec.LookPath("resolvectl"); err == nil && running {
		return resolved{program}
	}
	if program, err := exec.LookPath("resolvconf"); err == nil {
		return resolvconf{program}
	}
	return nobody{}
}
