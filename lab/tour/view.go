package tour

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linebond/control"
)

// A Scene is how things are in the lab at one moment.
type Scene struct {
	Now      time.Time
	At       time.Duration // since the lab began
	Status   control.Status
	Load     *Load   // nil while there is none
	Capacity float64 // bit/s, that all lines can carry of it
	Saying   string  // what the tour does, in a sentence
	Short    string  // the same in some words, for where that does not fit
}

// Load is a download or an upload by the host in the LAN.
type Load struct {
	Name   string    // "download" or "upload"
	Moved  uint64    // bytes
	Rates  []float64 // bit/s, in each of the last tenths of a second, the newest last
	Broken int       // connections that ended before they should
}

// Rate is that of the last second, in bit/s.
func (l *Load) Rate() float64 {
	last := l.Rates[max(0, len(l.Rates)-ratesASecond):]
	sum := 0.0
	for _, r := range last {
		sum += r
	}
	return sum / max(1, float64(len(last)))
}

// ratesASecond is how many samples of a load's rate are taken in a second.
const ratesASecond = 10

// View draws a scene: lines of text of at most width columns.
func View(s Scene, width int) []string {
	rows := []string{bar(s, width), ""}
	rows = append(rows, columns(lineRows(s))...)
	if bonds := bondRows(s); len(bonds) > 1 {
		rows = append(append(rows, ""), columns(bonds)...)
	}
	if s.Load != nil {
		rows = append(rows, "", loadRow(s, width))
	}
	if scheduled := scheduledRows(s); len(scheduled) > 1 {
		rows = append(append(rows, ""), columns(scheduled)...)
	}
	if s.Status.Trouble != "" {
		rows = append(rows, "", "! "+s.Status.Trouble)
	}
	for i, row := range rows {
		rows[i] = clip(row, width)
	}
	return rows
}

// bar is the line at the top: what goes on, and since when.
func bar(s Scene, width int) string {
	clock := fmt.Sprintf(" %d:%02d", int(s.At.Minutes()), int(s.At.Seconds())%60)
	title := "linebond lab  " + s.Saying
	if len([]rune(title)) > width-len(clock) && s.Short != "" {
		title = "linebond lab  " + s.Short
	}
	title = clip(title, width-len(clock))
	return title + strings.Repeat(" ", max(0, width-len([]rune(title))-len(clock))) + clock
}

func lineRows(s Scene) [][]string {
	rows := [][]string{strings.Fields("LINE STATE FOR DOWN UP RTT LOSS AC SID REASON")}
	for _, l := range s.Status.Lines {
		row := []string{l.Name, l.State, control.Span(s.Now.Sub(l.Since)), "-", "-", "-", "-", "-", "-", l.Reason}
		if l.Rates != nil && l.State == "up" {
			row[3], row[4] = rate(l.Rates.RxBits), rate(l.Rates.TxBits)
		}
		if l.Session != nil {
			row[7], row[8] = l.Session.ACName, fmt.Sprint(l.Session.ID)
			if l.Echo.Received > 0 {
				row[5], row[6] = fmt.Sprintf("%.1fms", l.Echo.RTT*1e3), fmt.Sprintf("%.0f%%", l.Echo.Loss*100)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func bondRows(s Scene) [][]string {
	rows := [][]string{strings.Fields("BOND MODE LINES ADDRESS DOWN UP")}
	weighted := slices.ContainsFunc(s.Status.Bonds, func(b control.Bond) bool { return b.Scheduler != nil })
	if weighted {
		rows[0] = append(rows[0], "LATE", "QUEUE")
	}
	for _, b := range s.Status.Bonds {
		var in []string
		for _, m := range b.Members {
			if m.In {
				in = append(in, m.Line)
			}
		}
		row := []string{b.Device, b.Mode, fmt.Sprintf("%d of %d", len(in), len(b.Members)), strings.Join(b.Addresses, " "), "-", "-"}
		if row[3] == "" {
			row[3] = "-"
		}
		if b.Rates != nil {
			row[4], row[5] = rate(b.Rates.RxBits), rate(b.Rates.TxBits)
		}
		if weighted {
			row = append(row, order(b.Scheduler)...)
		}
		rows = append(rows, row)
	}
	return rows
}

// order is how many packets come late, and what waits before they are given to a line.
func order(x *control.Scheduler) []string {
	cells := []string{"-", "-"}
	if x != nil {
		cells[0] = fmt.Sprintf("%.1f%%", x.Disorder*100)
		if x.Queue != nil {
			cells[1] = x.Queue.Kind + " " + control.Size(x.Queue.Backlog)
		}
	}
	return cells
}

// scheduledRows are what the lines of weighted bonds carry of what they can.
func scheduledRows(s Scene) [][]string {
	rows := [][]string{strings.Fields("LINE SHARE USED OF BACKLOG PASSED")}
	for _, b := range s.Status.Bonds {
		for _, m := range b.Members {
			x := m.Scheduled
			if x == nil {
				continue
			}
			row := []string{m.Line, fmt.Sprintf("%.0f%%", x.Share*100), rate(x.WireBits), x.By(), fmt.Sprintf("%.1fms", x.Backlog*1e3), fmt.Sprint(x.Passed)}
			if x.Believed > 0 {
				row[3] = rate(x.Believed)
			}
			if x.Silent {
				row[4] = "silent"
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// rate writes bits per second as tc(8) does, which is short: 18.5Mbit.
func rate(bits float64) string { return strings.TrimSuffix(control.Rate(bits), "/s") }

// columns puts cells under each other.
func columns(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var out []string
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}

// loadRow shows the load's rate as it was in the last seconds. A full column is all that the lines can carry.
func loadRow(s Scene, width int) string {
	l := s.Load
	row := fmt.Sprintf("%-10s %10s  %6s  ", l.Name, rate(l.Rate()), control.Size(l.Moved))
	room := max(0, width-len(row))
	return row + spark(l.Rates[max(0, len(l.Rates)-room):], s.Capacity)
}

// spark draws values as columns of an eighth to eight eighths of a full one. Nothing is a space.
func spark(values []float64, full float64) string {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		level := 0
		if v > 0 && full > 0 {
			level = min(1+int(v/full*8), len(levels)-1)
		}
		b.WriteRune(levels[level])
	}
	return b.String()
}

// clip cuts a text to a number of columns.
func clip(s string, width int) string {
	r := []rune(s)
	switch {
	case len(r) <= width:
		return s
	case width < 1:
		return ""
	}
	return string(r[:width-1]) + "…"
}

// wrap breaks a text into lines of at most width columns, each as far in as the text begins.
func wrap(s string, width int) string {
	body := strings.TrimLeft(s, " ")
	indent := s[:len(s)-len(body)]
	out, line := "", indent
	for i, word := range strings.SplitAfter(body, " ") {
		if i > 0 && len([]rune(line))+len([]rune(strings.TrimRight(word, " "))) > width {
			out += strings.TrimRight(line, " ") + "\n"
			line = indent
		}
		line += word
	}
	return out + line
}
