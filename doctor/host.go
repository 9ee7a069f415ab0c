package doctor

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"linebond/config"
)

// host looks at this process, and at what else lives on the machine.
func (e *examination) host() Group {
	g := Group{ID: "host", Title: "Host"}
	g.add(e.rights(), e.settings(), e.forwarding(), e.reversePath(), e.ipv6(), e.log())
	for _, p := range e.system.processes {
		switch {
		case p.runsLinebond():
			g.add(Finding{ID: "linebond", Name: "linebond", Level: OK, Detail: "runs: " + p.String()})
		case p.name == "pppd" && !e.names(p):
			g.add(Finding{
				ID: "pppd", Name: "pppd", Level: Warning, Detail: "runs: " + p.String() + ", and does not say on which device",
				Remedy: "if it dials one of these lines, stop it: kill " + p.pid,
			})
		}
	}
	return g
}

func (p process) runsLinebond() bool {
	return p.name == "linebond" && len(p.args) > 1 && p.args[1] == "run"
}

// names says whether a process is told of any line's device.
func (e *examination) names(p process) bool {
	for _, l := range e.subject.Config.Lines {
		if p.names(l) {
			return true
		}
	}
	return false
}

// rights looks at the capabilities of this process, which are not those that a service gets.
func (e *examination) rights() Finding {
	f := Finding{ID: "capabilities", Name: "capabilities", Level: OK, Detail: "all that linebond needs"}
	var missing []string
	need := func(number int, name string) {
		if !e.system.has(number) {
			missing = append(missing, name)
		}
	}
	need(unix.CAP_NET_ADMIN, "NET_ADMIN")
	need(unix.CAP_NET_RAW, "NET_RAW")
	if len(missing) > 0 {
		f.Level, f.Detail = Missing, "without CAP_"+strings.Join(missing, ", CAP_")+", which every line needs"
	} else if !e.system.has(unix.CAP_SYS_ADMIN) { // which stands for these
		need(unix.CAP_BPF, "BPF")
		need(unix.CAP_PERFMON, "PERFMON")
		if len(missing) > 0 {
			f.Level, f.Detail = Warning, "without CAP_"+strings.Join(missing, ", CAP_")+", which eBPF lines need"
		}
	}
	switch {
	case len(missing) == 0:
	case !e.system.root():
		f.Level, f.Detail, f.Remedy = Unknown, "this is not root, so not all can be looked at", e.privileged()
	case e.system.container:
		f.Remedy = "start the container with it: docker run --cap-add " + strings.Join(missing, " --cap-add ")
	default:
		f.Remedy = "run as root; systemd: CapabilityBoundingSet= and AmbientCapabilities= with CAP_" + strings.Join(missing, " CAP_")
	}
	e.found[f.ID] = f
	return f
}

const ipForward = "proc/sys/net/ipv4/ip_forward"

// settings looks whether /proc/sys can be written to.
func (e *examination) settings() Finding {
	f := Finding{ID: "sysctl", Name: "/proc/sys", Level: OK, Detail: "can be written to"}
	if !e.system.root() {
		return Finding{}
	}
	if err := e.Probes.Writable(ipForward); err != nil {
		f.Level, f.Detail = Warning, "cannot be written to ("+oneLine(err)+"), so linebond cannot set forwarding and rp_filter"
		f.Remedy = "mount -o remount,rw /proc/sys; or start the container with --privileged, or with these set: --sysctl net.ipv4.ip_forward=1"
	}
	e.found[f.ID] = f
	return f
}

func (e *examination) forwarding() Finding {
	f := Finding{ID: "forwarding", Name: "forwarding", Level: OK, Detail: "on"}
	if text(e.Files, ipForward) == "1" {
		return f
	}
	switch routes := len(e.subject.Config.LAN.Interfaces) > 0; {
	case !routes:
		f.Detail = "off, and not needed: there are no [lan] interfaces"
	case e.found["sysctl"].Level == Warning:
		f.Level, f.Detail, f.Remedy = Missing, "off, and linebond cannot switch it on: the [lan] needs it", "sysctl net.ipv4.ip_forward=1, on the host if need be"
	default:
		f.Detail = "off; linebond switches it on for the [lan]"
	}
	e.found[f.ID] = f
	return f
}

// reversePath looks at the filter that drops what comes by another line than answers would go. The kernel takes the larger of two settings,
// all's and the device's, and linebond gives its devices 2.
func (e *examination) reversePath() Finding {
	all := text(e.Files, "proc/sys/net/ipv4/conf/all/rp_filter")
	f := Finding{ID: "rp_filter", Name: "rp_filter", Level: OK, Detail: fmt.Sprintf("%s for all; linebond sets 2 (loose) for its own devices", all)}
	if all == "1" && e.found["sysctl"].Level == Warning {
		f.Level, f.Detail = Warning, "1 (strict) for all, which drops what comes by one line and is answered by another"
		f.Remedy = "sysctl net.ipv4.conf.all.rp_filter=2, on the host if need be"
	}
	return f
}

func (e *examination) ipv6() Finding {
	f := Finding{ID: "ipv6", Name: "IPv6", Level: OK, Detail: "new devices have it"}
	switch off := text(e.Files, "proc/sys/net/ipv6/conf/default/disable_ipv6"); {
	case off == "":
		f.Level, f.Detail = Warning, "not in this kernel, or switched off at boot (ipv6.disable=1): lines carry IPv4 alone"
	case off != "0":
		f.Level, f.Detail, f.Remedy = Warning, "switched off for new devices: lines carry IPv4 alone", "sysctl net.ipv6.conf.default.disable_ipv6=0"
	}
	return f
}

// log looks for the reader of the log.
func (e *examination) log() Finding {
	log := e.subject.Config.Log
	f := Finding{ID: "syslog", Name: "log", Level: OK, Detail: "somebody reads " + log.Socket}
	if log.To == "stderr" {
		f.Detail = "goes to stderr, as configured"
	} else if err := e.Probes.Listening(log.Socket); err != nil {
		f.Level, f.Detail = Warning, fmt.Sprintf("nobody reads %s (%s): outside a terminal nothing of the log is kept", log.Socket, oneLine(err))
		f.Remedy = `apt install rsyslog; or write to = "stderr" under [log] in ` + filepath.Join(e.subject.Directory, "linebond.toml")
	}
	return f
}

// configuration says what is wrong with the files; `linebond check` says more.
func (e *examination) configuration() Group {
	directory := e.subject.Directory
	f := Finding{ID: "files", Name: "files", Level: OK, Detail: "no mistakes"}
	check := e.subject.Command("check")
	mistakes, unread, warnings := e.problems()
	switch {
	case !exists(e.Files, strings.TrimPrefix(directory, "/")):
		f.Detail, f.Remedy = "there is no such directory, so there is nothing to dial yet", "mkdir -p "+directory+"/lines.d, and write lines.d/NAME.toml there, with interface, username and password"
	case mistakes > 0:
		f.Level, f.Detail, f.Remedy = Missing, count(mistakes, "mistake"), check
		if warnings > 0 {
			f.Detail += ", " + count(warnings, "warning")
		}
	case unread > 0:
		f.Level, f.Detail, f.Remedy = Unknown, count(unread, "file")+" that this user may not read", e.privileged()
	case warnings > 0:
		f.Level, f.Detail = Warning, fmt.Sprintf("no mistakes, %s: `%s` tells more", count(warnings, "warning"), check)
	}
	e.found[f.ID] = f
	lines := Finding{ID: "lines", Name: "lines", Level: OK, Detail: fmt.Sprintf("%s, %s", count(len(e.subject.Config.Lines), "line"), count(len(e.subject.Config.Bonds), "bond"))}
	return Group{ID: "configuration", Title: "Configuration " + directory, Findings: []Finding{f, lines}}
}

// problems counts those of the configuration. A missing directory is none; a file that may not be read is one of its own kind.
func (e *examination) problems() (mistakes, unread, warnings int) {
	for _, p := range e.subject.Problems {
		switch {
		case p.Warning:
			warnings++
		case e.unreadable(p):
			unread++
		default:
			mistakes++
		}
	}
	return mistakes, unread, warnings
}

func (e *examination) unreadable(p config.Problem) bool {
	file, err := e.Files.Open(strings.TrimPrefix(p.File, "/"))
	if err != nil {
		return !e.system.root()
	}
	_ = file.Close()
	return false
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
