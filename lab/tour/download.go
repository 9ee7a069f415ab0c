package tour

import (
	"slices"
	"sync"
	"time"

	"linebond/lab/internet"
)

const (
	sampling    = 10 * time.Millisecond // how finely pauses are measured
	keptRates   = 30 * ratesASecond
	redialPause = 200 * time.Millisecond // before a broken connection is replaced
)

// download is a download over several connections, each of which is replaced if it breaks. A nil one is none.
type download struct {
	begin func() *internet.Transfer
	ended chan struct{}
	works sync.WaitGroup

	mu     sync.Mutex
	flows  []*flow
	rates  []float64 // bit/s
	broken int
}

// flow is one connection, and those before it that broke.
type flow struct {
	transfer *internet.Transfer
	earlier  int64 // bytes, of those before
	received int64 // bytes, of all
	since    time.Time
	longest  time.Duration // without a byte, since the last mark
}

// startDownload starts as many transfers.
func startDownload(n int, begin func() *internet.Transfer) *download {
	d := &download{begin: begin, ended: make(chan struct{})}
	for range n {
		d.flows = append(d.flows, &flow{transfer: begin(), since: time.Now()})
	}
	d.works.Go(d.watch)
	return d
}

// watch samples how the download goes.
func (d *download) watch() {
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	last, before := time.Now(), int64(0)
	for {
		select {
		case <-d.ended:
			return
		case <-tick.C:
		}
		now := time.Now()
		total := d.sample(now)
		if elapsed := now.Sub(last); elapsed >= time.Second/ratesASecond {
			d.rate(float64(total-before) * 8 / elapsed.Seconds())
			last, before = now, total
		}
	}
}

// sample looks at each flow, and returns how many bytes all have received.
func (d *download) sample(now time.Time) (total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		received := f.earlier + f.transfer.Bytes()
		total += received
		if received > f.received {
			f.longest = max(f.longest, now.Sub(f.since))
			f.received, f.since = received, now
		}
		if at, _ := f.transfer.Ended(); !at.IsZero() && now.Sub(at) > redialPause {
			d.broken++
			f.earlier = received
			f.transfer = d.begin()
		}
	}
	return total
}

func (d *download) rate(bits float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rates = append(d.rates[max(0, len(d.rates)+1-keptRates):], bits)
}

// mark begins to measure pauses anew.
func (d *download) mark() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		f.longest = 0
	}
}

// longestPause is how long a connection has received nothing, of all connections the longest time, since the last mark or, if it was
// pausing then, before.
func (d *download) longestPause() (longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		longest = max(longest, f.longest, time.Since(f.since))
	}
	return longest
}

// received is how many bytes each connection has.
func (d *download) received() (each []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		each = append(each, f.received)
	}
	return each
}

// scene is what is to be seen of it.
func (d *download) scene() *Download {
	if d == nil {
		return nil
	}
	s := &Download{}
	for _, n := range d.received() {
		s.Received += uint64(n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Rates, s.Broken = slices.Clone(d.rates), d.broken
	return s
}

// close ends all connections.
func (d *download) close() error {
	if d == nil {
		return nil
	}
	close(d.ended)
	d.works.Wait()
	for _, f := range d.flows {
		_ = f.transfer.Close() // never fails
	}
	return nil
}
