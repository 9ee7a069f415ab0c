package uml

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	memory = "1024M" // taken from the host as the guest touches it

	packages = "apt-get install -y --no-install-recommends user-mode-linux kmod iproute2 ppp pppoe iperf3 iputils-ping"
)

// grace is what the guest gets on top of -test.timeout. Its own tests notice the timeout first, and then say which of them hangs.
var grace = 15 * time.Second

// boot runs this test binary in a guest and returns its exit status.
func boot(a arguments) (int, error) {
	kernel, err := findKernel()
	if err != nil {
		return 0, err
	}
	shared, err := os.MkdirTemp("", "linebond-uml-")
	if err != nil {
		return 0, fmt.Errorf("making the guest's directory: %w", err)
	}
	defer os.RemoveAll(shared)
	if err := prepare(shared, kernel, a); err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.timeout+grace, fmt.Errorf("no end within -timeout %v and %v more", a.timeout, grace))
		defer cancel()
	}
	console, err := run(ctx, kernel, shared)
	if cause := context.Cause(ctx); cause != nil {
		return 0, fmt.Errorf("the guest was killed: %w", cause)
	}
	if err := a.collect(shared); err != nil {
		return 0, err
	}
	data, statusErr := os.ReadFile(filepath.Join(shared, statusFile))
	if statusErr != nil {
		return 0, fmt.Errorf("the guest ended without a status (linux.uml: %v); its console ended with:\n%s", err, console)
	}
	return strconv.Atoi(string(data))
}

// kernel is what was found of user-mode-linux on this machine.
type kernel struct{ binary, modules string }

func findKernel() (kernel, error) {
	binary, err := exec.LookPath("linux.uml")
	if err != nil {
		return kernel{}, errors.New("linux.uml is not installed, and these tests need its kernel: " + packages)
	}
	version, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return kernel{}, fmt.Errorf("asking %s for its version: %w", binary, err)
	}
	modules := filepath.Join("/usr/lib/uml/modules", strings.TrimSpace(string(version)))
	if _, err := os.Stat(filepath.Join(modules, "modules.dep")); err != nil {
		return kernel{}, fmt.Errorf("linux.uml has no modules (%w), and these tests need them: %s", err, packages)
	}
	for _, tool := range []string{"modprobe", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return kernel{}, fmt.Errorf("%s is not installed, and these tests need it: %s", tool, packages)
		}
	}
	return kernel{binary, modules}, nil
}

// prepare fills the shared directory: the job, the tree for modprobe, and init.
func prepare(shared string, k kernel, a arguments) error {
	binary, err := guestBinary(shared)
	if err != nil {
		return err
	}
	directory, err := os.Getwd()
	if err != nil {
		return err
	}
	guest := exec.Command(binary, a.guest(shared)...)
	guest.Env = append(os.Environ(), insideVariable+"=1", "HOME=/root", "TMPDIR="+guestTemporary, "PATH="+guestPath)
	j := job{Args: guest.Args, Env: guest.Environ(), Directory: directory} // Environ: of a variable set twice the last counts
	if err := j.write(shared); err != nil {
		return err
	}
	tree := filepath.Join(shared, modulesTree, "lib", "modules")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(k.modules, filepath.Join(tree, filepath.Base(k.modules))); err != nil {
		return err
	}
	return os.Symlink(binary, filepath.Join(shared, initFile))
}

// run boots the guest and passes its output on until it has ended or ctx is done; then nothing of it is left. It returns the end of
// what the kernel said on its console.
func run(ctx context.Context, k kernel, shared string) (console string, err error) {
	outputReader, outputWriter, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer outputReader.Close()
	cmd := exec.CommandContext(ctx, k.binary,
		"rootfstype=hostfs", "rootflags=/", "ro", "init="+filepath.Join(shared, initFile), "mem="+memory,
		"uml_dir="+shared+"/", "umid=guest", "quiet", "con=null", "con0=null,fd:1", "ssl=null", "ssl0=null,fd:3",
		directoryVariable+"="+shared)
	cmd.Dir = shared // an aborting kernel dumps its core here, if anywhere
	cmd.ExtraFiles = []*os.File{outputWriter}
	tail := &tailBuffer{limit: 8 << 10}
	cmd.Stdout, cmd.Stderr = tail, tail
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		outputWriter.Close()
		return "", fmt.Errorf("starting %s: %w", k.binary, err)
	}
	outputWriter.Close()
	sweep, err := sweeper(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Cancel()
		return "", errors.Join(err, cmd.Wait())
	}
	var passing sync.WaitGroup
	passing.Go(func() { passOn(os.Stdout, outputReader) })
	err = cmd.Wait()
	sweep()
	passing.Wait()
	return tail.String(), err
}

// sweeper starts a process that kills the process group when the function it returns is called, or when this process ends, however
// that comes: linux.uml runs its guest's processes, and helpers, in processes of its own, and not all of them end when it is killed.
func sweeper(group int) (sweep func(), err error) {
	cmd := exec.Command("/bin/sh", "-c", `read end; kill -KILL "-$0" 2>/dev/null`, strconv.Itoa(group))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of the reach of a Ctrl-C
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting the process that cleans up after the guest: %w", err)
	}
	return func() {
		_ = alive.Close()
		_ = cmd.Wait() // its status is kill's, which finds nothing when the guest ended well
	}, nil
}

// passOn copies line by line, as the lines come.
func passOn(w io.Writer, r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		_, _ = w.Write(line)
		if err != nil {
			return
		}
	}
}

// tailBuffer keeps the last limit bytes written to it.
type tailBuffer struct {
	limit int
	data  []byte
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if extra := len(b.data) - b.limit; extra > 0 {
		b.data = append(b.data[:0], b.data[extra:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string { return string(b.data) }
