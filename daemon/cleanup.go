package daemon

import (
	"fmt"
	"io"

	"linebond/netstate"
)

// Cleanup takes away what a daemon that has died left in the kernel, and
// writes to out what that is, as commands that would do the same. What is ours
// the kernel's marks tell. A dry run takes nothing away.
func Cleanup(host Host, dryRun bool, out io.Writer) error {
	have, err := host.Observe(netstate.State{})
	if err != nil {
		return err
	}
	ops := netstate.Diff(netstate.State{}, have)
	if len(ops) == 0 {
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
			return err
		}
	}
	_, err = fmt.Fprintln(out, "# net.ipv4.ip_forward and net.ipv6.conf.all.forwarding stay as they are: others may need them, too")
	return err
}
