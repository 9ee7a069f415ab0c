package config

import "time"

// Lengths, in bytes, that the protocols can carry.
const (
	maxPassword = 255  // PAP counts it in one byte (RFC 1334 section 2.2.1)
	maxUsername = 255  // likewise
	maxTag      = 255  // a name in a PPPoE tag; with all tags a PADI must fit a frame
	maxHostUniq = 64   // kept short for access concentrators that copy it to a fixed place
	maxPath     = 4095 // of a file, PATH_MAX without its closing zero
)

// The longest lists; a host has few, and what is longer is a mistake.
const (
	maxInterfaces = 64
	maxPings      = 4
	maxAddresses  = 64
)

// daemonKeys is the table of linebond.toml, less what stands in lists of tables.
func daemonKeys(c *Config) []key {
	return []key{
		{name: "log.to", set: into(&c.Log.To, choice("auto", "syslog", "stderr"))},
		{name: "log.level", set: into(&c.Log.Level, choice("debug", "info", "warn", "error"))},
		{name: "log.facility", set: into(&c.Log.Facility, choice("daemon", "user",
			"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"))},
		{name: "log.socket", set: into(&c.Log.Socket, text(1, maxPath))},
		{name: "log.format", set: into(&c.Log.Format, choice("auto", "rfc5424", "local"))},
		{name: "dns.system", set: into(&c.DNS.System, choice("none", "auto", "resolvconf", "systemd-resolved"))},
		{name: "host.firewall", truth: true, set: into(&c.Host.Firewall, boolean)},
		{name: "host.spread_cpus", truth: true, set: into(&c.Host.SpreadCPUs, boolean)},
		{name: "lan.interfaces", set: into(&c.LAN.Interfaces, list(0, maxInterfaces, "devices", deviceName))},
		{name: "lan.nat", set: func(v value) {
			if n, ok := nat(v); ok {
				c.LAN.NAT, c.LAN.Source = n.NAT, n.Source
			}
		}},
		{name: "health.failures", set: into(&c.Health.Failures, integer[int](1, 100))},
		{name: "health.ping", set: into(&c.Health.Ping, list(0, maxPings, "hosts", hostIPv4))},
		{name: "health.rejoin_after", set: into(&c.Health.RejoinAfter, duration(0, 5*time.Minute))},
	}
}

// bondKeys is the table of one [[bond]].
func bondKeys(b *Bond) []key {
	return []key{
		{name: "bond.mode", set: into(&b.Mode, bondMode)},
		{name: "bond.device", set: func(v value) {
			b.Device = "" // one that is no name is not the default, either: it has been told
			into(&b.Device, linuxName)(v)
		}},
		{name: "bond.addresses", set: into(&b.Addresses, list(0, maxAddresses, "addresses", prefix))},
		{name: "bond.line_addresses", set: into(&b.LineAddresses, choice("keep", "remove"))},
		{name: "bond.default_route", truth: true, set: into(&b.DefaultRoute, boolean)},
		{name: "bond.metric", set: into(&b.Metric, metric)},
		{name: "bond.shaping", set: into(&b.Shaping, choice(ShapingCake, ShapingNone))},
	}
}

// forwardKeys is the table of one [[forward]].
func forwardKeys(f *Forward) []key {
	return []key{
		{name: "forward.protocol", set: into(&f.Protocols, list(1, 2, "protocols", choice("tcp", "udp")))},
		{name: "forward.port", set: into(&f.Ports, ports)},
		{name: "forward.to", set: func(v value) {
			if to, ok := target(v); ok {
				f.To, f.ToPort = to.Addr(), to.Port()
			}
		}},
	}
}

// metric is that of a route.
var metric = integer[int](1, 1<<31-1)

// lineKeys is the table of a line file.
func lineKeys(l *lineFile) []key {
	return []key{
		{name: "enabled", truth: true, set: into(&l.Enabled, boolean)},
		{name: "interface", set: into(&l.Interface, deviceName)},
		{name: "vlan", set: into(&l.VLAN, vlanIDs)},
		{name: "vlan_protocol", set: into(&l.VLANProtocol, choice("802.1q", "802.1ad"))},
		{name: "priority", set: into(&l.Priority, integer[uint8](0, 7))},
		{name: "device", set: into(&l.Device, deviceName)},
		{name: "dataplane", set: into(&l.Dataplane, choice(DataplaneAuto, DataplaneKernel, DataplaneEBPF))},
		{name: "username", set: into(&l.Username, text(1, maxUsername))},
		{name: "password", secret: true, set: into(&l.Password, secret)},
		{name: "password_file", secret: true, set: into(&l.passwordFile, text(1, maxPath))},
		{name: "auth", set: into(&l.Auth, list(1, 3, "methods", method))},
		{name: "service_name", set: into(&l.ServiceName, text(0, maxTag))},
		{name: "ac_name", set: into(&l.ACName, text(0, maxTag))},
		{name: "host_uniq", set: into(&l.HostUniq, hexBytes(1, maxHostUniq))},
		{name: "mtu", set: into(&l.MTU, integer[int](576, 1500))},
		{name: "keepalive.interval", set: into(&l.Keepalive.Interval, duration(100*time.Millisecond, time.Minute))},
		{name: "keepalive.failures", set: into(&l.Keepalive.Failures, integer[int](1, 100))},
		{name: "upload", set: func(v value) {
			if u, ok := upload(v); ok {
				l.Upload, l.UploadAuto = u, u == 0
			}
		}},
		{name: "download", set: into(&l.Download, rate)},
		{name: "overhead", set: into(&l.overhead, overhead)},
		{name: "ipv6", truth: true, set: into(&l.IPv6, boolean)},
		{name: "default_route", truth: true, set: into(&l.DefaultRoute, boolean)},
		{name: "metric", set: into(&l.Metric, metric)},
		{name: "bond", set: into(&l.Bond, bondName)},
		{name: "fallback", truth: true, set: into(&l.Fallback, boolean)},
	}
}
