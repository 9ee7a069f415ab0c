package e2e

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linebond/lab"
)

const (
	server6   = "[" + lab.BondServer6 + "]"
	tolerance = 0.02 // of a line's share of the bytes, while the bond has more to send than it can
	used      = 0.05 // of its share, that a line carries at least while the bond now and then has nothing to send: the fastest is taken first then
)

// superPackets counts what the LAN's host sends to be cut into segments by the router.
const superPackets = "add table inet super; add chain inet super pre { type filter hook prerouting priority -300; }; " +
	"add rule inet super pre iifname lan0 meta length > 1500 counter"

// checkTraffic sends what people send.
func (w *weighted) checkTraffic(t *testing.T) {
	t.Helper()
	w.Router.Run(t, "nft", superPackets)
	var flows []*lab.Flow
	start := func(n int, from *lab.Namespace, address string) {
		for range n {
			flows = append(flows, lab.NewFlow(t, from, w.ISP, address))
		}
	}
	start(1, w.LAN, lab.BondServer)
	w.checkUse(t, "one flow from the LAN", flows...)
	start(3, w.LAN, lab.BondServer)
	start(2, w.LAN, server6)
	start(1, w.Router, lab.BondServer)
	start(1, w.Router, server6)
	w.checkUse(t, "eight flows of all kinds", flows...)
	for _, f := range flows {
		f.GoesOn(t, 1)
		f.Stop()
	}
	if out := w.Router.Run(t, "nft", "list", "table", "inet", "super"); strings.Contains(out, "counter packets 0 ") {
		t.Errorf("no super-packet has come from the LAN: %s", out)
	}
	w.Router.Run(t, "nft", "delete", "table", "inet", "super")
	w.floods(t)
	w.traffic(t, w.names()...) // the modems have nothing in their buffers any more
	for _, from := range []*lab.Namespace{w.LAN, w.Router} {
		for _, to := range []string{lab.BondServer, lab.BondServer6} {
			w.fragments(t, from, to)
			w.datagrams(t, from, to, 0)
			w.datagrams(t, from, to, 1000)
		}
	}
}

// fragments pings with packets that no line can carry in one piece.
func (w *weighted) fragments(t *testing.T, from *lab.Namespace, to string) {
	t.Helper()
	_ = from.Command("ping", "-n", "-q", "-c", "1", "-W", "1", "-s", "5000", to).Run() // by IPv6 the LAN has yet to learn of the bond's MTU
	out, err := from.Command("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "50", "-s", "5000", to).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 3 received, 0% packet loss") {
		t.Errorf("large pings from %s to %s: %v: %s", from.Name, to, err, out)
	}
}

// floods sends more than the lines can carry, in super-packets. Each line has its share of that, whatever becomes of it in the modems. A flood
// that a busy machine interrupts, so that the bond has nothing to send for a while, says nothing: of several one has to be right.
func (w *weighted) floods(t *testing.T) {
	t.Helper()
	for range 5 {
		got := w.flood(t)
		t.Logf("a flood: shares by the program %.4f", got)
		off := 0.0
		for i, want := range w.wanted() {
			off = max(off, math.Abs(got[i]-want))
		}
		if off <= tolerance {
			return
		}
	}
	t.Errorf("of no flood the lines have carried %.4f", w.wanted())
}

// flood is one, and returns the shares.
func (w *weighted) flood(t *testing.T) []float64 {
	t.Helper()
	const size, burst, bursts = 1400, 40, 50
	var client net.Conn
	var err error
	w.LAN.Do(t, func() { client, err = net.Dial("udp", net.JoinHostPort(lab.BondServer, "9")) })
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	segments(t, client, size)
	w.traffic(t, w.names()...) // nothing is under way
	var from, to carriage
	lab.Eventually(t, limit, func() error {
		from, err = w.carried(nil)
		return err
	})
	for range bursts {
		_, _ = client.Write(make([]byte, size*burst)) // that nobody listens there is said after some of them
	}
	lab.Eventually(t, limit, func() error {
		if to, err = w.carried(nil); err != nil {
			return err
		}
		var sent uint64
		for i := range to.program {
			sent += to.program[i] - from.program[i]
		}
		if sent < size*burst*bursts/2 {
			return fmt.Errorf("of the flood the program has seen %d bytes", sent)
		}
		return nil
	})
	return shares(from.program, to.program)
}

// segments has the kernel cut what is written to a UDP socket.
func segments(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// datagrams sends 50 datagrams of 1000 bytes, one by one or as super-packets for the kernel to cut, and wants each to arrive once.
func (w *weighted) datagrams(t *testing.T, from *lab.Namespace, to string, segment int) {
	t.Helper()
	const size, burst, bursts = 1000, 10, 5
	var server net.PacketConn
	var client net.Conn
	var err error
	w.ISP.Do(t, func() { server, err = net.ListenPacket("udp", net.JoinHostPort(to, "0")) })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	from.Do(t, func() { client, err = net.Dial("udp", server.LocalAddr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if segment > 0 {
		segments(t, client, segment)
	}
	var arrived [burst * bursts]atomic.Int32
	go func() {
		datagram := make([]byte, 64<<10)
		for {
			n, _, err := server.ReadFrom(datagram)
			if err != nil {
				return
			}
			if n == size && int(datagram[0]) < len(arrived) && bytes.Count(datagram[:n], datagram[:1]) == size {
				arrived[datagram[0]].Add(1)
			}
		}
	}()
	for b := range bursts {
		var payload []byte
		for i := range burst {
			payload = append(payload, bytes.Repeat([]byte{byte(b*burst + i)}, size)...)
		}
		step := size
		if segment > 0 {
			step = len(payload)
		}
		for ; len(payload) > 0; payload = payload[step:] {
			if _, err := client.Write(payload[:step]); err != nil {
				t.Errorf("datagrams from %s to %s: %v", from.Name, to, err)
				return
			}
		}
		lab.Eventually(t, limit, func() error {
			for i := range burst {
				if n := arrived[b*burst+i].Load(); n != 1 {
					return fmt.Errorf("datagram %d from %s to %s arrived %d times", b*burst+i, from.Name, to, n)
				}
			}
			return nil
		})
	}
}

// checkUse waits until each line carries a part of the bytes of these flows, as the program and as the ISP count them.
func (w *weighted) checkUse(t *testing.T, what string, flows ...*lab.Flow) {
	t.Helper()
	const load = 256 << 10
	lab.Eventually(t, limit, func() error {
		from, err := w.carried(flows)
		to := from
		for err == nil && to.received < from.received+load && time.Since(from.at) < limit {
			<-time.After(100 * time.Millisecond)
			to, err = w.carried(flows)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return w.compare(t, what, from, to)
	})
}

// compare returns nil if the lines have carried their shares from one time to another.
func (w *weighted) compare(t *testing.T, what string, from, to carriage) error {
	t.Helper()
	program, isp := shares(from.program, to.program), shares(from.isp, to.isp)
	speed := float64(to.received-from.received) * 8 / 1e6 / to.at.Sub(from.at).Seconds()
	said := fmt.Sprintf("%s: %.2f Mbit/s, shares by the program %.3f, by the ISP %.3f", what, speed, program, isp)
	t.Log(said)
	for i, want := range w.wanted() {
		if program[i] < used*want || isp[i] < used*want {
			return fmt.Errorf("%s; line %s is to carry %.3f of a full load", said, w.Lines[i].Name, want)
		}
	}
	return nil
}

// wanted are the shares that lines of these rates should have.
func (w *weighted) wanted() []float64 {
	var sum float64
	for _, u := range w.lines {
		sum += u.up
	}
	var all []float64
	for _, u := range w.lines {
		all = append(all, u.up/sum)
	}
	return all
}

// carriage is what has been carried up to a time, in bytes: by each line since it was put in, and by flows.
type carriage struct {
	at           time.Time
	received     int64
	program, isp []uint64 // as they count it
}

func (w *weighted) carried(flows []*lab.Flow) (carriage, error) {
	c := carriage{at: time.Now()}
	for _, f := range flows {
		c.received += f.Received()
	}
	for _, l := range w.Lines {
		m, err := w.member(l.Name)
		if err != nil {
			return c, err
		}
		if m.Scheduled == nil {
			return c, fmt.Errorf("line %s is not in: %s", l.Name, m.Reason)
		}
		device, err := l.SessionDevice()
		if err != nil {
			return c, err
		}
		counted, err := w.ISP.Count(device)
		if err != nil {
			return c, err
		}
		c.program, c.isp = append(c.program, m.Scheduled.Bytes), append(c.isp, counted.RxBytes)
	}
	return c, nil
}

// shares are those of each line. (Of a line that has been put in anew meanwhile it is none that any line should have.)
func shares(from, to []uint64) []float64 {
	var sum float64
	for i := range to {
		sum += float64(to[i]) - float64(from[i])
	}
	var all []float64
	for i := range to {
		all = append(all, (float64(to[i])-float64(from[i]))/sum)
	}
	return all
}

// checkClean wants no packet to have been broken, or too long for its line, on the way.
func (w *weighted) checkClean(t *testing.T) {
	t.Helper()
	status, err := w.linebond.Status()
	if err != nil || status.Trouble != "" {
		t.Fatalf("%v: %+v", err, status)
	}
	if s := status.Bonds[0].Scheduler; s == nil || s.Unsegmented+s.NotIP != 0 || s.Packets == 0 {
		t.Errorf("the program has counted %+v", s)
	}
	for _, tap := range w.wires {
		if tap.bad.Load() > 0 || tap.good.Load() == 0 {
			t.Errorf("on %s arrived %d packets with a wrong checksum, such as %v, and %d right ones", tap.device, tap.bad.Load(), tap.example.Load(), tap.good.Load())
		}
	}
	text, err := w.linebond.Run("status")
	t.Logf("linebond status: %v\n%s", err, text)
}
