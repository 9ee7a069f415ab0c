package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxLineName is what "ppp-" leaves of a device name, in bytes.
const maxLineName = maxDeviceName - len("ppp-")

// lineFile is a line with the file that it comes from.
type lineFile struct {
	Line
	passwordFile string // as written: absolute, or relative to the file's directory
	overhead     framing
	doc          *document
}

// checkName checks the line's name, which is that of its file.
func (l *lineFile) checkName() {
	foreign := func(r rune) bool { return r == '.' || notBare(r) }
	switch {
	case l.Name == "" || strings.IndexFunc(l.Name, foreign) >= 0:
		l.doc.failFile("the file's name without .toml names the line; allowed: letters, digits, - and _")
	case len(l.Name) > maxLineName && !l.doc.given("device") && !l.doc.broken:
		l.doc.failFile("the line's name %s is longer than %d bytes, too long for the device ppp-%s; "+
			"rename the file, or set device", l.Name, maxLineName, l.Name)
	}
}

// check completes the line and checks what concerns more than one key.
func (l *lineFile) check() {
	l.checkName()
	if l.doc.broken {
		return
	}
	l.doc.require("interface", "give the Ethernet device that the line is connected to")
	l.doc.require("username", "give the user name that the provider expects")
	switch {
	case l.doc.given("password") && l.doc.given("password_file"):
		l.doc.failKey("password_file", "is given besides password; keep one of the two")
	case !l.doc.given("password_file") && !l.doc.meant["password_file"]:
		l.doc.require("password", "give password or password_file")
	}
	switch {
	case len(l.VLAN) == 0 && l.doc.given("vlan_protocol") && !l.doc.given("vlan"):
		l.doc.failKey("vlan_protocol", "is given without vlan, which it is about")
	case len(l.VLAN) == 1 && l.VLANProtocol == "":
		l.VLANProtocol = "802.1q"
	case len(l.VLAN) == 2 && l.VLANProtocol == "":
		l.VLANProtocol = "802.1ad"
	}
	l.Overhead = l.overhead.on(l.VLAN)
}

// checkTogether finds lines that cannot be up at the same time. Two sessions
// over one wire are legal; two uses of one device name are not. What a broken
// file lacks is unknown, so it is left out.
func checkTogether(lines []*lineFile) {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l *lineFile) bool { return l.doc.broken })
	sessions := map[string]*lineFile{} // by device
	for _, l := range lines {
		if first, taken := sessions[l.Device]; taken {
			l.doc.failKey("device", "%s is the device of line %s already", l.Device, first.Name)
			continue
		}
		sessions[l.Device] = l
	}
	checkPorts(lines, sessions)
	checkTags(lines)
	vlans := map[string]VLANDevice{}
	owners := map[string]*lineFile{}
	for _, l := range lines {
		if l.Interface == "" {
			continue // reported
		}
		if owner, taken := sessions[l.Interface]; taken {
			l.doc.failKey("interface", "%s is the PPP device of line %s; give an Ethernet device", l.Interface, owner.Name)
		}
		for _, v := range l.VLANDevices() {
			if owner, taken := sessions[v.Name]; taken {
				l.doc.failKey("vlan", "its device %s is the PPP device of line %s", v.Name, owner.Name)
			}
			if owner, taken := owners[v.Name]; taken && vlans[v.Name] != v {
				l.doc.failKey("vlan", "its device %s is %s, but line %s has it as %s", v.Name, v, owner.Name, vlans[v.Name])
				continue
			}
			vlans[v.Name], owners[v.Name] = v, l
		}
	}
	checkNoVLAN(lines, vlans, owners)
}

// checkPorts finds lines with a device that eBPF makes for another line's: its
// device is one end of a pair, ppp-a, and the other is ppp-a-port.
func checkPorts(lines []*lineFile, sessions map[string]*lineFile) {
	for _, l := range lines {
		device, isPort := strings.CutSuffix(l.Device, "-port")
		if owner := sessions[device]; isPort && owner != nil && owner.Dataplane != DataplaneKernel {
			l.doc.failKey("device", `%s is what eBPF makes beside the device of line %s; set another device, or dataplane = "kernel" for %s`,
				l.Device, owner.Name, owner.Name)
		}
	}
}

// checkTags finds lines of which eBPF's could not be told apart: tags differ by
// their ids alone. For those without eBPF VLAN devices are compared.
func checkTags(lines []*lineFile) {
	type vlan struct {
		on string
		id uint16
	}
	first := map[vlan]*lineFile{}
	for _, l := range lines {
		if len(l.VLAN) == 0 {
			continue
		}
		v := vlan{l.Interface, l.VLAN[0]}
		o, taken := first[v]
		switch {
		case !taken:
			first[v] = l
		case o.VLANProtocol != l.VLANProtocol && (o.Dataplane == DataplaneEBPF || l.Dataplane == DataplaneEBPF):
			l.doc.failKey("vlan", "VLAN %d on %s is %s here, but %s for line %s; give both the same vlan_protocol",
				v.id, v.on, l.VLANProtocol, o.VLANProtocol, o.Name)
		}
	}
}

// checkNoVLAN finds lines that take for an Ethernet device what linebond makes
// for another line, and takes away with it.
func checkNoVLAN(lines []*lineFile, vlans map[string]VLANDevice, owners map[string]*lineFile) {
	for _, l := range lines {
		v, made := vlans[l.Interface]
		if made && !slices.Contains(l.VLANDevices(), v) {
			l.doc.failKey("interface", "%s is made for line %s; write interface and vlan as it does", l.Interface, owners[v.Name].Name)
		}
	}
}

// String describes the device in messages.
func (v VLANDevice) String() string {
	return fmt.Sprintf("%s VLAN %d on %s", v.Protocol, v.ID, v.Parent)
}
