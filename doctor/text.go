package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// WriteText writes the report for a person: a line for each finding, and what to do below it, or below
// the last of several for which that is the same.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i, g := range r.Groups {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(g.Title + "\n")
		width := 0
		for _, f := range g.Findings {
			width = max(width, len(f.Name))
		}
		for i, f := range g.Findings {
			fmt.Fprintf(&b, "  %-7s  %-*s  %s\n", f.Level, width, f.Name, f.Detail)
			again := i+1 < len(g.Findings) && g.Findings[i+1].Remedy == f.Remedy // then it stands below the next
			if f.Remedy != "" && !again {
				fmt.Fprintf(&b, "  %7s  %*s  -> %s\n", "", width, "", f.Remedy)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
