package bond

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/config"
	"linebond/line"
	"linebond/rate"
)

var update = flag.Bool("update", false, "write what comes out into testdata/*.txt")

// TestHistory plays the scripts in testdata/*.txt and compares what the bonds make of them with what they did when somebody last looked.
//
// A line with "> " is a command, or several at the same time with semicolons between; one with "#" is a comment. The rest is what comes of
// it: events, lines of the wanted state that have come and gone, memberships, the time of the next look. The commands:
//
//	config KEY=VALUE...           of the sections: see script.set
//	bond DEVICE KEY=VALUE...      configures a bond
//	line NAME KEY=VALUE...        configures a line, NAME gone removes it
//	NAME up ADDRESS KEY=VALUE...  a new session is up
//	NAME lost WHY, NAME close     the session is gone, because of the peer, or of the operator
//	NAME STATE WHY                the line is in a state in which it has no session
//	NAME held, NAME back          carrier
//	NAME KEY=VALUE...             of the session: see script.session
//	refused                       the kernel refuses eBPF
//	wait DURATION                 with a plan at each time that a plan names as the next
//	state                         the whole of the wanted state
func TestHistory(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScript(t).play(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// script is a history in the making.
type script struct {
	t       *testing.T
	out     strings.Builder
	now     time.Time
	cpus    int
	config  config.Config
	members []*Member
	bonds   *Bonds
	state   []string // of the last plan
	last    []string // its bonds and times
	next    time.Time
}

func newScript(t *testing.T) *script {
	return &script{t: t, now: epoch, cpus: 1, config: config.Config{
		LAN:    config.LAN{NAT: config.NATMasquerade},
		Health: config.Health{Failures: 3, RejoinAfter: 5 * time.Second},
	}}
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) play(text string) string {
	for row := range strings.Lines(text) {
		row = strings.TrimSuffix(row, "\n")
		commands, ok := strings.CutPrefix(row, "> ")
		if ok || strings.HasPrefix(row, "#") {
			if s.out.Len() > 0 && !ok {
				s.printf("")
			}
			s.printf("%s", row)
		}
		if !ok {
			continue
		}
		looks := true
		for command := range strings.SplitSeq(commands, ";") {
			looks = s.command(strings.Fields(command)) && looks
		}
		if looks {
			s.plan()
		}
	}
	return s.out.String()
}

// command carries out a command, and says whether a plan is to follow.
func (s *script) command(words []string) bool {
	switch name, rest := words[0], words[1:]; name {
	case "config":
		s.set(rest)
		s.reload()
		return s.members != nil
	case "bond":
		s.bond(rest)
		s.reload()
		return s.members != nil
	case "line":
		s.line(rest)
		s.reload()
	case "wait":
		s.wait(s.duration(rest[0]))
		return false
	case "refused":
		s.bonds.WithoutEBPF()
	case "state":
		s.printf("  %s", strings.Join(s.state, "\n  "))
		return false
	default:
		s.status(s.member(name), rest)
	}
	return true
}

// reload hands the configuration over, as the daemon does.
func (s *script) reload() {
	c := s.config
	c.Lines = nil
	for _, m := range s.members {
		c.Lines = append(c.Lines, m.Config)
	}
	if s.bonds == nil {
		s.bonds = New(&c, s.cpus)
	}
	s.bonds.cpus = s.cpus
	s.bonds.Configure(&c)
}

// wait lets time pass, with a plan each time that one is due.
func (s *script) wait(d time.Duration) {
	until := s.now.Add(d)
	for !s.next.IsZero() && !s.next.After(until) {
		s.now = s.next
		s.plan()
	}
	s.now = until
	s.plan()
}

// plan makes a plan, twice, and prints what is new.
func (s *script) plan() {
	members := s.values()
	p := s.bonds.Plan(s.now, members)
	again := s.bonds.Plan(s.now, members)
	if diff := cmp.Diff(describe(p, false), describe(again, true)); diff != "" {
		s.t.Errorf("at %v another plan the second time:\n%s", s.now.Sub(epoch), diff)
	}
	s.printf("%v", s.now.Sub(epoch))
	for _, e := range p.Events {
		s.printf("  event %s: %s%v: %s (%d)", e.Bond, strings.TrimPrefix(e.Line+" ", " "), e.Kind, e.Reason, e.Members)
	}
	state := strings.Split(p.State.String(), "\n")
	for _, r := range p.Resolvers {
		state = append(state, fmt.Sprintf("dns of %s on %s: %v", r.Line, r.Device, r.Servers))
	}
	for _, row := range s.state {
		if !slices.Contains(state, row) && row != "" {
			s.printf("  - %s", row)
		}
	}
	for _, row := range state {
		if !slices.Contains(s.state, row) && row != "" {
			s.printf("  + %s", row)
		}
	}
	bonds := view(p)
	if !slices.Equal(bonds, s.last) {
		s.printf("  %s", strings.Join(bonds, "\n  "))
	}
	s.state, s.last, s.next = state, bonds, p.Next
}

func (s *script) values() []Member {
	var members []Member
	for _, m := range s.members {
		members = append(members, *m)
	}
	return members
}

// describe is all of a plan as text; one without events says so if that matters.
func describe(p Plan, none bool) string {
	text := p.State.String() + "\n" + strings.Join(view(p), "\n") + fmt.Sprint(p.Resolvers)
	if none && len(p.Events) > 0 {
		text += fmt.Sprint(p.Events)
	}
	return text
}

func view(p Plan) []string {
	var rows []string
	for _, b := range p.Bonds {
		rows = append(rows, fmt.Sprintf("%s mtu %d %v", b.Device, b.MTU, b.Addresses))
		for _, m := range b.Members {
			part := "out"
			if m.In {
				part = "in " + strconv.FormatFloat(m.Share, 'f', 2, 64)
			}
			if m.Fallback {
				part += " fallback"
			}
			part = fmt.Sprintf("  %s %s since %v: %s", m.Line, part, m.Since.Sub(epoch), m.Reason)
			if !m.Rejoin.IsZero() {
				part += fmt.Sprintf(", rejoins at %v", m.Rejoin.Sub(epoch))
			}
			rows = append(rows, part)
		}
	}
	if !p.Next.IsZero() {
		rows = append(rows, fmt.Sprintf("next %v", p.Next.Sub(epoch)))
	}
	return rows
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) member(name string) *Member {
	i := slices.IndexFunc(s.members, func(m *Member) bool { return m.Config.Name == name })
	if i < 0 {
		s.t.Fatalf("no line %q", name)
	}
	return s.members[i]
}

// status changes how a line is.
func (s *script) status(m *Member, words []string) {
	st := &m.Status
	idle := func(state line.State, why line.Reason) {
		*st = line.Status{Name: st.Name, Device: st.Device, State: state, Reason: why, Ended: st.Ended}
		m.Ping = Ping{}
	}
	switch words[0] {
	case "up":
		*st = line.Status{Name: st.Name, Device: st.Device, State: line.Running, Ended: st.Ended}
		st.Session = &line.Session{MTU: 1492, UpSince: s.now}
		st.IPv4 = line.IPv4{Peer: netip.MustParseAddr("198.51.100.1")}
		if len(words) > 1 {
			s.session(m, words[1:])
		}
	case "lost":
		st.Ended = line.Reason{Cause: line.EchoLost, Detail: strings.Join(words[1:], " ")}
		idle(line.Waiting, st.Ended)
	case "close":
		st.Ended = line.Reason{Cause: line.Operator}
		idle(line.Stopped, st.Ended)
	case "new":
		*st = line.Status{Name: st.Name, Device: st.Device}
	case "terminate":
		st.State, st.Reason = line.Terminate, line.Reason{Cause: line.PeerTerminated, Detail: "bye"}
	case "establish":
		st.State, st.Reason = line.Establish, line.Reason{Cause: line.Renegotiated}
	case "waiting":
		idle(line.Waiting, line.Reason{Cause: line.PADOTimeout})
	case "dialling":
		if st.Session != nil {
			st.Ended = st.Reason
		}
		idle(line.Discovery, line.Reason{Cause: line.Dialling})
	case "held":
		st.State, st.Reason = line.Held, line.Reason{Cause: line.CarrierLost, Detail: "on eth1"}
	case "back":
		st.State, st.Reason = line.Running, line.Reason{Cause: line.CarrierBack}
	default:
		s.session(m, words)
	}
}

// session changes the session of a line: its address, or one of these keys.
func (s *script) session(m *Member, words []string) {
	for _, word := range words {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "mtu":
			session := *m.Status.Session
			session.MTU = s.number(value)
			m.Status.Session = &session
		case "ipv6":
			m.Status.IPv6 = line.IPv6{}
			if value == "" {
				break
			}
			m.Status.IPv6 = line.IPv6{Local: netip.MustParseAddr(value), Peer: netip.MustParseAddr("fe80::1")}
		case "dns":
			m.Status.IPv4.DNS = []netip.Addr{netip.MustParseAddr(value)}
		case "rtt":
			m.Status.Echo.Least = s.duration(value)
		case "learned":
			m.Learned = rate.Estimate{Rate: uint64(s.number(value)), Settled: true}
		case "guessed":
			m.Learned = rate.Estimate{Rate: uint64(s.number(value))}
		case "silent":
			m.Status.Echo.Silent = s.number(value)
		case "pings":
			m.Ping.Silent = s.number(value)
		case "address":
			m.Status.IPv4.Local, _ = netip.ParseAddr(value)
		default:
			m.Status.IPv4.Local = netip.MustParseAddr(word)
		}
	}
}
