package syslog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	appName = "linebond"
	sdID    = appName + "@0" // see the package comment

	// maxMessage bounds a message, in bytes. RFC 5424 section 6.1 asks a receiver
	// for 2048. rsyslogd's default is "8k", which is 8096, on a stream socket the
	// LF included: what is longer it cuts or splits.
	maxMessage = 8000

	// maxSD bounds the structured data, so that it always ends within the
	// message, and leaves the text at least 3 KiB.
	maxSD = 4096

	rfc5424Time = "2006-01-02T15:04:05.000000Z07:00" // section 6.2.3 allows no more than microseconds
)

// A header is what all messages of one process on one connection have in common.
type header struct {
	facility Facility
	hostname string // an RFC 5424 HOSTNAME
	pid      int
}

// rfc5424 is the message of r (RFC 5424 section 6).
func (h header) rfc5424(r record) []byte {
	stamp := "-" // NILVALUE: the time is not known
	if !r.time.IsZero() {
		stamp = r.time.Format(rfc5424Time)
	}
	b := fmt.Appendf(nil, "<%d>1 %s %s %s %d %s ", h.priority(r), stamp, h.hostname, appName, h.pid, msgID(r.message))
	b = appendStructuredData(b, r)
	b = append(b, ' ')
	return bounded(appendMessage(b, r))
}

// local is the message of r as syslog(3) would write it. systemd-journald can do
// without the time, but then it stores the message twice (SYSLOG_RAW).
func (h header) local(r record) []byte {
	b := fmt.Appendf(nil, "<%d>%s %s[%d]: ", h.priority(r), r.time.Local().Format(time.Stamp), appName, h.pid)
	return bounded(appendMessage(b, r))
}

// priority is PRIVAL (RFC 5424 section 6.2.1).
func (h header) priority(r record) int {
	return int(h.facility)*8 + severity(r.level)
}

// bounded cuts a message to maxMessage bytes.
func bounded(b []byte) []byte {
	if len(b) <= maxMessage {
		return b
	}
	return []byte(cut(string(b), maxMessage))
}

// hostnameOf makes an RFC 5424 HOSTNAME of the kernel's host name.
func hostnameOf(name string) string {
	illegal := func(r rune) bool { return r <= ' ' || r > '~' }
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, illegal) {
		return "-"
	}
	return name
}

// msgID makes a MSGID of an entry's message: its words up to the first colon,
// in lower case, as many as fit into 32 bytes.
func msgID(message string) string {
	kind, _, _ := strings.Cut(message, ":")
	words := strings.FieldsFunc(strings.ToLower(kind), func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`,;()[]"'`, r)
	})
	if len(words) == 0 {
		return "-"
	}
	id := words[0][:min(len(words[0]), 32)]
	for _, word := range words[1:] {
		if len(id)+1+len(word) > 32 {
			break
		}
		id += "-" + word
	}
	return id
}

// appendStructuredData appends the STRUCTURED-DATA of r (RFC 5424 section 6.3).
// Fields for which there is no room are counted in the parameter "omitted".
func appendStructuredData(b []byte, r record) []byte {
	fields := r.fields
	if r.logger != "" {
		fields = append([]pair{{"logger", r.logger}}, fields...)
	}
	if len(fields) == 0 {
		return append(b, '-')
	}
	start, omitted := len(b), 0
	b = append(b, '[')
	b = append(b, sdID...)
	for _, f := range fields {
		before := len(b)
		b = append(b, ' ')
		b = append(b, f.name...)
		b = append(b, '=', '"')
		b = appendText(b, f.value, `"\]`)
		b = append(b, '"')
		if len(b)-start > maxSD {
			b = b[:before]
			omitted++
		}
	}
	if omitted > 0 {
		b = fmt.Appendf(b, ` omitted="%d"`, omitted)
	}
	return append(b, ']')
}

// appendMessage appends the text of r for people: who speaks, what happened,
// and the fields as key=value.
func appendMessage(b []byte, r record) []byte {
	if r.logger != "" {
		b = appendText(b, r.logger, "")
		b = append(b, ": "...)
	}
	b = appendText(b, r.message, "")
	for _, f := range r.fields {
		b = append(b, ' ')
		b = append(b, f.name...)
		b = append(b, '=')
		if needsQuotes(f.value) {
			b = strconv.AppendQuote(b, f.value)
		} else {
			b = append(b, f.value...)
		}
	}
	return b
}

// appendText appends s as UTF-8, with a backslash before each character of
// escaped. Control characters, by which a peer's words could forge a line or
// steer a terminal, are written #ooo in octal, as RFC 5424 section 6.4
// foresees and rsyslogd does.
func appendText(b []byte, s, escaped string) []byte {
	for _, r := range s { // a byte that is no UTF-8 becomes U+FFFD
		if unicode.IsControl(r) {
			b = fmt.Appendf(b, "#%03o", r)
			continue
		}
		if strings.ContainsRune(escaped, r) {
			b = append(b, '\\')
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}

// needsQuotes tells whether a value would not stand out as one word.
func needsQuotes(s string) bool {
	return s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r == '"' || r == '=' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}
