package main

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/config"
	"linebond/datapath"
)

func TestEBPFLink(t *testing.T) {
	for _, c := range []struct {
		line config.Line
		want datapath.Link
	}{
		{config.Line{}, datapath.Link{Ethernet: "eth1"}},
		{config.Line{VLAN: []uint16{7}, VLANProtocol: "802.1q"}, datapath.Link{Ethernet: "eth1", Tags: []datapath.Tag{{ID: 7}}}},
		{config.Line{VLAN: []uint16{7}, VLANProtocol: "802.1ad"}, datapath.Link{Ethernet: "eth1", Tags: []datapath.Tag{{Protocol: 0x88a8, ID: 7}}}},
		{config.Line{VLAN: []uint16{7, 8}, VLANProtocol: "802.1ad"}, datapath.Link{Ethernet: "eth1", Tags: []datapath.Tag{{Protocol: 0x88a8, ID: 7}, {ID: 8}}}},
		{config.Line{VLAN: []uint16{7, 8}, VLANProtocol: "802.1q"}, datapath.Link{Ethernet: "eth1", Tags: []datapath.Tag{{ID: 7}, {ID: 8}}}},
	} {
		c.line.Interface = "eth1"
		if diff := cmp.Diff(c.want, ebpfLink(c.line)); diff != "" {
			t.Errorf("%+v:\n%s", c.line, diff)
		}
	}
}

// TestChoose: the programs are loaded for a line that cannot have the kernel's
// data plane, or asks for another one, and for no other line.
func TestChoose(t *testing.T) {
	noKernel, noVLAN, noEBPF := errors.New("no PPPoE"), errors.New("no 8021q"), errors.New("no eBPF")
	path, err := datapath.New()
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	plain, vlan := config.Line{Dataplane: "auto"}, config.Line{Dataplane: "auto", VLAN: []uint16{7}}
	for _, c := range []struct {
		name               string
		line               config.Line
		kernel, vlan, ebpf error
		plane, reason      string
		loads              int
	}{
		{"a kernel that has all", vlan, nil, nil, nil, "kernel", "this kernel has PPPoE", 0},
		{"no PPPoE", plain, noKernel, noVLAN, nil, "ebpf", "no PPPoE", 1},
		{"no VLAN", vlan, nil, noVLAN, nil, "ebpf", "no 8021q", 1},
		{"no VLAN needed", plain, nil, noVLAN, nil, "kernel", "this kernel has PPPoE", 0},
		{"neither", plain, noKernel, nil, noEBPF, "kernel", "neither can be had", 1},
		{"kernel", config.Line{Dataplane: "kernel"}, noKernel, nil, nil, "kernel", "as configured", 0},
		{"ebpf", config.Line{Dataplane: "ebpf"}, nil, nil, nil, "ebpf", "as configured", 1},
		{"ebpf where there is none", config.Line{Dataplane: "ebpf"}, nil, nil, noEBPF, "ebpf", "as configured", 1},
	} {
		loads := 0
		p := &planes{
			pppoe: func() error { return c.kernel }, vlans: func() error { return c.vlan },
			ebpf: func() (*datapath.Path, error) { loads++; return path, c.ebpf },
		}
		want := map[string]error{"kernel": p.kernelLacks(c.line), "ebpf": c.ebpf}[c.plane]
		if plane, reason, lack := p.Choose(c.line); plane != c.plane || reason != c.reason || loads != c.loads || !errors.Is(lack, want) {
			t.Errorf("%s: %s: %s: %v; loaded %d times", c.name, plane, reason, lack, loads)
		}
		c.line.Dataplane = c.plane
		c.line.Interface = "nowhere0"
		if _, err := p.OpenDiscovery(c.line); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: OpenDiscovery: %v, want %v", c.name, err, want)
		}
	}
}

// TestAvailable: one data plane is enough, and the first that is there.
func TestAvailable(t *testing.T) {
	no := errors.New("no")
	for _, c := range []struct{ kernel, ebpf, want error }{{nil, no, nil}, {no, nil, nil}, {no, no, no}} {
		p := &planes{pppoe: func() error { return c.kernel }, ebpf: func() (*datapath.Path, error) { return nil, c.ebpf }}
		if err := p.available(); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
