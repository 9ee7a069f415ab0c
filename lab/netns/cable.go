package netns

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An End of a cable is a device in a namespace.
type End struct{ Namespace, Device string }

// Cable lays a veth pair between two namespaces, up at both ends; mtu is in bytes, Ethernet header and tags not counted. It is made in
// its place: no other namespace sees its devices.
func Cable(a, b End, mtu int) error {
	if err := lay(a, b, mtu); err != nil {
		return fmt.Errorf("laying a cable from %s in %s to %s in %s: %w", a.Device, a.Namespace, b.Device, b.Namespace, err)
	}
	return nil
}

func lay(a, b End, mtu int) error {
	far, err := os.Open(path(b.Namespace))
	if err != nil {
		return err
	}
	defer far.Close()
	here, err := Netlink(a.Namespace)
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := Netlink(b.Namespace)
	if err != nil {
		return err
	}
	defer there.Close()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU, attributes.Flags = a.Device, mtu, net.FlagUp
	err = here.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: b.Device, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(far.Fd())})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("the kernel has no veth devices (CONFIG_VETH; `modprobe veth`): %w", err)
	}
	if err != nil {
		return fmt.Errorf("adding a veth pair: %w", err)
	}
	link, err := there.LinkByName(b.Device)
	if err == nil {
		err = there.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("setting %s up: %w", b.Device, err)
	}
	return nil
}

// Netlink opens a routing socket in a namespace.
func Netlink(name string) (*netlink.Handle, error) {
	ns, err := netns.GetFromName(name)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", name, err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket in the network namespace %s: %w", name, err)
	}
	return handle, nil
}
