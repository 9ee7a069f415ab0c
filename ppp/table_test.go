package ppp

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/table.txt anew")

// printTable prints the transition table as RFC 1661 section 4.1 does: six
// states, then four, cells centred in columns of ten.
func printTable() string {
	var b strings.Builder
	for _, columns := range [][]State{{0, 1, 2, 3, 4, 5}, {6, 7, 8, 9}} {
		if columns[0] != 0 {
			b.WriteByte('\n')
		}
		line := func(head string, text func(State) string) {
			row := fmt.Sprintf("%-6s|", head)
			for i, s := range columns {
				t := text(s)
				row = fmt.Sprintf("%-*s", 7+14*i, row) + t + strings.Repeat(" ", max(1, 14-len(t)))
			}
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
		b.WriteString("      | State\n")
		line("", func(s State) string { return fmt.Sprint(int8(s)) })
		line("Events", State.String)
		b.WriteString("------+" + strings.Repeat("-", 14*len(columns)) + "\n")
		for e := range event(numEvents) {
			line(" "+eventNames[e], func(s State) string { return table[e][s].String() })
		}
	}
	return b.String()
}

// TestTableGolden prints the table for a reader to lay beside RFC 1661 section 4.1.
func TestTableGolden(t *testing.T) {
	const file = "testdata/table.txt"
	got := printTable()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}
