package scheduler

import (
	"errors"
	"strings"
	"testing"

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
