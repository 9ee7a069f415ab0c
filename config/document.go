package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// key is a key that a kind of file may hold, with what its value does.
type key struct {
	name   string // dotted: keepalive.interval
	secret bool   // its value is never shown
	truth  bool   // its value is true or false
	set    func(value)
}

// document is one file on its way from TOML to values. It gathers problems
// and goes on, so that all of a file's mistakes are told at once.
type document struct {
	section         // all of the file but what stands in lists
	file     string // as messages name it
	data     []byte
	keys     []key
	lists    map[string]listed // tables that may be given more than once
	others   []key             // of the other kind of file
	problems []Problem
	prefix   []string            // of the keys below a [header]
	skip     bool                // below a header that was refused
	broken   bool                // some of it is not TOML: what it lacks is unknown
	tables   map[string]table    // tables that were given
	newest   map[string]*section // of each list
}

// listed makes another element of a list, and returns the keys that set it.
type listed func(*section) []key

// table is where a table was given first, and in which of TOML's notations.
type table struct {
	offset   int
	notation notation
}

type notation uint8

const (
	header notation = iota // [keepalive]
	double                 // [[bond]]
	inline                 // keepalive = { interval = "1s" }
	dotted                 // keepalive.interval = "1s"
)

func newDocument(file string, data []byte) *document {
	d := &document{file: file, data: data, tables: map[string]table{}, newest: map[string]*section{}}
	d.section = *d.newSection(0)
	return d
}

// fail notes what is wrong with a key at an offset of the file.
func (d *document) fail(offset int, key, format string, args ...any) {
	p := Problem{File: d.file, Key: key, Message: fmt.Sprintf(format, args...)}
	p.Line, p.Column = d.position(offset)
	d.problems = append(d.problems, p)
}

// failFile notes what is wrong with the file as a whole.
func (d *document) failFile(format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Message: fmt.Sprintf(format, args...)})
}

// failed says whether anything worse than a warning was found.
func (d *document) failed() bool {
	for _, p := range d.problems {
		if !p.Warning {
			return true
		}
	}
	return false
}

// position turns an offset into a line and a column, counted in characters.
func (d *document) position(offset int) (line, column int) {
	before := d.data[:min(offset, len(d.data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])
}

// header takes a [table] line and says whether the keys below it make sense.
func (d *document) header(e *unstable.Node) bool {
	parts, offset := keyOf(e)
	name := keyName(parts)
	switch {
	case d.underKey(parts, len(parts), offset):
		return false
	case !d.isTable(name):
		d.unknown(parts, offset, "table")
		return false
	case e.Kind != unstable.ArrayTable:
		d.openTable(name, offset, header)
	case d.lists[name] == nil:
		d.fail(offset, name, "is no list: write [%s], in single brackets", name)
		return false
	default:
		d.openTable(name, offset, double)
	}
	return true
}

// keyValue takes a key = value line, or one within braces.
func (d *document) keyValue(prefix []string, e *unstable.Node) {
	own, offset := keyOf(e)
	parts := append(prefix[:len(prefix):len(prefix)], own...)
	name := keyName(parts)
	if parent := keyName(parts[:len(parts)-1]); len(own) > 1 && d.isTable(parent) {
		d.openTable(parent, offset, dotted)
	}
	if d.isTable(name) && e.Value().Kind == unstable.InlineTable {
		d.openTable(name, offset, inline)
		for it := e.Value().Children(); it.Next(); {
			d.keyValue(parts, it.Node())
		}
		return
	}
	d.assign(parts, offset, e)
}

// assign gives the value of e to the key that its path names.
func (d *document) assign(parts []string, offset int, e *unstable.Node) {
	name := keyName(parts)
	k, known := d.find(name)
	switch {
	case !known && d.isTable(name):
		d.fail(offset, name, "is a table; it holds %s", d.names(name+"."))
	case !known:
		if !d.underKey(parts, len(parts)-1, offset) {
			d.unknown(parts, offset, "key")
		}
	case d.sectionOf(name).given(name):
		d.fail(offset, name, "is given twice; the first is in line %d", d.sectionOf(name).line(name))
	default:
		d.sectionOf(name).seen[name] = offset
		k.set(d.valueOf(k, e))
	}
}

// underKey refuses a path whose first parts, up to n of them, are a key: keys
// hold values, not tables. The rest of the path is not shown: under password
// it may be one.
func (d *document) underKey(parts []string, n, offset int) bool {
	for i := 1; i <= n; i++ {
		name := keyName(parts[:i])
		if k, ok := d.find(name); ok {
			d.sectionOf(k.name).meant[k.name] = true
			d.fail(offset, k.name, "is no table; write %s = and one value", k.name)
			return true
		}
		if !d.isTable(name) {
			return false
		}
	}
	return false
}

// unknown refuses a path that no file of this kind has, and guesses what was
// meant: a key of the top that slipped below a [table], or a typing error. No
// more of the path is shown than its first unknown part, for the reason that
// underKey has, and nothing of it in a broken file: where quotes are missing, a
// line of a password may look like a key.
func (d *document) unknown(parts []string, offset int, what string) {
	for i := 1; i < len(parts); i++ {
		if !d.isTable(keyName(parts[:i])) {
			parts = parts[:i]
			break
		}
	}
	name, last := keyName(parts), keyName(parts[len(parts)-1:])
	shown, table := name, ""
	if d.broken {
		shown = ""
	}
	if len(parts) > 1 {
		table = keyName(parts[:len(parts)-1]) + "."
	}
	slip := nearest(name, d.keys)
	near := cmp.Or(slip, nearest(last, d.keys))
	if _, ok := d.find(last); ok {
		d.meant[last] = true
		d.fail(offset, shown, "unknown %s; %s stands above the first [table]", what, last)
	} else if k, ok := d.foreign(last); ok && (table == "" || slip == "") {
		d.fail(offset, shown, "unknown %s; %s belongs into the file of the line, lines.d/NAME.toml", what, k.name)
	} else if near != "" {
		d.sectionOf(near).meant[near] = true
		d.fail(offset, shown, "unknown %s; did you mean %s?", what, near)
	} else {
		d.fail(offset, shown, "unknown %s; allowed: %s", what, d.names(table))
	}
}

// foreign returns the key of the other kind of file that has this name, if no
// key of a table here ends in it.
func (d *document) foreign(name string) (key, bool) {
	here := func(k key) bool { return strings.HasSuffix(k.name, "."+name) }
	i := slices.IndexFunc(d.others, func(k key) bool { return k.name == name })
	if i < 0 || slices.ContainsFunc(d.keys, here) {
		return key{}, false
	}
	return d.others[i], true
}

// openTable notes that a table was given; TOML allows that once, except for
// dotted keys and double brackets. Each other opening of a list's table begins
// another element.
func (d *document) openTable(name string, offset int, n notation) {
	first, again := d.tables[name]
	if !again {
		d.tables[name] = table{offset, n}
	}
	if next := d.lists[name]; next != nil && (!again || n != dotted) {
		d.newest[name] = d.newSection(offset)
		d.use(next(d.newest[name]))
	}
	if !again || n == first.notation && (n == dotted || n == double) {
		return
	}
	line, _ := d.position(first.offset)
	hint := ""
	if d.lists[name] != nil {
		hint = fmt.Sprintf("; write [[%s]] for each", name)
	}
	d.fail(offset, name, "this table is given twice; the first is in line %d%s", line, hint)
}

// use puts keys in the place of those of the same names.
func (d *document) use(keys []key) {
	for i, old := range d.keys {
		for _, k := range keys {
			if k.name == old.name {
				d.keys[i] = k
			}
		}
	}
}

// find returns the key of that name.
func (d *document) find(name string) (key, bool) {
	for _, k := range d.keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// isTable says whether keys of this kind of file lie in a table of that name.
func (d *document) isTable(name string) bool { return d.names(name+".") != "" }

// names lists the keys that begin with prefix.
func (d *document) names(prefix string) string {
	var names []string
	for _, k := range d.keys {
		if strings.HasPrefix(k.name, prefix) {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, ", ")
}

// keyOf returns the parts of the key of e and the offset of the first.
func keyOf(e *unstable.Node) (parts []string, offset int) {
	it := e.Key()
	for it.Next() {
		if len(parts) == 0 {
			offset = int(it.Node().Raw.Offset)
		}
		parts = append(parts, string(it.Node().Data))
	}
	return parts, offset
}

// keyName joins the parts of a key as one would write it, in quotes where
// needed, and no longer than a message can bear.
func keyName(parts []string) string {
	const longest = 64
	names := make([]string, len(parts))
	for i, part := range parts {
		names[i] = part
		if part == "" || strings.IndexFunc(part, notBare) >= 0 {
			names[i] = strconv.QuoteToASCII(part)
		}
	}
	name := strings.Join(names, ".")
	if len(name) > longest {
		return name[:longest] + "..."
	}
	return name
}

// notBare says whether a character makes TOML want quotes around a key.
func notBare(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}
