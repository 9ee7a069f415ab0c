package scheduler

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrRefused is what Open returns, wrapped, where the kernel does not have what the scheduler needs, or not for this process. Nothing is
// left then. As long as neither changes, the next Open will fail, too. After another error it may succeed.
var ErrRefused = errors.New(`the kernel refuses the eBPF scheduler of mode "weighted"`)

// internalNotSupported is the kernel's ENOTSUPP, which it ought to keep to itself: it has to compile programs, and cannot.
const internalNotSupported = unix.Errno(524)

// lacking are what a kernel says that lacks something: a system call, eBPF, veth, or (ENOENT) the kind of a qdisc or filter.
var lacking = []error{unix.ENOSYS, unix.EOPNOTSUPP, unix.ENOENT, internalNotSupported, ebpf.ErrNotSupported}

// refused makes an error of the kernel an ErrRefused if it is one for good, with what to do about the usual reasons.
func refused(err error) error {
	const instead = `or give the bond another mode, such as "teql", or have one line alone: bond = "none" in the files of all`
	is := func(target error) bool { return errors.Is(err, target) }
	var verifier *ebpf.VerifierError
	switch {
	case is(unix.EPERM), is(unix.EACCES): // the latter from the verifier, to those without CAP_PERFMON
		return fmt.Errorf("%w: %w: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; %s", ErrRefused, err, instead)
	case slices.ContainsFunc(lacking, is):
		return fmt.Errorf("%w: %w: a kernel of version 6.1 or later with CONFIG_BPF_SYSCALL is needed; %s", ErrRefused, err, instead)
	case errors.As(err, &verifier) && (is(unix.EINVAL) || is(unix.E2BIG)): // any error of loading a program comes as a verifier's
		return fmt.Errorf("%w: %w; use another kernel, %s", ErrRefused, err, instead)
	}
	return err
}
