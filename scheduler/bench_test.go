//go:build bench

package scheduler

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linebond/scheduler/model"
)

// first has this process, and all that it starts, run before others on the machine.
func first(t *testing.T) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	must(t, err)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		must(t, err)
		must(t, unix.Setpriority(unix.PRIO_PROCESS, id, -20))
	}
}

// TestBenchSaturated counts packets that are kept from a line which is only full: ten minutes, echoes every 100 ms, queues of 500 ms.
func TestBenchSaturated(t *testing.T) {
	first(t)
	for _, s := range saturations {
		const interval = 100 * time.Millisecond
		passed, packets := saturated(t, s.loss, interval).saturate(s.how, interval, 120)
		t.Logf("%-52s %7d packets, %d passed over", s.name, packets, passed)
	}
}

// TestBenchBlackHole measures how long packets go into a line that is a black hole, with echoes every 100 ms.
func TestBenchBlackHole(t *testing.T) {
	first(t)
	for _, how := range []string{"", "-u -b 23M -l 1400", "-u -b 50M -l 1400"} {
		var all []float64
		for range 5 {
			w := newWorld(t, lineConfig{rate: 20e6, queue: 500 * time.Millisecond}, lineConfig{rate: 5e6, queue: 500 * time.Millisecond})
			all = append(all, float64(w.blackHole(how, 100*time.Millisecond).Milliseconds()))
		}
		t.Logf("%-20s the last packet %.0f ms after the fault (median; %.0f)", "iperf3 "+how, median(all), all)
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// TestBenchChoice is what the program takes for a packet, without the packet's way.
func TestBenchChoice(t *testing.T) {
	var programs programsObjects
	must(t, loadProgramsObjects(&programs, nil))
	defer programs.Close()
	for _, lines := range []int{1, 2, 4, 8, 16} {
		for _, load := range []string{"idle", "saturated"} {
			c := model.Config{Cap: 20e6, DeadAfter: 300e6, Count: uint64(lines)}
			rate := uint64(20e6)
			if load == "idle" {
				rate = 100e9
			}
			pace, err := model.Pace(rate)
			must(t, err)
			for i := range lines {
				c.Lines[i] = model.Line{Device: 1, Epoch: 1, Pace: pace, Delay: uint64(i) * 1e6, Overhead: 52}
			}
			must(t, programs.Config.Put(only, c))
			must(t, programs.State.Put(only, model.State{}))
			data := make([]byte, 14+64)
			data[12] = 8
			_, took, err := programs.Choose.Benchmark(data, 1_000_000, func() {})
			must(t, err)
			t.Logf("%2d lines, %-9s %4d ns a packet", lines, load, took.Nanoseconds())
		}
	}
}

// TestBenchForward is the cost of a packet of 64 bytes that is forwarded from the LAN, by the number of lines, beside plain forwarding to
// one line. All of its way is on the sender's processor; what the sender alone takes, whose packets the router drops at once, is taken
// off. The least of many measurements counts: others on the machine only ever add to it.
func TestBenchForward(t *testing.T) {
	first(t)
	w := newWorld(t, make([]lineConfig, 8)...)
	w.isp.sh("nft 'add table netdev t'")
	for i := range w.lines {
		w.isp.sh("nft 'add chain netdev t c%[1]d { type filter hook ingress device ppp-%[1]d priority 0; policy drop; }'", i)
	}
	w.router.sh("nft 'add table netdev t; add chain netdev t c { type filter hook ingress device lan priority 0; }'")
	least := map[string]float64{}
	ways := []string{"sender", "plain", "1 line", "2 lines", "4 lines", "8 lines"}
	for range 12 {
		for _, way := range ways {
			to := "wanbond0"
			switch n, _ := strconv.Atoi(way[:1]); way {
			case "sender":
				w.router.sh("nft 'add rule netdev t c udp dport 9 drop'")
			case "plain":
				to = "ppp-0"
			default:
				must(t, w.bond.SetLines(w.lines[:n]))
			}
			w.router.sh("ip route replace default dev %s", to)
			took := w.flood()
			if old, ok := least[way]; !ok || took < old {
				least[way] = took
			}
			if way == "sender" {
				w.router.sh("nft flush chain netdev t c")
			}
		}
	}
	sender, plain := least["sender"], least["plain"]
	for _, way := range ways {
		t.Logf("%-8s %5.0f ns a packet; %.2f of plain forwarding, %.2f without the sender", way, least[way], least[way]/plain,
			(least[way]-sender)/(plain-sender))
	}
}

// flood sends packets from the LAN through the router for a while, and returns ns of processor time per packet: the whole way, sender included.
func (w *world) flood() float64 {
	w.Helper()
	const packets = 100_000
	var took time.Duration
	must(w, w.lan.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 10, 0, 1}}); err != nil {
			return err
		}
		payload := make([]byte, 36)
		var one unix.CPUSet // or the kernel's work for the packets would be another processor's at times
		one.Set(0)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return err
		}
		var begun, ended unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begun); err != nil {
			return err
		}
		for range packets {
			if _, err := unix.Write(fd, payload); err != nil {
				return err
			}
		}
		err = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ended)
		took = time.Duration(ended.Nano() - begun.Nano())
		return err
	}))
	return float64(took.Nanoseconds()) / packets
}

// TestBenchFlows compares the bond of 20 and 5 Mbit/s with its faster line alone: with the cap alone, for which rates are believed at
// 0.95 of what they are said to be, and with a queue on the bond at 0.97 of the sum (by tbf, where cake is missing).
func TestBenchFlows(t *testing.T) {
	type setting struct {
		name   string
		far    time.Duration // delay of the slower line; the faster one's is 10 ms
		said   float64       // of the true rates
		alone  bool
		shaped bool
	}
	const near = 10 * time.Millisecond
	for _, test := range []setting{
		{name: "the faster line alone", far: near, said: 1, alone: true},
		{name: "cap", far: near, said: 1},
		{name: "cap, rates 5 % too high", far: near, said: 1.05},
		{name: "cap, rates 5 % too low", far: near, said: 0.95},
		{name: "cap, 10 and 25 ms", far: 25 * time.Millisecond, said: 1},
		{name: "shaped", far: near, said: 1, shaped: true},
		{name: "shaped, 10 and 25 ms", far: 25 * time.Millisecond, said: 1, shaped: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, lineConfig{rate: 20e6, delay: near}, lineConfig{rate: 5e6, delay: test.far})
			believed := 0.95 * test.said
			if test.shaped {
				believed = test.said
				// tbf cuts what is bigger than its burst, and then counts no overhead (stab) but the Ethernet header.
				const rate = 0.97 * 25e6 * (mtu + 14) / (mtu + ethernet)
				w.router.sh("tc qdisc add dev wanbond0 root tbf rate %.0fbit burst 4k latency 20ms", test.said*rate)
			}
			for i := range w.lines {
				w.lines[i].Rate = uint64(float64(w.lines[i].Rate) * believed)
			}
			if test.alone {
				w.lines = w.lines[:1]
			}
			must(t, w.bond.SetLines(w.lines))
			for _, flows := range []int{1, 8} {
				w.measure(test.name, flows)
			}
			if !test.alone {
				r := w.transfer(w.lan, server+" -t 4 -u -l 1400 -b 21M")
				t.Logf("%-24s UDP at 90 %%: lost %d, out of order %s of %d", test.name, r.End.Sum.Lost, outOfOrder(r), r.End.Sum.Packets)
			}
		})
	}
}

// measure prints what TCP flows from the LAN reach, in shares of the sum of 25 Mbit/s without the headers.
func (w *world) measure(name string, flows int) {
	w.Helper()
	const sum = 25e6 * (mtu - 52) / (mtu + ethernet) // 52: TCP with time stamps
	var share, late, ping []float64
	for range 3 {
		before := w.segments()
		pings := make(chan string)
		go func() {
			out, _ := w.lan.try("ping -q -i 0.1 -c 50 %s", server)
			pings <- out
		}()
		r := w.transfer(w.lan, fmt.Sprintf("%s -t 5 -P %d", server, flows))
		after := w.segments()
		share = append(share, r.End.Received.Rate/sum)
		late = append(late, (after[1]-before[1])/(after[0]-before[0]))
		ping = append(ping, average(<-pings))
	}
	w.Logf("%-24s %d flows: %.3f of the sum, %4.1f %% out of order, ping %3.0f ms", name, flows, median(share), 100*median(late), median(ping))
}

// outOfOrder is the number of datagrams of which the server says so; it says nothing if there are none.
func outOfOrder(r report) string {
	before, _, found := strings.Cut(r.Server, " datagrams received out-of-order")
	if !found {
		return "0"
	}
	return before[strings.LastIndex(before, " ")+1:]
}

// segments are TCP segments that the ISP has received: all, and those that came out of order, be it behind one that was lost.
func (w *world) segments() [2]float64 {
	w.Helper()
	var r struct {
		Kernel struct{ TcpInSegs, TcpExtTCPOFOQueue float64 }
	}
	must(w, json.Unmarshal([]byte(w.isp.sh("nstat -jasz TcpInSegs TcpExtTCPOFOQueue")), &r))
	return [2]float64{r.Kernel.TcpInSegs, r.Kernel.TcpExtTCPOFOQueue}
}

// average is what ping says: "rtt min/avg/max/mdev = 1/2/3/4 ms".
func average(ping string) float64 {
	_, numbers, _ := strings.Cut(ping, " = ")
	f := strings.Split(numbers, "/")
	if len(f) < 2 {
		return -1
	}
	v, _ := strconv.ParseFloat(f[1], 64)
	return v
}
