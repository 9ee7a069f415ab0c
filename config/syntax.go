package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxSyntaxErrors bounds how many lines of one file are told to be no TOML.
const maxSyntaxErrors = 20

// noValue is said of what stands where a value should. The word itself is not
// shown: it could be a password without quotes.
const noValue = "expected a value; a text stands in quotes"

// read walks the file and sets what keys say. A line that is no TOML is told
// and left out; one within a value of several lines ends the reading, for where
// that value was meant to end is unknown.
func (d *document) read(keys []key, lists map[string]listed) {
	d.keys, d.lists = keys, lists
	d.broken = !complete(d.data)
	text := bytes.Clone(d.data) // blanked as far as it was read, so that offsets stay
	for range maxSyntaxErrors {
		offset, message := d.walk(text)
		if message == "" {
			return
		}
		start := bytes.LastIndexByte(text[:offset], '\n') + 1
		end := len(text)
		if n := bytes.IndexByte(text[offset:], '\n'); n >= 0 {
			end = offset + n
		}
		d.failSyntax(offset, string(text[start:end]), message)
		if !complete(text[:start]) {
			return
		}
		copy(text, bytes.Repeat([]byte(" "), end))
	}
}

// walk sets what the keys in text say, up to its end or the first mistake. It
// returns where that is, and the TOML parser's message.
func (d *document) walk(text []byte) (offset int, message string) {
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			d.prefix, _ = keyOf(e)
			d.skip = !d.header(e)
		case unstable.KeyValue:
			if !d.skip {
				d.keyValue(d.prefix, e)
			}
		}
	}
	var syntax *unstable.ParserError
	if errors.As(p.Error(), &syntax) {
		return int(p.Range(syntax.Highlight).Offset), syntax.Message
	}
	return 0, ""
}

// complete says whether text is TOML, with no value that goes on after it.
func complete(text []byte) bool {
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
	}
	return p.Error() == nil
}

// failSyntax notes that a line is no TOML.
func (d *document) failSyntax(offset int, line, message string) {
	if strings.HasPrefix(strings.TrimLeft(line, " \t"), "[") {
		d.skip = true // the keys below belong to a table that is unknown
	}
	message = syntaxMessage(message)
	before, _, _ := strings.Cut(line, "=")
	parts := append(d.prefix[:len(d.prefix):len(d.prefix)], strings.TrimSpace(before))
	if k, _ := d.find(keyName(parts)); k.truth && message == noValue {
		d.fail(offset, k.name, "must be true or false, in small letters")
		return
	}
	d.fail(offset, "", "%s", message)
}

// quotedCharacter is how the TOML parser names the character it stopped at.
var quotedCharacter = regexp.MustCompile(`( but got|:)? U\+[0-9A-F]+( '(?s:.)')?`)

// syntaxMessage words the TOML parser's message so that no character of the
// file is in it: it could be one of a password without quotes.
func syntaxMessage(message string) string {
	switch message {
	case "literal strings cannot have new lines", "unterminated literal string":
		return "the closing quote ' is missing"
	case "basic strings cannot have new lines", "unterminated basic string":
		return `the closing quote " is missing`
	}
	for _, start := range []string{"unexpected character", "expected keyword", "expected digit", `expected "`} {
		if strings.HasPrefix(message, start) {
			return noValue
		}
	}
	return quotedCharacter.ReplaceAllString(message, "")
}
