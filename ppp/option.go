package ppp

import "bytes"

// Option is one configuration option, its data kept as it was on the wire so
// that a Configure-Reject can return it bit for bit (RFC 1661 section 5.4).
type Option struct {
	Type uint8
	Data []byte // at most 253 bytes
}

// Equal says whether two options have the same wire form.
func (o Option) Equal(p Option) bool { return o.Type == p.Type && bytes.Equal(o.Data, p.Data) }

// ParseOptions reads the data of a Configure packet. The options alias b.
// Errors: ErrOption, at the first option that does not fit.
func ParseOptions(b []byte) ([]Option, error) { return appendParsed(nil, b) }

// appendParsed is ParseOptions into a slice that the caller reuses.
func appendParsed(opts []Option, b []byte) ([]Option, error) {
	for len(b) > 0 {
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return nil, ErrOption
		}
		n := int(b[1])
		opts = append(opts, Option{Type: b[0], Data: b[2:n:n]})
		b = b[n:]
	}
	return opts, nil
}

// AppendOptions appends the wire form of opts to b.
func AppendOptions(b []byte, opts ...Option) []byte {
	for _, o := range opts {
		b = append(b, o.Type, byte(2+len(o.Data)))
		b = append(b, o.Data...)
	}
	return b
}
