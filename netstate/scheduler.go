package netstate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SchedulerAlias is the interface alias that marks the device of a weighted bond, a veth device of package scheduler's making.
const SchedulerAlias = "linebond: a bond"

// SchedulerPriority is that of the tc filters of a weighted bond: early, since what goes to another device by one before it is not heard.
// SchedulerHandle tells them from others of the same priority.
const (
	SchedulerPriority = 1
	SchedulerHandle   = 0x6c62 // "lb"
)

// Scheduler is what an eBPF scheduler is told: which lines the packets of a weighted bond's device go to, and what these carry. Observed, it
// is one that this process has taken over, with what it was told last.
type Scheduler struct {
	Device    string
	DeadAfter time.Duration // a line that was sent something and has been silent for so long is passed over; 0: never
	Patience  time.Duration // by which it may be silent for longer at most, while it is given more than its rate
	Damaged   bool          // observed: it did not take all that it was told, or somebody has undone what it needs: it is to be told again
	Lines     []ScheduledLine
}

// ScheduledLine is a line that a Scheduler sends packets to. Wanted, it is passed over until its device exists.
type ScheduledLine struct {
	Device   string
	Rate     uint64        // bit/s
	Delay    time.Duration // one way; of all lines, only differences count
	Overhead int           // bytes that the line adds to an IP packet
	Cells    bool          // packet and overhead travel in ATM cells
	Gone     bool          // observed: the line is not in: it has left by itself, or its device is there no more, or is another one of that name
}

// String gives e.g. "wanbond0 dead-after 3s: ppp-a rate 19000000bit delay 5ms overhead 34 atm, ppp-b rate 4750000bit delay 0s overhead 22".
func (s Scheduler) String() string {
	lines := make([]string, len(s.Lines))
	for i, l := range s.Lines {
		lines[i] = l.String()
	}
	text := s.Device + " dead-after " + s.DeadAfter.String()
	if s.Patience != 0 {
		text += " patience " + s.Patience.String()
	}
	if s.Damaged {
		text += " damaged"
	}
	text += ": "
	if len(lines) == 0 {
		return text + "no line"
	}
	return text + strings.Join(lines, ", ")
}

func (l ScheduledLine) String() string {
	text := fmt.Sprintf("%s rate %dbit delay %v overhead %d", l.Device, l.Rate, l.Delay, l.Overhead)
	if l.Cells {
		text += " atm"
	}
	if l.Gone {
		text += " gone"
	}
	return text
}

// equal says whether two are the same. Their lines are sorted.
func (s Scheduler) equal(o Scheduler) bool {
	return s.Device == o.Device && s.DeadAfter == o.DeadAfter && s.Patience == o.Patience && s.Damaged == o.Damaged && slices.Equal(s.Lines, o.Lines)
}

// normalSchedulers returns the schedulers sorted and without repetitions, each with its lines sorted.
func normalSchedulers(schedulers []Scheduler) []Scheduler {
	schedulers = slices.Clone(schedulers)
	for i, s := range schedulers {
		schedulers[i].Lines = slices.SortedFunc(slices.Values(s.Lines), func(a, b ScheduledLine) int { return cmp.Compare(a.Device, b.Device) })
	}
	slices.SortFunc(schedulers, func(a, b Scheduler) int { return cmp.Compare(a.String(), b.String()) })
	return slices.CompactFunc(schedulers, Scheduler.equal)
}

// scheduler returns the one of a device that has been taken over, if it has.
func (d *differ) scheduler(device string) (Scheduler, bool) {
	i := slices.IndexFunc(d.have.Schedulers, func(s Scheduler) bool { return s.Device == device })
	if i < 0 {
		return Scheduler{Device: device}, false
	}
	return d.have.Schedulers[i], true
}

// unschedule has packets go to no line that is not wanted, or is gone.
func (d *differ) unschedule() {
	for i, h := range d.have.Schedulers {
		wanted := map[string]bool{}
		for _, w := range d.want.Schedulers {
			for _, l := range w.Lines {
				wanted[l.Device] = wanted[l.Device] || w.Device == h.Device
			}
		}
		stay := slices.DeleteFunc(slices.Clone(h.Lines), func(l ScheduledLine) bool { return l.Gone || !wanted[l.Device] })
		if len(stay) < len(h.Lines) {
			h.Lines, h.Damaged = stay, false
			d.have.Schedulers[i] = h
			d.add(Unschedule{h})
		}
	}
}

// takeSchedulers makes the devices of the wanted weighted bonds, or takes over those that are there.
func (d *differ) takeSchedulers() {
	for _, w := range d.want.Schedulers {
		if _, taken := d.scheduler(w.Device); !taken {
			d.add(TakeScheduler{Device: w.Device, MTU: d.wantLink[w.Device].MTU})
		}
	}
}

// schedule has packets go to the wanted lines that exist.
func (d *differ) schedule() {
	for _, w := range d.want.Schedulers {
		h, taken := d.scheduler(w.Device)
		if _, exists := d.haveLink[w.Device]; !exists {
			continue
		}
		w.Lines = slices.DeleteFunc(slices.Clone(w.Lines), func(l ScheduledLine) bool {
			_, exists := d.haveLink[l.Device]
			return !exists
		})
		if !taken || !w.equal(h) {
			d.add(Schedule{w})
		}
	}
}

// deleteSchedulers takes away the devices of weighted bonds that are not wanted.
func (d *differ) deleteSchedulers() (ops []Op) {
	for _, l := range d.have.Links {
		if l.Weighted && l.Ours && !d.wantLink[l.Name].Weighted {
			ops = append(ops, DeleteScheduler{l.Name})
		}
	}
	return ops
}

// TakeScheduler makes the device of a weighted bond, or takes over the one that an earlier process has left. The MTU, in bytes, is for a new
// one; 0: any. A new device is used from the next Diff on.
type TakeScheduler struct {
	Device string
	MTU    int
}

// Unschedule has lines leave a weighted bond: those that are named stay.
type Unschedule struct{ Scheduler Scheduler }

// Schedule has the packets of a weighted bond go to the lines that are named, and to no others.
type Schedule struct{ Scheduler Scheduler }

// DeleteScheduler takes the device of a weighted bond away, with its eBPF programs and maps.
type DeleteScheduler struct{ Device string }

func (TakeScheduler) op()   {}
func (Unschedule) op()      {}
func (Schedule) op()        {}
func (DeleteScheduler) op() {}

func (o TakeScheduler) String() string {
	return fmt.Sprintf("ip link add %s type veth # with an eBPF scheduler, unless it is there", o.Device)
}

func (o Unschedule) String() string { return "# lines leave " + o.Scheduler.String() }

func (o Schedule) String() string { return "# packets by " + o.Scheduler.String() }

func (o DeleteScheduler) String() string { return "ip link delete dev " + o.Device }
