// Package hosttest has the test of wire that runs on this machine's own kernel, whatever that has.
package hosttest

import (
	"os"
	"strings"
	"testing"

	"linebond/wire"
)

// The kernel shows its sessions in /proc/net/pppoe when, and only when, it has PPPoE; so Available must name the module, or must not.
func TestAvailableNamesModule(t *testing.T) {
	err := wire.Available() // first, because this loads the module where there is one
	_, missing := os.Stat("/proc/net/pppoe")
	named := err != nil && strings.Contains(err.Error(), "modprobe pppoe")
	if named != (missing != nil) {
		t.Errorf("Available() = %v, but /proc/net/pppoe: %v", err, missing)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("Available() = %q, want one line", err)
	}
}
