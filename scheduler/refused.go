package scheduler

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrRefused is what Open returns, wrapped, where the kernel does not have what the scheduler needs, or not for this process. Nothing is
// left then. As long as neither changes, the next Open will fail, too.
var ErrRefused = errors.New(`the kernel refuses the eBPF scheduler of mode "weighted"`)

// refused makes an error of the kernel an ErrRefused, with what to do about the usual reasons. Lack of memory is no refusal.
func refused(err error) error {
	const instead = `or give the bond another mode, such as "teql", or have one line alone: bond = "none" in the files of all`
	switch {
	case err == nil, errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EEXIST):
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES): // the latter from the verifier, to those without CAP_PERFMON
		return fmt.Errorf("%w: %w: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; %s", ErrRefused, err, instead)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: %w: a kernel of version 6.1 or later with CONFIG_BPF_SYSCALL is needed; %s", ErrRefused, err, instead)
	}
	return fmt.Errorf("%w: %w; use another kernel, %s", ErrRefused, err, instead)
}
