package tour

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is `linebond run` in the router.
type daemon struct {
	process *os.Process
	ended   chan struct{} // closed at its end
	err     error         // then: how that was
}

// daemonArguments are the command line of `linebond run`: all its folders are the lab's own.
func daemonArguments() []string { return append([]string{"run"}, folders()...) }

// folders are the flags that name the lab's folders.
func folders() []string {
	return []string{"--config", configDir, "--runtime-dir", runtimeDir, "--state-dir", stateDir}
}

// startDaemon starts the program, which dies with this process.
func (l *Lab) startDaemon() (*daemon, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(l.options.Program, daemonArguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	end, err := l.house.Start(cmd)
	if err != nil {
		return nil, err
	}
	d := &daemon{process: cmd.Process, ended: make(chan struct{})}
	go func() {
		d.err = <-end
		close(d.ended)
	}()
	return d, nil
}

// stop ends it in good order: it closes its lines.
func (d *daemon) stop() error {
	_ = d.process.Signal(unix.SIGTERM) // it may have ended
	select {
	case <-d.ended:
		if d.err != nil {
			return fmt.Errorf("the daemon ended with %w", d.err)
		}
		return nil
	case <-time.After(limit):
		_ = d.process.Kill()
		<-d.ended
		return errors.New("the daemon did not end within " + limit.String() + " of SIGTERM, and was killed")
	}
}

// restart kills the daemon, and starts another one.
func (s *stage) restart() (err error) {
	_ = s.daemon.process.Kill() // it may have ended
	<-s.daemon.ended
	s.daemon, err = s.lab.startDaemon()
	return err
}

// alive is the error of a daemon that is no more. One that does not answer may be starting, or have no time.
func (d *daemon) alive() error {
	select {
	case <-d.ended:
		return fmt.Errorf("the daemon has ended by itself: %w", errors.Join(d.err, lastWords()))
	default:
		return nil
	}
}

// lastWords is the end of the daemon's log.
func lastWords() error {
	const most = 2000
	text, err := os.ReadFile(logFile)
	if err != nil {
		return err
	}
	return fmt.Errorf("its log ends:\n%s", text[max(0, len(text)-most):])
}
