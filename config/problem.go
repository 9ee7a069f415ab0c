package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File         string // as the user would name it, e.g. /etc/linebond/lines.d/a.toml
	Line, Column int    // from 1, Column in characters; 0: the file as a whole
	Key          string // dotted, e.g. keepalive.interval; "" if it is about no key
	Message      string // what is wrong and what is allowed, or what to do
	Warning      bool   // the configuration can be used all the same
}

// String gives the problem as one line: file:line:column: key: message.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// sortProblems orders the problems of one file as they stand in it.
func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
