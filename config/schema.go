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

// daemonKeys is the table of linebond.toml.
func daemonKeys(c *Config) []key {
	return []key{
		{name: "log.to", set: choice(&c.Log.To, "auto", "syslog", "stderr")},
		{name: "log.level", set: choice(&c.Log.Level, "debug", "info", "warn", "error")},
		{name: "log.facility", set: choice(&c.Log.Facility, "daemon", "user",
			"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7")},
		{name: "log.socket", set: text(&c.Log.Socket, 1, maxPath)},
		{name: "log.format", set: choice(&c.Log.Format, "auto", "rfc5424", "local")},
		{name: "dns.system", set: choice(&c.DNS.System, "none", "auto", "resolvconf", "systemd-resolved")},
	}
}

// lineKeys is the table of a line file.
func lineKeys(l *lineFile) []key {
	return []key{
		{name: "enabled", truth: true, set: boolean(&l.Enabled)},
		{name: "interface", set: deviceName(&l.Interface)},
		{name: "vlan", set: vlanIDs(&l.VLAN)},
		{name: "vlan_protocol", set: choice(&l.VLANProtocol, "802.1q", "802.1ad")},
		{name: "priority", set: integer(&l.Priority, 0, 7)},
		{name: "device", set: deviceName(&l.Device)},
		{name: "username", set: text(&l.Username, 1, maxUsername)},
		{name: "password", secret: true, set: secret(&l.Password)},
		{name: "password_file", secret: true, set: text(&l.passwordFile, 1, maxPath)},
		{name: "auth", set: methods(&l.Auth)},
		{name: "service_name", set: text(&l.ServiceName, 0, maxTag)},
		{name: "ac_name", set: text(&l.ACName, 0, maxTag)},
		{name: "host_uniq", set: hexBytes(&l.HostUniq, 1, maxHostUniq)},
		{name: "mtu", set: integer(&l.MTU, 576, 1500)},
		{name: "keepalive.interval", set: duration(&l.Keepalive.Interval, 100*time.Millisecond, time.Minute)},
		{name: "keepalive.failures", set: integer(&l.Keepalive.Failures, 1, 100)},
		{name: "upload", set: rate(&l.Upload)},
		{name: "download", set: rate(&l.Download)},
		{name: "ipv6", truth: true, set: boolean(&l.IPv6)},
		{name: "default_route", truth: true, set: boolean(&l.DefaultRoute)},
		{name: "metric", set: integer(&l.Metric, 1, 1<<31-1)},
	}
}
