package auth

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"linebond/ppp"
)

func FuzzPAPRequest(f *testing.F) {
	f.Add([]byte{3, 'b', 'o', 'b', 2, 'p', 'w'})
	f.Add([]byte{0, 0})
	f.Add([]byte{255, 'b'})
	f.Fuzz(func(t *testing.T, data []byte) {
		username, password, ok := parsePAPRequest(data)
		if !ok {
			return
		}
		again := appendCounted(appendCounted(nil, string(username)), string(password))
		if !bytes.HasPrefix(data, again) {
			t.Errorf("% x becomes % x", data, again)
		}
	})
}

func FuzzCHAP(f *testing.F) {
	f.Add(md5Challenge.Data)
	f.Add([]byte{0})
	f.Add([]byte{200, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		value, name, ok := parseCHAP(data)
		if !ok {
			return
		}
		if again := appendCHAP(nil, value, string(name)); !bytes.Equal(again, data) {
			t.Errorf("% x becomes % x", data, again)
		}
	})
}

func FuzzMethodOption(f *testing.F) {
	f.Add([]byte{0xc2, 0x23, 0x81})
	f.Add([]byte{0xc0, 0x23})
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, ok := ParseOption(data); ok && !bytes.Equal(m.Option(), data) {
			t.Errorf("% x becomes % x", data, m.Option())
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=no"))
	f.Add([]byte("\x05hello"))
	f.Add([]byte("\xff\x1b[0m"))
	f.Fuzz(func(t *testing.T, data []byte) {
		words, code := parseMSCHAPFailure(data)
		if code < 0 {
			t.Errorf("error code %d", code)
		}
		for _, message := range []string{words, papMessage(data)} {
			checkMessage(t, message)
		}
	})
}

func checkMessage(t *testing.T, message string) {
	t.Helper()
	unfit := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.RuneCountInString(message) > maxMessage || strings.ContainsFunc(message, unfit) {
		t.Errorf("message %q", message)
	}
}

// FuzzMachines feeds a client or a server of each method whatever comes:
// data is a row of events, each of an opcode, an identifier, a length and as
// many bytes of packet data.
func FuzzMachines(f *testing.F) {
	f.Add(uint8(0), []byte{0, 0, 0, 2, 0, 3, 2, 'o', 'k'})
	f.Add(uint8(1), append([]byte{0, 0, 0, 1, 7, 11}, md5Challenge.Data...))
	f.Add(uint8(4), append([]byte{0, 0, 0, 2, 1, 20, 16}, make([]byte, 19)...))
	f.Add(uint8(5), append([]byte{0, 0, 0, 2, 1, 52, 49}, make([]byte, 51)...))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		m := methods[which%3]
		var s side = NewClient(m, testUser, NewSecret(testPassword), zeros)
		if which%6 >= 3 {
			s = NewServer(m, "ac1", onlyUser(testUser, testPassword), zeros)
		}
		set := false // the timer is
		for len(data) >= 3 {
			op, id, n := data[0], data[1], min(int(data[2]), len(data)-3)
			packet := ppp.Packet{Code: ppp.Code(op % 8), ID: id, Data: data[3 : 3+n]}
			data = data[3+n:]
			var actions []Action
			switch op {
			case 0:
				actions = s.Start()
			case 8:
				set = false
				actions = s.Timeout()
			case 16:
				actions = s.Receive(ppp.LCP, packet)
			default:
				actions = s.Receive(m.protocol(), packet)
			}
			set = checkActions(t, m, set, actions)
		}
	})
}

// checkActions says whether the timer is set after actions.
func checkActions(t *testing.T, m Method, set bool, actions []Action) bool {
	t.Helper()
	for _, a := range actions {
		switch a.Kind {
		case Send:
			p, err := ppp.Parse(a.Payload)
			if err != nil || ppp.HeaderLen+len(p.Data) != len(a.Payload) || a.Protocol != m.protocol() {
				t.Errorf("%v: % x, %v", a, a.Payload, err)
			}
		case SetTimer:
			if a.Delay <= 0 {
				t.Error(a)
			}
			set = true
		case StopTimer:
			if !set {
				t.Error("the timer is stopped, and was not set")
			}
			set = false
		default:
			checkMessage(t, a.Message)
			checkMessage(t, a.Username)
			if set {
				t.Errorf("%v with the timer set", a)
			}
		}
	}
	return set
}
