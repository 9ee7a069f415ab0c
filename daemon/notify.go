package daemon

import (
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd, if it started us, how we are (sd_notify(3)).
func notify(state string) { _, _ = systemd.SdNotify(false, state) }

// newWatchdog returns a ticker at half the interval in which systemd wants to
// hear of us, or one that never ticks if it does not.
func newWatchdog() *time.Ticker {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		t := time.NewTicker(time.Hour)
		t.Stop()
		return t
	}
	return time.NewTicker(interval / 2)
}
