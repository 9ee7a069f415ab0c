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

// load is a download or an upload over several connections, each of which is replaced if it breaks. A nil one is none.
type load struct {
	name  string // "download" or "upload"
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
	moved    int64 // bytes, of all
	since    time.Time
	longest  time.Duration // without a byte, since the last mark
}

// startLoad starts as many transfers.
func startLoad(name string, n int, begin func() *internet.Transfer) *load {
	l := &load{name: name, begin: begin, ended: make(chan struct{})}
	for range n {
		l.flows = append(l.flows, &flow{transfer: begin(), since: time.Now()})
	}
	l.works.Go(l.watch)
	return l
}

// watch samples how it goes.
func (l *load) watch() {
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	last, before := time.Now(), int64(0)
	for {
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
		now := time.Now()
		total := l.sample(now)
		if elapsed := now.Sub(last); elapsed >= time.Second/ratesASecond {
			l.rate(float64(total-before) * 8 / elapsed.Seconds())
			last, before = now, total
		}
	}
}

// sample looks at each flow, and returns how many bytes all have moved.
func (l *load) sample(now time.Time) (total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		moved := f.earlier + f.transfer.Bytes()
		total += moved
		if moved > f.moved {
			f.longest = max(f.longest, now.Sub(f.since))
			f.moved, f.since = moved, now
		}
		if at, _ := f.transfer.Ended(); !at.IsZero() && now.Sub(at) > redialPause {
			l.broken++
			f.earlier = moved
			f.transfer = l.begin()
		}
	}
	return total
}

func (l *load) rate(bits float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rates = append(l.rates[max(0, len(l.rates)+1-keptRates):], bits)
}

// mark begins to measure pauses anew.
func (l *load) mark() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		f.longest = 0
	}
}

// longestPause is how long a connection has moved nothing, of all connections the longest time, since the last mark or, if it was
// pausing then, before.
func (l *load) longestPause() (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		longest = max(longest, f.longest, time.Since(f.since))
	}
	return longest
}

// moved is how many bytes each connection has brought to its end.
func (l *load) moved() (each []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		each = append(each, f.moved)
	}
	return each
}

// scene is what is to be seen of it.
func (l *load) scene() *Load {
	if l == nil {
		return nil
	}
	s := &Load{Name: l.name}
	for _, n := range l.moved() {
		s.Moved += uint64(n)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Rates, s.Broken = slices.Clone(l.rates), l.broken
	return s
}

// close ends all connections.
func (l *load) close() error {
	if l == nil {
		return nil
	}
	close(l.ended)
	l.works.Wait()
	for _, f := range l.flows {
		_ = f.transfer.Close() // never fails
	}
	return nil
}
