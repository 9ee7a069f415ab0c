package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	s := NewSecret("abc")
	if s.Reveal() != "abc" || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not return the password")
	}
	for _, c := range []struct {
		a, b  Secret
		equal bool
	}{
		{s, NewSecret("abc"), true},
		{s, NewSecret("abd"), false},
		{s, NewSecret("abcd"), false},
		{s, Secret{}, false},
		{NewSecret(""), Secret{}, true},
	} {
		if c.a.Equal(c.b) != c.equal {
			t.Errorf("%q and %q: equal is %v", c.a.Reveal(), c.b.Reveal(), !c.equal)
		}
	}
	if !reflect.DeepEqual(s, NewSecret("abc")) {
		t.Error("reflect.DeepEqual tells equal secrets apart")
	}
	if s.String() != "***" || s.GoString() != "***" || s.LogValue().String() != "***" {
		t.Error("a form of the secret is not ***")
	}
	for _, verb := range verbs {
		if got := fmt.Sprintf(verb, s); got != "***" {
			t.Errorf("%s gives %s", verb, got)
		}
	}
}

// verbs are all but %p and %T, which call no method and which vet refuses here.
var verbs = []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%q", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%20s", "%!"}

// disguises gives each way in which a password could appear in a text.
func disguises(password string) []string {
	b := []byte(password)
	decimal := strings.Trim(fmt.Sprint(b), "[]")
	return []string{
		password,
		hex.EncodeToString(b),
		fmt.Sprintf("% x", b),
		decimal,
		fmt.Sprintf("%#v", b)[len("[]byte{") : len(fmt.Sprintf("%#v", b))-1],
		base64.StdEncoding.EncodeToString(b)[:8],
		base64.StdEncoding.EncodeToString(append([]byte{0}, b...))[2:10],
		base64.StdEncoding.EncodeToString(append([]byte{0, 0}, b...))[4:12],
	}
}

// texts gives every rendering of v that a log or a status page might use.
func texts(v any) []string {
	var all []string
	for _, verb := range verbs {
		all = append(all, fmt.Sprintf(verb, v))
	}
	if b, err := json.Marshal(v); err == nil {
		all = append(all, string(b))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	return append(all, log.String())
}

// TestNothingShowsThePassword prints whatever the package exports, in the
// middle of an exchange, as itself, by pointer, and inside other types.
func TestNothingShowsThePassword(t *testing.T) {
	const password = "correct-horse"
	secret := NewSecret(password)
	values := []any{secret, &secret, []Secret{secret}, map[string]Secret{"k": secret},
		struct{ S Secret }{secret}, struct{ s Secret }{secret}, struct{ s *Secret }{&secret}}
	for _, m := range methods {
		c := NewClient(m, "u", secret, seeded(1))
		s := NewServer(m, "ac", onlyUser("u", password), seeded(2))
		first := s.Start()
		actions := c.Start()
		if m != PAP {
			challenge := sent(t, first)
			actions = c.Receive(m.protocol(), challenge)
		}
		answer := sent(t, actions)
		if m == PAP && !bytes.Contains(answer.Data, []byte(password)) {
			t.Fatal("the test does not see the password on the wire, where it must be")
		}
		values = append(values, first, s.Receive(m.protocol(), answer), actions, &actions[0],
			c, *c, s, *s, struct{ c *Client }{c}, struct{ c Client }{*c}, struct{ s Server }{*s},
			struct{ A []Action }{actions}, c.Counters())
		for i := range actions {
			values = append(values, actions[i])
		}
	}
	for _, v := range values {
		for _, text := range texts(v) {
			for _, h := range disguises(password) {
				if strings.Contains(strings.ToLower(text), strings.ToLower(h)) {
					t.Errorf("%T shows %q in %q", v, h, text)
				}
			}
		}
	}
}

func TestActionString(t *testing.T) {
	for want, a := range map[string]Action{
		"send PAP, 4 bytes":              {Kind: Send, Protocol: 0xc023, Payload: make([]byte, 4)},
		"set timer to 300ms":             timer(firstWait),
		"stop timer":                     {Kind: StopTimer},
		`success "welcome"`:              {Kind: Success, Message: "welcome"},
		`failure 648 "password expired"`: {Kind: Failure, Code: 648, Message: "password expired"},
		"no answer":                      {Kind: NoAnswer},
		"action 99":                      {Kind: 99},
	} {
		if a.String() != want {
			t.Errorf("got %s, want %s", a, want)
		}
	}
}
