package auth

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "***"

// Secret is a password that does not show: printed, logged or marshalled it is
// "***". The zero Secret is the empty password.
type Secret struct {
	_ [0]func() // no ==: it would compare addresses, and a secret wants Equal

	// fmt calls no method of a value in an unexported field of another struct,
	// and prints its insides instead. Of a pointer to a string, at whatever
	// depth, it prints the address.
	plain *string
}

// NewSecret wraps a password.
func NewSecret(plain string) Secret { return Secret{plain: &plain} }

// Reveal returns the password itself.
func (s Secret) Reveal() string {
	if s.plain == nil {
		return ""
	}
	return *s.plain
}

// Equal compares two passwords in a time that depends on their lengths only.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns "***".
func (s Secret) String() string { return redacted }

// GoString returns "***".
func (s Secret) GoString() string { return redacted }

// Format prints "***" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "***".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns the JSON string "***".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "***".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
