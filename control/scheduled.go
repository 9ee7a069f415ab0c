package control

import (
	"fmt"
	"strings"
)

// Scheduler is what the eBPF program of a weighted bond has counted, since its
// device was made.
type Scheduler struct {
	Packets     uint64  `json:"packets"`
	Late        uint64  `json:"late"`     // of them, those that ought to arrive before one that was sent earlier, if lines are as believed
	Disorder    float64 `json:"disorder"` // their share in the last seconds, 0 to 1
	NoLine      uint64  `json:"no_line"`  // dropped: no line was in
	NotIP       uint64  `json:"not_ip"`   // dropped
	Unsegmented uint64  `json:"unsegmented"`
}

// ScheduledLine is what it has counted of a line, since that was put in. Share
// and TxBits are of the last seconds; all is IP, without what the line adds.
type ScheduledLine struct {
	Rate    float64 `json:"rate"` // that is configured, bit/s; 0: none
	Share   float64 `json:"share"`
	TxBits  float64 `json:"tx_bits"`
	Backlog float64 `json:"backlog"` // seconds until all that was sent to the line will have left, at the rate that is believed
	Packets uint64  `json:"packets"`
	Bytes   uint64  `json:"bytes"`
	Passed  uint64  `json:"passed"` // packets that went elsewhere because the line was silent
	Silent  bool    `json:"silent"`
}

// scheduled is the table of the weighted bonds, each of which has a row of its
// own before those of its lines; only its head without any.
func (s Status) scheduled() [][]string {
	rows := [][]string{strings.Fields("BOND LINE BYTES UP OF BACKLOG PASSED LATE")}
	for _, b := range s.Bonds {
		if b.Scheduler == nil {
			continue
		}
		var up, of float64
		known := true
		var passed uint64
		var lines [][]string
		for _, m := range b.Members {
			x := m.Scheduled
			if x == nil {
				continue
			}
			up, of, passed, known = up+x.TxBits, of+x.Rate, passed+x.Passed, known && x.Rate > 0
			lines = append(lines, []string{
				b.Device, m.Line, percent(x.Share), Rate(x.TxBits), rateOr(x.Rate, x.Rate > 0), backlog(x), fmt.Sprint(x.Passed), none,
			})
		}
		late := fmt.Sprintf("%.1f%%", b.Scheduler.Disorder*100)
		whole := []string{b.Device, "all", none, Rate(up), rateOr(of, known && of > 0), none, fmt.Sprint(passed), late}
		rows = append(append(rows, whole), lines...)
	}
	return rows
}

func rateOr(bits float64, known bool) string {
	if !known {
		return none
	}
	return Rate(bits)
}

func backlog(l *ScheduledLine) string {
	if l.Silent {
		return "silent"
	}
	return fmt.Sprintf("%.1fms", l.Backlog*1e3)
}
