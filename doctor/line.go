package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"linebond/config"
)

const (
	pppoeOverhead = 8 // bytes that PPPoE and PPP take of an Ethernet frame: RFC 2516, section 7
	tagOverhead   = 4 // of IEEE 802.1Q
	classicMTU    = 1492
	etherType     = "1"        // ARPHRD_ETHER
	ours          = "linebond" // the alias of VLAN devices that linebond has made
)

// line looks at the Ethernet device of a line, and who else is at it.
func (e *examination) line(l config.Line) Group {
	g := Group{ID: "line." + l.Name, Title: "Line " + l.Name + ", on " + l.Interface}
	if len(l.VLAN) > 0 {
		var ids []string
		for _, id := range l.VLAN {
			ids = append(ids, strconv.Itoa(int(id)))
		}
		g.Title += " VLAN " + strings.Join(ids, ".")
	}
	if !l.Enabled {
		g.Title += ", not enabled"
	}
	device := e.device(l)
	g.add(device)
	if device.Level != Missing {
		g.add(e.mtu(l), e.manager(l), e.modemManager(l))
		g.add(e.clients(l)...)
	}
	return g
}

// sys is the path of a file of a device.
func sys(device, file string) string { return path.Join("sys/class/net", device, file) }

func (e *examination) device(l config.Line) Finding {
	f := Finding{ID: "device", Name: "device", Level: OK, Detail: "up, with carrier"}
	flags, _ := strconv.ParseUint(text(e.Files, sys(l.Interface, "flags")), 0, 32)
	switch {
	case !exists(e.Files, sys(l.Interface, "ifindex")):
		f.Level, f.Detail = Missing, "there is no "+l.Interface
		f.Remedy = "plug it in, or name one of these as interface: " + strings.Join(e.ethernets(), ", ")
	case text(e.Files, sys(l.Interface, "type")) != etherType:
		f.Level, f.Detail, f.Remedy = Missing, l.Interface+" is no Ethernet device", "name one of these as interface: "+strings.Join(e.ethernets(), ", ")
	case flags&1 == 0: // IFF_UP
		f.Detail = "down; linebond sets it up"
	case text(e.Files, sys(l.Interface, "carrier")) == "0":
		f.Level, f.Detail, f.Remedy = Warning, "up, but without carrier", "look at the cable, and whether the modem is on"
	}
	e.found[l.Name+".device"] = f
	return f
}

// ethernets lists the Ethernet devices of the machine, or says that there is none.
func (e *examination) ethernets() []string {
	entries, _ := fs.ReadDir(e.Files, "sys/class/net")
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); name != "lo" && text(e.Files, sys(name, "type")) == etherType {
			names = append(names, name)
		}
	}
	if names == nil {
		return []string{"(this machine has no Ethernet device)"}
	}
	return names
}

// mtu looks whether the line's MTU fits through each device below it. Above 1492 it takes the access concentrator's consent, too (RFC 4638).
func (e *examination) mtu(l config.Line) Finding {
	f := Finding{ID: "mtu", Name: "MTU", Level: OK}
	least, narrow, needed := 0, "", 0
	check := func(device string, tags int) { // that many tags take of the device's MTU
		mtu, err := strconv.Atoi(text(e.Files, sys(device, "mtu")))
		if overhead := pppoeOverhead + tagOverhead*tags; err == nil && (narrow == "" || mtu-overhead < least) {
			least, narrow, needed = mtu-overhead, device, l.MTU+overhead
		}
	}
	check(l.Interface, max(len(l.VLAN)-1, 0)) // there is extra room for one
	for i, v := range l.VLANDevices() {
		if text(e.Files, sys(v.Name, "ifalias")) != ours { // which follow the device below them
			check(v.Name, len(l.VLAN)-1-i)
		}
	}
	switch {
	case narrow == "":
		return Finding{}
	case least < l.MTU:
		f.Level = Warning
		f.Detail = fmt.Sprintf("sessions of %d at most fit through %s, and the line's mtu is %d", least, narrow, l.MTU)
		f.Remedy = fmt.Sprintf("ip link set dev %s mtu %d", narrow, needed)
	default:
		f.Detail = fmt.Sprintf("sessions of %d fit through %s", l.MTU, narrow)
		if l.MTU > classicMTU {
			f.Detail += "; the access concentrator has to know RFC 4638"
		}
	}
	return f
}

// manager looks whether a network manager has the device. What it keeps under /run it writes for itself, and leaves when it stops.
func (e *examination) manager(l config.Line) Finding {
	index := text(e.Files, sys(l.Interface, "ifindex"))
	f := Finding{ID: "manager", Name: "managers", Level: OK, Detail: "none has " + l.Interface}
	state := fields(text(e.Files, "run/systemd/netif/links/"+index))["ADMIN_STATE"]
	managed := fields(text(e.Files, "run/NetworkManager/devices/"+index))["managed"]
	switch {
	case e.system.running("systemd-network") && slices.Contains([]string{"configuring", "configured", "failed"}, state):
		f.Level, f.Detail = Warning, fmt.Sprintf("systemd-networkd has %s (%s), and may take away what linebond sets", l.Interface, state)
		f.Remedy = fmt.Sprintf(`printf '[Match]\nName=%s\n[Link]\nUnmanaged=yes\n' > /etc/systemd/network/05-linebond-%[1]s.network && networkctl reload`, l.Interface)
	case e.system.running("NetworkManager") && managed == "true":
		f.Level, f.Detail = Warning, fmt.Sprintf("NetworkManager has %s, and may take it down or dial on it", l.Interface)
		f.Remedy = fmt.Sprintf(`printf '[keyfile]\nunmanaged-devices+=interface-name:%s\n' > /etc/NetworkManager/conf.d/linebond-%[1]s.conf && nmcli general reload`, l.Interface)
	}
	return f
}

// modemManager looks whether ModemManager may take the device for one of a mobile modem: it looks at all on USB.
func (e *examination) modemManager(l config.Line) Finding {
	if !e.system.running("ModemManager") || !exists(e.Files, sys(l.Interface, "device/bInterfaceNumber")) {
		return Finding{}
	}
	return Finding{
		ID: "modemmanager", Name: "ModemManager", Level: Warning, Detail: "runs, and looks whether " + l.Interface + ", which is on USB, is a mobile modem",
		Remedy: "where there is no mobile modem: systemctl disable --now ModemManager",
	}
}

// clients looks for others who dial on the line's device: programs that name it, and sessions that the kernel has when linebond does not run.
func (e *examination) clients(l config.Line) []Finding {
	var all []Finding
	running := false
	for _, p := range e.system.processes {
		running = running || p.runsLinebond()
		if p.names(l) {
			all = append(all, Finding{
				ID: "client", Name: "other client", Level: Warning, Detail: p.String() + " dials on it, too", Remedy: "kill " + p.pid + ", and keep it from being started again",
			})
		}
	}
	if running || all != nil {
		return all
	}
	for line := range strings.Lines(text(e.Files, "proc/net/pppoe")) {
		words := strings.Fields(line) // Id, Address, Device
		if len(words) == 3 && slices.Contains(linkNames(l), words[2]) {
			all = append(all, Finding{
				ID: "client", Name: "other client", Level: Warning, Detail: "a PPPoE session is open on " + words[2] + ", with " + words[1] + ", and linebond does not run",
				Remedy: "stop the program that it belongs to: pgrep -a 'pppd|pppoe|linebond'",
			})
		}
	}
	return all
}

// linkNames are the devices that PPPoE frames of a line may be on.
func linkNames(l config.Line) []string {
	l.Dataplane = config.DataplaneKernel // which alone has VLAN devices; another client would, too
	return []string{l.Interface, l.Link()}
}

// names says whether a PPPoE client is told of a line's device: "eth1" for pppoe(8), "nic-eth1" for pppd's plugin.
func (p process) names(l config.Line) bool {
	if p.name != "pppd" && p.name != "pppoe" {
		return false
	}
	link := linkNames(l)[1]
	return slices.ContainsFunc(p.args, func(arg string) bool {
		return arg == link || arg == "nic-"+link || arg == "-I"+link
	})
}
