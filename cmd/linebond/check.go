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
			for _, problem := range problems {
				fmt.Fprintln(c.OutOrStdout(), problem)
			}
			if err := p.mistakes(problems); err != nil {
				return err
			}
			if len(cfg.Lines) == 0 {
				fmt.Fprintf(c.OutOrStdout(), "%s has no mistakes, but there is nothing to dial\n", p.config)
				return nil
			}
			what := count(len(cfg.Lines), "line")
			if len(cfg.Bonds) > 0 {
				what += ", " + count(len(cfg.Bonds), "bond")
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is right: %s\n", p.config, what)
			return nil
		},
	}
}

// mistakes counts the problems that are no warnings; nil: there are none.
func (p *paths) mistakes(problems []config.Problem) error {
	mistakes := 0
	for _, problem := range problems {
		if !problem.Warning {
			mistakes++
		}
	}
	if mistakes == 0 {
		return nil
	}
	return fmt.Errorf("%s in %s", count(mistakes, "mistake"), p.config)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
