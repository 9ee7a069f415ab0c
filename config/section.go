package config

import "strings"

// section is the keys of a file, or of one element of a list of tables in it,
// with where they were given.
type section struct {
	doc    *document
	offset int             // where it begins
	seen   map[string]int  // key: offset of where it was given
	meant  map[string]bool // keys that an unknown one was probably meant to be
}

func (d *document) newSection(offset int) *section {
	return &section{doc: d, offset: offset, seen: map[string]int{}, meant: map[string]bool{}}
}

// sectionOf returns the section that a key belongs to: of a list, the newest.
func (d *document) sectionOf(key string) *section {
	table, _, _ := strings.Cut(key, ".")
	if s := d.newest[table]; s != nil {
		return s
	}
	return &d.section
}

// failKey notes what is wrong with a key where it was given, or where the
// section begins if it was not.
func (s *section) failKey(key, format string, args ...any) {
	s.doc.fail(s.at(key), key, format, args...)
}

// warnKey is failKey for what does not keep the file from being used.
func (s *section) warnKey(key, format string, args ...any) {
	s.failKey(key, format, args...)
	s.doc.problems[len(s.doc.problems)-1].Warning = true
}

// require wants a key to be given, unless a mistyped key was just said to be
// this one, or what is no TOML may have been it.
func (s *section) require(key, what string) {
	if !s.given(key) && !s.meant[key] && !s.doc.broken {
		s.failKey(key, "is missing; %s", what)
	}
}

// given says whether the section has the key.
func (s *section) given(key string) bool {
	_, ok := s.seen[key]
	return ok
}

// at returns the offset of the key, or of the section if it has none.
func (s *section) at(key string) int {
	if offset, ok := s.seen[key]; ok {
		return offset
	}
	return s.offset
}

// line returns the line of the key, or of the section if it has none.
func (s *section) line(key string) int {
	line, _ := s.doc.position(s.at(key))
	return line
}
