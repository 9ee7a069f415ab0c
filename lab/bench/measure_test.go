//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linebond/lab"
)

// A result is what a transfer reached.
type result struct {
	share       float64 // of the sum of the lines' rates, headers included
	late        float64 // of the packets, those that came after one that was sent later
	retransmits float64
	lost        float64    // of the packets of UDP
	ping        [2]float64 // under load, ms more than idle: 50 and 95 of 100
}

// A report is what iperf3 says at one end.
type report struct {
	End struct {
		Received struct {
			Rate float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sent struct {
			Retransmits float64
		} `json:"sum_sent"`
		Streams []struct {
			UDP struct {
				Packets float64
				Lost    float64 `json:"lost_packets"`
				Late    float64 `json:"out_of_order"`
			}
		}
	}
	Error string
}

// transfer has iperf3 send from the LAN, and returns what both ends say.
func (w *world) transfer(options ...string) (client, server report) {
	w.t.Helper()
	listener := w.ISP.Command("iperf3", "-s", "-1", "-J", "-B", lab.BondServer)
	var out strings.Builder
	listener.Stdout, listener.Stderr = &out, &out
	if err := listener.Start(); err != nil {
		w.t.Fatal(err)
	}
	lab.Eventually(w.t, patience, func() error { return w.ISP.Command("sh", "-c", "ss -Hltn sport = :5201 | grep -q .").Run() })
	said, err := w.LAN.Command("iperf3", append([]string{"-J", "-c", lab.BondServer}, options...)...).CombinedOutput()
	if err != nil {
		_ = listener.Process.Kill()
	}
	_ = listener.Wait()
	for text, end := range map[string]*report{string(said): &client, out.String(): &server} {
		if jsonErr := json.Unmarshal([]byte(text), end); err != nil || jsonErr != nil || end.Error != "" {
			w.t.Fatalf("iperf3: %v, %v\n%s", err, jsonErr, text)
		}
	}
	return client, server
}

// tcp measures flows from the LAN, for 6 s after slow start.
func (w *world) tcp(flows int) (r result) {
	w.t.Helper()
	const slowStart, headers = 4 * time.Second, 20 + 32 // IP, and TCP with time stamps
	idle := w.ping(10)
	pings := make(chan [2]float64)
	before := w.segments()
	go func() {
		<-time.After(slowStart)
		pings <- w.ping(55)
	}()
	client, _ := w.transfer("-t", "6", "-O", "4", "-P", strconv.Itoa(flows))
	after, loaded := w.segments(), <-pings
	r.share = client.End.Received.Rate * (mtu + overhead) / (mtu - headers) / w.sum()
	r.late = (after[1] - before[1]) / (after[0] - before[0])
	r.retransmits = client.End.Sent.Retransmits
	r.ping = [2]float64{loaded[0] - idle[0], loaded[1] - idle[0]}
	return r
}

// udp measures datagrams at a share of the sum of the rates.
func (w *world) udp(share float64) result {
	w.t.Helper()
	const size, headers = 1400, 20 + 8
	rate := share * w.sum() * size / (size + headers + overhead)
	_, server := w.transfer("-u", "-l", strconv.Itoa(size), "-t", "6", "-b", fmt.Sprintf("%.0f", rate))
	u := server.End.Streams[0].UDP
	return result{lost: u.Lost / u.Packets, late: u.Late / u.Packets}
}

// ping returns two quantiles of the round trips from the LAN, in ms, 10 a second: 50 and 95 of 100.
func (w *world) ping(count int) (quantiles [2]float64) {
	out, _ := w.LAN.Command("ping", "-n", "-i", "0.1", "-c", strconv.Itoa(count), "-W", "2", lab.BondServer).Output()
	var all []float64
	for l := range strings.Lines(string(out)) {
		_, after, found := strings.Cut(l, "time=")
		ms, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(after), " ms"), 64)
		if found && err == nil {
			all = append(all, ms)
		}
	}
	if len(all) == 0 {
		return [2]float64{9999, 9999} // none came back
	}
	slices.Sort(all)
	return [2]float64{all[len(all)/2], all[len(all)*95/100]}
}

// segments are TCP segments that the ISP has received: all, and those that came out of order.
func (w *world) segments() [2]float64 {
	w.t.Helper()
	var r struct {
		Kernel struct{ TcpInSegs, TcpExtTCPOFOQueue float64 }
	}
	if err := json.Unmarshal([]byte(w.ISP.Run(w.t, "nstat", "-jasz", "TcpInSegs", "TcpExtTCPOFOQueue")), &r); err != nil {
		w.t.Fatal(err)
	}
	return [2]float64{r.Kernel.TcpInSegs, r.Kernel.TcpExtTCPOFOQueue}
}

// thrice returns the median of each number of three measurements.
func thrice(measure func() result) result {
	all := []result{measure(), measure(), measure()}
	of := func(number func(result) float64) float64 {
		v := []float64{number(all[0]), number(all[1]), number(all[2])}
		slices.Sort(v)
		return v[1]
	}
	return result{
		share:       of(func(r result) float64 { return r.share }),
		late:        of(func(r result) float64 { return r.late }),
		retransmits: of(func(r result) float64 { return r.retransmits }),
		lost:        of(func(r result) float64 { return r.lost }),
		ping: [2]float64{
			of(func(r result) float64 { return r.ping[0] }),
			of(func(r result) float64 { return r.ping[1] }),
		},
	}
}
