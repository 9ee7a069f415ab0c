package control

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the status for a person to read, as of now.
func (s Status) WriteTable(w io.Writer, now time.Time) error {
	if err := s.writeTables(w, now); err != nil {
		return err
	}
	words := s.hints()
	if s.Trouble != "" {
		words = append(words, "! host networking is not as it should be: "+s.Trouble)
	}
	if len(words) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, "\n"+strings.Join(words, "\n"))
	return err
}

func (s Status) writeTables(w io.Writer, now time.Time) error {
	if len(s.Lines) == 0 {
		_, err := fmt.Fprintln(w, "no lines are configured")
		return err
	}
	lines := [][]string{strings.Fields("LINE STATE FOR DEVICE ADDRESS AC MTU RTT LOSS RX TX REASON")}
	for _, l := range s.Lines {
		lines = append(lines, l.row(now))
	}
	tables := [][][]string{lines}
	if len(s.Bonds) > 0 {
		tables = append(tables, s.bonds(), s.members(now))
		tables = append(tables, s.scheduled()...)
	}
	for i, rows := range tables {
		if i > 0 {
			_, _ = fmt.Fprintln(w) // an error comes again below
		}
		if err := write(w, rows); err != nil {
			return err
		}
	}
	return nil
}

// write writes rows of cells as a table, whose first row is its head.
func write(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// none stands in a table for what is not there.
const none = "-"

func (l Line) row(now time.Time) []string {
	row := []string{l.Name, l.State, Span(now.Sub(l.Since)), none, none, none, none, none, none, none, none, l.Reason}
	if l.NextDial != nil {
		row[11] += fmt.Sprintf("; next dial in %s", Span(l.NextDial.Sub(now)))
	}
	if x := l.Session; x != nil {
		row[5] = x.ACName
		if x.ACName == "" {
			row[5] = x.AC
		}
		if x.MTU != 0 {
			row[3], row[6] = l.Device, fmt.Sprint(x.MTU)
		}
	}
	switch {
	case l.IPv4 != nil:
		row[4] = l.IPv4.Address
	case l.IPv6 != nil:
		row[4] = l.IPv6.Address
	}
	if l.Echo.Received > 0 && l.Session != nil {
		row[7], row[8] = milliseconds(l.Echo.RTT), percent(l.Echo.Loss)
	}
	if l.Traffic != nil {
		row[9], row[10] = Size(l.Traffic.RxBytes), Size(l.Traffic.TxBytes)
	}
	return row
}

// Span writes a duration as a person would say it, rounded down: 0.4s, 12s,
// 3m4s, 5h6m, 7d8h. One below zero, as a clock that was set makes it, is none.
func Span(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Size writes a number of bytes in powers of 1000: 999B, 1.2kB, 34MB.
func Size(n uint64) string {
	const roundsTo1000, roundsTo10 = 999.5, 9.95
	f, unit := float64(n), 0
	for f >= roundsTo1000 && unit < 5 {
		f, unit = f/1000, unit+1
	}
	suffix := []string{"B", "kB", "MB", "GB", "TB", "PB"}[unit]
	if unit == 0 || f >= roundsTo10 {
		return fmt.Sprintf("%.0f%s", f, suffix)
	}
	return fmt.Sprintf("%.1f%s", f, suffix)
}
