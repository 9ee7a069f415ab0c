package vm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// grace is what the guest gets on top of -test.timeout, for its boot and its end. Its own tests notice the timeout first, and then say
// which of them hangs. (`go test` kills this process a minute after the timeout.)
var grace = 45 * time.Second

// boot runs this test binary in a guest and returns its exit status.
func boot(a arguments, virtual bool) (int, error) {
	k, err := findKernel()
	if err != nil {
		return 0, err
	}
	shared, err := os.MkdirTemp("", "linebond-vm-")
	if err != nil {
		return 0, fmt.Errorf("making the guest's directory: %w", err)
	}
	defer os.RemoveAll(shared)
	if err := prepare(shared, k, a); err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, a.timeout+grace, fmt.Errorf("no end within -timeout %v and %v more", a.timeout, grace))
		defer cancel()
	}
	console, err := run(ctx, k, shared, virtual)
	if cause := context.Cause(ctx); cause != nil {
		return 0, fmt.Errorf("the guest was killed: %w", cause)
	}
	if err := a.collect(shared); err != nil {
		return 0, err
	}
	data, statusErr := os.ReadFile(filepath.Join(shared, statusFile))
	if statusErr != nil {
		return 0, fmt.Errorf("the guest ended without a status (%s: %v); its console ended with:\n%s", qemu, err, console)
	}
	return strconv.Atoi(string(data))
}

// prepare fills the shared directory: the job, the way to the test binary, the initramfs.
func prepare(shared string, k kernel, a arguments) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	directory, err := os.Getwd()
	if err != nil {
		return err
	}
	guest := exec.Command(binary, a.guest(guestShared)...)
	guest.Env = append(os.Environ(), insideVariable+"=1", "HOME=/root", "TMPDIR="+guestTemporary, "PATH="+guestPath)
	j := job{
		Args: guest.Args, Env: guest.Environ(), // of a variable set twice the last counts
		Directory: directory, Modules: filepath.Dir(k.modules),
	}
	if err := j.write(shared); err != nil {
		return err
	}
	if err := os.Symlink(binary, filepath.Join(shared, initFile)); err != nil {
		return err
	}
	return makeInitramfs(filepath.Join(shared, initramfsFile), k)
}

// run boots the guest and passes its output on until it has ended or ctx is done; then nothing of it is left. It returns the end of
// what QEMU, and the kernel on its console, said.
func run(ctx context.Context, k kernel, shared string, virtual bool) (console string, err error) {
	outputReader, outputWriter, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer outputReader.Close()
	cmd := exec.CommandContext(ctx, k.qemu, machine(k, shared, virtual)...)
	cmd.Dir = shared
	tail := &tailBuffer{limit: 8 << 10}
	cmd.Stdout, cmd.Stderr = outputWriter, tail
	// In a group of its own, QEMU is out of the reach of a Ctrl-C; and it is killed when this thread ends, however that comes.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	outputWriter.Close()
	if err != nil {
		return "", fmt.Errorf("starting %s: %w", qemu, err)
	}
	var passing sync.WaitGroup
	passing.Go(func() { passOn(os.Stdout, outputReader) })
	err = cmd.Wait()
	passing.Wait()
	return tail.String(), err
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
