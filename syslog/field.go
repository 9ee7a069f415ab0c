package syslog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"
)

// maxValue bounds one value, in bytes.
const maxValue = 1024

// A pair is one field as text, not yet escaped.
type pair struct{ name, value string }

// A fieldList is fields in the order in which they were given.
type fieldList struct {
	pairs     []pair
	namespace string // of the fields that follow: empty, or names that each end in a dot
}

// add appends what f says. Each field gets an encoder of its own, as zap's map
// encoder does not keep an order.
func (l *fieldList) add(f zapcore.Field) {
	if f.Type == zapcore.NamespaceType {
		l.namespace += f.Key + "."
		return
	}
	enc := zapcore.NewMapObjectEncoder()
	f.AddTo(enc)
	l.addMap(l.namespace, enc.Fields)
}

// addMap appends the entries of m by name. What lies in a nested map is named
// outer.inner.
func (l *fieldList) addMap(prefix string, m map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v := plain(m[key])
		if inner, ok := v.(map[string]any); ok {
			l.addMap(prefix+key+".", inner)
			continue
		}
		l.pairs = append(l.pairs, pair{legalName(prefix + key), cut(text(v), maxValue)})
	}
}

// plain turns a value of a type that zap does not know into what its JSON form
// says: other encoders of zap log that form too, and it respects the type's
// MarshalJSON, by which secrets hide.
func plain(v any) any {
	switch v.(type) {
	case nil, string, []byte, time.Time, time.Duration, map[string]any, []any, bool,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, uintptr,
		float32, float64, complex64, complex128, json.Number:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "!" + err.Error()
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a float64 would change large integers
	var out any
	if err := d.Decode(&out); err != nil {
		return "!" + err.Error()
	}
	return out
}

// text is a value as a person reads it: a list is joined by commas, a map in a
// list is name:value in braces.
func text(v any) string {
	switch v := plain(v).(type) {
	case nil:
		return "null"
	case []byte:
		return hex.EncodeToString(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = text(v[i])
		}
		return strings.Join(items, ",")
	case map[string]any:
		var items []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, key+":"+text(v[key]))
		}
		return "{" + strings.Join(items, ",") + "}"
	default:
		return fmt.Sprint(v)
	}
}

// legalName makes an SD-NAME (RFC 5424 section 6.3.3) of a field's key: 1 to 32
// bytes of printable ASCII without the four characters that the format needs.
func legalName(key string) string {
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '=' || r == ']' || r == '"' {
			return '_'
		}
		return r
	}, key)
	if name == "" {
		return "_"
	}
	return name[:min(len(name), 32)]
}

// cut shortens s to at most size bytes, which are not fewer than 3: on the
// border of a rune, with an ellipsis to show it. A string that was cut is
// copied, so that a queued record does not keep a huge one alive.
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	end := size - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

const ellipsis = "..."
