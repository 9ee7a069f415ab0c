package control

import (
	"fmt"
	"slices"
	"strings"
)

// Scheduler is what the eBPF program of a weighted bond has counted, since its
// device was made, and the queue before it.
type Scheduler struct {
	Packets     uint64  `json:"packets"`
	Late        uint64  `json:"late"`     // of them, those that ought to arrive before one that was sent earlier, if lines are as believed
	Disorder    float64 `json:"disorder"` // their share in the last seconds, 0 to 1
	NoLine      uint64  `json:"no_line"`  // dropped: no line was in
	NotIP       uint64  `json:"not_ip"`   // dropped
	Unsegmented uint64  `json:"unsegmented"`
	Queue       *Queue  `json:"queue,omitempty"` // none: the queues are those of the lines
	Waits       bool    `json:"waits,omitempty"` // there is to be a queue when the rates of all lines are known
}

// Queue is the queue on the device of a weighted bond, which keeps those of the
// lines empty. Drops and marks are packets, since it was made.
type Queue struct {
	Kind    string  `json:"kind"` // of the qdisc: "cake", or what is there in its place
	Rate    float64 `json:"rate"` // that it lets through, bit/s
	Backlog uint64  `json:"backlog"`
	Drops   uint64  `json:"drops"`
	Marks   uint64  `json:"marks"` // told to slow down by ECN instead (RFC 3168)
}

// ScheduledLine is what it has counted of a line, since that was put in. Share,
// TxBits and WireBits are of the last seconds; Share and TxBits are of IP,
// WireBits and the rates are with what the line adds to each packet.
type ScheduledLine struct {
	Rate     float64 `json:"rate"`     // that is configured, bit/s; 0: none
	Auto     bool    `json:"auto"`     // it is to be learned instead
	Believed float64 `json:"believed"` // that is reckoned with; 0: all lines count as equal
	Learned  bool    `json:"learned"`  // that one has been learned
	Trial    bool    `json:"trial"`    // it is less than what has been learned, for some seconds, to see whether that is too much
	Share    float64 `json:"share"`
	TxBits   float64 `json:"tx_bits"`
	WireBits float64 `json:"wire_bits"`
	Backlog  float64 `json:"backlog"` // seconds until all that was sent to the line will have left, at the rate that is believed
	Packets  uint64  `json:"packets"`
	Bytes    uint64  `json:"bytes"`
	Passed   uint64  `json:"passed"` // packets that went elsewhere because the line was silent
	Silent   bool    `json:"silent"`
	Drops    uint64  `json:"drops"` // packets that the line's device has dropped, since it was made
}

// scheduled are the tables of the weighted bonds, if there are any: what their
// lines carry of what they can, then what has happened to packets before they
// came to a line.
func (s Status) scheduled() [][][]string {
	lines := [][]string{strings.Fields("BOND LINE SHARE USED OF BY BACKLOG PASSED DROPS")}
	bonds := [][]string{strings.Fields("BOND PACKETS LATE QUEUE RATE BACKLOG DROPS MARKS")}
	drops := false
	for _, b := range s.Bonds {
		if b.Scheduler == nil {
			continue
		}
		bonds = append(bonds, append([]string{b.Device}, b.Scheduler.row()...))
		for _, m := range b.Members {
			if x := m.Scheduled; x != nil {
				lines = append(lines, append([]string{b.Device, m.Line}, x.row()...))
				drops = drops || x.Drops > 0
			}
		}
	}
	if len(bonds) == 1 {
		return nil
	}
	if len(lines) == 1 {
		return [][][]string{bonds}
	}
	if !drops {
		lines = without(lines, len(lines[0])-1)
	}
	return [][][]string{lines, bonds}
}

func (x *ScheduledLine) row() []string {
	row := []string{percent(x.Share), Rate(x.WireBits), none, x.By(), fmt.Sprintf("%.1fms", x.Backlog*1e3), fmt.Sprint(x.Passed), fmt.Sprint(x.Drops)}
	if x.Believed > 0 {
		row[2] = Rate(x.Believed)
	}
	if x.Silent {
		row[4] = "silent"
	}
	return row
}

// By says in a word why the line gets as much as it does: by its configured
// upload, by the rate that was learned or, so far, is being learned or tried, or
// as all lines are equal.
func (x *ScheduledLine) By() string {
	switch {
	case x.Believed == 0:
		return "equal"
	case x.Trial:
		return "trial"
	case x.Learned:
		return "learned"
	case x.Auto:
		return "learning"
	}
	return "upload"
}

func (s *Scheduler) row() []string {
	row := []string{fmt.Sprint(s.Packets), fmt.Sprintf("%.1f%%", s.Disorder*100), none, none, none, none, none}
	switch q := s.Queue; {
	case q != nil:
		copy(row[2:], []string{q.Kind, Rate(q.Rate), Size(q.Backlog), fmt.Sprint(q.Drops), fmt.Sprint(q.Marks)})
	case s.Waits:
		row[2] = "waits for rates"
	}
	return row
}

// hints say what to write so that lines get what they can carry: one for each
// weighted bond where that is not known. And one that it does without eBPF.
func (s Status) hints() (all []string) {
	for _, b := range s.Bonds {
		if b.Numgen {
			all = append(all, fmt.Sprintf("hint: %s goes on without eBPF, which the kernel refuses: nftables spreads the packets (numgen), "+
				"and more of them come out of order; `linebond doctor` says what is missing", b.Device))
		}
		var files []string
		in := 0
		for _, m := range b.Members {
			x := m.Scheduled
			if x == nil {
				continue
			}
			in++
			if x.Believed == 0 && x.Rate == 0 && !x.Auto {
				files = append(files, m.Line+".toml")
			}
		}
		if in > 1 && len(files) > 0 {
			all = append(all, fmt.Sprintf(`hint: equal shares, for want of rates; write upload = "20mbit", say, or "auto" into %s`, strings.Join(files, ", ")))
		}
	}
	return all
}

// without takes columns out of a table.
func without(rows [][]string, columns ...int) [][]string {
	var out [][]string
	for _, row := range rows {
		var kept []string
		for i, cell := range row {
			if !slices.Contains(columns, i) {
				kept = append(kept, cell)
			}
		}
		out = append(out, kept)
	}
	return out
}
