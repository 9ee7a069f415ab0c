package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Available says, in one line, what this machine or this process lacks for PPPoE, and what to do about it. It returns nil when nothing is
// missing. As a side effect the kernel loads its PPPoE modules, where it may do that by itself.
func Available() error {
	missing := diagnose(probe())
	if len(missing) == 0 {
		return nil
	}
	return errors.New(strings.Join(missing, "; "))
}

// VLANAvailable says likewise what the kernel lacks for VLAN devices. It asks for one without an id, which is refused by what it lacks.
func VLANAvailable() error {
	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("vlan"))
	request.AddData(info)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("the kernel has no VLAN devices (%w): load its module with `modprobe 8021q`", err)
	}
	return nil
}

// explain adds what is missing to the error of a system call that fails where PPPoE is not available.
func explain(err error) error {
	if missing := Available(); missing != nil {
		return fmt.Errorf("%w: %w", err, missing)
	}
	return err
}

// facts are what a probe of the machine gave.
type facts struct {
	pppox        error // of a socket of AF_PPPOX
	ppp          error // of opening /dev/ppp
	capabilities [2]uint32
}

func probe() facts {
	var f facts
	var fd int
	if fd, f.pppox = unix.Socket(unix.AF_PPPOX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); f.pppox == nil {
		unix.Close(fd)
	}
	if fd, f.ppp = unix.Open(pppDevice, unix.O_RDWR|unix.O_CLOEXEC, 0); f.ppp == nil {
		unix.Close(fd)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err == nil {
		f.capabilities = [2]uint32{data[0].Effective, data[1].Effective}
	}
	return f
}

func (f facts) has(capability int) bool {
	return f.capabilities[capability/32]&(1<<(capability%32)) != 0
}

// diagnose puts the facts into words: a fault each, none of which only follows from another one.
func diagnose(f facts) []string {
	var missing []string
	add := func(format string, args ...any) { missing = append(missing, fmt.Sprintf(format, args...)) }

	noPPPoE := errors.Is(f.pppox, unix.EAFNOSUPPORT) || errors.Is(f.pppox, unix.EPROTONOSUPPORT) || errors.Is(f.pppox, unix.ESOCKTNOSUPPORT)
	switch {
	case noPPPoE:
		add("the kernel has no PPPoE (%v): load its module with `modprobe pppoe`; where that is not found, install the kernel's modules "+
			"(Debian: linux-image-amd64 instead of linux-image-cloud-amd64; Ubuntu: linux-modules-extra-$(uname -r))", f.pppox)
	case f.pppox != nil:
		add("this process may not make PPPoE sockets (%v): a sandbox forbids AF_PPPOX", f.pppox)
	}
	noPPP := errors.Is(f.ppp, unix.ENODEV) || errors.Is(f.ppp, unix.ENXIO)
	switch {
	case f.ppp == nil, noPPPoE && (noPPP || errors.Is(f.ppp, unix.ENOENT)): // the module brings the device
	case errors.Is(f.ppp, unix.ENOENT):
		add("there is no %s: make it with `mknod %s c 108 0`, or give it to this container", pppDevice, pppDevice)
	case noPPP:
		add("%s has no driver (%v): load it with `modprobe ppp_generic`", pppDevice, f.ppp)
	case errors.Is(f.ppp, unix.EPERM) && !f.has(unix.CAP_NET_ADMIN): // said below
	case errors.Is(f.ppp, unix.EPERM):
		add("this process may not use %s (%v): the service or container must allow the device (systemd: DeviceAllow=%s rw)",
			pppDevice, f.ppp, pppDevice)
	default:
		add("opening %s: %v: run as root, or let this user read and write it", pppDevice, f.ppp)
	}
	for _, c := range []struct {
		number int
		name   string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if !f.has(c.number) {
			add("the capability %s is missing: run as root, or give it to the service (systemd: AmbientCapabilities=%s)", c.name, c.name)
		}
	}
	return missing
}
