package ppp_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"linebond/ppp"
)

func TestPrintable(t *testing.T) {
	long := strings.Repeat("ä", 20)
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"Login ok", "Login ok"},
		{"  two\r\n\tlines \x00", "two lines"},
		{"\x1b[31mred", "?[31mred"},
		{"Gr\xfc\xdfe", "Gr??e"}, // Latin-1
		{"Grüße", "Grüße"},
		{"right\u202eleft", "right?left"}, // bidirectional override
		{long, long},
		{long + "x", strings.Repeat("ä", 19) + "…"},
	} {
		if got := ppp.Printable([]byte(c.text), 20); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add([]byte("\xff\x1b[0m"))
	f.Fuzz(func(t *testing.T, text []byte) {
		once := ppp.Printable(text, 20)
		unfit := func(r rune) bool { return !unicode.IsPrint(r) }
		if utf8.RuneCountInString(once) > 20 || strings.ContainsFunc(once, unfit) {
			t.Errorf("%q", once)
		}
		if again := ppp.Printable([]byte(once), 20); again != once {
			t.Errorf("%q becomes %q", once, again)
		}
	})
}
