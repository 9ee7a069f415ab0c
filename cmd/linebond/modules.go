package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"linebond/config"
)

func modulesCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use: "modules", Short: "Load the kernel modules that the configuration needs", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Load the kernel modules that the configuration needs, by modprobe.\n\n" +
			"`linebond run` loads that for bonds by itself where it may; the systemd unit, whose daemon may not, calls this first.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _ := config.Load(os.DirFS("/"), p.config) // mistakes are for check and run to tell
			return loadModules(c.Context(), cfg, "/sys/class/net", c.OutOrStdout())
		},
	}
}

// loadModules loads what it can, and writes to out what that is. devices is
// the directory in which each network device has an entry.
func loadModules(ctx context.Context, cfg *config.Config, devices string, out io.Writer) error {
	var errs []error
	for _, module := range modules(cfg) {
		message, err := exec.CommandContext(ctx, "modprobe", module...).CombinedOutput()
		if err != nil {
			errs = append(errs, fmt.Errorf("modprobe %s: %w: %s", strings.Join(module, " "), err, bytes.TrimSpace(message)))
			continue
		}
		if _, err := fmt.Fprintln(out, strings.Join(module, " ")); err != nil {
			return err
		}
	}
	if len(errs) == 0 {
		errs = append(errs, missingBonds(cfg, devices))
	}
	return errors.Join(errs...)
}

// missingBonds tells of bond devices that are not there although their module
// is loaded: how many there are was settled when that was done first.
func missingBonds(cfg *config.Config, devices string) error {
	var missing []string
	for _, b := range cfg.Bonds {
		if _, err := os.Stat(filepath.Join(devices, b.Device)); err != nil {
			missing = append(missing, b.Device)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("there is no %s: sch_teql is loaded already, for fewer bonds; stop linebond, run `rmmod sch_teql` and then this again "+
		"(where sch_teql is built into the kernel, boot with sch_teql.max_equalizers=%d)", strings.Join(missing, ", "), equalizers(cfg))
}

// modules returns the arguments of modprobe for each module. nf_tables and its
// parts the kernel loads by itself when they are asked for.
func modules(cfg *config.Config) [][]string {
	needed := [][]string{{"pppoe"}}
	for _, l := range cfg.Lines {
		if len(l.VLAN) > 0 {
			needed = append(needed, []string{"8021q"})
			break
		}
	}
	if n := equalizers(cfg); n > 0 {
		needed = append(needed, []string{"sch_teql", "max_equalizers=" + strconv.Itoa(n)})
	}
	return needed
}

// equalizers is how many bond devices the module must make, from teql0 on.
func equalizers(cfg *config.Config) int {
	n := 0
	for _, b := range cfg.Bonds {
		if i, err := strconv.Atoi(strings.TrimPrefix(b.Device, "teql")); err == nil { // as package config has checked
			n = max(n, i+1)
		}
	}
	return n
}
