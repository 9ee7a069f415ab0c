package daemon

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"linebond/config"
)

// ModuleLoader loads kernel modules, by their names or for bond devices:
// kernel.Kernel.
type ModuleLoader interface {
	LoadModules(names, bonds []string) (loaded []string, err error)
}

// LoadModules loads the kernel modules that a configuration needs, as far as it
// can, and writes to out which those are. nf_tables and its parts the kernel
// loads by itself when they are asked for.
func LoadModules(loader ModuleLoader, c *config.Config, out io.Writer) error {
	var names []string
	ofKernel := slices.DeleteFunc(slices.Clone(c.Lines), func(l config.Line) bool { return l.Dataplane == config.DataplaneEBPF })
	if len(ofKernel) > 0 || len(c.Lines) == 0 {
		names = append(names, "pppoe")
	}
	if slices.ContainsFunc(ofKernel, func(l config.Line) bool { return len(l.VLAN) > 0 }) {
		names = append(names, "8021q")
	}
	var bonds []string
	for _, b := range c.Bonds {
		if b.Mode == config.ModeTEQL {
			bonds = append(bonds, b.Device)
		}
	}
	loaded, err := loader.LoadModules(names, bonds)
	for _, module := range loaded {
		if _, wrong := fmt.Fprintln(out, module); wrong != nil {
			return errors.Join(err, wrong)
		}
	}
	return err
}
