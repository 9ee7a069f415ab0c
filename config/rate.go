package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Rate is a data rate in bits per second; 0 means not said.
type Rate uint64

// maxRate is far above any line, and far below what overflows a sum.
const maxRate Rate = 1e15

// rateUnits are tc's own (tc(8), UNITS): a unit in bps counts bytes, an i
// after the prefix means powers of 1024, and case does not matter.
var rateUnits = map[string]float64{
	"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12,
	"kibit": 1 << 10, "mibit": 1 << 20, "gibit": 1 << 30, "tibit": 1 << 40,
	"bps": 8, "kbps": 8e3, "mbps": 8e6, "gbps": 8e9, "tbps": 8e12,
	"kibps": 8 << 10, "mibps": 8 << 20, "gibps": 8 << 30, "tibps": 8 << 40,
}

// parseRate reads a rate such as "18.5mbit". Unlike tc it wants a unit: in a
// bare 20 one person sees Mbit/s where tc sees bits.
func parseRate(s string) (Rate, bool) {
	unit := strings.TrimLeft(s, "0123456789.")
	factor, known := rateUnits[strings.ToLower(unit)]
	number, err := strconv.ParseFloat(s[:len(s)-len(unit)], 64)
	if !known || err != nil {
		return 0, false
	}
	bits := math.Round(number * factor)
	if bits < 1 || bits > float64(maxRate) {
		return 0, false
	}
	return Rate(bits), true
}

// auto is what upload says of a rate that is to be learned.
const auto = "auto"

const allowedRates = `a rate such as "18.5mbit" (Mbit/s) or "2MBps" (Mbyte/s)`

// rate takes a data rate.
func rate(v value) (Rate, bool) { return rateOr(v, "") }

// upload takes a data rate, or 0 for one that is to be learned.
func upload(v value) (Rate, bool) { return rateOr(v, auto) }

// rateOr takes a data rate, or a word, for which it returns 0. It warns of bps in
// small letters, which tc takes for bytes and most people for bits.
func rateOr(v value, other string) (Rate, bool) {
	allowed, s := allowedRates, string(v.node.Data)
	if other != "" {
		allowed += `, or "` + other + `"`
	}
	if meant := meantRate(s, other); meant != "" {
		v.suggest("is no rate", meant)
		return 0, false
	}
	if !v.is(unstable.String, allowed) {
		return 0, false
	}
	r, ok := parseRate(s)
	switch {
	case ok:
	case other != "" && s == other:
		return 0, true
	default:
		v.refuse("is out of range or no rate", allowed)
		return 0, false
	}
	if bits, bytes := strings.CutSuffix(s, "bps"); bytes {
		if meant, ok := parseRate(bits + "bit"); ok {
			v.warn("%s counts bytes, and is %s; for %s write %q", v.shown(), r, meant, bits+"bit")
		}
	}
	return r, true
}

// meantRate returns the rate, or the other word, that a text was probably meant
// to be, or "" if there is none, or it is one. A number alone is in Mbit/s, as
// providers tell it. Whether mb means bits or bytes cannot be told.
func meantRate(s, other string) string {
	if _, ok := parseRate(s); ok || s == other {
		return ""
	}
	s = strings.ToLower(strings.Join(strings.Fields(s), ""))
	if s == other {
		return other
	}
	s = strings.ReplaceAll(strings.TrimSuffix(s, "/s"), ",", ".")
	unit := strings.TrimLeft(s, "0123456789.")
	meant := s
	switch unit {
	case "":
		meant += "mbit"
	case "k", "m", "g":
		meant += "bit"
	default:
		meant = strings.TrimSuffix(s, "s")
	}
	if _, ok := parseRate(meant); !ok {
		return ""
	}
	return meant
}

// String gives the rate as people write it, e.g. 18.5 Mbit/s.
func (r Rate) String() string {
	switch {
	case r >= 1e9:
		return fmt.Sprintf("%.4g Gbit/s", float64(r)/1e9)
	case r >= 1e6:
		return fmt.Sprintf("%.4g Mbit/s", float64(r)/1e6)
	case r >= 1e3:
		return fmt.Sprintf("%.4g kbit/s", float64(r)/1e3)
	default:
		return fmt.Sprintf("%d bit/s", uint64(r))
	}
}
