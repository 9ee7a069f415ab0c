package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/doctor"
	"linebond/kernel"
	"linebond/netstate"
)

// TestDoctor: the verb examines this machine, changes nothing in it, and its
// exit status is its verdict's.
func TestDoctor(t *testing.T) {
	k, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	before, err := k.Observe(netstate.State{})
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"lines.d/a.toml": good, "lines.d/b.toml": "interface = \"nowhere0\"\nusername = \"u\"\npassword = \"tiger\"\n"})
	out, err := call(t, "doctor", "--config", dir)
	const want = "cannot do here all that is asked of it: see the verdict"
	if message(err) != want || strings.Contains(out, "tiger") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, part := range []string{
		"Kernel ", "\n  ok       eBPF ", "\nLine b, on nowhere0\n  missing  device  there is no nowhere0\n", "\nVerdict\n",
		"\n  missing  line b              cannot be dialled: there is no nowhere0\n",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("there is no %q in\n%s", part, out)
		}
	}
	after, err := k.Observe(netstate.State{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the doctor has changed the host (-before +after):\n%s", diff)
	}
}

// TestDoctorWithoutConfiguration: it is nothing bad. This machine has all that
// eBPF lines need.
func TestDoctorWithoutConfiguration(t *testing.T) {
	dir := t.TempDir() + "/none"
	out, err := call(t, "doctor", "--json", "--config", dir)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	found := map[string]doctor.Finding{}
	for _, g := range report.Groups {
		for _, f := range g.Findings {
			found[g.ID+"/"+f.ID] = f
		}
	}
	if f := found["configuration/files"]; f.Detail != "there is no such directory, so there is nothing to dial yet" {
		t.Errorf("%+v", f)
	}
	for _, id := range []string{"kernel/ebpf", "kernel/ebpf_attach", "kernel/veth", "nftables/nft_masq", "verdict/lines", "verdict/lines.vlan", "verdict/router"} {
		if f := found[id]; f.Level != doctor.OK {
			t.Errorf("%s: %+v", id, f)
		}
	}
}
