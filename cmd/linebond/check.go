package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"linebond/config"
)

func checkCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the configuration; tell every mistake in it", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, problems := config.Load(os.DirFS("/"), p.config)
			mistakes := 0
			for _, problem := range problems {
				fmt.Fprintln(c.OutOrStdout(), problem)
				if !problem.Warning {
					mistakes++
				}
			}
			if mistakes > 0 {
				return fmt.Errorf("%s in %s", count(mistakes, "mistake"), p.config)
			}
			if len(cfg.Lines) == 0 {
				fmt.Fprintf(c.OutOrStdout(), "%s has no mistakes, but there is nothing to dial\n", p.config)
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is right: %s\n", p.config, count(len(cfg.Lines), "line"))
			return nil
		},
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
