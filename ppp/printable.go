package ppp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes the other side's words fit for a log and a terminal: white
// space becomes one space, what is not printable (or not UTF-8) a question
// mark, and what is longer than most runes ends in an ellipsis.
func Printable(text []byte, most int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == 0: // some peers send C strings, end and all
			return ' '
		case !unicode.IsPrint(r), r == utf8.RuneError:
			return '?'
		}
		return r
	}, string(text))
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > most {
		clean = string(runes[:most-1]) + "…"
	}
	return clean
}
