// Package lab builds small networks on a real kernel, for end-to-end tests and benchmarks inside the guest of package lab/vm.
//
//	+-- Namespace "router" ----+          Cable          +-- Namespace "isp" ----------------------+
//	| linebond, or Reference   |                         |  AC: pppoe-server, pppd per session     |
//	| (pppd + rp-pppoe.so) ----+ eth1 ======= ac1 -------+- ac1.101                                |
//	+--------------------------+        veth, VLANs      +-----------------------------------------+
//
// Both sides are processes of the one guest. What a test makes here is gone when the test ends. A helper that takes a testing.TB
// fails that test itself; one that returns an error is for Eventually.
package lab

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const pollInterval = 100 * time.Millisecond // a check commonly starts a process, which is dear in an emulated machine

// Eventually calls check until it returns nil, and fails the test with check's last error if it does not within the timeout.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("after %v still: %v", timeout, err)
		case <-tick.C:
		}
	}
}

// descendants lists the processes below pid, parents before children.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	var found []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		found = append(found, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return found
}

// parentOf reads /proc/PID/stat: "PID (name, which may contain spaces) STATE PARENT ...". A process that has just ended has none.
func parentOf(pid int) (parent int, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(data)[strings.LastIndexByte(string(data), ')')+1:])
	parent, err = strconv.Atoi(fields[1])
	return parent, err == nil
}
