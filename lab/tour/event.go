package tour

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"linebond/control"
)

// An Event is something that the lab tells. In JSON, times are seconds since the lab began.
type Event struct {
	Kind    string        `json:"event"`             // one of the kinds below
	At      float64       `json:"at"`                // seconds
	Text    string        `json:"text,omitempty"`    // what a person reads
	Step    int           `json:"step,omitempty"`    // of Steps, from 1 on
	Steps   int           `json:"steps,omitempty"`   // of the tour
	Line    *Line         `json:"line,omitempty"`    // of "line"
	Bond    *control.Bond `json:"bond,omitempty"`    // of "bond": as in linebond status --json
	Result  *Result       `json:"result,omitempty"`  // of "result"
	Results []Result      `json:"results,omitempty"` // of "summary"

	Interrupted bool   `json:"interrupted,omitempty"` // of "summary": a signal has ended the tour
	Config      string `json:"config,omitempty"`      // of the "note" of a lab that stays: the folder of the daemon's configuration
	Socket      string `json:"socket,omitempty"`      // and its control socket
}

// The kinds of events.
const (
	note    = "note"    // about the lab
	begins  = "step"    // a step of the tour begins; Text says what is going to happen
	changed = "line"    // a line has another state
	figures = "bond"    // what a weighted bond carries, each second: for programs
	ended   = "result"  // a step has ended
	summary = "summary" // the tour has ended
)

// Line is a line's new state.
type Line struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// Result is what came of a step.
type Result struct {
	Title    string    `json:"title"`
	Seen     string    `json:"seen"` // in a sentence
	Measured []Measure `json:"measured"`
	Best     float64   `json:"best,omitempty"` // bit/s: what the rates that are compared could be
	Compared []Way     `json:"compared,omitempty"`
	OK       bool      `json:"ok"`
	Error    string    `json:"error,omitempty"` // what it was that did not come about
}

// Way is how an upload went.
type Way struct {
	Name   string   `json:"name"`
	Absent bool     `json:"absent,omitempty"` // the kernel has it not; then there is no more
	Rate   float64  `json:"rate"`             // bit/s
	Late   *float64 `json:"late,omitempty"`   // of its packets, the share that ought to arrive before an earlier one, 0 to 1; none: not known
	Ping   *float64 `json:"ping,omitempty"`   // seconds that a ping took longer, on average, than the fastest in idle lines; none: no ping came back
}

// Measure is a number that was measured.
type Measure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`         // "s", "bit/s", "B", or none: a count
	Of    float64 `json:"of,omitempty"` // of a count: of how many
}

func (m Measure) String() string {
	switch m.Unit {
	case "s":
		return fmt.Sprintf("%s %.2fs", m.Name, m.Value)
	case "bit/s":
		return m.Name + " " + control.Rate(m.Value)
	case "B":
		return m.Name + " " + control.Size(uint64(m.Value))
	}
	if m.Of > 0 {
		return fmt.Sprintf("%s %.0f of %.0f", m.Name, m.Value, m.Of)
	}
	return fmt.Sprintf("%s %.0f", m.Name, m.Value)
}

// text is the event as lines of text of at most width columns, as far as its words allow.
func text(e Event, width int) string {
	var b strings.Builder
	for line := range strings.Lines(paragraphs(e, width)) {
		b.WriteString(wrap(strings.TrimSuffix(line, "\n"), width) + "\n")
	}
	return b.String()
}

// paragraphs is the event in long lines, but for tables, which are as wide as they may be.
func paragraphs(e Event, width int) string {
	switch e.Kind {
	case begins:
		return fmt.Sprintf("\n%d/%d  %s\n", e.Step, e.Steps, e.Text)
	case changed:
		return fmt.Sprintf("%6.1fs  %s: %s (%s)\n", e.At, e.Line.Name, e.Line.State, e.Line.Reason)
	case figures:
		return ""
	case ended:
		if !e.Result.OK {
			return fmt.Sprintf("     FAILED: %s\n", e.Result.Error) + bars(*e.Result)
		}
		return fmt.Sprintf("     %s\n", e.Result.Seen) + bars(*e.Result)
	case summary:
		if len(e.Results) == 0 {
			return "\n" + verdict(e) + "\n"
		}
		return "\n" + table(e.Results, width) + "\n" + verdict(e) + "\n"
	}
	return e.Text + "\n"
}

// bars draws the rates of a result that compares some, as parts of the best.
func bars(r Result) string {
	const width = 20
	if len(r.Compared) == 0 {
		return ""
	}
	longest := 0
	for _, w := range r.Compared {
		longest = max(longest, len(w.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "       %-*s  %10s  %-*s SHARE   LATE  PING\n", longest, "", "RATE", width, "")
	for _, w := range r.Compared {
		if w.Absent {
			fmt.Fprintf(&b, "       %-*s  not in this kernel\n", longest, w.Name)
			continue
		}
		late, ping := "-", "-"
		if w.Late != nil {
			late = fmt.Sprintf("%.1f%%", *w.Late*100)
		}
		if w.Ping != nil {
			ping = fmt.Sprintf("%+.1fms", *w.Ping*1e3)
		}
		share := w.Rate / r.Best
		fmt.Fprintf(&b, "       %-*s  %10s  %s  %3.0f%%  %5s  %s\n", longest, w.Name, control.Rate(w.Rate), gauge(share, width), share*100, late, ping)
	}
	return b.String()
}

// gauge draws a share, from 0 to 1, as a bar of so many columns.
func gauge(share float64, width int) string {
	eighths := int(min(max(share, 0), 1)*float64(width)*8 + 0.5)
	full := strings.Repeat("█", eighths/8)
	if eighths%8 > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[eighths%8-1])
	}
	return full + strings.Repeat("░", width-len([]rune(full)))
}

// table is the summary of a tour. What was measured goes on below where a line would be longer than the width.
func table(results []Result, width int) string {
	longest := len("WHAT HAPPENED")
	for _, r := range results {
		longest = max(longest, len(r.Title))
	}
	var b strings.Builder
	row := func(number, title, result, measured string) {
		head := fmt.Sprintf("%-4s  %-*s  %-6s  ", number, longest, title, result)
		body := strings.TrimLeft(wrap(strings.Repeat(" ", len(head))+measured, width), " ")
		b.WriteString(strings.TrimRight(head+body, " ") + "\n")
	}
	row("STEP", "WHAT HAPPENED", "RESULT", "MEASURED")
	for i, r := range results {
		result := "ok"
		if !r.OK {
			result = "failed"
		}
		var measured []string
		for _, m := range r.Measured {
			measured = append(measured, m.String())
		}
		row(fmt.Sprint(i+1), r.Title, result, strings.Join(measured, ", "))
	}
	return b.String()
}

// verdict is the summary in a sentence.
func verdict(e Event) string {
	good := 0
	for _, r := range e.Results {
		if r.OK {
			good++
		}
	}
	switch {
	case e.Interrupted:
		return fmt.Sprintf("Interrupted after %d of %d steps.", len(e.Results), e.Steps)
	case good == e.Steps:
		return "Each step did what it should."
	}
	return fmt.Sprintf("%d of %d steps did what they should; the tour ended there.", good, e.Steps)
}

// A Reporter is whom the lab tells. Its methods are called one at a time.
type Reporter interface {
	Event(Event) error
	Scene(Scene) error // how things are, some times a second
	Close() error
}

// Plain writes the events as text.
type Plain struct{ Out io.Writer }

// Event implements Reporter.
func (p Plain) Event(e Event) error {
	const width = 110
	_, err := io.WriteString(p.Out, text(e, width))
	return err
}

// Scene implements Reporter: who reads lines of text reads the events.
func (Plain) Scene(Scene) error { return nil }

// Close implements Reporter.
func (Plain) Close() error { return nil }

// JSON writes each event as a line of JSON.
type JSON struct{ Out io.Writer }

// Event implements Reporter.
func (j JSON) Event(e Event) error { return json.NewEncoder(j.Out).Encode(e) }

// Scene implements Reporter: the daemon's socket tells programs more.
func (JSON) Scene(Scene) error { return nil }

// Close implements Reporter.
func (JSON) Close() error { return nil }

// listener is a reporter that is told nothing more when it has failed once: that error stays.
type listener struct {
	Reporter
	err error
}

func (l *listener) Event(e Event) error {
	if l.err == nil {
		l.err = l.Reporter.Event(e)
	}
	return l.err
}

func (l *listener) Scene(s Scene) error {
	if l.err == nil {
		l.err = l.Reporter.Scene(s)
	}
	return l.err
}

// Close does not repeat an error.
func (l *listener) Close() error {
	if l.err != nil {
		return nil
	}
	return l.Reporter.Close()
}
