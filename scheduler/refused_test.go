package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// unable calls f as a root without some capabilities.
func unable(f func() error, capabilities ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	for _, c := range capabilities {
		sets[c/32].Effective &^= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &sets[0]); err != nil { // for this thread alone
		return err
	}
	return f()
}

// A kernel that refuses eBPF is told by an error that says what to do, and nothing is left on the host.
func TestRefused(t *testing.T) {
	h := newHost(t)
	before := h.sh("ip -o link; tc qdisc")
	for _, test := range []struct {
		name  string
		lacks []int
	}{
		{"without CAP_BPF", []int{unix.CAP_BPF, unix.CAP_SYS_ADMIN}},
		{"without CAP_NET_ADMIN", []int{unix.CAP_NET_ADMIN}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := h.do(func() error {
				return unable(func() error {
					_, err := Open("wanbond0", mtu)
					return err
				}, test.lacks...)
			})
			if !errors.Is(err, ErrRefused) || !errors.Is(err, unix.EPERM) {
				t.Fatal(err)
			}
			t.Log(err)
			for _, want := range []string{
				`the bond wanbond0: the kernel refuses the eBPF scheduler of mode "weighted": `, "operation not permitted",
				`: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; or give the bond another mode, such as "teql", ` +
					`or have one line alone: bond = "none" in the files of all`,
			} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say: %s", err, want)
				}
			}
			if after := h.sh("ip -o link; tc qdisc"); after != before {
				t.Errorf("it leaves\n%s\nwhere there was\n%s", after, before)
			}
		})
	}
	must(t, h.do(func() error {
		s, err := Open("wanbond0", mtu)
		if err == nil {
			err = s.Remove()
		}
		return err
	}))
}

// What passes by itself is no refusal: the next Open may succeed.
func TestPassing(t *testing.T) {
	rejected := func(err error) error { return fmt.Errorf("loading: %w", &ebpf.VerifierError{Cause: err}) }
	for _, test := range []struct {
		err  error
		want bool
	}{
		{unix.EMFILE, false}, {unix.ENFILE, false}, {unix.ENOBUFS, false}, {unix.EINTR, false}, {unix.EAGAIN, false}, {unix.EBUSY, false},
		{unix.ENOSPC, false}, {unix.EINVAL, false}, {unix.ENOMEM, false}, {unix.EEXIST, false}, {unix.ENODEV, false}, {nil, false},
		{rejected(unix.ENOMEM), false}, {rejected(unix.EAGAIN), false}, {errors.New("unknown"), false},
		{unix.EPERM, true}, {unix.EACCES, true}, {unix.ENOSYS, true}, {unix.EOPNOTSUPP, true}, {unix.ENOENT, true}, {unix.Errno(524), true},
		{ebpf.ErrNotSupported, true}, {rejected(unix.EINVAL), true}, {rejected(unix.EACCES), true}, {rejected(unix.E2BIG), true},
	} {
		err := refused(test.err)
		if got := errors.Is(err, ErrRefused); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%v: refused %v; %v", test.err, got, err)
		}
	}
}
