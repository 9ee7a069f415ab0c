package internet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestTally(t *testing.T) {
	type step struct {
		at     time.Duration
		answer int // the number of a request, or send
	}
	const send = -1
	for _, test := range []struct {
		name  string
		steps []step
		end   time.Duration
		want  EchoStatistics
	}{
		{"nothing", nil, 0, EchoStatistics{}},
		{"waited for", []step{{0, send}}, 999 * ms, EchoStatistics{Sent: 1}},
		{"lost", []step{{0, send}}, 1000 * ms, EchoStatistics{Sent: 1, Lost: 1}},
		{"one", []step{{0, send}, {30 * ms, 0}}, time.Hour,
			EchoStatistics{Sent: 1, Received: 1, Last: 30 * ms, Min: 30 * ms, Mean: 30 * ms, Max: 30 * ms}},
		{"three", []step{{0, send}, {30 * ms, 0}, {100 * ms, send}, {110 * ms, 1}, {200 * ms, send}, {220 * ms, 2}}, time.Hour,
			EchoStatistics{Sent: 3, Received: 3, Last: 20 * ms, Min: 10 * ms, Mean: 20 * ms, Max: 30 * ms}},
		{"reordered", []step{{0, send}, {0, send}, {0, send}, {10 * ms, 2}, {20 * ms, 0}, {30 * ms, 1}}, time.Hour,
			EchoStatistics{Sent: 3, Received: 3, Reordered: 2, Last: 30 * ms, Min: 10 * ms, Mean: 20 * ms, Max: 30 * ms}},
		{"a gap is not a reordering", []step{{0, send}, {0, send}, {10 * ms, 1}}, time.Hour,
			EchoStatistics{Sent: 2, Received: 1, Lost: 1, Last: 10 * ms, Min: 10 * ms, Mean: 10 * ms, Max: 10 * ms}},
		{"twice", []step{{0, send}, {10 * ms, 0}, {20 * ms, 0}}, time.Hour,
			EchoStatistics{Sent: 1, Received: 1, Stale: 1, Last: 10 * ms, Min: 10 * ms, Mean: 10 * ms, Max: 10 * ms}},
		{"too late", []step{{0, send}, {1000 * ms, 0}}, time.Hour, EchoStatistics{Sent: 1, Lost: 1, Stale: 1}},
		{"never asked for", []step{{0, send}, {10 * ms, 7}}, 10 * ms, EchoStatistics{Sent: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			begin := time.Unix(0, 0)
			y := tally{timeout: 1000 * ms, sentAt: map[uint64]time.Time{}}
			for _, s := range test.steps {
				if s.answer == send {
					y.send(begin.Add(s.at))
				} else {
					y.answer(begin.Add(s.at), uint64(s.answer))
				}
			}
			y.expire(begin.Add(test.end))
			if got := y.statistics(); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if waiting := test.want.Sent - test.want.Received - test.want.Lost; len(y.sentAt) != waiting {
				t.Errorf("%d requests are kept, %d are waited for", len(y.sentAt), waiting)
			}
		})
	}
}

// A peer that answers each second request, 20 ms later.
func TestEchoInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 100)
			for i := 0; ; i++ {
				n, err := theirs.Read(b)
				if err != nil {
					return
				}
				if n != 60 {
					t.Errorf("a request of %d bytes", n)
				}
				time.Sleep(20 * ms)
				if i%2 == 0 {
					_, _ = theirs.Write(b[:n])
				}
			}
		}()
		e, err := StartEcho(func(_ context.Context, network, address string) (net.Conn, error) {
			if network != "udp" || address != "192.0.2.1:7" {
				t.Errorf("dialled %s %s", network, address)
			}
			return ours, nil
		}, server4, EchoConfig{Interval: 50 * ms, Timeout: 200 * ms, Size: 60})
		must(t, err)
		time.Sleep(1010 * ms) // requests 0 to 20; the even ones below 20 are answered, and of the odd ones those to 15 given up
		want := EchoStatistics{Sent: 21, Received: 10, Lost: 8, Last: 20 * ms, Min: 20 * ms, Mean: 20 * ms, Max: 20 * ms}
		if got := e.Statistics(); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		must(t, e.Close())
		must(t, e.Close())
		time.Sleep(time.Hour)
		if got := e.Statistics(); got != want {
			t.Errorf("after Close: got  %+v\nwant %+v", got, want)
		}
	})
}

func TestEcho(t *testing.T) {
	s := newSpace(t)
	server := s.serve(t, server6)
	e, err := StartEcho(s.dial, server6, EchoConfig{Interval: 5 * ms, Timeout: patience})
	must(t, err)
	defer e.Close()
	eventually(t, func() error {
		if got := e.Statistics(); got.Received < 10 || got.Min <= 0 || got.Mean < got.Min || got.Max < got.Mean {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	// It goes on when the server is not there (ICMP says so), and when it is there again.
	must(t, server.Close())
	before := e.Statistics()
	eventually(t, func() error {
		if got := e.Statistics(); got.Sent < before.Sent+10 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	before = e.Statistics()
	s.serve(t, server6)
	eventually(t, func() error {
		if got := e.Statistics(); got.Received < before.Received+10 {
			return fmt.Errorf("%+v, before %+v", got, before)
		}
		return nil
	})
}

func TestEchoErrors(t *testing.T) {
	s := newSpace(t)
	want := "pinging 198.18.0.1: dial udp 198.18.0.1:7: connect: network is unreachable"
	if _, err := StartEcho(s.dial, netip.MustParseAddr("198.18.0.1"), EchoConfig{}); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
