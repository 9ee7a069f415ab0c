package syslog

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
)

var (
	testHeader = header{facility: Daemon, hostname: "gw", pid: 812}
	testTime   = time.Date(2025, 11, 21, 6, 32, 0, 123456789, time.FixedZone("CET", 3600))
)

func TestRFC5424(t *testing.T) {
	tests := []struct {
		name string
		in   record
		want string
	}{
		{"plain", record{time: testTime, message: "starting"},
			`<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 starting - starting`},
		{"fields", record{time: testTime, message: "session up", fields: []pair{{"line", "fast"}, {"ac", "BRAS 7"}}},
			`<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 session-up [linebond@0 line="fast" ac="BRAS 7"] session up line=fast ac="BRAS 7"`},
		{"logger", record{time: testTime, logger: "fast", message: "session up"},
			`<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 session-up [linebond@0 logger="fast"] fast: session up`},
		{"escapes", record{time: testTime, message: "x", fields: []pair{{"a", `q"b\c]`}}},
			`<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 x [linebond@0 a="q\"b\\c\]"] x a="q\"b\\c]"`},
		{"control characters", record{time: testTime, message: "x\ny\x1b[2J", fields: []pair{{"a", "1\n2\u0085"}}},
			`<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 x-y-2j [linebond@0 a="1#0122#205"] x#012y#033[2J a="1\n2\u0085"`},
		{"not UTF-8", record{time: testTime, message: "x\xff", fields: []pair{{"a", "\xfe"}}},
			`<30>1 2025-11-21T06:32:00.123456+01:00 gw linebond 812 x [linebond@0 a="` + "\ufffd" + `"] x` + "\ufffd" + ` a="\xfe"`},
		{"UTC", record{time: testTime.UTC(), message: "x"},
			`<30>1 2025-11-21T05:32:00.123456Z gw linebond 812 x - x`},
		{"no time, no text", record{}, `<30>1 - gw linebond 812 - - `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(testHeader.rfc5424(tt.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLocal(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.Local)
	got := testHeader.local(record{time: at, level: zapcore.WarnLevel, logger: "fast", message: "down", fields: []pair{{"reason", "echo lost 5 of 5"}}})
	if diff := cmp.Diff(`<28>Jan  2 03:04:05 linebond[812]: fast: down reason="echo lost 5 of 5"`, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLimits(t *testing.T) {
	long := record{time: testTime, message: "x"}
	for range 10 {
		long.fields = append(long.fields, pair{"v", strings.Repeat("é]", maxValue/3)})
	}
	b := testHeader.rfc5424(long)
	m, err := parse5424(b)
	if err != nil {
		t.Fatal(err)
	}
	if last := m.params[len(m.params)-1]; last != (pair{"omitted", "8"}) {
		t.Errorf("the last parameter is %v, not the count of those omitted", last)
	}
	if len(b) > maxMessage || len(b) < maxMessage-utf8.UTFMax {
		t.Errorf("%d bytes long, the bound is %d", len(b), maxMessage)
	}
	if !utf8.Valid(b) || !strings.HasSuffix(m.msg, "é]...") && !strings.HasSuffix(m.msg, "]é...") {
		t.Errorf("not cut on a rune's border: %q", m.msg[len(m.msg)-8:])
	}
	if b := testHeader.local(long); len(b) > maxMessage || !utf8.Valid(b) {
		t.Errorf("the local message has %d bytes, the bound is %d", len(b), maxMessage)
	}
}

func TestMsgID(t *testing.T) {
	for in, want := range map[string]string{
		"session up":                           "session-up",
		"Authentication refused: bad password": "authentication-refused",
		"reload (SIGHUP), 2 lines":             "reload-sighup-2-lines",
		"":                                     "-",
		": nothing before the colon":           "-",
		"äöü":                                  "-",
		"one two three four five six seven eight": "one-two-three-four-five-six",
		strings.Repeat("a", 40):                   strings.Repeat("a", 32),
	} {
		if got := msgID(in); got != want {
			t.Errorf("msgID(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHostname(t *testing.T) {
	for in, want := range map[string]string{
		"gw": "gw", "gw.example.net": "gw.example.net", "": "-", "two words": "-", "bücher": "-", strings.Repeat("h", 256): "-",
	} {
		if got := hostnameOf(in); got != want {
			t.Errorf("hostnameOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSeverity(t *testing.T) {
	for level, want := range map[zapcore.Level]int{
		zapcore.DebugLevel - 1: 7, zapcore.DebugLevel: 7, zapcore.InfoLevel: 6, zapcore.WarnLevel: 4,
		zapcore.ErrorLevel: 3, zapcore.DPanicLevel: 2, zapcore.PanicLevel: 2, zapcore.FatalLevel: 2,
	} {
		if got := severity(level); got != want {
			t.Errorf("severity(%v) = %d, want %d", level, got, want)
		}
	}
}

func TestParseFacility(t *testing.T) {
	for name, want := range map[string]Facility{"daemon": 3, "user": 1, "local0": 16, "local7": 23} {
		if got, err := ParseFacility(name); err != nil || got != want {
			t.Errorf("ParseFacility(%q) = %d, %v, want %d", name, got, err, want)
		}
	}
	_, err := ParseFacility("kern")
	if err == nil {
		t.Fatal("the kernel's facility was accepted")
	}
	for name := range facilities {
		if strings.HasPrefix(name, "local") && name != "local0" && name != "local7" {
			continue // the message says "local0 to local7"
		}
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

// FuzzRFC5424: whatever is logged, the grammar reads it, and the structured data
// says what was logged.
func FuzzRFC5424(f *testing.F) {
	f.Add(int64(0), "", "session up", "line", "fast", `q"\]`)
	f.Add(int64(-1), "a.b", "x: y\n", "a=b]", "\xff\x00", strings.Repeat("é", 600))
	f.Fuzz(func(t *testing.T, nanos int64, logger, message, key, value, other string) {
		if key == "omitted" || other == "omitted" {
			return // would be taken for the count
		}
		r := record{time: time.Unix(0, nanos), logger: cut(logger, maxValue), message: cut(message, maxMessage), fields: []pair{
			{legalName(key), cut(value, maxValue)},
			{legalName(other), cut(other, maxValue)},
		}}
		b := testHeader.rfc5424(r)
		m, err := parse5424(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > maxMessage {
			t.Errorf("%d bytes", len(b))
		}
		want := r.fields
		if r.logger != "" {
			want = append([]pair{{"logger", r.logger}}, want...)
		}
		kept, omitted := m.params, 0
		if last := len(kept) - 1; kept[last].name == "omitted" {
			omitted, _ = strconv.Atoi(kept[last].value)
			kept = kept[:last]
		}
		for _, w := range want {
			if clean := string(appendText(nil, w.value, "")); len(kept) > 0 && kept[0] == (pair{w.name, clean}) {
				kept = kept[1:]
			} else {
				omitted--
			}
		}
		if len(kept) > 0 || omitted != 0 {
			t.Errorf("%q was not logged, or not in this order; the count of omitted fields is wrong by %d", kept, omitted)
		}
		if strings.ContainsFunc(m.msg, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("a control character in %q", m.msg)
		}
	})
}
