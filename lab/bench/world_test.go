//go:build bench

package bench

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"linebond/lab"
)

// patience is for what should never happen.
const patience = 5 * time.Minute

// A line is as it is.
type line struct {
	rate  float64       // Mbit/s up, of Ethernet frames
	delay time.Duration // one way
}

// near is the delay of a line that is not far.
const near = 10 * time.Millisecond

// unequal are the lines of most measurements.
var unequal = []line{{20, near}, {5, near}}

// A way is how the lines are made one.
type way struct {
	name    string
	bond    string  // the file's table [bond]; none: the first line alone
	refused bool    // the kernel lets linebond load no eBPF program
	said    float64 // what the files say of the rates, by the true ones; 0: the truth; auto: nothing
}

const auto = -1

var (
	alone  = way{name: "the faster line alone"}
	teql   = way{name: "teql", bond: "mode = \"teql\""}
	numgen = way{name: "weighted, no eBPF (numgen)", bond: "mode = \"weighted\"", refused: true}
	none   = way{name: "weighted, shaping none", bond: "mode = \"weighted\"\nshaping = \"none\""}
	cake   = way{name: "weighted, shaping cake", bond: "mode = \"weighted\"\nshaping = \"cake\""}
)

// A world is a router with these lines to an ISP that answers on the first of them.
type world struct {
	*lab.Bond
	t        *testing.T
	lines    []line
	way      way
	linebond *lab.Linebond
}

const (
	mtu      = 1492
	overhead = 14 + 8                 // of a packet on a line as netem counts it: Ethernet, PPPoE, PPP. The tag is beside the frame.
	buffer   = 100 * time.Millisecond // of a modem
)

func newWorld(t *testing.T, how way, lines ...line) *world {
	t.Helper()
	c := lab.BondConfig{Apart: true}
	for _, l := range lines {
		c.Lines = append(c.Lines, lab.ModemConfig{
			Up: l.rate, Down: 4 * l.rate, Delay: l.delay, Queue: int((buffer + l.delay).Seconds() * l.rate * 1e6 / 8 / (mtu + overhead)),
		})
	}
	w := &world{Bond: lab.NewBond(t, c), t: t, lines: lines, way: how}
	w.linebond = lab.NewLinebond(t, w.Router, os.Getenv(lab.BinaryVariable))
	if how.refused {
		w.linebond.Through = []string{"setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"}
	}
	w.configure()
	w.linebond.Start(t)
	lab.Eventually(t, patience, w.in)
	w.settle()
	return w
}

// configure writes linebond's files. Echoes go every 100 ms, and a line is not given up in a measurement.
func (w *world) configure() {
	w.t.Helper()
	bond := ""
	if w.way.bond != "" {
		bond = "[bond]\n" + w.way.bond + "\n"
	}
	if w.way.name == teql.name {
		bond += fmt.Sprintf("device = %q\n", w.TEQL)
	}
	w.linebond.Write(w.t, "linebond.toml", "[log]\nto = \"stderr\"\n[lan]\ninterfaces = [\"lan0\"]\n[health]\nfailures = 100\n"+bond)
	for i, l := range w.serving() {
		upload := "auto"
		if w.way.said != auto {
			said := w.way.said
			if said == 0 {
				said = 1
			}
			upload = fmt.Sprintf("%.0fbit", said*w.lines[i].rate*1e6)
		}
		w.linebond.Write(w.t, "lines.d/"+l.Name+".toml", fmt.Sprintf("interface = %q\nvlan = 101\nusername = %q\npassword = %q\nipv6 = false\n"+
			"overhead = %d\nupload = %q\n[keepalive]\ninterval = \"100ms\"\nfailures = 100\n", l.Device, lab.BondUser, lab.BondPassword, overhead, upload))
	}
}

// serving are the lines that are used.
func (w *world) serving() []*lab.BondLine {
	if w.way.bond == "" {
		return w.Lines[:1]
	}
	return w.Lines
}

// in returns nil when all lines are used.
func (w *world) in() error {
	status, err := w.linebond.Status()
	if err != nil {
		return err
	}
	if w.way.bond == "" {
		return w.linebond.Reaches("a", "up", "")()
	}
	if len(status.Bonds) != 1 || len(status.Bonds[0].Members) != len(w.Lines) {
		return errors.New("no bond of all lines")
	}
	for _, m := range status.Bonds[0].Members {
		if !m.In {
			return fmt.Errorf("line %s is not in", m.Line)
		}
	}
	return nil
}

// settle waits for all that linebond finds out of the lines in the beginning, and has the ISP answer on the first one.
func (w *world) settle() {
	w.t.Helper()
	lab.Eventually(w.t, patience, func() error { return w.LAN.Ping("", lab.BondServer, 56) })
	<-time.After(5 * time.Second)
	w.AnswerOn(w.t, w.Lines[0])
}

// sum is that of the lines' rates, in bit/s.
func (w *world) sum() (sum float64) {
	for _, l := range w.lines {
		sum += l.rate * 1e6
	}
	return sum
}
