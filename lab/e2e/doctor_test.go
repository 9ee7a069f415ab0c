package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/lab"
)

// TestDoctor: on Debian's kernel all is there that linebond can use, and to say so the doctor loads no module. Not in parallel with other
// tests, whose modules it takes out.
func TestDoctor(t *testing.T) {
	router, isp := lab.NewNamespace(t, "router"), lab.NewNamespace(t, "isp")
	lab.NewCable(t, lab.CableConfig{Router: router, ISP: isp, RouterDevice: "eth1", ISPDevice: "ac1", MTU: 1508})
	router.Run(t, "ip", "link", "set", "eth1", "up")
	config := t.TempDir()
	for name, text := range map[string]string{
		"linebond.toml":  "[log]\nto = \"stderr\"\n[lan]\ninterfaces = [\"eth0\"]\n",
		"lines.d/a.toml": "interface = \"eth1\"\nvlan = 101\nusername = \"u\"\npassword = \"tiger\"\n",
		"lines.d/b.toml": "interface = \"eth1\"\nvlan = 102\nusername = \"u\"\npassword = \"tiger\"\ndataplane = \"ebpf\"\n",
	} {
		if err := os.MkdirAll(filepath.Join(config, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const loaded, idle = "module, loaded", "module, loaded when it is needed"
	want := map[string]string{
		"kernel/pppoe": loaded, "kernel/vlan": loaded, "kernel/netem": loaded, "nftables/nft_masq": loaded,
		"kernel/teql": idle, "kernel/multipath": "built in", "kernel/ebpf_attach": "by a tc filter (clsact)",
		"line.a/mtu":     "sessions of 1500 fit through eth1; the access concentrator has to know RFC 4638",
		"verdict/line.a": "data plane kernel: this kernel has PPPoE", "verdict/line.b": "data plane ebpf: as configured",
		"verdict/bond.multipath": "can be had", "verdict/router": "can be had",
		elsewhere: "TEQL devices are born in the first network namespace, which is not this one; no bond asks for it",
	}
	t.Run("loaded", func(t *testing.T) { examine(t, router, config, want) })

	modules := []string{"pppoe", "8021q", "sch_netem", "cls_bpf", "sch_ingress", "nft_masq"}
	modprobe(t, append([]string{"-r"}, modules...)...)
	defer modprobe(t, append([]string{"-a"}, modules...)...)
	for _, id := range []string{"kernel/pppoe", "kernel/vlan", "kernel/netem", "nftables/nft_masq"} {
		want[id] = idle
	}
	t.Run("not loaded", func(t *testing.T) { examine(t, router, config, want) })
}

// elsewhere is the one thing that is not to be had in a namespace.
const elsewhere = "verdict/bond.teql"

// examine runs the doctor, which finds nothing else to complain of, and these details.
func examine(t *testing.T, n *lab.Namespace, config string, want map[string]string) {
	t.Helper()
	before := loadedModules(t)
	out, err := n.Command(os.Getenv(lab.BinaryVariable), "doctor", "--json", "--config", config).Output()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(before, loadedModules(t)); diff != "" {
		t.Errorf("the doctor has loaded modules (-before +after):\n%s", diff)
	}
	var report struct {
		CanRun bool `json:"can_run"`
		Groups []struct {
			ID       string
			Findings []struct{ ID, Level, Detail string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	details := map[string]string{}
	for _, g := range report.Groups {
		for _, f := range g.Findings {
			details[g.ID+"/"+f.ID] = f.Detail
			if f.Level != "ok" && g.ID+"/"+f.ID != elsewhere {
				t.Errorf("%s/%s: %s: %s", g.ID, f.ID, f.Level, f.Detail)
			}
		}
	}
	for id, detail := range want {
		if details[id] != detail {
			t.Errorf("%s: %q, want %q", id, details[id], detail)
		}
	}
	if !report.CanRun {
		t.Error("by its verdict linebond cannot run")
	}
}

// modprobe waits for modules that namespaces of tests before still hold: they go some time after their end.
func modprobe(t *testing.T, args ...string) {
	t.Helper()
	lab.Eventually(t, time.Minute, func() error {
		out, err := exec.Command("modprobe", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("modprobe %v: %w: %s", args, err, out)
		}
		return nil
	})
}

// loadedModules lists those of the kernel.
func loadedModules(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}
