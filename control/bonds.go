package control

import (
	"fmt"
	"strings"
	"time"
)

// bonds is the table of the bonds.
func (s Status) bonds() [][]string {
	rows := [][]string{strings.Fields("BOND MODE LINES ADDRESSES MTU DOWN UP")}
	for _, b := range s.Bonds {
		in := 0
		for _, m := range b.Members {
			if m.In {
				in++
			}
		}
		row := []string{b.Device, b.Mode, fmt.Sprintf("%d of %d", in, len(b.Members)), none, none, none, none}
		if len(b.Addresses) > 0 {
			row[3] = strings.Join(b.Addresses, " ")
		}
		if b.MTU != 0 {
			row[4] = fmt.Sprint(b.MTU)
		}
		if b.Rates != nil {
			row[5], row[6] = Rate(b.Rates.RxBits), Rate(b.Rates.TxBits)
		}
		rows = append(rows, row)
	}
	return rows
}

// members is the table of the lines of all bonds: what each should carry (of
// packets, bytes or connections, as the mode has it), and carries, and why it is in the bond or not. Pings have a column if there are
// any, and what is due and was sent has three, if not all bonds are weighted ones,
// which have a table for that.
func (s Status) members(now time.Time) [][]string {
	rows := [][]string{strings.Fields("BOND LINE IN FOR DUE PACKETS BYTES DOWN UP RTT LOSS PING REASON")}
	pings, weighted := false, true
	for _, b := range s.Bonds {
		weighted = weighted && b.Scheduler != nil
		for _, m := range b.Members {
			rows = append(rows, append([]string{b.Device}, m.row(now)...))
			pings = pings || m.Ping != nil
		}
	}
	const due, packets, bytes, ping = 4, 5, 6, 11
	var idle []int
	if weighted {
		idle = append(idle, due, packets, bytes)
	}
	if !pings {
		idle = append(idle, ping)
	}
	return without(rows, idle...)
}

func (m Member) row(now time.Time) []string {
	row := []string{m.Line, "no", Span(now.Sub(m.Since)), percent(m.Share), none, none, none, none, none, none, none, m.Reason}
	if m.In {
		row[1] = "yes"
	}
	if m.Sent != nil {
		row[4], row[5] = percent(m.Sent.Packets), percent(m.Sent.Bytes)
	}
	if m.Rates != nil {
		row[6], row[7] = Rate(m.Rates.RxBits), Rate(m.Rates.TxBits)
	}
	if m.RTT > 0 {
		row[8], row[9] = milliseconds(m.RTT), percent(m.Loss)
	}
	if m.Ping != nil {
		row[10] = milliseconds(m.Ping.RTT) + " " + percent(m.Ping.Loss)
	}
	if m.Rejoin != nil {
		row[11] += fmt.Sprintf("; back in %s", Span(m.Rejoin.Sub(now)))
	}
	return row
}

// milliseconds writes a round-trip time, of which 0 is none.
func milliseconds(seconds float64) string {
	if seconds == 0 {
		return none
	}
	return fmt.Sprintf("%.1fms", seconds*1e3)
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", share*100) }

// Rate writes bits per second in powers of 1000: 0bit/s, 999bit/s, 18.5Mbit/s,
// 940Mbit/s.
func Rate(bits float64) string {
	const roundsTo1000, roundsTo100 = 999.5, 99.95
	unit := 0
	for bits >= roundsTo1000 && unit < 4 {
		bits, unit = bits/1000, unit+1
	}
	suffix := []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"}[unit]
	if unit == 0 || bits >= roundsTo100 {
		return fmt.Sprintf("%.0f%s", bits, suffix)
	}
	return fmt.Sprintf("%.1f%s", bits, suffix)
}
