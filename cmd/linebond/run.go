package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"linebond/config"
	"linebond/daemon"
	"linebond/kernel"
	"linebond/probe"
	"linebond/resolv"
	"linebond/scheduler"
)

func runCommand(p *paths) *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Run the daemon: dial all lines and keep them up", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		Long: "Run the daemon: dial all lines and keep them up.\n\n" +
			"SIGHUP reads the configuration again; lines whose files did not change are not touched.\n" +
			"SIGTERM closes all lines in an orderly way and takes away what linebond made.",
		RunE: func(c *cobra.Command, _ []string) error { return runDaemon(c.Context(), p) },
	}
}

// gcPercent: the daemon's heap is a megabyte or two, and what Go would let it
// grow to before it collects is most of the daemon's memory.
const gcPercent = 25

func runDaemon(ctx context.Context, p *paths) error {
	planes := newPlanes()
	if err := planes.available(); err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	surviveBrokenPipes()
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	cfg, problems := config.Load(os.DirFS("/"), p.config)
	log := daemon.OpenLog(cfg.Log)
	log.Ready()
	err = daemon.Run(ctx, daemon.Options{
		ConfigDir: p.config, Config: cfg, Problems: problems, RuntimeDir: p.runtime, StateDir: p.state,
		Version: version(), Log: log, Reload: reload,
		Effects: effects(p.runtime, k, publisher(p.runtime, cfg.DNS.System, log), planes),
	})
	return errors.Join(err, log.Close())
}

// surviveBrokenPipes has a write to stderr fail when its reader has gone, rather
// than end the daemon without a word to the access concentrators. (A signal that
// is ignored would be so in the programs that we start, too.)
func surviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// publisher keeps the files of DNS servers. A line is worth having without the
// program that should be told of them.
func publisher(runtimeDir, system string, log *daemon.Log) *resolv.Publisher {
	files, err := resolv.New(runtimeDir, system)
	if err != nil {
		log.Error("dns.system is not there", zap.Error(err))
		files, _ = resolv.New(runtimeDir, resolv.None) // always works
	}
	log.Debug("DNS", zap.String("to", files.Describe()))
	return files
}

// effects are the real ones.
func effects(runtimeDir string, host daemon.Host, resolvers daemon.Resolvers, planes daemon.Planes) daemon.Effects {
	return daemon.Effects{
		RuntimeDir: runtimeDir, IPv6: hasIPv6(), CPUs: kernel.CPUs(), Host: host, Resolvers: resolvers, Planes: planes,
		OpenScheduler: func(device string, mtu int) (daemon.Scheduler, error) {
			s, err := scheduler.Open(device, mtu)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		CleanupSchedulers: scheduler.Cleanup,
		OpenProber: func() (probe.Sender, error) {
			p, err := probe.Open()
			if err != nil {
				return nil, err
			}
			return p, nil
		},
	}
}

// hasIPv6 says whether a new network device will have IPv6.
func hasIPv6() bool {
	off, err := os.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	return err == nil && strings.TrimSpace(string(off)) == "0"
}
