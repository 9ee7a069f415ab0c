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
	case netstate.SetSysctl:
		switch {
		case errors.Is(err, unix.EROFS):
			hint = "/proc/sys is mounted read-only: under systemd set ProtectKernelTunables=no, in a container mount it writable"
		case errors.Is(err, unix.EACCES):
			hint = needsNetAdmin
		}
	}
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
