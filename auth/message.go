package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMessage bounds, in runes, what is kept of the other side's words.
const maxMessage = 128

// printable makes the other side's words fit for a log: white space becomes
// one space, what is not printable (or not UTF-8) a question mark, and what is
// longer than maxMessage runes ends in an ellipsis.
func printable(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == 0: // some servers send C strings, end and all
			return ' '
		case !unicode.IsPrint(r), r == utf8.RuneError:
			return '?'
		}
		return r
	}, string(text))
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > maxMessage {
		clean = string(runes[:maxMessage-1]) + "…"
	}
	return clean
}
