// Command linebond dials PPPoE lines and keeps them up. This folder holds its
// command line, a file per verb; what the verbs do is in the other packages.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"linebond/control"
)

// paths are the folders that all verbs take.
type paths struct{ config, runtime, state string }

func (p paths) client() *control.Client {
	return control.NewClient(filepath.Join(p.runtime, "linebond.sock"))
}

// absolute makes all paths so, whatever the working directory.
func (p *paths) absolute() error {
	for _, s := range []*string{&p.config, &p.runtime, &p.state} {
		path, err := filepath.Abs(*s)
		if err != nil {
			return err
		}
		*s = path
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends a process that the first cannot end
	err := root(os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "linebond:", err)
		os.Exit(1)
	}
}

// root is the command line, which prints to out.
func root(out io.Writer) *cobra.Command {
	var p paths
	c := &cobra.Command{
		Use:               "linebond",
		Short:             "Dial PPPoE lines and keep them up",
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.absolute() },
		Args:              cobra.ArbitraryArgs,
		RunE:              noVerb,

		SuggestionsMinimumDistance: 2,
	}
	c.SetOut(out)
	c.SetFlagErrorFunc(usage)
	c.PersistentFlags().StringVar(&p.config, "config", "/etc/linebond", "folder of linebond.toml and lines.d/")
	c.PersistentFlags().StringVar(&p.runtime, "runtime-dir", "/run/linebond", "folder of the control socket, state and resolv.conf files")
	c.PersistentFlags().StringVar(&p.state, "state-dir", "/var/lib/linebond", "folder of what is kept from one run to the next: learned rates")
	c.AddCommand(runCommand(&p), checkCommand(&p), statusCommand(&p), reloadCommand(&p), cleanupCommand(&p), modulesCommand(&p), doctorCommand(&p), labCommand(), versionCommand())
	c.AddCommand(lineCommands(&p)...)
	c.InitDefaultHelpCmd()
	c.InitDefaultCompletionCmd()
	refuseUnknown(c)
	return c
}

// refuseUnknown has cobra's own commands refuse words that they do not know,
// where they would print help and succeed.
func refuseUnknown(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				about, unknown, _ := root.Find(args) // the root itself finds all
				if len(unknown) > 0 {
					return noVerb(about, unknown)
				}
				return nil
			}
		case "completion":
			c.Args, c.RunE = cobra.ArbitraryArgs, noVerb
		}
	}
}

// noVerb answers a call without a verb, or with one that there is not.
func noVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	err := fmt.Errorf("there is no verb %q", args[0])
	if similar := c.SuggestionsFor(args[0]); len(similar) > 0 {
		err = fmt.Errorf("%w; is it %s that you mean?", err, strings.Join(similar, " or "))
	}
	return usage(c, err)
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, fmt.Errorf("%s takes no arguments, but got %q", c.Name(), args[0]))
	}
	return nil
}

// usage adds to a usage mistake where help is.
func usage(c *cobra.Command, err error) error {
	return fmt.Errorf("%w (see `%s --help`)", err, c.CommandPath())
}

// version is the module's, as the Go toolchain recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "linebond", version()) },
	}
}
