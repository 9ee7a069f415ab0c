package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// weightedDevice is the device of a bond of ModeWeighted that says none.
const weightedDevice = "wanbond0"

// noDevices are names that a line's file has for no bond and for one without a
// device, that the kernel has for all devices in its settings, and the loopback's.
var noDevices = []string{noBond, ModeMultipath, "all", "default", "lo"}

// isPair says whether one of two devices is what is made beside the other.
func isPair(a, b string) bool { return a == b+"-port" || b == a+"-port" }

// The rates that a line of a bond of ModeWeighted can have. With less or more,
// somebody has most likely mistaken the unit.
const (
	minUpload Rate = 64e3
	maxUpload Rate = 100e9
)

// framing is what the key overhead says: an Overhead, to which VLAN tags may
// have to be added.
type framing struct {
	Overhead
	untagged bool
}

// on returns the overhead of a line with these VLANs.
func (f framing) on(vlan []uint16) Overhead {
	const tag = 4
	if f.untagged {
		f.Bytes += tag * len(vlan)
	}
	return f.Overhead
}

// leastFraming is the header of Ethernet, and PPPoE's with that of PPP (RFC 2516
// section 4).
var leastFraming = framing{Overhead{Bytes: 14 + 8}, true}

// framings are what lines add to an IP packet: as tc-cake(8) has them in its
// keywords pppoe-ptm, ethernet (and PPPoE), and pppoe-llcsnap.
var framings = map[string]framing{
	"vdsl":           {Overhead{Bytes: leastFraming.Bytes + 4 + 4}, true},                  // check sequence, PTM
	"fttp-ethernet":  {Overhead{Bytes: leastFraming.Bytes + 4 + 8 + 12}, true},             // check sequence, preamble, gap between frames
	"adsl-llc-pppoe": {Overhead{Bytes: leastFraming.Bytes + 8 + 2 + 8, Cells: true}, true}, // LLC and SNAP, pad (RFC 2684), AAL5
}

// maxOverhead is more than any line adds to a packet, in bytes.
const maxOverhead = 200

var allowedOverheads = fmt.Sprintf(`"vdsl", "fttp-ethernet", "adsl-llc-pppoe", or a number of bytes from 0 to %d`, maxOverhead)

// overhead takes what a line adds to each IP packet.
func overhead(v value) (framing, bool) {
	if v.node.Kind == unstable.Integer {
		n, ok := v.number(0, maxOverhead)
		return framing{Overhead: Overhead{Bytes: int(n)}}, ok
	}
	if meant := meantOverhead(string(v.node.Data)); meant != "" {
		v.suggest("is unknown", meant)
		return framing{}, false
	}
	return namedOverhead(v)
}

// meantOverhead returns the word that a text was probably meant to be, or "" if
// there is none, or it is one. The kind of the line is the first part of each.
func meantOverhead(s string) string {
	if _, ok := framings[s]; ok {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(framings)) {
		kind, _, _ := strings.Cut(name, "-")
		if strings.HasPrefix(strings.ToLower(s), kind) {
			return name
		}
	}
	return ""
}

var namedOverhead = word("one of "+allowedOverheads, "is unknown", allowedOverheads, func(s string) (framing, bool) {
	f, ok := framings[s]
	return f, ok
})

// checkTEQL checks what goes not together with the mode.
func (b *bondTable) checkTEQL() {
	if isTEQL(b.Device) {
		return
	}
	if b.Device != "" {
		b.failKey("bond.device", "%s is no TEQL device; allowed: %s, the names that the kernel gives them", b.Device, teqlDevices)
	}
	b.Device = defaultBond().Device
}

// checkWeighted checks what goes not together with the mode, and completes the
// bond.
func (b *bondTable) checkWeighted() {
	switch {
	case b.Device == "" || !b.given("bond.device"):
		b.Device = weightedDevice
	case isTEQL(b.Device):
		b.failKey("bond.device", `%s is a device of the kernel's TEQL; with mode "weighted" linebond makes one of its own: `+
			"leave this out, and it is called %s", b.Device, weightedDevice)
		b.Device = weightedDevice
	case slices.Contains(noDevices, b.Device):
		b.failKey("bond.device", "%s means something else to the kernel, or in a line's file; leave this out, and it is called %s", b.Device, weightedDevice)
		b.Device = weightedDevice
	}
	if !b.given("bond.shaping") {
		b.Shaping = "" // for completeShaping
	}
}

// refuseShaping finds what only the lines of ModeWeighted have rates for.
func (b *bondTable) refuseShaping() {
	if b.Shaping == ShapingCake {
		b.failKey("bond.shaping", `"cake" goes with mode "weighted" alone; leave this out`)
		b.Shaping = ShapingNone
	}
}

// completeShaping decides what the bonds of ModeWeighted do that say nothing of
// it, and warns of one that asks for what its lines do not allow. Fallback lines
// need no upload: while one without serves, nothing is shaped.
func (f *daemonFile) completeShaping(lines []*lineFile) {
	for _, table := range f.bonds {
		i := slices.IndexFunc(f.Bonds, func(b Bond) bool { return b.Device == table.Device })
		if table.Mode != ModeWeighted || table.Shaping == ShapingNone || i < 0 {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(lines), func(l *lineFile) bool { return l.Bond != table.Device || l.Fallback || !l.Enabled })
		unrated := slices.IndexFunc(own, func(l *lineFile) bool { return !l.doc.given("upload") })
		switch {
		case len(own) > 0 && unrated < 0:
			f.Bonds[i].Shaping = ShapingCake
			continue
		case table.Shaping == ShapingCake && unrated >= 0:
			table.warnKey("bond.shaping", `"cake" works as "none" until every line of %s has an upload, and %s has none; write into its file `+
				`what it carries, such as upload = "20mbit", or upload = "auto"`, table.Device, own[unrated].Name)
		}
		f.Bonds[i].Shaping = ShapingNone
	}
}

// checkShares finds too many lines, and rates that are none of a line, and warns
// of what makes the mode of no use.
func (b *bondTable) checkShares(lines, own []*lineFile) {
	if len(lines) > MaxWeighted {
		b.failKey("bond.mode", `a bond of mode "weighted" may have up to %d lines, and this has %d`, MaxWeighted, len(lines))
	}
	if len(lines) == 1 {
		b.warnKey("bond", "%s has one line, %s, which gets no faster by it", b.Device, lines[0].Name)
	}
	for _, l := range lines {
		if l.Upload != 0 && (l.Upload < minUpload || l.Upload > maxUpload) {
			l.doc.failKey("upload", `%s is no rate of a line; allowed in a bond of mode "weighted": %s to %s`, l.Upload, minUpload, maxUpload)
		}
	}
	own = slices.DeleteFunc(slices.Clone(own), func(l *lineFile) bool { return !l.Enabled })
	b.checkEchoes(own)
	unrated := slices.DeleteFunc(slices.Clone(own), func(l *lineFile) bool { return l.doc.given("upload") })
	switch {
	case len(unrated) == 0 || len(own) < 2:
	case len(unrated) == len(own):
		b.warnKey("bond", `the lines of %s have no upload, so each gets an equal share of the bytes, and together they are as fast as the slowest `+
			`times %d; write into the file of each what it carries, such as upload = "20mbit", or upload = "auto" to have it learned`, b.Device, len(own))
	default:
		b.warnKey("bond", "upload is given for some lines of %s but not for %s, so each gets an equal share of the bytes; give it for all of them, as a number or as \"auto\"",
			b.Device, unrated[0].Name)
	}
}

// checkEchoes warns of a line whose echoes are so rare that the others, too, are
// waited for long.
func (b *bondTable) checkEchoes(own []*lineFile) {
	if len(own) == 0 {
		return
	}
	interval := func(x, y *lineFile) int { return cmp.Compare(x.Keepalive.Interval, y.Keepalive.Interval) }
	often, rarely := slices.MinFunc(own, interval), slices.MaxFunc(own, interval)
	if rarely.Keepalive.Interval > 2*often.Keepalive.Interval {
		b.warnKey("bond", "all lines of %s are waited for as long as %s, with keepalive.interval %v, before they are passed over; %s asks every %v: give them the same",
			b.Device, rarely.Name, rarely.Keepalive.Interval, often.Name, often.Keepalive.Interval)
	}
}

// refuseAuto warns of lines whose rate is to be learned where nothing is.
func refuseAuto(lines []*lineFile) {
	for _, l := range lines {
		if l.UploadAuto {
			l.doc.warnKey("upload", `"auto" has no effect: rates are learned in a bond of mode "weighted" alone`)
		}
	}
}
