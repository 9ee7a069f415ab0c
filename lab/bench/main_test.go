//go:build bench

// Package bench measures the modes of a bond side by side: the linebond binary on Debian's kernel, with modems of netem, in virtual time.
package bench

import (
	"testing"

	"linebond/lab"
	"linebond/lab/vm"
)

func TestMain(m *testing.M) { lab.Main(m, vm.MainVirtual) }
