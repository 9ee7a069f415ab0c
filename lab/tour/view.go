package tour

import (
	"fmt"
	"strings"
	"time"

	"linebond/control"
)

// A Scene is how things are in the lab at one moment.
type Scene struct {
	Now      time.Time
	At       time.Duration // since the lab began
	Status   control.Status
	Download *Download // nil while there is none
	Capacity float64   // bit/s, that all lines can carry down
	Saying   string    // what the tour does, in a sentence
	Short    string    // the same in some words, for where that does not fit
}

// Download is a download by the host in the LAN.
type Download struct {
	Received uint64    // bytes
	Rates    []float64 // bit/s, in each of the last tenths of a second, the newest last
	Broken   int       // connections that ended before they should
}

// Rate is that of the last second, in bit/s.
func (d *Download) Rate() float64 {
	last := d.Rates[max(0, len(d.Rates)-ratesASecond):]
	sum := 0.0
	for _, r := range last {
		sum += r
	}
	return sum / max(1, float64(len(last)))
}

// ratesASecond is how many samples of a download's rate are taken in a second.
const ratesASecond = 10

// View draws a scene: lines of text of at most width columns.
func View(s Scene, width int) []string {
	rows := []string{bar(s, width), ""}
	rows = append(rows, columns(lineRows(s))...)
	if bonds := bondRows(s); len(bonds) > 1 {
		rows = append(append(rows, ""), columns(bonds)...)
	}
	if s.Download != nil {
		rows = append(rows, "", downloadRow(s, width))
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
		rows = append(rows, row)
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

// downloadRow shows the download's rate as it was in the last seconds. A full column is all that the lines can carry.
func downloadRow(s Scene, width int) string {
	d := s.Download
	row := fmt.Sprintf("%-10s %10s  %6s  ", "download", rate(d.Rate()), control.Size(d.Received))
	room := max(0, width-len(row))
	return row + spark(d.Rates[max(0, len(d.Rates)-room):], s.Capacity)
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
