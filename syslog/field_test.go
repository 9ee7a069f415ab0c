package syslog

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// hidden stands for a secret: only its methods may be asked.
type hidden struct{ word string }

func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// point has a form of its own for zap.
type point struct{ x, y int }

func (p point) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("y", p.y)
	enc.AddInt("x", p.x)
	return nil
}

func TestFields(t *testing.T) {
	cmpPair := cmp.AllowUnexported(pair{})
	tests := []struct {
		name string
		in   []zapcore.Field
		want []pair
	}{
		{"order is kept", []zapcore.Field{zap.String("z", "1"), zap.String("a", "2")}, []pair{{"z", "1"}, {"a", "2"}}},
		{"numbers", []zapcore.Field{zap.Uint16("id", 4660), zap.Int64("n", -1), zap.Float64("loss", 0.25), zap.Uint64("max", math.MaxUint64)},
			[]pair{{"id", "4660"}, {"n", "-1"}, {"loss", "0.25"}, {"max", "18446744073709551615"}}},
		{"bool", []zapcore.Field{zap.Bool("up", true)}, []pair{{"up", "true"}}},
		{"time and duration", []zapcore.Field{zap.Duration("for", 90*time.Second), zap.Time("since", testTime)},
			[]pair{{"for", "1m30s"}, {"since", "2025-11-21T06:32:00.123456789+01:00"}}},
		{"error", []zapcore.Field{zap.Error(errors.New("no carrier")), zap.Error(nil)}, []pair{{"error", "no carrier"}}},
		{"bytes", []zapcore.Field{zap.Binary("uniq", []byte{0xde, 0xad}), zap.ByteString("text", []byte("hi"))}, []pair{{"uniq", "dead"}, {"text", "hi"}}},
		{"Stringers", []zapcore.Field{zap.Stringer("ac", net.HardwareAddr{2, 0, 0, 0, 0, 1}), zap.Any("addr", netip.MustParseAddr("192.0.2.1"))},
			[]pair{{"ac", "02:00:00:00:00:01"}, {"addr", "192.0.2.1"}}},
		{"lists", []zapcore.Field{zap.Strings("s", []string{"a", "b"}), zap.Any("dns", []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")})},
			[]pair{{"s", "a,b"}, {"dns", "192.0.2.1,2001:db8::1"}}},
		{"objects", []zapcore.Field{zap.Object("at", point{1, 2}), zap.Inline(point{3, 4}), zap.Objects("all", []point{{5, 6}})},
			[]pair{{"at.x", "1"}, {"at.y", "2"}, {"x", "3"}, {"y", "4"}, {"all", "{x:5,y:6}"}}},
		{"namespace", []zapcore.Field{zap.Int("a", 1), zap.Namespace("n"), zap.Int("a", 2)}, []pair{{"a", "1"}, {"n.a", "2"}}},
		{"reflection", []zapcore.Field{zap.Reflect("v", struct {
			Big  uint64
			Nil  *int
			word string
		}{math.MaxUint64, nil, "unexported"})}, []pair{{"v.Big", "18446744073709551615"}, {"v.Nil", "null"}}},
		{"a secret hides", []zapcore.Field{zap.Reflect("password", hidden{"hunter2"}), zap.Reflect("c", struct{ P hidden }{hidden{"hunter2"}})},
			[]pair{{"password", "***"}, {"c.P", "***"}}},
		{"no JSON form", []zapcore.Field{zap.Reflect("f", func() {})}, []pair{{"f", "!json: unsupported type: func()"}}},
		{"names", []zapcore.Field{zap.Int("", 1), zap.Int(`a b=c]d"é`, 2), zap.Int(strings.Repeat("n", 33), 3)},
			[]pair{{"_", "1"}, {"a_b_c_d__", "2"}, {strings.Repeat("n", 32), "3"}}},
		{"a long value", []zapcore.Field{zap.String("v", strings.Repeat("é", maxValue))}, []pair{{"v", strings.Repeat("é", (maxValue-3)/2) + "..."}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fieldList{}.with(tt.in).pairs, cmpPair); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Two children of one list must not write into the same memory.
func TestFieldsBranch(t *testing.T) {
	parent := fieldList{}.with([]zapcore.Field{zap.Int("a", 1), zap.Int("b", 2), zap.Int("c", 3)})
	left := parent.with([]zapcore.Field{zap.String("side", "left")})
	right := parent.with([]zapcore.Field{zap.String("side", "right")})
	if left.pairs[3].value != "left" || right.pairs[3].value != "right" {
		t.Errorf("left has %v, right has %v", left.pairs, right.pairs)
	}
}
