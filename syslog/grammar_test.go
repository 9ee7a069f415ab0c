package syslog

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A message5424 is what the grammar of RFC 5424 section 6 finds in a message.
type message5424 struct {
	priority, timestamp, hostname, appName, procID, msgID string
	sdID                                                  string // empty: NILVALUE
	params                                                []pair // unescaped
	msg                                                   string
}

// headerGrammar is HEADER SP: the ABNF's lengths and characters, rule by rule.
var headerGrammar = regexp.MustCompile(`^<(0|[1-9]\d{0,2})>` + // PRI
	`1 ` + // VERSION: the only one there is
	`(-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ` + // TIMESTAMP
	`([!-~]{1,255}) ` + // HOSTNAME
	`([!-~]{1,48}) ` + // APP-NAME
	`([!-~]{1,128}) ` + // PROCID
	`([!-~]{1,32}) `) // MSGID

// sdNameGrammar is SD-NAME: no "=", no space, no "]", no quote.
var sdNameGrammar = regexp.MustCompile(`^[!#-<>-\\^-~]{1,32}`)

// parse5424 reads a message of at most one SD-ELEMENT, strictly.
func parse5424(b []byte) (message5424, error) {
	s := string(b)
	h := headerGrammar.FindStringSubmatch(s)
	if h == nil {
		return message5424{}, fmt.Errorf("no HEADER: %q", s)
	}
	m := message5424{priority: h[1], timestamp: h[2], hostname: h[3], appName: h[4], procID: h[5], msgID: h[6]}
	rest, err := m.parseStructuredData(s[len(h[0]):])
	if err != nil {
		return message5424{}, fmt.Errorf("%w: %q", err, s)
	}
	if rest != "" && rest[0] != ' ' {
		return message5424{}, fmt.Errorf("no SP before MSG: %q", s)
	}
	m.msg = strings.TrimPrefix(rest, " ")
	if !utf8.ValidString(m.msg) {
		return message5424{}, fmt.Errorf("MSG is no UTF-8: %q", s)
	}
	return m, nil
}

func (m *message5424) parseStructuredData(s string) (rest string, err error) {
	if strings.HasPrefix(s, "-") {
		return s[1:], nil
	}
	if !strings.HasPrefix(s, "[") {
		return "", fmt.Errorf("no STRUCTURED-DATA")
	}
	m.sdID = sdNameGrammar.FindString(s[1:])
	s = s[1+len(m.sdID):]
	for strings.HasPrefix(s, " ") {
		name := sdNameGrammar.FindString(s[1:])
		s = s[1+len(name):]
		if name == "" || !strings.HasPrefix(s, `="`) {
			return "", fmt.Errorf("no SD-PARAM at %q", s)
		}
		value, after, ok := paramValue(s[2:])
		if !ok {
			return "", fmt.Errorf("no PARAM-VALUE at %q", s)
		}
		m.params = append(m.params, pair{name, value})
		s = after
	}
	if m.sdID == "" || !strings.HasPrefix(s, "]") {
		return "", fmt.Errorf("SD-ELEMENT does not end at %q", s)
	}
	return s[1:], nil
}

// paramValue reads up to the closing quote of a PARAM-VALUE. A bare "]" and a
// backslash before anything but the three characters it is for are refused.
func paramValue(s string) (value, rest string, ok bool) {
	var v strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return v.String(), s[i+1:], utf8.ValidString(v.String())
		case ']':
			return "", "", false
		case '\\':
			i++
			if i == len(s) || !strings.ContainsRune(`"\]`, rune(s[i])) {
				return "", "", false
			}
		}
		v.WriteByte(s[i])
	}
	return "", "", false
}
