package bond

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"linebond/config"
)

// set changes what is configured besides bonds and lines.
func (s *script) set(words []string) {
	for _, word := range words {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "lan":
			s.config.LAN.Interfaces = list(value)
		case "nat":
			s.config.LAN.NAT = config.NAT(value)
			if a, err := netip.ParseAddr(value); err == nil {
				s.config.LAN.NAT, s.config.LAN.Source = config.NATSource, a
			}
		case "firewall":
			s.config.Host.Firewall = value == "true"
		case "spread_cpus":
			s.config.Host.SpreadCPUs = value == "true"
		case "cpus":
			s.cpus = s.number(value)
		case "failures":
			s.config.Health.Failures = s.number(value)
		case "rejoin_after":
			s.config.Health.RejoinAfter = s.duration(value)
		case "ping":
			s.config.Health.Ping = nil
			if value != "" {
				s.config.Health.Ping = []netip.Addr{netip.MustParseAddr(value)}
			}
		case "forward": // tcp,udp/8000-8010/192.168.7.10 or tcp/443/192.168.7.10:8443
			part := strings.Split(value, "/")
			first, last, isRange := strings.Cut(part[1], "-")
			f := config.Forward{Protocols: list(part[0])}
			f.Ports.First = uint16(s.number(first))
			f.Ports.Last = f.Ports.First
			if isRange {
				f.Ports.Last = uint16(s.number(last))
			}
			if to, err := netip.ParseAddrPort(part[2]); err == nil {
				f.To, f.ToPort = to.Addr(), to.Port()
			} else {
				f.To = netip.MustParseAddr(part[2])
			}
			s.config.Forwards = append(s.config.Forwards, f)
		default:
			s.t.Fatalf("no key %q", word)
		}
	}
}

func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
}

// bond configures a bond anew, or removes it: DEVICE gone.
func (s *script) bond(words []string) {
	b := config.Bond{Device: words[0], Mode: "teql", LineAddresses: "keep", DefaultRoute: true, Metric: 100}
	i := slices.IndexFunc(s.config.Bonds, func(o config.Bond) bool { return o.Device == b.Device })
	bonds := slices.Clone(s.config.Bonds)
	if i >= 0 {
		bonds = slices.Delete(bonds, i, i+1)
	}
	for _, word := range words[1:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "gone":
			s.config.Bonds = bonds
			return
		case "mode":
			b.Mode = value
		case "addresses":
			for _, a := range list(value) {
				p, err := netip.ParsePrefix(a)
				if err != nil {
					p = single(netip.MustParseAddr(a))
				}
				b.Addresses = append(b.Addresses, p)
			}
		case "line_addresses":
			b.LineAddresses = value
		case "default_route":
			b.DefaultRoute = value == "true"
		case "metric":
			b.Metric = s.number(value)
		case "shaping":
			b.Shaping = value
		default:
			s.t.Fatalf("no key %q", word)
		}
	}
	s.config.Bonds = append(bonds, b)
}

// line configures a line anew, and leaves its status.
func (s *script) line(words []string) {
	name := words[0]
	i := slices.IndexFunc(s.members, func(m *Member) bool { return m.Config.Name == name })
	if i < 0 {
		m := &Member{}
		m.Status.Name, m.Status.Device = name, "ppp-"+name
		s.members = append(s.members, m)
		i = len(s.members) - 1
	}
	m := s.members[i]
	m.Config = config.Line{
		Name: name, Enabled: true, Interface: "eth1", Device: "ppp-" + name, DefaultRoute: true, Metric: 200, Bond: "teql0",
		Keepalive: config.Keepalive{Interval: time.Second, Failures: 5},
	}
	for _, word := range words[1:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "gone":
			s.members = slices.Delete(s.members, i, i+1)
		case "bond":
			m.Config.Bond = value
		case "vlan":
			m.Config.VLANProtocol = "802.1q"
			for _, id := range list(value) {
				m.Config.VLAN = append(m.Config.VLAN, uint16(s.number(id)))
			}
		case "fallback":
			m.Config.Fallback = true
		case "upload":
			if m.Config.UploadAuto = value == "auto"; m.Config.UploadAuto {
				break
			}
			m.Config.Upload = config.Rate(s.number(value))
		case "overhead":
			m.Config.Overhead.Bytes = s.number(value)
		case "cells":
			m.Config.Overhead.Cells = true
		case "interval":
			m.Config.Keepalive.Interval = s.duration(value)
		case "download":
			m.Config.Download = config.Rate(s.number(value))
		default:
			s.t.Fatalf("no key %q", word)
		}
	}
}
