package tour

import (
	"strings"
	"testing"
	"unicode/utf8"

	"linebond/control"
)

// events is a tour that ends early, as it is told.
func events() []Event {
	good := Result{Title: "lines dialled", Seen: "2 lines are up 0.31 s after the daemon's start.", OK: true, Measured: []Measure{
		{Name: "all up after", Value: 0.3149, Unit: "s"}, {Name: "since the command", Value: 0.95, Unit: "s"},
	}}
	rates := Result{Title: "download", Seen: "It runs at 38.1 Mbit/s, of 40 possible.", OK: true, Measured: []Measure{
		{Name: "rate", Value: 38.1e6, Unit: "bit/s"}, {Name: "received", Value: 12e6, Unit: "B"}, {Name: "connections broken", Value: 2},
		{Name: "pings lost", Value: 12, Of: 43},
	}}
	late, ping, faster := 0.0124, 0.0123, -0.0004
	compared := Result{Title: "upload compared", Seen: "One connection gets more.", OK: true, Best: 23e6, Compared: []Way{
		{Name: "line1 alone", Rate: 18e6, Ping: &ping}, {Name: "teql", Absent: true}, {Name: "weighted", Rate: 22.93e6, Late: &late, Ping: &faster},
		{Name: "too much", Rate: 24e6},
	}, Measured: []Measure{{Name: "line1 alone", Value: 18e6, Unit: "bit/s"}, {Name: "weighted", Value: 22.93e6, Unit: "bit/s"}}}
	slow := compared
	slow.OK, slow.Error = false, "one connection gets too little"
	bad := Result{Title: "cable pulled", Error: "after 1m0s still not: the line's failure is noticed (line1 is up: renegotiated)", Measured: []Measure{}}
	return []Event{
		{Kind: note, At: 0.1, Text: "A lab."},
		{Kind: begins, At: 0.4, Step: 1, Steps: 10, Text: "The daemon starts."},
		{Kind: changed, At: 0.5, Line: &Line{"line1", "discovery", "dialling"}},
		{Kind: changed, At: 12.34, Line: &Line{"line1", "up", "address assigned: IPv4, IPv6"}},
		{Kind: ended, At: 12.4, Step: 1, Steps: 10, Result: &good},
		{Kind: begins, At: 12.5, Step: 2, Steps: 10, Text: "A host downloads."},
		{Kind: ended, At: 14, Step: 2, Steps: 10, Result: &rates},
		{Kind: note, At: 14, Text: "  14.0s  linebond reload: mode = \"teql\""},
		{Kind: ended, At: 14, Step: 2, Steps: 10, Result: &compared},
		{Kind: ended, At: 14, Step: 2, Steps: 10, Result: &slow},
		{Kind: figures, At: 14, Bond: &control.Bond{Device: "wanbond0", Mode: "weighted", Addresses: []string{}, Members: []control.Member{},
			Scheduler: &control.Scheduler{Packets: 10}}},
		{Kind: begins, At: 14, Step: 3, Steps: 10, Text: "The cable of line1 is pulled."},
		{Kind: ended, At: 74, Step: 3, Steps: 10, Result: &bad},
		{Kind: summary, At: 75, Steps: 10, Results: []Result{good, rates, bad}},
		{Kind: summary, At: 76, Steps: 2, Results: []Result{good, rates}},
		{Kind: summary, At: 77, Steps: 10, Results: []Result{good}, Interrupted: true},
	}
}

func TestPlain(t *testing.T) {
	var b strings.Builder
	for _, e := range events() {
		if err := (Plain{&b}).Event(e); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "plain.txt", b.String())
}

// TestNarrow: the summary and the comparison fit into 80 columns.
func TestNarrow(t *testing.T) {
	var b strings.Builder
	for _, e := range events() {
		b.WriteString(text(e, 80))
	}
	golden(t, "narrow.txt", b.String())
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestJSON: the names are for programs and do not change.
func TestJSON(t *testing.T) {
	var b strings.Builder
	for _, e := range events() {
		if err := (JSON{&b}).Event(e); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "events.json", b.String())
}

// TestNotes: what is told of the lab itself.
func TestNotes(t *testing.T) {
	o := Options{Lines: 2, Bond: "teql", Dataplane: "auto", Program: "/usr/local/bin/linebond"}
	weighted := Options{Lines: 3, Bond: "weighted"}
	golden(t, "notes.txt", text(Event{Kind: note, Text: introduction(o)}, 110)+"--------\n"+text(Event{Kind: note, Text: introduction(weighted)}, 110)+
		"--------\n"+text(Event{Kind: note, Text: guide(o)}, 110))
}

// TestFiles: the daemon's configuration is one that a person would write.
func TestFiles(t *testing.T) {
	o := Options{Lines: 2, Bond: "teql", Dataplane: "auto"}
	weighted := Options{Lines: 2, Bond: "weighted", Dataplane: "auto"}
	golden(t, "files.txt", strings.Join([]string{
		daemonFile(o, "teql", "teql3"), daemonFile(weighted, "weighted", "teql3"), daemonFile(Options{Bond: "none"}, "none", ""), lineFile(o, 1), lineFile(weighted, 1),
	}, "--------\n"))
}

// TestFolders: the daemon uses no folder of the host's.
func TestFolders(t *testing.T) {
	want := "run --config /run/linebond-lab/etc --runtime-dir /run/linebond-lab/run --state-dir /run/linebond-lab/state"
	if got := strings.Join(daemonArguments(), " "); got != want {
		t.Errorf("linebond %s", got)
	}
}
