package lab

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// ThroughputConfig describes a transfer by TCP.
type ThroughputConfig struct {
	Client, Server *Namespace
	Address        string        // of the server, as the client reaches it
	Duration       time.Duration // whole seconds
	Reverse        bool          // from the server to the client
	Options        []string      // more for iperf3 -c
}

// Throughput runs iperf3 and returns the bits per second that arrived.
func Throughput(t testing.TB, c ThroughputConfig) float64 {
	t.Helper()
	server := c.Server.Command("iperf3", "--server", "--one-off", "--bind", c.Address, "--forceflush")
	if err := server.Start(); err != nil {
		t.Fatalf("starting iperf3: %v", err)
	}
	defer func() {
		_ = server.Process.Kill() // it has ended by itself, unless the client never came
		_ = server.Wait()
	}()
	Eventually(t, 5*time.Second, func() error {
		return c.Server.Command("sh", "-c", "ss -Hltn sport = :5201 | grep -q .").Run()
	})
	args := []string{"--client", c.Address, "--json", "--time", strconv.Itoa(int(c.Duration.Seconds())), "--connect-timeout", "3000"}
	if c.Reverse {
		args = append(args, "--reverse")
	}
	out, err := c.Client.Command("iperf3", append(args, c.Options...)...).Output()
	rate, parseErr := receivedRate(out)
	if err != nil || parseErr != nil {
		t.Fatalf("iperf3: %v, %v\n%s", err, parseErr, out)
	}
	return rate
}

// receivedRate reads the report of iperf3 --json.
func receivedRate(report []byte) (bitsPerSecond float64, err error) {
	var r struct {
		Error string
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return 0, fmt.Errorf("reading the report: %w", err)
	}
	if r.Error != "" {
		return 0, fmt.Errorf("the report says: %s", r.Error)
	}
	return r.End.Received.BitsPerSecond, nil
}
