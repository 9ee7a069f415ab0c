package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"linebond/config"
	"linebond/datapath"
	"linebond/doctor"
	"linebond/kernel"
	"linebond/netstate"
	"linebond/scheduler"
	"linebond/wire"
)

func doctorCommand(p *paths) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor", Short: "Say what this kernel and host offer, what is missing, and what to do about it", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Say what this kernel and host offer, what is missing, and what to do about it; then which data plane lines have, and which bonds can be had.\n\n" +
			"It changes nothing and loads no module. What has to be tried out, it tries in a network namespace of its own.\n" +
			"The exit status is 0 if linebond can do here what its configuration says.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, problems := config.Load(os.DirFS("/"), p.config)
			subject := doctor.Subject{Directory: p.config, Config: cfg, Problems: problems, Choose: choose}
			report := doctor.Examine(doctor.Machine{Files: os.DirFS("/"), Arch: runtime.GOARCH, Probes: probes()}, subject)
			return tell(report, subject.Command("doctor"), asJSON, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return c
}

// tell prints the report of a command, and makes its verdict the exit status.
func tell(report *doctor.Report, command string, asJSON bool, out io.Writer) error {
	write := report.WriteText
	if asJSON {
		write = report.WriteJSON
	}
	if err := write(out); err != nil {
		return err
	}
	switch {
	case report.CanRun:
		return nil
	case !report.Root:
		return fmt.Errorf("not all could be looked at: run `sudo %s`", command)
	}
	return errors.New("cannot do here all that is asked of it: see the verdict")
}

// probes try things out as the daemon would.
func probes() doctor.Native {
	return doctor.Native{
		PPPoEAvailable: wire.Available, VLANAvailable: wire.VLANAvailable,
		LoadEBPF: func() error {
			path, err := datapath.New()
			if err != nil {
				return err
			}
			return path.Close()
		},
		MakeTable: func(t netstate.Table) error {
			k, err := kernel.Open()
			if err != nil {
				return err
			}
			defer k.Close()
			return k.Apply([]netstate.Op{netstate.SetTable{Table: t}})
		},
		TryScheduler: func() error {
			const mtu = 1492
			return scheduler.Try("doctor0", mtu)
		},
	}
}

// choose is planes.Choose, on what is known without asking the kernel.
func choose(pppoe, vlan, ebpf error, l config.Line) (dataplane, reason string, lack error) {
	p := &planes{
		pppoe: func() error { return pppoe }, vlans: func() error { return vlan },
		ebpf: func() (*datapath.Path, error) { return nil, ebpf },
	}
	return p.Choose(l)
}
