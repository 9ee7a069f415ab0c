package isp

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"linebond/lab"
)

// TestNetworkThread: on whatever thread a network's goroutine begins, it lives in the ISP's namespace, and the process stays where it is.
func TestNetworkThread(t *testing.T) {
	space := lab.NewNamespace(t, "ispt-thread")
	var home int
	var inside string
	var err error
	space.Do(t, func() {
		home, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		inside = where(t, "/proc/thread-self/ns/net")
	})
	must(t, err)
	defer unix.Close(home)
	outside := where(t, "/proc/self/ns/net")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			n := &network{requests: make(chan func(*network)), ended: make(chan struct{})}
			started := make(chan error)
			go n.run(home, started)
			if err := <-started; err != nil {
				t.Error(err)
				return
			}
			n.post(func(*network) {
				if now := where(t, "/proc/thread-self/ns/net"); now != inside {
					t.Errorf("the goroutine lives in %s, and the ISP in %s", now, inside)
				}
				if now := where(t, "/proc/self/ns/net"); now != outside {
					t.Errorf("the process has gone from %s to %s", outside, now)
				}
			})
			close(n.requests)
			<-n.ended
		})
	}
	all.Wait()
}

// where says in which network namespace somebody is.
func where(t *testing.T, file string) string {
	t.Helper()
	name, err := os.Readlink(file)
	if err != nil {
		t.Error(err)
	}
	return name
}
