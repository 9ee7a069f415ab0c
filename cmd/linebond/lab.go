package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"linebond/config"
	"linebond/lab/tour"
)

func labCommand() *cobra.Command {
	var o tour.Options
	var hold, asJSON, clean bool
	c := &cobra.Command{
		Use: "lab", Short: "See it work: an ISP, lines and a router in network namespaces, and a tour", Args: noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		Long: "See it work: builds a LAN, a router, lines with modems, an ISP and an internet in network namespaces (linebond-lab-*), runs the\n" +
			"real daemon in the router, and shows what it does as lines fail and come back. It ends with a summary, and exit status 0 if each\n" +
			"step did what it should. Nothing of the host's network is touched, and nothing is left.",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, flag := range []string{"config", "runtime-dir", "state-dir"} {
				if c.Flags().Changed(flag) {
					return usage(c, fmt.Errorf("--%s is not for the lab, which has folders of its own", flag))
				}
			}
			if clean {
				return cleanLab(c)
			}
			if err := checkLab(o); err != nil {
				return usage(c, err)
			}
			if err := canLab(o); err != nil {
				return err
			}
			var err error
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			return runLab(c.Context(), o, hold, reporter(c.OutOrStdout(), asJSON))
		},
	}
	c.Flags().IntVar(&o.Lines, "lines", 2, fmt.Sprintf("how many lines, 1 to %d", tour.MaxLines))
	c.Flags().StringVar(&o.Bond, "bond", tour.Bonds[0], "how the lines are bonded: "+strings.Join(tour.Bonds, ", ")+" (teql borrows a TEQL device of this host, and so does weighted if there is one, to compare)")
	c.Flags().StringVar(&o.Dataplane, "dataplane", tour.Dataplanes[0], "how packets travel: "+strings.Join(tour.Dataplanes, ", "))
	c.Flags().BoolVar(&hold, "hold", false, "no tour: keep the lab until Ctrl-C, to play with")
	c.Flags().BoolVar(&asJSON, "json", false, "for programs: events and the summary, each a line of JSON")
	c.Flags().BoolVar(&clean, "clean", false, "only take away what a lab that was killed has left")
	return c
}

func checkLab(o tour.Options) error {
	switch {
	case o.Lines < 1 || o.Lines > tour.MaxLines:
		return fmt.Errorf("--lines %d is out of range; allowed: 1 to %d", o.Lines, tour.MaxLines)
	case !slices.Contains(tour.Bonds, o.Bond):
		return fmt.Errorf("--bond %s is unknown; allowed: %s", o.Bond, strings.Join(tour.Bonds, ", "))
	case !slices.Contains(tour.Dataplanes, o.Dataplane):
		return fmt.Errorf("--dataplane %s is unknown; allowed: %s", o.Dataplane, strings.Join(tour.Dataplanes, ", "))
	}
	return nil
}

// canLab says what the lab would fail for, before anything is built.
func canLab(o tour.Options) error {
	if err := tour.MayRun(); err != nil || o.Dataplane != config.DataplaneKernel {
		return err
	}
	if _, _, lack := newPlanes().Choose(config.Line{Dataplane: o.Dataplane, VLAN: []uint16{101}}); lack != nil {
		return fmt.Errorf("--dataplane %s cannot be had here: %w", o.Dataplane, lack)
	}
	return nil
}

// runLab has the lab end in good order also when the terminal is closed (but for nohup), and when nobody reads what it says.
func runLab(ctx context.Context, o tour.Options, hold bool, r tour.Reporter) error {
	if !signal.Ignored(syscall.SIGHUP) {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		context.AfterFunc(ctx, stop) // as in main
	}
	surviveBrokenPipes()
	if hold {
		return tour.Hold(ctx, o, r)
	}
	return tour.Run(ctx, o, r)
}

func reporter(out io.Writer, asJSON bool) tour.Reporter {
	file, ok := out.(*os.File)
	switch {
	case asJSON:
		return tour.JSON{Out: out}
	case ok && tour.IsTerminal(file):
		return tour.NewLive(file)
	}
	return tour.Plain{Out: out}
}

func cleanLab(c *cobra.Command) error {
	for _, flag := range []string{"lines", "bond", "dataplane", "hold", "json"} {
		if c.Flags().Changed(flag) {
			return usage(c, fmt.Errorf("--clean goes alone, without --%s: it builds no lab", flag))
		}
	}
	removed, err := tour.Clean()
	for _, what := range removed {
		fmt.Fprintln(c.OutOrStdout(), "removed", what)
	}
	if err == nil && len(removed) == 0 {
		fmt.Fprintln(c.OutOrStdout(), "nothing to remove")
	}
	return err
}
