package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linebond/config"
)

// fakeModprobe puts a modprobe into the path that does nothing but to refuse
// one module, if any.
func fakeModprobe(t *testing.T, refused string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = '" + refused + "' ]; then echo \"FATAL: Module $1 not found.\" >&2; exit 1; fi\n"
	if err := os.WriteFile(filepath.Join(dir, "modprobe"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestModules(t *testing.T) {
	vlan := config.Line{VLAN: []uint16{7}}
	bond := func(devices ...string) (bonds []config.Bond) {
		for _, d := range devices {
			bonds = append(bonds, config.Bond{Device: d})
		}
		return bonds
	}
	const fewer = ": sch_teql is loaded already, for fewer bonds; stop linebond, run `rmmod sch_teql` and then this again " +
		"(where sch_teql is built into the kernel, boot with sch_teql.max_equalizers=3)"
	for name, c := range map[string]struct {
		cfg     config.Config
		devices string // that there are then
		refused string
		out     string
		err     string
	}{
		"no lines":    {out: "pppoe\n"},
		"no VLAN":     {cfg: config.Config{Lines: []config.Line{{}}}, out: "pppoe\n"},
		"VLANs":       {cfg: config.Config{Lines: []config.Line{{}, vlan, vlan}}, out: "pppoe\n8021q\n"},
		"bond":        {cfg: config.Config{Bonds: bond("teql0")}, devices: "teql0", out: "pppoe\nsch_teql max_equalizers=1\n"},
		"bonds":       {cfg: config.Config{Bonds: bond("teql2", "teql0")}, devices: "teql0 teql1 teql2", out: "pppoe\nsch_teql max_equalizers=3\n"},
		"fewer":       {cfg: config.Config{Bonds: bond("teql0", "teql1", "teql2")}, devices: "teql0", out: "pppoe\nsch_teql max_equalizers=3\n", err: "there is no teql1, teql2" + fewer},
		"not there":   {refused: "pppoe", cfg: config.Config{Lines: []config.Line{vlan}}, out: "8021q\n", err: "modprobe pppoe: exit status 1: FATAL: Module pppoe not found."},
		"no sch_teql": {refused: "sch_teql", cfg: config.Config{Bonds: bond("teql0")}, out: "pppoe\n", err: "modprobe sch_teql max_equalizers=1: exit status 1: FATAL: Module sch_teql not found."},
	} {
		t.Run(name, func(t *testing.T) {
			fakeModprobe(t, c.refused)
			dir := t.TempDir()
			for _, device := range strings.Fields(c.devices) {
				if err := os.Mkdir(filepath.Join(dir, device), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			if err := loadModules(t.Context(), &c.cfg, dir, &out); message(err) != c.err || out.String() != c.out {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// TestModulesCommand: the configuration is read, mistakes and all.
func TestModulesCommand(t *testing.T) {
	fakeModprobe(t, "")
	dir := write(t, map[string]string{"lines.d/a.toml": good + "vlan = 7\n", "lines.d/b.toml": "mtu = 1\n"})
	if out, err := call(t, "modules", "--config", dir); err != nil || out != "pppoe\n8021q\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
