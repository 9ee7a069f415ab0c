package kernel

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"linebond/netstate"
)

func TestExplain(t *testing.T) {
	six := netstate.AddAddress{Address: netstate.PeerAddress("ppp-a", netip.MustParseAddr("fe80::1"), netip.Addr{})}
	tests := []struct {
		op   netstate.Op
		err  error
		hint string // "" when the answer says it all
	}{
		{netstate.AddLink{}, unix.EOPNOTSUPP, "modprobe 8021q"},
		{netstate.AddLink{}, unix.EEXIST, "name it as the interface"},
		{netstate.AddLink{}, unix.EPERM, "CAP_NET_ADMIN"},
		{six, unix.EACCES, "IPv6 is off"},
		{six, unix.EOPNOTSUPP, "IPv6 is off"},
		{netstate.AddRoute{}, unix.EEXIST, "another program"},
		{netstate.AddRoute{}, unix.ENETDOWN, "the device is down"},
		{netstate.SetSysctl{}, unix.EROFS, "ProtectKernelTunables"},
		{netstate.SetSysctl{}, unix.EACCES, "CAP_NET_ADMIN"},
		{netstate.SetUp{}, unix.ENODEV, ""},
		{netstate.SetUp{}, unix.EUNATCH, "a line has to join it first"},
		{netstate.SetMTU{}, unix.EINVAL, "above the least of its slaves'"},
		{netstate.SetMTU{}, unix.ENODEV, ""},
		{netstate.Join{Qdisc: netstate.Qdisc{Kind: "teql3"}}, unix.EINVAL, "lower the MTU of teql3, or set it down"},
		{netstate.Join{Qdisc: netstate.Qdisc{Kind: "teql3"}}, unix.ENOENT, "no qdisc teql3"},
		{netstate.Join{}, unix.EPERM, "CAP_NET_ADMIN"},
	}
	for _, test := range tests {
		got := explain(test.op, test.err)
		if !errors.Is(got, test.err) || !strings.Contains(got.Error(), test.hint) || (test.hint == "") != (got == test.err) {
			t.Errorf("%T, %v: %q, want a hint with %q", test.op, test.err, got, test.hint)
		}
	}
}

// TestWithoutCapability does as a process without CAP_NET_ADMIN does.
func TestWithoutCapability(t *testing.T) {
	k := host(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, fewer [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	fewer = all
	fewer[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &fewer[0]); err != nil {
		t.Fatal(err)
	}
	err := k.Apply([]netstate.Op{netstate.SetUp{Device: "eth1"}})
	_, unseen := k.Observe(netstate.State{})
	if restored := unix.Capset(&header, &all[0]); restored != nil {
		t.Fatal(restored)
	}
	for _, err := range []error{err, unseen} {
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("without the capability: %v", err)
		}
	}
}

func TestIPv6Off(t *testing.T) {
	k := host(t)
	pppUnit(t, "ppp-a")
	run(t, "sysctl -qw net/ipv6/conf/ppp-a/disable_ipv6=1")
	want := lineUp("ppp-a")
	err := k.Apply(netstate.Diff(want, observe(t, k, want)))
	if err == nil || !strings.Contains(err.Error(), "IPv6 is off on this device") {
		t.Errorf("with IPv6 off: %v", err)
	}
	contains(t, "ip address show dev ppp-a", "203.0.113.10")
	if err := k.Apply(netstate.Diff(netstate.State{}, observe(t, k, netstate.State{}))); err != nil {
		t.Error(err)
	}
}
