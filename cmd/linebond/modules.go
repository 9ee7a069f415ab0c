package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"linebond/config"
	"linebond/daemon"
	"linebond/kernel"
)

func modulesCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use: "modules", Short: "Load the kernel modules that the configuration needs", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Load the kernel modules that the configuration needs, by modprobe; with mistakes in it, those that the rest needs.\n\n" +
			"`linebond run` loads that for bonds by itself where it may; the systemd unit, whose daemon may not, calls this first.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, problems := config.Load(os.DirFS("/"), p.config)
			for _, problem := range problems {
				if !problem.Warning {
					fmt.Fprintln(c.OutOrStdout(), problem)
				}
			}
			k, err := kernel.Open()
			if err != nil {
				return err
			}
			defer k.Close()
			return errors.Join(daemon.LoadModules(k, cfg, c.OutOrStdout()), p.mistakes(problems))
		},
	}
}
