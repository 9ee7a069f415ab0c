package daemon

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"linebond/bond"
	"linebond/scheduler"
)

// listenEvery is how often it is looked whether lines are silent.
const listenEvery = time.Second

// hearing is what was last read of a line that is in a weighted bond, whose
// program passes a silent line over without asking anybody.
type hearing struct {
	bond, device string
	line         string // its name
	last         scheduler.LineCounters
	spoke        uint64 // of last.Passed, those when it was last not silent
	gone         bool   // by the last reading
}

// passed is how many packets went elsewhere since the line was last heard of, or
// came in.
func (h *hearing) passed() uint64 { return h.last.Passed - h.spoke }

// listen logs which lines have fallen silent since it was called last, or speak
// again.
func (d *Daemon) listen() {
	r := reading{bonds: d.schedulers.counters()}
	names := map[string]string{}
	for _, w := range d.workers {
		names[w.cfg.Device] = w.cfg.Name
	}
	for _, device := range slices.Sorted(maps.Keys(r.bonds)) {
		for _, l := range r.bonds[device].Lines {
			d.listenTo(device, cmp.Or(names[l.Device], l.Device), l)
		}
	}
	for _, h := range d.hearings {
		_, in := r.line(h.bond, h.device)
		h.gone = !in
	}
}

// listenTo does so for one line.
func (d *Daemon) listenTo(bond, name string, now scheduler.LineCounters) {
	i := slices.IndexFunc(d.hearings, func(h *hearing) bool { return h.bond == bond && h.device == now.Device })
	if i < 0 {
		i = len(d.hearings)
		d.hearings = append(d.hearings, &hearing{bond: bond, device: now.Device})
	}
	h := d.hearings[i]
	if h.gone || now.Packets < h.last.Packets || now.Passed < h.last.Passed { // it has come in since
		h.last, h.spoke = scheduler.LineCounters{}, 0
	}
	was := h.last.Silent
	h.line, h.last = name, now
	about := []zap.Field{zap.String("line", name), zap.String("bond", bond)}
	switch {
	case now.Silent && !was:
		d.log.write(zapcore.InfoLevel, "silent", about...)
	case !now.Silent && (was || h.passed() > 0):
		d.log.write(zapcore.InfoLevel, "heard", append(about, zap.Uint64("passed", h.passed()))...)
	}
	if !now.Silent {
		h.spoke = now.Passed
	}
}

// listenOnce listens before lines leave, of which then nothing is known any more.
func (d *Daemon) listenOnce(events []bond.Event) {
	if slices.ContainsFunc(events, func(e bond.Event) bool { return e.Kind == bond.Left }) {
		d.listen()
	}
}

// farewell is what there is to say of a line that has left a bond, besides: how
// many packets its silence sent elsewhere.
func (d *Daemon) farewell(bond, line string) (about []zap.Field) {
	d.hearings = slices.DeleteFunc(d.hearings, func(h *hearing) bool {
		if h.bond != bond || h.line != line {
			return false
		}
		if h.passed() > 0 {
			about = append(about, zap.Uint64("passed", h.passed()))
		}
		return true
	})
	return about
}
