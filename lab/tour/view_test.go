package tour

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"linebond/control"
)

var update = flag.Bool("update", false, "write the files of testdata anew")

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as in %s (-update writes it anew):\n%s", path, diff)
	}
}

// scene is one with a line that works, and one that does not.
func scene() Scene {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := Scene{Now: now, At: 83 * time.Second, Capacity: 40e6, Saying: "5/10  line1 becomes a black hole: its carrier stays, but nothing gets through.", Short: "5/10  black hole"}
	s.Status.Lines = []control.Line{{
		Name: "line1", State: "up", Reason: "address assigned: IPv4, IPv6", Since: now.Add(-72 * time.Second), Dataplane: "ebpf",
		Session: &control.Session{ID: 4711, ACName: "bras1"}, Echo: control.Echo{Sent: 70, Received: 68, RTT: 0.0213, Loss: 0.0286},
		Rates: &control.Rates{RxBits: 19.2e6, TxBits: 412e3},
	}, {
		Name: "line2", State: "discovery", Reason: "dialling", Since: now.Add(-400 * time.Millisecond), Dataplane: "ebpf",
	}}
	s.Status.Bonds = []control.Bond{{
		Device: "teql0", Mode: "teql", Addresses: []string{"203.0.113.10/32"}, Rates: &control.Rates{RxBits: 19.2e6, TxBits: 412e3},
		Members: []control.Member{{Line: "line1", In: true}, {Line: "line2"}},
	}}
	rates := make([]float64, 200)
	for i := range rates {
		rates[i] = 20e6 * (1 + math.Sin(float64(i)/9))
	}
	s.Load = &Load{Name: "download", Moved: 123456789, Rates: rates}
	return s
}

// weighted is one of a weighted bond, of which one line counts as silent, beside one that is not.
func weighted() Scene {
	s := scene()
	s.Load.Name, s.Capacity = "upload", 25e6
	s.Status.Bonds = append(s.Status.Bonds, control.Bond{
		Device: "wanbond0", Mode: "weighted", Addresses: []string{"203.0.113.10"}, Rates: &control.Rates{RxBits: 412e3, TxBits: 23.1e6},
		Scheduler: &control.Scheduler{Disorder: 0.0123, Queue: &control.Queue{Kind: "cake", Backlog: 12_345}},
		Members: []control.Member{
			{Line: "line1", In: true, Scheduled: &control.ScheduledLine{Rate: 20e6, Believed: 20e6, Share: 0.8, WireBits: 19.6e6, Backlog: 0.0043}},
			{Line: "line2", In: true, Scheduled: &control.ScheduledLine{Auto: true, Silent: true, Passed: 17, Share: 0.2, WireBits: 4.8e6}},
			{Line: "line3"},
		},
	})
	return s
}

func TestView(t *testing.T) {
	var b strings.Builder
	bare := scene()
	bare.Status.Bonds, bare.Load, bare.Status.Trouble = nil, nil, "adding the route default dev ppp-line1: operation not permitted"
	for _, picture := range [][]string{View(scene(), 140), View(scene(), 80), View(weighted(), 80), View(bare, 100), View(Scene{}, 100)} {
		b.WriteString(strings.Join(picture, "\n") + "\n\n--------\n\n")
	}
	golden(t, "view.txt", b.String())
}

// TestViewFits: no width is too small.
func TestViewFits(t *testing.T) {
	for width := range 200 {
		for _, line := range View(weighted(), width) {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d columns of %d: %q", n, width, line)
			}
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		rates []float64
		want  float64
	}{{nil, 0}, {[]float64{10}, 10}, {[]float64{10, 20}, 15}, {append([]float64{1000}, make([]float64, ratesASecond)...), 0}} {
		if got := (&Load{Rates: c.rates}).Rate(); got != c.want {
			t.Errorf("%v: %v", c.rates, got)
		}
	}
}

func TestSpark(t *testing.T) {
	for _, c := range []struct {
		values []float64
		full   float64
		want   string
	}{
		{nil, 8, ""}, {[]float64{0, 0.1, 1, 2, 3, 4, 5, 6, 7, 8, 100, -1}, 8, " ▁▂▃▄▅▆▇███ "}, {[]float64{1}, 0, " "},
	} {
		if got := spark(c.values, c.full); got != c.want {
			t.Errorf("%v of %v: %q", c.values, c.full, got)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""}, {"one two three", 13, "one two three"}, {"one two three", 8, "one two\nthree"}, {"  one two three", 6, "  one\n  two\n  three"},
		{"incomprehensibilities of it", 5, "incomprehensibilities\nof it"}, {"a line   of  spaces", 100, "a line   of  spaces"},
	} {
		if got := wrap(c.text, c.width); got != c.want {
			t.Errorf("%q in %d columns: %q", c.text, c.width, got)
		}
	}
}
