package main

import (
	"errors"

	"github.com/spf13/cobra"

	"linebond/control"
	"linebond/daemon"
	"linebond/datapath"
	"linebond/kernel"
	"linebond/scheduler"
)

func cleanupCommand(p *paths) *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use: "cleanup", Short: "Take away what a daemon that was killed has left in the kernel", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Take away what a daemon that was killed has left in the kernel: devices, addresses, routes, bonds and the nftables table `inet linebond`.\n" +
			"It does about as the commands would that it prints.\n\n" +
			"It is not needed before `linebond run`, which adopts what it finds.\n\n" +
			"While a daemon runs it refuses; but one that was started with another --runtime-dir it does not notice.",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := p.client().Status(c.Context())
			switch {
			case err == nil:
				return errors.New("linebond is running: stop it, and it takes away itself what it has made")
			case !errors.Is(err, control.ErrNotRunning):
				return err
			}
			k, err := kernel.Open()
			if err != nil {
				return err
			}
			defer k.Close()
			left, unseen := leftovers()
			return errors.Join(daemon.Cleanup(k, left, dryRun, c.OutOrStdout()), unseen)
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be done")
	return c
}

// leftovers are those of the rooms whose things no netstate describes: as far as
// they can be seen.
func leftovers() ([]daemon.Leftover, error) {
	bonds, unseen := scheduler.Leftovers()
	lines, err := datapath.Leftovers()
	var all []daemon.Leftover
	for _, l := range bonds { // first: they send to the lines
		all = append(all, l)
	}
	for _, l := range lines {
		all = append(all, l)
	}
	return all, errors.Join(unseen, err)
}
