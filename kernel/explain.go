package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"linebond/netstate"
)

const needsNetAdmin = "this needs the capability CAP_NET_ADMIN: run as root, or under systemd set AmbientCapabilities=CAP_NET_ADMIN"

// explain adds to the kernel's answer what it commonly means and what to do about it.
func explain(op netstate.Op, err error) error {
	hint := ""
	switch o := op.(type) {
	case netstate.AddLink:
		switch {
		case errors.Is(err, unix.EOPNOTSUPP):
			hint = fmt.Sprintf("the kernel %s has no VLAN devices: run `modprobe 8021q`; when there is no such module, "+
				"install the package with the rest of the kernel's modules, or build the kernel with CONFIG_VLAN_8021Q", release())
		case errors.Is(err, unix.EEXIST):
			hint = fmt.Sprintf("there is another device for VLAN %d on %s: delete it, or name it as the interface", o.Link.VLAN.ID, o.Link.VLAN.Parent)
		}
	case netstate.AddAddress:
		if o.Address.Local.Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)) {
			hint = "IPv6 is off on this device: see the sysctl disable_ipv6, and note that IPv6 needs an MTU of 1280"
		}
	case netstate.AddRoute:
		switch {
		case errors.Is(err, unix.ENETDOWN):
			hint = "the device is down"
		case errors.Is(err, unix.EEXIST):
			hint = "another program has made the same route: delete that one, or choose another metric"
		}
	case netstate.AddRule:
		switch {
		case errors.Is(err, unix.EOPNOTSUPP):
			hint = fmt.Sprintf("the kernel %s has no routing rules: build it with CONFIG_IP_MULTIPLE_TABLES", release())
		case errors.Is(err, unix.EEXIST):
			hint = "another program has made the same rule: delete that one"
		}
	case netstate.AddMultipath:
		switch {
		case errors.Is(err, unix.ENETDOWN):
			hint = "a device is down"
		case errors.Is(err, unix.EINVAL):
			hint = fmt.Sprintf("the kernel %s seems to be without CONFIG_IP_ROUTE_MULTIPATH", release())
		}
	case netstate.SetSysctl:
		switch {
		case errors.Is(err, unix.EROFS):
			hint = "/proc/sys and /sys must be writable: under systemd set ProtectKernelTunables=no, in a container mount them so"
		case errors.Is(err, unix.EACCES):
			hint = needsNetAdmin
		}
	default:
		hint = bondHint(op, err)
	}
	return explained(err, hint)
}

// bondHint is about the rules of the kernel's sch_teql.c, and about shapers.
func bondHint(op netstate.Op, err error) string {
	switch o := op.(type) {
	case netstate.Join:
		switch {
		case errors.Is(err, unix.EINVAL):
			return fmt.Sprintf("while %s is up it takes no device with an MTU below its own, nor one of another kind than its first: "+
				"lower the MTU of %[1]s, or set it down", o.Qdisc.Kind)
		case errors.Is(err, unix.ENOENT):
			return fmt.Sprintf("the kernel has no qdisc %s: the device of that name has been renamed, or is not of sch_teql", o.Qdisc.Kind)
		}
	case netstate.SetUp:
		if errors.Is(err, unix.EUNATCH) {
			return "a TEQL device without a slave cannot be set up: a line has to join it first"
		}
	case netstate.SetShaper:
		if isLacking(err) {
			return fmt.Sprintf("the kernel %s has neither of the qdiscs cake and tbf: install the package with the rest of its modules, or build it "+
				`with CONFIG_NET_SCH_CAKE; or write shaping = "none"`, release())
		}
	case netstate.SetMTU:
		if errors.Is(err, unix.EINVAL) {
			return "the device does not take this MTU; that of a TEQL device cannot be above the least of its slaves'"
		}
	}
	return ""
}

// explainTable adds to an answer of nf_tables what it commonly means. Needs is what that part of the table asks of the kernel.
func explainTable(needs string, err error) error {
	switch {
	case errors.Is(err, errNoTables):
		return explained(err, fmt.Sprintf("run `modprobe nf_tables`; when there is no such module, install the package with the rest "+
			"of the modules of the kernel %s, or build it with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET", release()))
	case needs != "" && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)):
		return explained(err, fmt.Sprintf("the kernel %s seems to be without %s", release(), needs))
	}
	return explained(err, "")
}

// explained adds a hint, if there is one, and to EPERM its own.
func explained(err error, hint string) error {
	if errors.Is(err, unix.EPERM) {
		hint = needsNetAdmin
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}

// release is the version of the running kernel, e.g. 6.1.0-37-amd64.
func release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "of unknown version"
	}
	return unix.ByteSliceToString(name.Release[:])
}
