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

// warn is fail for what does not keep the file from being used.
func (v value) warn(format string, args ...any) {
	v.fail(format, args...)
	v.doc.problems[len(v.doc.problems)-1].Warning = true
}

// suggest says that the value is none of those that are allowed, but near to one.
func (v value) suggest(problem, meant string) {
	v.fail("%s %s; did you mean %q?", v.shown(), problem, meant)
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

// parser turns what stands behind a key into a T. Where it is wrong it has
// noted why, and says so.
type parser[T any] func(value) (T, bool)

// into makes what a key's table entry calls: it sets *to if the value is right.
func into[T any](to *T, parse parser[T]) func(value) {
	return func(v value) {
		if x, ok := parse(v); ok {
			*to = x
		}
	}
}

// word takes a text that parse takes. Messages say what is wanted, what is the
// problem with a text that is none, and what is allowed.
func word[T any](wanted, problem, allowed string, parse func(string) (T, bool)) parser[T] {
	return func(v value) (x T, ok bool) {
		if !v.is(unstable.String, wanted) {
			return x, false
		}
		if x, ok = parse(string(v.node.Data)); !ok {
			v.refuse(problem, allowed)
		}
		return x, ok
	}
}

// list takes one T, or a list of least to most different ones. It is called
// what, and its right elements are used.
func list[T comparable](least, most int, what string, one parser[T]) parser[[]T] {
	return func(v value) (all []T, ok bool) {
		values := []value{v}
		if v.node.Kind == unstable.Array {
			values = v.elements()
		}
		if n := len(values); n < least || n > most {
			v.fail("names %d %s; allowed: %d to %d", n, what, least, most)
			return nil, false
		}
		for _, e := range values {
			x, right := one(e)
			if right && slices.Contains(all, x) {
				e.fail("%s is named twice", e.shown())
			} else if right {
				all = append(all, x)
			}
		}
		return all, len(all) > 0 || len(values) == 0
	}
}

func integer[N int | uint8 | uint16](least, most int64) parser[N] {
	return func(v value) (N, bool) {
		n, ok := v.number(least, most)
		return N(n), ok
	}
}

func boolean(v value) (bool, bool) {
	return string(v.node.Data) == "true", v.is(unstable.Bool, "true or false")
}

// text takes a string of least to most bytes.
func text(least, most int) parser[string] {
	return func(v value) (string, bool) {
		if !v.is(unstable.String, "a text in quotes") {
			return "", false
		}
		n := len(v.node.Data)
		if n < least || n > most {
			v.fail("must have %d to %d bytes", least, most)
		}
		return string(v.node.Data), least <= n && n <= most
	}
}

// secret takes a password.
func secret(v value) (auth.Secret, bool) {
	s, ok := text(1, maxPassword)(v)
	return auth.NewSecret(s), ok
}

// choice takes one of a few words.
func choice(allowed ...string) parser[string] {
	list := `"` + strings.Join(allowed, `", "`) + `"`
	return word("one of the words "+list, "is unknown", list, func(s string) (string, bool) {
		return s, slices.Contains(allowed, s)
	})
}

// deviceName takes the name of a network device that is no bond.
func deviceName(v value) (string, bool) {
	name, ok := linuxName(v)
	if ok && isTEQL(name) {
		v.fail("%s is the name of a bond's device", v.shown())
	}
	return name, ok && !isTEQL(name)
}

// linuxName takes what Linux accepts as the name of a network device.
var linuxName = word("the name of a network device", "is no name of a network device",
	"1 to 15 letters, digits and signs other than / : %", func(name string) (string, bool) { return name, isLinuxName(name) })

func isLinuxName(name string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' || r == '%' }
	return name != "" && len(name) <= maxDeviceName && name != "." && name != ".." && strings.IndexFunc(name, odd) < 0
}

// method takes the name of an authentication method.
var method = word(`one or a list of "mschapv2", "chap", "pap"`, "is unknown", `"mschapv2", "chap", "pap"`,
	func(name string) (auth.Method, bool) {
		m, err := auth.ParseMethod(name)
		return m, err == nil
	})

// vlanIDs takes one VLAN id, or a list of the outer and the inner one.
func vlanIDs(v value) (all []uint16, ok bool) {
	ids := []value{v}
	if v.node.Kind == unstable.Array {
		if ids = v.elements(); len(ids) != 2 {
			v.fail("a list must be [outer, inner]; for one tag write vlan = 101")
			return nil, false
		}
	}
	for _, id := range ids {
		if n, ok := id.number(1, 4094); ok {
			all = append(all, uint16(n))
		}
	}
	return all, len(all) == len(ids)
}

// hexBytes takes least to most bytes in hex.
func hexBytes(least, most int) parser[[]byte] {
	allowed := fmt.Sprintf("%d to %d bytes in hex, such as %q", least, most, "0a1b2c")
	return word(allowed, "is not hex, or too short or too long", allowed, func(s string) ([]byte, bool) {
		b, err := hex.DecodeString(s)
		return b, err == nil && least <= len(b) && len(b) <= most
	})
}

// duration takes a time such as "500ms" from least to most.
func duration(least, most time.Duration) parser[time.Duration] {
	allowed := fmt.Sprintf(`"%gs" to "%gs"`, least.Seconds(), most.Seconds())
	return word("a time from "+allowed, "is out of range or no time", allowed, func(s string) (time.Duration, bool) {
		t, err := time.ParseDuration(s)
		return t, err == nil && least <= t && t <= most
	})
}
