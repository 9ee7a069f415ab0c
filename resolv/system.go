package resolv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// suffix, after the name of a device, marks an entry of resolvconf as ours.
const suffix = ".linebond"

// commandTimeout is how long a program may take. They talk to local services only.
const commandTimeout = 5 * time.Second

// nobody stands for the files alone.
type nobody struct{}

func (nobody) describe() string                       { return "; /etc/resolv.conf is left alone" }
func (nobody) set(string, []byte, []netip.Addr) error { return nil }
func (nobody) clear(string) error                     { return nil }
func (nobody) cleanup() error                         { return nil }

// resolvconf is resolvconf(8), whose path it is.
type resolvconf struct{ program string }

func (r resolvconf) describe() string { return " and handed to resolvconf (" + r.program + ")" }

func (r resolvconf) set(device string, conf []byte, _ []netip.Addr) error {
	return run(conf, r.program, "-a", device+suffix)
}

// clear takes a refusal for success when there is no such entry.
func (r resolvconf) clear(device string) error {
	err := run(nil, r.program, "-d", device+suffix)
	if len(resolvconfEntries(device)) == 0 {
		return nil
	}
	return err
}

// cleanup clears all entries with our suffix.
func (r resolvconf) cleanup() error {
	var errs []error
	for _, entry := range resolvconfEntries("*") {
		errs = append(errs, r.clear(strings.TrimSuffix(filepath.Base(entry), suffix)))
	}
	return errors.Join(errs...)
}

// resolvconfEntries lists the entries of the devices that match the pattern: files, of the names of the entries.
func resolvconfEntries(pattern string) []string {
	var entries []string
	for _, dir := range []string{"/run/resolvconf/interfaces", "/run/resolvconf/interface"} { // openresolv's, Debian's own
		found, _ := filepath.Glob(filepath.Join(dir, pattern+suffix)) // the one error is a malformed pattern
		entries = append(entries, found...)
	}
	return entries
}

// resolved is systemd-resolved, by way of resolvectl(1), whose path it is.
type resolved struct{ program string }

func (r resolved) describe() string { return " and handed to systemd-resolved (" + r.program + ")" }

func (r resolved) set(device string, _ []byte, servers []netip.Addr) error {
	args := []string{"dns", device}
	for _, s := range servers {
		args = append(args, s.String())
	}
	return run(nil, r.program, args...)
}

// clear is refused for a device that does not exist. That is as well: resolved has forgotten it.
func (r resolved) clear(device string) error {
	err := run(nil, r.program, "revert", device)
	if _, gone := net.InterfaceByName(device); err != nil && gone != nil {
		return nil
	}
	return err
}

// cleanup has nothing to do: what an earlier process said of its devices went with them.
func (resolved) cleanup() error { return nil }

// run runs a program with the text as its input, for a limited time, and with nothing of our environment but the path. An error has the
// beginning of what the program wrote to its standard error.
func run(stdin []byte, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// resolvconf is a script: its children are to end with it, and not to hold its output open.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it took longer than %v", commandTimeout)
	}
	return fmt.Errorf("running %s: %w%s", strings.Join(append([]string{program}, args...), " "), err, said(stderr.Bytes()))
}

// said makes a program's complaint fit for the end of a line in a log.
func said(stderr []byte) string {
	const most = 300
	text := strings.Join(strings.Fields(string(stderr)), " ")
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	if text == "" {
		return ""
	}
	return ": " + text
}
