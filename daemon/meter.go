package daemon

import (
	"maps"
	"slices"
	"time"

	"linebond/control"
	"linebond/kernel"
	"linebond/scheduler"
)

// The meter is read each meterEvery, and keeps meterReadings: rates are those
// of the last four to six seconds.
const (
	meterEvery    = 2 * time.Second
	meterReadings = 3
)

// reading is what the lines' devices have carried up to a moment.
type reading struct {
	at       time.Time
	counters map[string]kernel.Counters
	bonds    map[string]scheduler.Counters // the weighted ones, by device
	shapers  map[string]kernel.ShaperStats // their queues, by device
}

// meter holds the last readings, the oldest first. It is not altered: with
// returns another.
type meter []reading

func (m meter) with(r reading) meter {
	m = append(m[:len(m):len(m)], r)
	return m[max(0, len(m)-meterReadings):]
}

// carried returns what a device has carried of late, and in how many seconds;
// none if it is not there, or is too new for two readings.
func (m meter) carried(device string) (kernel.Counters, float64) {
	if len(m) == 0 {
		return kernel.Counters{}, 0
	}
	last := m[len(m)-1]
	now, ok := last.counters[device]
	if !ok {
		return kernel.Counters{}, 0
	}
	for _, r := range m[:len(m)-1] {
		then, ok := r.counters[device]
		if ok && then.RxBytes <= now.RxBytes && then.TxBytes <= now.TxBytes { // else it is another device by now
			return kernel.Counters{
				RxBytes: now.RxBytes - then.RxBytes, TxBytes: now.TxBytes - then.TxBytes,
				RxPackets: now.RxPackets - then.RxPackets, TxPackets: now.TxPackets - then.TxPackets,
			}, last.at.Sub(r.at).Seconds()
		}
	}
	return kernel.Counters{}, 0
}

// rates returns those of devices together; nil if none of them is known.
func (m meter) rates(devices ...string) *control.Rates {
	var sum *control.Rates
	for _, device := range devices {
		c, seconds := m.carried(device)
		if seconds <= 0 {
			continue
		}
		if sum == nil {
			sum = &control.Rates{}
		}
		sum.RxBits += 8 * float64(c.RxBytes) / seconds
		sum.TxBits += 8 * float64(c.TxBytes) / seconds
		sum.RxPackets += float64(c.RxPackets) / seconds
		sum.TxPackets += float64(c.TxPackets) / seconds
	}
	return sum
}

// sent returns a device's share of what it and the others have sent; nil if
// that is nothing.
func (m meter) sent(device string, all []string) *control.Sent {
	var packets, bytes uint64
	for _, d := range all {
		c, _ := m.carried(d)
		packets, bytes = packets+c.TxPackets, bytes+c.TxBytes
	}
	if packets == 0 || bytes == 0 {
		return nil
	}
	c, _ := m.carried(device)
	return &control.Sent{Packets: float64(c.TxPackets) / float64(packets), Bytes: float64(c.TxBytes) / float64(bytes)}
}

// traffic is what a device has carried altogether, by the last reading.
func (m meter) traffic(device string) *control.Traffic {
	if len(m) == 0 {
		return nil
	}
	c, ok := m[len(m)-1].counters[device]
	if !ok {
		return nil
	}
	return &control.Traffic{RxBytes: c.RxBytes, TxBytes: c.TxBytes, RxPackets: c.RxPackets, TxPackets: c.TxPackets}
}

// read takes a reading, for the supervisor.
func (d *Daemon) read() {
	if r, err := d.counters(slices.Collect(maps.Values(d.workers))); err == nil { // else status says that it does not know
		d.meter = d.meter.with(r)
	}
}

// counters reads those of the lines of workers.
func (d *Daemon) counters(workers []*worker) (reading, error) {
	all, err := d.options.Effects.Host.Counters()
	r := reading{time.Now(), map[string]kernel.Counters{}, d.schedulers.counters(), map[string]kernel.ShaperStats{}}
	for device := range r.bonds {
		if s, there, err := d.options.Effects.Host.Shaper(device); there && err == nil { // else status says that it does not know
			r.shapers[device] = s
		}
	}
	for _, w := range workers {
		if c, ok := all[w.cfg.Device]; ok {
			r.counters[w.cfg.Device] = c
		}
	}
	return r, err
}
