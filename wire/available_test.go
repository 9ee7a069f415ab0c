package wire

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestAvailable(t *testing.T) {
	must(t, Available())
	if err := explain(unix.EIO); err != unix.EIO {
		t.Errorf("explain(EIO) = %v where nothing is missing", err)
	}
}

// A thread without capabilities stands for a service that was not given them.
func TestAvailableWithoutCapabilities(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with this test
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	must(t, unix.Capset(&header, &none[0]))
	const want = "the capability CAP_NET_ADMIN is missing: run as root, or give it to the service (systemd: AmbientCapabilities=CAP_NET_ADMIN); " +
		"the capability CAP_NET_RAW is missing: run as root, or give it to the service (systemd: AmbientCapabilities=CAP_NET_RAW)"
	if err := Available(); err == nil || err.Error() != want {
		t.Errorf("Available() = %v, want\n%s", err, want)
	}
	if _, err := OpenEarly("lo"); err == nil {
		t.Error("OpenEarly() without capabilities succeeded")
	}
	if _, err := openPPP(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("openPPP() = %v, want what is missing", err)
	}
}

func TestDiagnose(t *testing.T) {
	const (
		module = "the kernel has no PPPoE"
		admin  = "the capability CAP_NET_ADMIN"
		raw    = "the capability CAP_NET_RAW"
	)
	all := [2]uint32{1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW}
	for _, test := range []struct {
		name string
		facts
		want []string // what each fault begins with
	}{
		{"all is well", facts{nil, nil, all}, nil},
		{"no module", facts{unix.EAFNOSUPPORT, unix.ENOENT, all}, []string{module}},
		{"pppox without pppoe", facts{unix.EPROTONOSUPPORT, unix.ENXIO, all}, []string{module}},
		{"no type", facts{unix.ESOCKTNOSUPPORT, nil, all}, []string{module}},
		{"a sandbox", facts{unix.EPERM, nil, all}, []string{"this process may not make PPPoE sockets (operation not permitted)"}},
		{"no device", facts{nil, unix.ENOENT, all}, []string{"there is no /dev/ppp: make it with `mknod /dev/ppp c 108 0`"}},
		{"no driver", facts{nil, unix.ENXIO, all}, []string{"/dev/ppp has no driver (no such device or address)"}},
		{"device forbidden", facts{nil, unix.EPERM, all}, []string{"this process may not use /dev/ppp (operation not permitted)"}},
		{"device of root", facts{nil, unix.EACCES, all}, []string{"opening /dev/ppp: permission denied"}},
		{"no capabilities", facts{nil, unix.EPERM, [2]uint32{}}, []string{admin, raw}},
		{"nothing at all", facts{unix.EAFNOSUPPORT, unix.ENOENT, [2]uint32{}}, []string{module, admin, raw}},
	} {
		got := diagnose(test.facts)
		same := func(got, want string) bool { return strings.HasPrefix(got, want) || strings.HasPrefix(want, got) }
		if diff := cmp.Diff(test.want, got, cmp.Comparer(same)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
