package lab

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ReferenceConfig describes a client.
type ReferenceConfig struct {
	Namespace      *Namespace
	Link           string // the Ethernet device that PPPoE runs on, such as Cable.TagRouter
	Device         string // the name of the PPP device, such as "ppp-a"
	User, Password string
	MTU            int // 0: 1492
	IPv6           bool
	Options        []string // more of pppd's options
}

// Reference is the set-up that linebond replaces: pppd with the kernel plugin rp-pppoe.so. It does not redial.
type Reference struct {
	config    ReferenceConfig
	directory string

	PID     int           // of the pppd that holds the session
	SetupIn time.Duration // from the start of pppd to IPCP up
}

// Dial has pppd bring a session up and returns when IPCP is up. An error tells what pppd said. pppd is killed when the
// test ends.
func Dial(t testing.TB, c ReferenceConfig) (*Reference, error) {
	t.Helper()
	if c.MTU == 0 {
		c.MTU = 1492
	}
	r := &Reference{config: c, directory: t.TempDir()}
	mtu := strconv.Itoa(c.MTU)
	args := []string{
		"plugin", "rp-pppoe.so", "nic-" + c.Link, "ifname", c.Device, "linkname", r.linkName(), "user", c.User, "password", c.Password,
		"noauth", "nodefaultroute", "updetach", "noccp", "mtu", mtu, "mru", mtu,
		"lcp-echo-interval", "1", "lcp-echo-failure", "3", "debug", "logfile", r.path("log"),
	}
	if c.IPv6 {
		args = append(args, "+ipv6")
	} else {
		args = append(args, "noipv6")
	}
	pppd := exec.Command("pppd", append(args, c.Options...)...)
	start := time.Now()
	err := c.Namespace.Start(t, pppd)
	if err == nil {
		err = pppd.Wait() // it ends when IPCP is up, and leaves the session to a child
	}
	r.SetupIn = time.Since(start)
	if err != nil {
		return nil, errors.New("pppd: " + err.Error() + ":\n" + r.Log())
	}
	if r.PID, err = r.readPID(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = syscall.Kill(r.PID, syscall.SIGKILL) // a Terminate-Request to an AC that is gone would take 6 s
		r.ended(t)
	})
	return r, nil
}

// linkName is what pppd calls its PID file after.
func (r *Reference) linkName() string { return r.config.Namespace.Name + "-" + r.config.Device }

func (r *Reference) readPID() (int, error) {
	data, err := os.ReadFile("/run/ppp-" + r.linkName() + ".pid")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strconv.Atoi(line)
}

// Hangup ends the session in good order and returns when pppd has ended. It may have ended before.
func (r *Reference) Hangup(t testing.TB) {
	t.Helper()
	_ = syscall.Kill(r.PID, syscall.SIGTERM)
	r.ended(t)
}

func (r *Reference) ended(t testing.TB) {
	t.Helper()
	Eventually(t, 10*time.Second, func() error {
		if syscall.Kill(r.PID, 0) == nil {
			return errors.New("the reference's pppd runs")
		}
		return nil
	})
}

// Log is what pppd has logged, with each control packet sent and received.
func (r *Reference) Log() string {
	data, err := os.ReadFile(r.path("log"))
	if err != nil {
		return ""
	}
	return string(data)
}

func (r *Reference) path(name string) string { return filepath.Join(r.directory, name) }
