package auth

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	long := strings.Repeat("ä", maxMessage)
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"Login ok", "Login ok"},
		{"  two\r\n\tlines \x00", "two lines"},
		{"\x1b[31mred", "?[31mred"},
		{"Gr\xfc\xdfe", "Gr??e"}, // Latin-1
		{"Grüße", "Grüße"},
		{"right\u202eleft", "right?left"}, // bidirectional override
		{long, long},
		{long + "x", strings.Repeat("ä", maxMessage-1) + "…"},
	} {
		if got := printable([]byte(c.text)); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
}
