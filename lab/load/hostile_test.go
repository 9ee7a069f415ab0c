package load

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linebond/control"
	"linebond/lab/isp"
	"linebond/lab/netns"
	"linebond/line"
	"linebond/ppp"
	"linebond/pppoe"
)

// The lines of TestHostileAC: as many of each access concentrator's, by its name.
var parties = []struct {
	ac, device string
	vlans      []string // the key vlan of each line, "" for none
}{
	{"bad", "eth1", []string{"", "", "", "", "101", "102", "[200, 7]", "[200, 8]"}},
	{"near", "eth1", []string{"", "", "", "", "101", "102", "[200, 7]", "[200, 8]"}}, // beside the hostile one
	{"far", "eth2", []string{"", "", "101", "[200, 7]"}},
}

// hostUniq is what near lines say in each PADI: the hostile access concentrator has heard it.
const hostUniq = "good line"

// An attack is what the hostile access concentrator knows and sends by.
type attack struct {
	fd          int
	device      int // index of eth1
	home        net.HardwareAddr
	mac         net.HardwareAddr // its own
	mine, other []isp.Session    // its own sessions, those of the other access concentrator on the same device
}

// A kind of frame that it sends: the i-th of them.
type kind func(a *attack, i int) []byte

// stages are what it sends for some time each, its kinds in turn. Nothing has the address of another access concentrator: who can send by that
// can end any session.
var stages = []struct {
	name  string
	long  time.Duration
	kinds []kind
}{
	{"discovery", 4 * time.Second, []kind{
		func(a *attack, i int) []byte { return a.discovery(i, pppoe.PADO, 0) },
		func(a *attack, i int) []byte { return a.discovery(i, pppoe.PADS, uint16(i)|1) },
		func(a *attack, i int) []byte { return a.discovery(i, pppoe.PADT, a.other[i%len(a.other)].ID) },
	}},
	{"sessions of others, and of nobody", 12 * time.Second, []kind{ // longer than echoes may be lost
		func(a *attack, i int) []byte {
			s := a.other[i%len(a.other)]
			return a.session(s, s.ID, ppp.LCP, ppp.Packet{Code: ppp.TerminateRequest, ID: byte(i)})
		},
		func(a *attack, i int) []byte {
			return a.session(a.other[i%len(a.other)], 20000+uint16(i%40000), ppp.LCP, ppp.Packet{Code: ppp.ConfigureRequest, ID: byte(i)})
		},
	}},
	{"what is no frame of its own sessions", 3 * time.Second, []kind{(*attack).crooked}},
	{"its own sessions", 4 * time.Second, []kind{
		own(ppp.LCP, ppp.EchoRequest, 1400),
		own(ppp.LCP, 200, 1400),
		own(0x80fd, ppp.ConfigureRequest, 10),
		own(ppp.CHAP, 1, 17), // a Challenge
	}},
	{"its own sessions, from the beginning", 4 * time.Second, []kind{
		own(ppp.IPCP, ppp.ConfigureRequest, 0),
		own(ppp.LCP, ppp.ConfigureRequest, 0),
	}},
	{"the end of its own sessions", 4 * time.Second, []kind{own(ppp.LCP, ppp.TerminateRequest, 0)}},
}

// discovery has the Host-Uniq of the other's lines, a random one, or none; to the host or to all.
func (a *attack) discovery(i int, code pppoe.Code, session uint16) []byte {
	p := pppoe.Packet{Code: code, SessionID: session, Tags: []pppoe.Tag{{Type: pppoe.TagServiceName}}}
	switch i % 3 {
	case 0:
		p.Tags = append(p.Tags, pppoe.Tag{Type: pppoe.TagHostUniq, Value: []byte(hostUniq)})
	case 1:
		p.Tags = append(p.Tags, pppoe.Tag{Type: pppoe.TagHostUniq, Value: binary.BigEndian.AppendUint64(nil, rand.Uint64())})
	}
	to := a.home
	if i%5 == 0 {
		to = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return a.frame(to, a.other[i/3%len(a.other)], unix.ETH_P_PPP_DISC, p.Append(nil))
}

// own makes packets of its own sessions, with data up to a length.
func own(protocol ppp.Protocol, code ppp.Code, most int) kind {
	return func(a *attack, i int) []byte {
		s := a.mine[i%len(a.mine)]
		data := make([]byte, most)
		if protocol == ppp.CHAP {
			data[0] = byte(most - 1) // the value's length
		} else {
			data = data[:i%(most+1)]
		}
		return a.session(s, s.ID, protocol, ppp.Packet{Code: code, ID: byte(i), Data: data})
	}
}

// session is a frame on the way to s, of the session with the id given.
func (a *attack) session(way isp.Session, id uint16, protocol ppp.Protocol, p ppp.Packet) []byte {
	b := p.Append(nil)
	header := []byte{0x11, 0}
	header = binary.BigEndian.AppendUint16(header, id)
	header = binary.BigEndian.AppendUint16(header, uint16(2+len(b)))
	header = binary.BigEndian.AppendUint16(header, uint16(protocol))
	return a.frame(a.home, way, unix.ETH_P_PPP_SES, append(header, b...))
}

func (a *attack) frame(to net.HardwareAddr, way isp.Session, etherType uint16, payload []byte) []byte {
	b := append(append([]byte(nil), to...), a.mac...)
	for _, t := range way.Tags {
		b = binary.BigEndian.AppendUint16(b, t.Protocol)
		b = binary.BigEndian.AppendUint16(b, t.ID)
	}
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

// crooked is a frame of one of its own sessions with a tag too many, without its tag, too long, cut off, or with a length that is wrong.
func (a *attack) crooked(i int) []byte {
	s := a.mine[i/5%len(a.mine)]
	b := a.session(s, s.ID, ppp.LCP, ppp.Packet{Code: ppp.EchoReply, ID: byte(i), Data: make([]byte, 40)})
	head := 14 + 4*len(s.Tags)
	switch i % 5 {
	case 0:
		tags := []byte{0x81, 0, 0, byte(i), 0x81, 0, 0, 5}
		return append(append(append([]byte(nil), b[:12]...), tags...), b[12:]...)
	case 1:
		return append(append([]byte(nil), b[:12]...), b[head-2:]...)
	case 2:
		binary.BigEndian.PutUint16(b[head+4:], 1400)
		return append(b, make([]byte, 1400)...)
	case 3:
		return b[:14+rand.IntN(head-5)]
	}
	binary.BigEndian.PutUint16(b[head+4:], uint16(rand.IntN(1<<16)))
	return b
}

// run sends frames of some kinds for as long as d, from several threads, and says how many they were.
func (a *attack) run(d time.Duration, kinds []kind) int {
	const threads = 3
	end, sent := time.Now().Add(d), make(chan int)
	for range threads {
		go func() {
			n, to := 0, &unix.SockaddrLinklayer{Ifindex: a.device}
			for i := 0; time.Now().Before(end); i++ {
				if unix.Sendto(a.fd, kinds[i%len(kinds)](a, i/len(kinds)), 0, to) == nil {
					n++
				}
			}
			sent <- n
		}()
	}
	sum := 0
	for range threads {
		sum += <-sent
	}
	return sum
}

// know has the attacker know all sessions of this moment.
func (a *attack) know(bad, good *isp.ISP) {
	a.mine, a.other = bad.Sessions(), slices.DeleteFunc(good.Sessions(), func(s isp.Session) bool { return s.AC == "far" })
}

// newAttack opens the socket that all floods leave by.
func (w *world) newAttack() *attack {
	w.t.Helper()
	a := &attack{}
	must(w.t, netns.Do(w.home, func() error {
		i, err := net.InterfaceByName("eth1")
		if err == nil {
			a.home = i.HardwareAddr
		}
		return err
	}))
	must(w.t, netns.Do(w.far, func() error {
		i, err := net.InterfaceByName("eth1")
		if err != nil {
			return err
		}
		a.device, a.mac = i.Index, i.HardwareAddr
		a.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	w.t.Cleanup(func() { unix.Close(a.fd) })
	return a
}

// of are the lines of an access concentrator; they are sorted by name, and so by party.
func of(s control.Status, ac string) []control.Line {
	first := 0
	for _, p := range parties {
		if p.ac == ac {
			return s.Lines[first : first+len(p.vlans)]
		}
		first += len(p.vlans)
	}
	return nil
}

// entries are those of the daemon's log.
func (w *world) entries() []string {
	w.t.Helper()
	text, err := os.ReadFile(w.log)
	must(w.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// hostile starts the parties' lines and access concentrators.
func hostile(t *testing.T) (w *world, bad, good *isp.ISP) {
	t.Helper()
	w = emptyWorld(t, "eth1", "eth2")
	lines := 0
	for _, p := range parties {
		for _, vlan := range p.vlans {
			more := fmt.Sprintf("ac_name = %q\n", p.ac)
			if vlan != "" {
				more += "vlan = " + vlan + "\n"
			}
			if p.ac == "near" {
				more += fmt.Sprintf("host_uniq = \"%x\"\n", hostUniq)
			}
			w.configure(lines, p.device, more)
			lines++
		}
	}
	bad = w.open(isp.Config{ACs: []isp.AC{{Device: "eth1", Config: bras("bad", lines)}}})
	near := bras("near", lines)
	near.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	good = w.open(isp.Config{ACs: []isp.AC{{Device: "eth1", Config: near}, {Device: "eth2", Config: bras("far", lines)}}})
	w.run(build(t))
	return w, bad, good
}

const (
	// memoryBound is how much more memory, in kB, a flood may cost. What grows is the early frames, half a megabyte for each number of tags (the
	// untagged, VLAN and QinQ lines have one each), and for each line two inboxes of 8 frames, up to 25 kB: together 2 MB. The collector
	// lets garbage, of which a flood makes much, grow to as much as is in use: some 5 MB of the daemon's own, and these. The sockets' queues
	// are the kernel's.
	memoryBound = 16_000
	// logBound is how many entries a line may write in a minute: burst in package daemon.
	logBound = 120
)

// TestHostileAC has an access concentrator flood the device that its lines share with another's. The others lose no session, the daemon
// neither grows nor fills its log, and afterwards all are up.
func TestHostileAC(t *testing.T) {
	w, bad, good := hostile(t)
	w.wait("all lines", time.Now(), func() bool {
		return w.answers() && up(w.status(), "bad") && up(w.status(), "near") && up(w.status(), "far")
	})
	a := w.newAttack()
	start, rss, before, logged := time.Now(), w.memory("VmRSS"), w.status(), len(w.entries())
	for _, s := range stages {
		w.wait("the bad one's lines", time.Now(), func() bool { return up(w.status(), "bad") })
		a.know(bad, good)
		cpu := w.cpu()
		n := a.run(s.long, s.kinds)
		t.Logf("%s: %d frames in %v, %v of the daemon's CPU time", s.name, n, s.long, w.cpu()-cpu)
		w.unharmed(before)
	}
	must(t, bad.Garbage("bad", 50_000))
	w.unharmed(before)
	must(t, bad.PADT("bad", "goodbye"))
	took := w.wait("the bad one's lines", time.Now(), func() bool { return up(w.status(), "bad") })
	w.unharmed(before)
	w.counted()
	peak := w.memory("VmHWM")
	if peak-rss > memoryBound {
		t.Errorf("memory has grown from %.0f to %.0f kB", rss, peak)
	}
	entries := w.entries()[logged:]
	if most := logBound * (1 + len(of(before, "bad"))) * (2 + int(time.Since(start)/time.Minute)); len(entries) > most {
		t.Errorf("%d log entries, want %d at most", len(entries), most)
	}
	for _, e := range entries {
		for _, l := range append(of(before, "near"), of(before, "far")...) {
			if strings.Contains(e, l.Name) {
				t.Errorf("the log says of a line that nobody should have harmed: %s", e)
			}
		}
	}
	t.Logf("memory %.1f MB, at most %.1f; %d log entries; the bad one's lines are up again after %.1f s; dropped beside it: %v",
		rss/1000, peak/1000, len(entries), took.Seconds(), of(w.status(), "near")[0].Dropped)
	w.stop()
}

// up says whether all lines of an access concentrator are up and have their echoes answered.
func up(s control.Status, ac string) bool {
	for _, l := range of(s, ac) {
		if l.State != line.Running.String() || l.Echo.RTT == 0 {
			return false
		}
	}
	return true
}

// unharmed wants the others' lines to have the sessions that they had.
func (w *world) unharmed(before control.Status) {
	w.t.Helper()
	s := w.status()
	for _, ac := range []string{"near", "far"} {
		for i, l := range of(s, ac) {
			was := of(before, ac)[i]
			if l.State != was.State || l.Counters.Sessions != was.Counters.Sessions || l.Session.ID != was.Session.ID {
				w.t.Errorf("line %s of %s: %s, %s; %d sessions", l.Name, ac, l.State, l.Reason, l.Counters.Sessions)
			}
		}
	}
}

// counted wants the status to tell of what was dropped.
func (w *world) counted() {
	w.t.Helper()
	s := w.status()
	var sum control.Counters
	dropped := map[string]uint64{}
	for _, l := range append(of(s, "bad"), of(s, "near")...) {
		sum.Malformed += l.Counters.Malformed
		sum.Unexpected += l.Counters.Unexpected
		sum.Unknown += l.Counters.Unknown
		sum.Excess += l.Counters.Excess
		for reason, n := range l.Dropped {
			dropped[reason] += n
		}
	}
	if sum.Malformed == 0 || sum.Unexpected == 0 || sum.Unknown == 0 || sum.Excess == 0 || dropped["device_too_short"] == 0 {
		w.t.Errorf("counted: %+v %v", sum, dropped)
	}
}
