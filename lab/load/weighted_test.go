package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"linebond/auth"
	"linebond/control"
	"linebond/lab/concentrator"
	"linebond/lab/internet"
	"linebond/lab/isp"
	"linebond/lab/modem"
	"linebond/lab/netns"
)

// uploads are what the lines of an unequal world carry from the router, in bit/s. (Towards it they are equal, since the ISP gives packets to
// them in turn.)
var uploads = []float64{20e6, 5e6}

// lags are how long packets are on their way on each line, one way.
var lags = []time.Duration{5 * time.Millisecond, 15 * time.Millisecond}

var webServer = netip.MustParseAddr("192.0.2.80")

// unequal is a router with a weighted bond of lines on eBPF, each with a modem of its own, a host in its LAN, and a server behind the ISP.
type unequal struct {
	t                          *testing.T
	dir, runtime, binary       string
	lan, home, wire, isp, host string // namespaces
	modems                     []*modem.Modem
	process                    *exec.Cmd
	end                        <-chan error
}

func newUnequal(t *testing.T) *unequal {
	t.Helper()
	name := fmt.Sprintf("linebond-weighted-%d-", os.Getpid())
	w := &unequal{
		t: t, dir: t.TempDir(), binary: build(t),
		lan: name + "lan", home: name + "home", wire: name + "wire", isp: name + "isp", host: name + "web",
	}
	for _, ns := range []string{w.lan, w.home, w.wire, w.isp, w.host} {
		must(t, netns.Create(ns))
		t.Cleanup(func() { must(t, netns.Delete(ns)) })
	}
	w.lay(netns.End{Namespace: w.lan, Device: "eth0"}, netns.End{Namespace: w.home, Device: "lan0"})
	w.lay(netns.End{Namespace: w.isp, Device: "net0"}, netns.End{Namespace: w.host, Device: "eth0"})
	w.sh(w.lan, "ip address add 192.168.7.2/24 dev eth0 && ip route add default via 192.168.7.1")
	w.sh(w.home, "ip address add 192.168.7.1/24 dev lan0")
	w.sh(w.isp, "ip address add 192.0.2.1/24 dev net0")
	w.sh(w.host, "ip address add 192.0.2.80/24 dev eth0 && ip route add default via 192.0.2.1")
	var acs []isp.AC
	for i := range uploads {
		acs = append(acs, w.addLine(i))
	}
	must(t, netns.Do(w.isp, func() error {
		provider, err := isp.Open(isp.Config{DataPath: true, ACs: acs})
		if err == nil {
			t.Cleanup(func() { must(t, provider.Close()) })
		}
		return err
	}))
	must(t, netns.Do(w.host, func() error {
		server, err := internet.Serve(webServer)
		if err == nil {
			t.Cleanup(func() { must(t, server.Close()) })
		}
		return err
	}))
	must(t, os.WriteFile(filepath.Join(w.dir, "linebond.toml"), []byte("[log]\nto = \"stderr\"\nlevel = \"debug\"\n[bond]\nmode = \"weighted\"\nshaping = \"none\"\n"+
		"[health]\nfailures = 60\nrejoin_after = \"1s\"\n[lan]\ninterfaces = [\"lan0\"]\n"), 0o600))
	var err error
	w.runtime, err = os.MkdirTemp("/dev/shm", "linebond-weighted-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(w.runtime) })
	w.start()
	return w
}

func (w *unequal) lay(a, b netns.End) {
	w.t.Helper()
	must(w.t, netns.Cable(a, b, 1500))
}

// sh runs shell commands in a namespace.
func (w *unequal) sh(namespace, commands string) {
	w.t.Helper()
	must(w.t, netns.Do(namespace, func() error {
		if out, err := exec.Command("/bin/sh", "-ec", commands).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", commands, err, out)
		}
		return nil
	}))
}

// addLine lays the cables of a line, with a modem between them, and writes its file. It returns the ISP's end.
func (w *unequal) addLine(i int) isp.AC {
	w.t.Helper()
	eth, customer, carrier, ac := fmt.Sprintf("eth%d", i+1), fmt.Sprintf("customer%d", i), fmt.Sprintf("carrier%d", i), fmt.Sprintf("ac%d", i)
	w.lay(netns.End{Namespace: w.home, Device: eth}, netns.End{Namespace: w.wire, Device: customer})
	w.lay(netns.End{Namespace: w.wire, Device: carrier}, netns.End{Namespace: w.isp, Device: ac})
	must(w.t, netns.Do(w.wire, func() error {
		m, err := modem.Open(modem.Config{
			Customer: customer, Carrier: carrier,
			Up: modem.Direction{Rate: int64(uploads[i]), Delay: lags[i]}, Down: modem.Direction{Rate: 20e6, Delay: lags[i]},
		})
		if err == nil {
			w.modems = append(w.modems, m)
			w.t.Cleanup(func() { must(w.t, m.Close()) })
		}
		return err
	}))
	must(w.t, os.MkdirAll(filepath.Join(w.dir, "lines.d"), 0o700))
	user := fmt.Sprintf("user%d", i)
	text := fmt.Sprintf("interface = %q\ndataplane = \"ebpf\"\nusername = %q\npassword = %q\nupload = \"%.0fmbit\"\n"+
		"keepalive.interval = \"200ms\"\nkeepalive.failures = 100\n", eth, user, password, uploads[i]/1e6)
	must(w.t, os.WriteFile(filepath.Join(w.dir, "lines.d", fmt.Sprintf("l%d.toml", i)), []byte(text), 0o600))
	return isp.AC{Device: ac, Config: concentrator.Config{
		Name: fmt.Sprintf("bras%d", i), Auth: []auth.Method{auth.CHAPMD5}, Users: []concentrator.User{{Name: user, Password: auth.NewSecret(password)}},
		Shared: netip.MustParseAddr("203.0.113.10"), Local: netip.MustParseAddr("198.51.100.1"), DNS: []netip.Addr{webServer}, IPv6: true,
	}}
}

// start starts the daemon.
func (w *unequal) start() {
	w.t.Helper()
	w.process = exec.Command(w.binary, "run", "--config", w.dir, "--runtime-dir", w.runtime, "--state-dir", filepath.Join(w.dir, "state"))
	log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(w.t, err)
	w.process.Stdout, w.process.Stderr = log, log
	w.end, err = netns.Start(w.home, w.process)
	must(w.t, err)
	process := w.process
	w.t.Cleanup(func() {
		process.Process.Kill()
		if w.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			w.t.Logf("the end of the daemon's log:\n%s", text[max(0, len(text)-4000):])
		}
		log.Close()
	})
}

func (w *unequal) status() (s control.Status, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := control.NewClient(filepath.Join(w.runtime, "linebond.sock")).Status(ctx)
	return s, err == nil && len(s.Bonds) == 1
}

// wait waits for what a status must be like, or anything else.
func (w *unequal) wait(what string, holds func(b control.Bond) bool) control.Bond {
	w.t.Helper()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for start := time.Now(); time.Since(start) < patience; <-ticker.C {
		if s, ok := w.status(); ok && holds(s.Bonds[0]) {
			return s.Bonds[0]
		}
	}
	s, _ := w.status()
	w.t.Fatalf("waited for %s; the bond is %+v; trouble: %s", what, s.Bonds, s.Trouble)
	return control.Bond{}
}

func (w *unequal) in(lines ...bool) func(control.Bond) bool {
	return func(b control.Bond) bool {
		for i, m := range b.Members {
			if m.In != lines[i] {
				return false
			}
		}
		return true
	}
}

// dial connects from the LAN.
func (w *unequal) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 100}}
	err = netns.Do(w.lan, func() error {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// goesOn waits until a transfer has got so much further.
func (w *unequal) goesOn(transfer *internet.Transfer, bytes int64) time.Duration {
	w.t.Helper()
	start, before := time.Now(), transfer.Bytes()
	w.wait(fmt.Sprintf("%d bytes of a transfer", bytes), func(control.Bond) bool {
		if at, err := transfer.Ended(); !at.IsZero() {
			w.t.Fatalf("the transfer has ended: %v", err)
		}
		return transfer.Bytes()-before > bytes
	})
	return time.Since(start)
}

// One connection over lines of 20 and 5 Mbit/s is faster than the faster of them, as they share its bytes; and it outlives that one of them
// is cut or silent, and the daemon is killed.
func TestWeighted(t *testing.T) {
	w := newUnequal(t)
	w.wait("both lines", w.in(true, true))

	// What the echoes tell of the lines' delays, of which the difference counts, is told to the program.
	told := regexp.MustCompile(`ppp-l0 rate 18998860bit delay 0s overhead 22, ppp-l1 rate 4748860bit delay (9|10|11)(\.\d)?ms overhead 22`)
	w.wait("the difference of delays", func(control.Bond) bool {
		log, err := os.ReadFile(filepath.Join(w.dir, "log"))
		return err == nil && told.Match(log)
	})

	upload := internet.StartUpload(w.dial, webServer)
	defer upload.Close()
	faster := w.wait("more than the faster line alone can carry", func(b control.Bond) bool { return sum(b) > 1.05*uploads[0] })
	t.Logf("upload: %s by the program's counters, shares %.3f and %.3f, disorder %.4f", control.Rate(sum(faster)),
		faster.Members[0].Scheduled.Share, faster.Members[1].Scheduled.Share, faster.Scheduler.Disorder)
	w.wait("shares of 80 and 20 %", func(b control.Bond) bool {
		return sum(b) > 1.05*uploads[0] && within(b.Members[0].Scheduled.Share, 0.8, 0.02)
	})
	begin, start := upload.Bytes(), time.Now()
	w.goesOn(upload, 10e6)
	t.Logf("upload: %s by TCP", control.Rate(8*float64(upload.Bytes()-begin)/time.Since(start).Seconds()))

	download := internet.StartDownload(w.dial, webServer, 0)
	w.goesOn(download, 4e6)
	must(t, download.Close())

	must(t, w.modems[1].Cut(true))
	w.wait("the line that is cut to leave", w.in(true, false))
	t.Logf("a line is cut: 2 MB more in %v", w.goesOn(upload, 2e6))
	must(t, w.modems[1].Cut(false))
	w.wait("it to be back", w.in(true, true))
	w.goesOn(upload, 2e6)

	w.modems[0].BlackHole(true)
	w.wait("the program to pass the black hole over, before the daemon takes it out", func(b control.Bond) bool {
		x := b.Members[0].Scheduled
		return b.Members[0].In && x.Silent && x.Passed > 0
	})
	t.Logf("a line is a black hole: 1 MB more in %v", w.goesOn(upload, 1e6))
	w.modems[0].BlackHole(false)
	w.wait("it to be back", w.in(true, true))
	w.goesOn(upload, 2e6)

	must(t, w.process.Process.Kill())
	<-w.end
	w.start()
	w.wait("both lines after the daemon was killed", w.in(true, true))
	t.Logf("the daemon was killed: 2 MB more in %v", w.goesOn(upload, 2e6))

	must(t, w.process.Process.Signal(syscall.SIGTERM))
	must(t, <-w.end)
	w.nothingLeft("the daemon has ended")

	w.start()
	w.wait("both lines again", w.in(true, true))
	must(t, w.process.Process.Kill())
	<-w.end
	w.sh(w.home, w.binary+" cleanup --config "+w.dir+" --runtime-dir "+w.runtime)
	w.nothingLeft("linebond cleanup")
}

// nothingLeft wants the router to have no devices but its Ethernet ones, and these no tc filters.
func (w *unequal) nothingLeft(after string) {
	w.t.Helper()
	must(w.t, netns.Do(w.home, func() error {
		out, err := exec.Command("/bin/sh", "-ec", "ip -br link; for d in eth1 eth2 lan0; do tc filter show dev $d ingress; done").CombinedOutput()
		for _, ours := range []string{"wanbond0", "ppp-", "linebond"} {
			if strings.Contains(string(out), ours) {
				w.t.Errorf("after %s there is left:\n%s", after, out)
				break
			}
		}
		return err
	}))
}

// sum is what went to the lines of a bond in the last seconds, in bit/s.
func sum(b control.Bond) (bits float64) {
	for _, m := range b.Members {
		if m.Scheduled != nil {
			bits += m.Scheduled.TxBits
		}
	}
	return bits
}

func within(got, want, off float64) bool { return want-off <= got && got <= want+off }
