package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"

	"linebond/auth"
)

// value is what stands behind a key, or one element of it.
type value struct {
	doc    *document
	key    key
	node   *unstable.Node
	raw    string // as it stands in the file
	offset int
}

// valueOf returns the value of a key = value expression. Where it begins is
// looked up in the text, because the parser does not tell it of an array.
func (d *document) valueOf(k key, e *unstable.Node) value {
	it := e.Key()
	start := 0
	for it.Next() {
		start = int(it.Node().Raw.Offset + it.Node().Raw.Length)
	}
	end := int(e.Raw.Offset + e.Raw.Length)
	raw := strings.TrimLeft(string(d.data[start:end]), " \t=")
	return value{doc: d, key: k, node: e.Value(), raw: raw, offset: end - len(raw)}
}

// fail notes what is wrong with the value.
func (v value) fail(format string, args ...any) {
	v.doc.fail(v.offset, v.key.name, format, args...)
}

// refuse says that the value is not among those that are allowed.
func (v value) refuse(problem, allowed string) {
	v.fail("%s %s; allowed: %s", v.shown(), problem, allowed)
}

// shown returns the value for a message, or a stand-in if it is secret, too
// long, or has a line break or anything else that a terminal may obey.
func (v value) shown() string {
	strange := func(r rune) bool { return !unicode.IsPrint(r) }
	if v.key.secret || len(v.raw) > 40 || strings.IndexFunc(v.raw, strange) >= 0 {
		return "this value"
	}
	return v.raw
}

// is checks the type of the value.
func (v value) is(kind unstable.Kind, wanted string) bool {
	if v.node.Kind != kind {
		v.fail("must be %s, not %s", wanted, kindName(v.node.Kind))
		return false
	}
	return true
}

// kindName is what a TOML type is called in messages.
func kindName(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a text in quotes"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer:
		return "a whole number"
	case unstable.Float:
		return "a fraction"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	default:
		return "a date or time"
	}
}

// elements returns the elements of a list. One whose own place the parser
// does not tell, a list again, stands where the outer list does.
func (v value) elements() []value {
	var all []value
	for it := v.node.Children(); it.Next(); {
		e := value{doc: v.doc, key: v.key, node: it.Node(), raw: v.raw, offset: v.offset}
		if r := it.Node().Raw; r.Length > 0 {
			e.raw, e.offset = string(v.doc.data[r.Offset:r.Offset+r.Length]), int(r.Offset)
		}
		all = append(all, e)
	}
	return all
}

// number returns the value as a whole number from least to most.
func (v value) number(least, most int64) (n int64, ok bool) {
	allowed := fmt.Sprintf("%d to %d", least, most)
	if !v.is(unstable.Integer, "a whole number from "+allowed) {
		return 0, false
	}
	n, err := strconv.ParseInt(v.raw, 0, 64)
	if err != nil || n < least || n > most {
		v.refuse("is out of range", allowed)
		return 0, false
	}
	return n, true
}

// The functions below make what a key's table entry calls. Each sets *to only
// if the value is right.

func integer[N int | uint8](to *N, least, most int64) func(value) {
	return func(v value) {
		if n, ok := v.number(least, most); ok {
			*to = N(n)
		}
	}
}

func boolean(to *bool) func(value) {
	return func(v value) {
		if v.is(unstable.Bool, "true or false") {
			*to = string(v.node.Data) == "true"
		}
	}
}

// text takes a string of least to most bytes.
func text(to *string, least, most int) func(value) {
	return func(v value) {
		if !v.is(unstable.String, "a text in quotes") {
			return
		}
		if n := len(v.node.Data); n < least || n > most {
			v.fail("must have %d to %d bytes", least, most)
			return
		}
		*to = string(v.node.Data)
	}
}

// choice takes one of a few words.
func choice(to *string, allowed ...string) func(value) {
	list := `"` + strings.Join(allowed, `", "`) + `"`
	return func(v value) {
		if !v.is(unstable.String, "one of the words "+list) {
			return
		}
		if !slices.Contains(allowed, string(v.node.Data)) {
			v.refuse("is unknown", list)
			return
		}
		*to = string(v.node.Data)
	}
}

// deviceName takes what Linux accepts as the name of a network device.
func deviceName(to *string) func(value) {
	return func(v value) {
		if !v.is(unstable.String, "the name of a network device") {
			return
		}
		name := string(v.node.Data)
		odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' || r == '%' }
		if n := len(name); n < 1 || n > maxDeviceName || name == "." || name == ".." || strings.IndexFunc(name, odd) >= 0 {
			v.refuse("is no name of a network device", "1 to 15 letters, digits and signs other than / : %")
			return
		}
		*to = name
	}
}

// secret takes a password.
func secret(to *auth.Secret) func(value) {
	return func(v value) {
		var s string
		if text(&s, 1, maxPassword)(v); s != "" {
			*to = auth.NewSecret(s)
		}
	}
}

// methods takes the name of an authentication method, or a list of them.
func methods(to *[]auth.Method) func(value) {
	const allowed = `"mschapv2", "chap", "pap"`
	return func(v value) {
		names := []value{v}
		if v.node.Kind == unstable.Array {
			names = v.elements()
		}
		var all []auth.Method
		for _, name := range names {
			if !name.is(unstable.String, "one or a list of "+allowed) {
				continue
			}
			m, err := auth.ParseMethod(string(name.node.Data))
			switch {
			case err != nil:
				name.refuse("is unknown", allowed)
			case slices.Contains(all, m):
				name.fail("%s is named twice", name.shown())
			default:
				all = append(all, m)
			}
		}
		if len(names) == 0 {
			v.fail("names no method; allowed: one or more of %s", allowed)
		}
		if len(all) > 0 {
			*to = all
		}
	}
}

// vlanIDs takes one VLAN id, or a list of the outer and the inner one.
func vlanIDs(to *[]uint16) func(value) {
	return func(v value) {
		ids := []value{v}
		if v.node.Kind == unstable.Array {
			if ids = v.elements(); len(ids) != 2 {
				v.fail("a list must be [outer, inner]; for one tag write vlan = 101")
				return
			}
		}
		var all []uint16
		for _, id := range ids {
			if n, ok := id.number(1, 4094); ok {
				all = append(all, uint16(n))
			}
		}
		if len(all) == len(ids) {
			*to = all
		}
	}
}

// hexBytes takes least to most bytes in hex.
func hexBytes(to *[]byte, least, most int) func(value) {
	allowed := fmt.Sprintf("%d to %d bytes in hex, such as %q", least, most, "0a1b2c")
	return func(v value) {
		if !v.is(unstable.String, allowed) {
			return
		}
		b, err := hex.DecodeString(string(v.node.Data))
		if err != nil || len(b) < least || len(b) > most {
			v.refuse("is not hex, or too short or too long", allowed)
			return
		}
		*to = b
	}
}

// duration takes a time such as "500ms" from least to most.
func duration(to *time.Duration, least, most time.Duration) func(value) {
	allowed := fmt.Sprintf(`"%gs" to "%gs"`, least.Seconds(), most.Seconds())
	return func(v value) {
		if !v.is(unstable.String, "a time from "+allowed) {
			return
		}
		t, err := time.ParseDuration(string(v.node.Data))
		if err != nil || t < least || t > most {
			v.refuse("is out of range or no time", allowed)
			return
		}
		*to = t
	}
}

// rate takes a data rate.
func rate(to *Rate) func(value) {
	const allowed = `"1bit" to "1000tbit", such as "18.5mbit" (Mbit/s) or "2mbps" (Mbyte/s)`
	return func(v value) {
		if !v.is(unstable.String, "a rate from "+allowed) {
			return
		}
		r, ok := parseRate(string(v.node.Data))
		if !ok {
			v.refuse("is out of range or no rate", allowed)
			return
		}
		*to = r
	}
}
