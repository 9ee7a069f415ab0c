package daemon

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/bond"
	"linebond/netstate"
)

// tellBonds logs what has changed in the bonds: one entry per transition.
func (d *Daemon) tellBonds(events []bond.Event) {
	for _, e := range events {
		about := []zap.Field{zap.String("line", e.Line), zap.String("bond", e.Bond), zap.String("reason", e.Reason), zap.Int("lines", e.Members)}
		switch e.Kind {
		case bond.Joined:
			d.log.write(zapcore.InfoLevel, "joined", about...)
		case bond.Left:
			d.log.write(zapcore.InfoLevel, "left", about...)
		case bond.Warned:
			d.log.write(zapcore.WarnLevel, "bond", about[1:3]...)
		}
	}
}

// strictAll is the setting of reverse path filtering for all devices.
const strictAll = "net/ipv4/conf/all/rp_filter"

// tellStrict warns of a setting that is not ours to change. The kernel takes
// the larger of it and a device's own.
func (d *Daemon) tellStrict() {
	if len(d.config.Lines) == 0 {
		return
	}
	have, err := d.options.Effects.Host.Observe(netstate.State{Sysctls: []netstate.Sysctl{{Key: strictAll}}})
	if err != nil {
		return // reconcile has met the same error, and told of it
	}
	for _, c := range have.Sysctls {
		if c.Key == strictAll && c.Value == "1" {
			d.log.Warn("reverse path filtering is strict on all devices; lines and bonds are set to 2, loose, which is stronger; all others drop "+
				"packets whose answers would leave by another device", zap.String("setting", "net.ipv4.conf.all.rp_filter = 1"))
		}
	}
}
