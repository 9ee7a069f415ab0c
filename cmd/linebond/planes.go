package main

import (
	"fmt"
	"sync"

	"linebond/config"
	"linebond/daemon"
	"linebond/datapath"
	"linebond/pppoe"
	"linebond/wire"
)

// planes are the real data planes: daemon.Planes. What they return with an error
// is not to be looked at: it is no nil interface.
type planes struct {
	pppoe, vlans func() error                   // what the kernel lacks for its own
	ebpf         func() (*datapath.Path, error) // loads the programs when it is first called
}

func newPlanes() *planes {
	return &planes{pppoe: wire.Available, vlans: wire.VLANAvailable, ebpf: sync.OnceValues(datapath.New)}
}

// available says why neither data plane can be had, or nothing.
func (p *planes) available() error {
	lack := p.pppoe()
	if lack == nil {
		return nil
	}
	if _, err := p.ebpf(); err != nil {
		return fmt.Errorf("%w; and eBPF in its place: %w", lack, err)
	}
	return nil
}

// kernelLacks says what the kernel's data plane lacks for a line.
func (p *planes) kernelLacks(l config.Line) error {
	if err := p.pppoe(); err != nil || len(l.VLAN) == 0 {
		return err
	}
	return p.vlans()
}

// Choose implements daemon.Planes. A line that can have neither has the
// kernel's, which tells at each dial what it lacks, until that is there.
func (p *planes) Choose(l config.Line) (dataplane, reason string, lack error) {
	switch l.Dataplane {
	case config.DataplaneKernel:
		return l.Dataplane, "as configured", p.kernelLacks(l)
	case config.DataplaneEBPF:
		_, err := p.ebpf()
		return l.Dataplane, "as configured", err
	}
	lack = p.kernelLacks(l)
	if lack == nil {
		return config.DataplaneKernel, "this kernel has PPPoE", nil
	}
	if _, err := p.ebpf(); err != nil {
		return config.DataplaneKernel, "neither can be had", fmt.Errorf("%w; %w", lack, err)
	}
	return config.DataplaneEBPF, lack.Error(), nil
}

// OpenDiscovery implements daemon.Planes. Where the line's data plane is
// missing no session is begun.
func (p *planes) OpenDiscovery(l config.Line) (daemon.Discovery, error) {
	if l.Dataplane == config.DataplaneEBPF {
		path, err := p.ebpf()
		if err != nil {
			return nil, err
		}
		return path.OpenDiscovery(ebpfLink(l), l.Priority)
	}
	if err := p.kernelLacks(l); err != nil {
		return nil, err
	}
	return wire.OpenDiscovery(l.Link(), l.Priority)
}

// OpenEarly implements daemon.Planes. An eBPF line's discovery catches such
// frames by itself.
func (p *planes) OpenEarly(l config.Line) (daemon.Early, error) {
	if l.Dataplane == config.DataplaneEBPF {
		return nil, nil
	}
	return wire.OpenEarly(l.Link())
}

// OpenSession implements daemon.Planes.
func (p *planes) OpenSession(l config.Line, s pppoe.Session, early daemon.Early) (daemon.Session, error) {
	if l.Dataplane == config.DataplaneEBPF {
		path, err := p.ebpf()
		if err != nil {
			return nil, err
		}
		return path.OpenSession(datapath.SessionConfig{Link: ebpfLink(l), AC: s.AC, ID: s.ID, Priority: l.Priority})
	}
	caught, _ := early.(*wire.Early)
	return wire.OpenSession(wire.SessionConfig{
		Device: l.Link(), AC: s.AC, ID: s.ID, Priority: l.Priority, Early: caught,
	})
}

// Cleanup implements daemon.Planes.
func (p *planes) Cleanup() error { return datapath.Cleanup() }

// ebpfLink is where an eBPF line's frames go.
func ebpfLink(l config.Line) datapath.Link {
	link := datapath.Link{Ethernet: l.Interface}
	protocol := l.VLANProtocol
	for _, id := range l.VLAN {
		tag := datapath.Tag{ID: id}
		if protocol == "802.1ad" {
			tag.Protocol = 0x88a8
		}
		link.Tags = append(link.Tags, tag)
		protocol = "" // of the inner tag it is always 802.1Q
	}
	return link
}
