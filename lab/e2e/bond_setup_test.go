package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/control"
	"linebond/lab"
)

// bonded is linebond at a customer's with several lines.
type bonded struct {
	*lab.Bond
	linebond *lab.Linebond
	mode     string // of its bond
}

// bondSet says how a test's bond differs from the usual one.
type bondSet struct {
	lab  lab.BondConfig
	mode string            // of the bond; "" is "teql"
	bond string            // more of the table [bond]
	more string            // more of linebond.toml: other tables
	line map[string]string // more of a line's file, by name
}

// slow lines are fast enough to have a load, and slow enough to leave the guest time.
func slow(lines int) []lab.ModemConfig {
	modems := make([]lab.ModemConfig, lines)
	for i := range modems {
		modems[i] = lab.ModemConfig{Up: 5, Down: 5, Delay: 5 * time.Millisecond}
	}
	return modems
}

// newBonded makes the lines and linebond's files, and does not start linebond.
func newBonded(t *testing.T, s bondSet) *bonded {
	t.Helper()
	b := &bonded{Bond: lab.NewBond(t, s.lab), mode: s.mode}
	if b.mode == "" {
		b.mode = "teql"
	}
	b.linebond = lab.NewLinebond(t, b.Router, os.Getenv(lab.BinaryVariable))
	b.configure(t, s.bond, s.more)
	for _, l := range b.Lines {
		b.line(t, l, s.line[l.Name])
	}
	return b
}

// line writes a line's file.
func (b *bonded) line(t *testing.T, l *lab.BondLine, more string) {
	t.Helper()
	b.linebond.Write(t, "lines.d/"+l.Name+".toml", fmt.Sprintf("interface = %q\nvlan = 101\nusername = %q\npassword = %q\n%s",
		l.Device, lab.BondUser, lab.BondPassword, more))
}

// configure writes linebond.toml. A line that has fallen is back soon: tests let the same one fall more than once.
func (b *bonded) configure(t *testing.T, bond, more string) {
	t.Helper()
	if !strings.Contains(more, "[lan]") {
		more += "[lan]\ninterfaces = [\"lan0\"]\n"
	}
	if !strings.Contains(more, "[health]") {
		more += "[health]\nrejoin_after = \"100ms\"\n"
	}
	mode := fmt.Sprintf("mode = %q", b.mode)
	if b.mode == "teql" {
		mode += fmt.Sprintf("\ndevice = %q", b.TEQL)
	}
	b.linebond.Write(t, "linebond.toml", fmt.Sprintf("[log]\nto = \"stderr\"\nlevel = \"debug\"\n[bond]\n%s\n%s\n%s", mode, bond, more))
}

func (b *bonded) names() []string {
	var names []string
	for _, l := range b.Lines {
		names = append(names, l.Name)
	}
	return names
}

// up starts linebond and waits until all lines are in the bond and the LAN reaches the internet.
func (b *bonded) up(t *testing.T) {
	t.Helper()
	b.linebond.Start(t)
	b.in(t, b.names()...)
	b.reaches(t)
}

// reaches waits until a host of the LAN reaches the internet.
func (b *bonded) reaches(t *testing.T) {
	t.Helper()
	lab.Eventually(t, limit, func() error { return b.LAN.Ping("", lab.BondServer, 56) })
}

// in waits until these lines are in the bond, and no others.
func (b *bonded) in(t *testing.T, names ...string) {
	t.Helper()
	lab.Eventually(t, limit, func() error {
		var in []string
		for _, l := range b.Lines {
			if b.isIn(t, l) {
				in = append(in, l.Name)
			}
		}
		if !slices.Equal(in, names) {
			return fmt.Errorf("in the bond are %v, not %v", in, names)
		}
		return nil
	})
}

// isIn says whether a line is in the bond: its device is the bond's slave, has a routing table of its own, or a place in the scheduler's program.
func (b *bonded) isIn(t *testing.T, l *lab.BondLine) bool {
	t.Helper()
	switch b.mode {
	case "multipath":
		return strings.Contains(b.Router.Run(t, "ip", "route", "show", "table", "all", "proto", "108"), "default dev ppp-"+l.Name+" table 108")
	case "weighted":
		m, err := b.member(l.Name)
		return err == nil && m.In && m.Scheduled != nil
	}
	kind, err := b.Router.Qdisc("ppp-" + l.Name)
	return err == nil && kind == b.TEQL
}

// device is the bond's.
func (b *bonded) device() string {
	if b.mode == "weighted" {
		return "wanbond0"
	}
	return b.TEQL
}

// others are the names of all lines but one.
func (b *bonded) others(l *lab.BondLine) []string {
	return slices.DeleteFunc(b.names(), func(name string) bool { return name == l.Name })
}

// member asks the daemon for a line's part in the bond.
func (b *bonded) member(name string) (control.Member, error) {
	status, err := b.linebond.Status()
	if err != nil {
		return control.Member{}, err
	}
	for _, bond := range status.Bonds {
		for _, m := range bond.Members {
			if m.Line == name {
				return m, nil
			}
		}
	}
	return control.Member{}, fmt.Errorf("no bond has the line %s", name)
}

// host is all that the router's kernel says of what linebond sets, sorted, but for a flag that a bond device keeps from its first slave.
func (b *bonded) host(t *testing.T) string {
	t.Helper()
	out := b.Router.Run(t, "sh", "-c", "ip -d -o link; ip -o address; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule; "+
		"tc qdisc; nft list ruleset; grep . /proc/sys/net/ipv4/conf/*/rp_filter")
	out = strings.NewReplacer("<POINTOPOINT,NOARP>", "<NOARP>", "<BROADCAST,NOARP>", "<NOARP>").Replace(out) // TEQL's last lines left that
	out = regexp.MustCompile(`(qdisc teql\d+) \w+:`).ReplaceAllString(out, "$1")                             // the handle is another after each join
	return sorted(out)
}

// sorted is a text with its lines sorted.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// settled is host once IPv6 has found its addresses to be unique.
func (b *bonded) settled(t *testing.T) string {
	t.Helper()
	var text string
	lab.Eventually(t, limit, func() error {
		if text = b.host(t); strings.Contains(text, "tentative") || !strings.Contains(text, "fe80") {
			return fmt.Errorf("not settled: %s", text)
		}
		return nil
	})
	return text
}

// becomes waits until the router's kernel says what it is to say.
func (b *bonded) becomes(t *testing.T, want string) {
	t.Helper()
	lab.Eventually(t, limit, func() error {
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(b.host(t), "\n")); diff != "" {
			return fmt.Errorf("the host is not as it was (-was +is):\n%s", diff)
		}
		return nil
	})
}

// traffic counts the packets of lines, at a moment when none are under way.
func (b *bonded) traffic(t *testing.T, names ...string) map[string]lab.Traffic {
	t.Helper()
	counts := map[string]lab.Traffic{}
	still := 0
	lab.Eventually(t, limit, func() error {
		for _, l := range b.Lines {
			if !slices.Contains(names, l.Name) {
				continue
			}
			now, err := l.Up(b.Router, "ppp-"+l.Name)
			if err != nil {
				return err
			}
			if now != counts[l.Name] {
				counts[l.Name], still = now, 0
			}
		}
		if still++; still < 20 {
			return fmt.Errorf("packets are under way: %v", counts)
		}
		return nil
	})
	return counts
}

// arrived waits until all that has been sent since has arrived at the ISP, on the lines that were counted, and returns how much that was.
func (b *bonded) arrived(t *testing.T, since map[string]lab.Traffic) []uint64 {
	t.Helper()
	var sent []uint64
	for _, l := range b.Lines {
		if from, ok := since[l.Name]; ok {
			sent = append(sent, l.Arrived(t, b.Router, "ppp-"+l.Name, from))
		}
	}
	return sent
}
