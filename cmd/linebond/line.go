package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"linebond/config"
	"linebond/control"
)

// lineCommands are the verbs that concern one line.
func lineCommands(p *paths) []*cobra.Command {
	verbs := []struct {
		verb  control.Verb
		short string
	}{
		{control.Up, "Dial a line now"},
		{control.Down, "Close a line, until `linebond up` or a new start"},
		{control.Redial, "Close a line and dial it again"},
	}
	var commands []*cobra.Command
	for _, v := range verbs {
		commands = append(commands, &cobra.Command{
			Use: string(v.verb) + " NAME", Short: v.short, Args: oneLine,
			ValidArgsFunction: p.completeLine,
			RunE: func(c *cobra.Command, args []string) error {
				return p.client().Command(c.Context(), args[0], v.verb)
			},
		})
	}
	return commands
}

func oneLine(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(c, fmt.Errorf("say which line: linebond %s NAME, where NAME is one that `linebond status` shows", c.Name()))
	}
	return nil
}

// completeLine offers the names of the configured lines to the shell.
func (p *paths) completeLine(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || p.absolute() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cfg, _ := config.Load(os.DirFS("/"), p.config)
	var names []string
	for _, l := range cfg.Lines {
		names = append(names, l.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func reloadCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Read the configuration again; lines that did not change are not touched", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			err := p.client().Reload(c.Context())
			var bad *control.ConfigError
			if errors.As(err, &bad) {
				for _, problem := range bad.Problems {
					fmt.Fprintln(c.OutOrStdout(), problem)
				}
			}
			return err
		},
	}
}
