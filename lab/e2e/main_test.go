// Package e2e runs the linebond binary on a real kernel, against Debian's
// pppoe-server and pppd.
package e2e

import (
	"testing"

	"linebond/lab"
	"linebond/lab/vm"
)

func TestMain(m *testing.M) { lab.Main(m, vm.Main) }
