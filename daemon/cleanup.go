package daemon

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"linebond/kernel"
	"linebond/netstate"
)

// Leftover is something else that a daemon which has died left in the kernel:
// datapath.Leftover, scheduler.Leftover. It prints as a command that would do
// what Remove does.
type Leftover interface {
	fmt.Stringer
	Remove() error
}

// Cleanup takes away what a daemon that has died left in the kernel, about as
// the commands would that it writes to out. What is ours the kernel's marks
// tell. A dry run takes nothing away.
func Cleanup(host Host, left []Leftover, dryRun bool, out io.Writer) error {
	have, unread := host.Observe(netstate.State{})
	if unread != nil && !errors.As(unread, new(*kernel.TableError)) {
		return unread
	}
	ops := slices.DeleteFunc(netstate.Diff(netstate.State{}, have), isScheduling) // what these would do, left does
	if len(ops)+len(left) == 0 && unread == nil {
		_, err := fmt.Fprintln(out, "nothing of linebond's is in the kernel")
		return err
	}
	for _, op := range ops {
		if _, err := fmt.Fprintln(out, op); err != nil {
			return err
		}
	}
	if !dryRun {
		if err := host.Apply(ops); err != nil {
			return errors.Join(err, unread)
		}
	}
	for _, l := range left {
		if _, err := fmt.Fprintln(out, l); err != nil {
			return err
		}
		if dryRun {
			continue
		}
		if err := l.Remove(); err != nil {
			return errors.Join(err, unread)
		}
	}
	_, err := fmt.Fprintln(out, "# net.ipv4.ip_forward and net.ipv6.conf.all.forwarding stay as they are: others may need them, too")
	return errors.Join(err, unread)
}
