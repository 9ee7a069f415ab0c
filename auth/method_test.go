package auth

import (
	"bytes"
	"testing"
)

func TestMethod(t *testing.T) {
	for _, c := range []struct {
		method Method
		name   string
		option []byte
	}{
		{PAP, "pap", []byte{
			0xc0, 0x23, // Authentication-Protocol: PAP
		}},
		{CHAPMD5, "chap", []byte{
			0xc2, 0x23, // Authentication-Protocol: CHAP
			0x05, // Algorithm: MD5
		}},
		{MSCHAPv2, "mschapv2", []byte{
			0xc2, 0x23, // Authentication-Protocol: CHAP
			0x81, // Algorithm: MS-CHAPv2
		}},
	} {
		if c.method.String() != c.name {
			t.Errorf("%v is not called %s", c.method, c.name)
		}
		if m, err := ParseMethod(c.name); m != c.method || err != nil {
			t.Errorf("ParseMethod(%q) = %v, %v", c.name, m, err)
		}
		if !bytes.Equal(c.method.Option(), c.option) {
			t.Errorf("%v: option % x, want % x", c.method, c.method.Option(), c.option)
		}
		if m, ok := ParseOption(c.option); m != c.method || !ok {
			t.Errorf("ParseOption(% x) = %v, %v", c.option, m, ok)
		}
	}
	if Method(0).String() != "none" {
		t.Error("the zero Method has a name")
	}
}

func TestParseMethodRefuses(t *testing.T) {
	for _, name := range []string{"", "none", "PAP", "chap-md5", "eap"} {
		m, err := ParseMethod(name)
		if m != 0 || err == nil {
			t.Errorf("ParseMethod(%q) = %v", name, m)
		}
	}
	_, err := ParseMethod("eap")
	if want := `auth: no method is called "eap"; allowed: pap, chap, mschapv2`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestParseOptionRefuses(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":             {},
		"half a protocol":     {0xc0},
		"CHAP, no algorithm":  {0xc2, 0x23},
		"CHAP, MS-CHAPv1":     {0xc2, 0x23, 0x80},
		"CHAP, a byte more":   {0xc2, 0x23, 0x05, 0x00},
		"PAP with algorithm":  {0xc0, 0x23, 0x05},
		"EAP":                 {0xc2, 0x27},
		"Link-Quality-Report": {0xc0, 0x25},
	} {
		if m, ok := ParseOption(data); m != 0 || ok {
			t.Errorf("%s: taken for %v", name, m)
		}
	}
}
