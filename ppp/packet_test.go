package ppp_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want ppp.Packet
		err  error
	}{
		{
			name: "request with data",
			in: []byte{
				0x01,       // Code: Configure-Request
				0x2a,       // Identifier
				0x00, 0x08, // Length: 8
				0x01, 0x04, 0x05, 0xd4, // Data: MRU 1492
			},
			want: ppp.Packet{Code: ppp.ConfigureRequest, ID: 0x2a, Data: []byte{0x01, 0x04, 0x05, 0xd4}},
		},
		{
			name: "no data",
			in: []byte{
				0x06,       // Code: Terminate-Ack
				0xff,       // Identifier
				0x00, 0x04, // Length: 4
			},
			want: ppp.Packet{Code: ppp.TerminateAck, ID: 0xff, Data: []byte{}},
		},
		{
			name: "padding is left out",
			in: []byte{
				0x09,       // Code: Echo-Request
				0x01,       // Identifier
				0x00, 0x05, // Length: 5
				0x77,       // Data
				0x00, 0x00, // padding
			},
			want: ppp.Packet{Code: ppp.EchoRequest, ID: 1, Data: []byte{0x77}},
		},
		{
			name: "unknown code is the automaton's business",
			in: []byte{
				0xc8,       // Code: 200
				0x00,       // Identifier
				0x00, 0x04, // Length: 4
			},
			want: ppp.Packet{Code: 200, Data: []byte{}},
		},
		{name: "empty", in: nil, err: ppp.ErrTruncated},
		{
			name: "header cut short",
			in: []byte{
				0x01, // Code
				0x01, // Identifier
				0x00, // half of Length
			},
			err: ppp.ErrTruncated,
		},
		{
			name: "length beyond the frame",
			in: []byte{
				0x01,       // Code
				0x01,       // Identifier
				0x00, 0x06, // Length: 6, of which there are 5
				0x01, // Data
			},
			err: ppp.ErrTruncated,
		},
		{
			name: "length zero",
			in: []byte{
				0x01,       // Code
				0x01,       // Identifier
				0x00, 0x00, // Length: 0
			},
			err: ppp.ErrLength,
		},
		{
			name: "length less than the header",
			in: []byte{
				0x01,       // Code
				0x01,       // Identifier
				0x00, 0x03, // Length: 3
				0x00, // padding
			},
			err: ppp.ErrLength,
		},
		{
			name: "length of 64 KiB",
			in: []byte{
				0x01,       // Code
				0x01,       // Identifier
				0xff, 0xff, // Length: 65535
			},
			err: ppp.ErrTruncated,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ppp.Parse(tt.in)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if cap(got.Data) != len(got.Data) {
				t.Error("appending to Data would write over the padding")
			}
		})
	}
}

func TestAppend(t *testing.T) {
	got := ppp.Packet{Code: ppp.ConfigureNak, ID: 7, Data: []byte{0x03, 0x04, 0xc0, 0x23}}.Append([]byte{0xc0, 0x21})
	want := []byte{
		0xc0, 0x21, // what was there before
		0x03,       // Code: Configure-Nak
		0x07,       // Identifier
		0x00, 0x08, // Length: 8
		0x03, 0x04, 0xc0, 0x23, // Data
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseOptions(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want []ppp.Option
		err  error
	}{
		{name: "none"},
		{
			name: "two",
			in: []byte{
				0x01,       // Type: MRU
				0x04,       // Length: 4
				0x05, 0xd4, // Data: 1492
				0x07, // Type: Protocol-Field-Compression
				0x02, // Length: 2, no data
			},
			want: []ppp.Option{{Type: 1, Data: []byte{0x05, 0xd4}}, {Type: 7, Data: []byte{}}},
		},
		{
			name: "unknown type is kept",
			in: []byte{
				0x00,             // Type: vendor
				0x05,             // Length: 5
				0x00, 0x00, 0x5e, // Data
			},
			want: []ppp.Option{{Type: 0, Data: []byte{0x00, 0x00, 0x5e}}},
		},
		{
			name: "type without a length",
			in: []byte{
				0x01, // Type
			},
			err: ppp.ErrOption,
		},
		{
			name: "length zero",
			in: []byte{
				0x01, // Type
				0x00, // Length: 0
			},
			err: ppp.ErrOption,
		},
		{
			name: "length one",
			in: []byte{
				0x01, // Type
				0x01, // Length: 1
				0x00, // Data
			},
			err: ppp.ErrOption,
		},
		{
			name: "second runs past the packet",
			in: []byte{
				0x07, // Type: Protocol-Field-Compression
				0x02, // Length: 2
				0x05, // Type: Magic-Number
				0x06, // Length: 6, of which there are 3
				0x11, // Data
			},
			err: ppp.ErrOption,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ppp.ParseOptions(tt.in)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if back := ppp.AppendOptions(nil, got...); err == nil && !bytes.Equal(back, tt.in) {
				t.Errorf("came back as % x", back)
			}
		})
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ got, want string }{
		{ppp.ConfigureRequest.String(), "Configure-Request"},
		{ppp.TimeRemaining.String(), "Time-Remaining"},
		{ppp.Code(0).String(), "Code-0"},
		{ppp.Code(200).String(), "Code-200"},
		{ppp.LCP.String(), "LCP"},
		{ppp.PAP.String(), "PAP"},
		{ppp.CHAP.String(), "CHAP"},
		{ppp.IPCP.String(), "IPCP"},
		{ppp.IPv6CP.String(), "IPv6CP"},
		{ppp.IPv4.String(), "IPv4"},
		{ppp.IPv6.String(), "IPv6"},
		{ppp.Protocol(0x80fd).String(), "protocol 0x80fd"},
		{ppp.AckRcvd.String(), "Ack-Rcvd"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{1, 1, 0, 8, 1, 4, 5, 0xd4})
	f.Add([]byte{9, 1, 0, 5, 7, 0, 0})
	f.Add([]byte{1, 1, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ppp.Parse(b)
		if err != nil {
			return
		}
		wire := p.Append(nil)
		if !bytes.Equal(wire, b[:len(wire)]) {
			t.Fatalf("% x became % x", b, wire)
		}
		again, err := ppp.Parse(wire)
		if err != nil || !cmp.Equal(p, again) {
			t.Fatalf("%v became %v, %v", p, again, err)
		}
	})
}

func FuzzParseOptions(f *testing.F) {
	f.Add([]byte{1, 4, 5, 0xd4, 7, 2})
	f.Add([]byte{0, 5, 0, 0, 0x5e})
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		opts, err := ppp.ParseOptions(b)
		if err != nil {
			return
		}
		wire := ppp.AppendOptions(nil, opts...)
		if !bytes.Equal(wire, b) {
			t.Fatalf("% x became % x", b, wire)
		}
		again, err := ppp.ParseOptions(wire)
		if err != nil || !cmp.Equal(opts, again) {
			t.Fatalf("%v became %v, %v", opts, again, err)
		}
	})
}
