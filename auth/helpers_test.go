package auth

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
)

const (
	testUser     = "user@isp.example"
	testPassword = "Pässwörd-7f3c"
)

var methods = []Method{PAP, CHAPMD5, MSCHAPv2}

// seeded returns a reproducible source of random bytes.
func seeded(seed uint64) func([]byte) {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
}

// zeros is a source whose bytes are all zero, for packets known in advance.
func zeros(b []byte) { clear(b) }

// onlyUser is a server's lookup that knows one user.
func onlyUser(username, password string) func(string) (Secret, bool) {
	return func(name string) (Secret, bool) {
		if name != username {
			return Secret{}, false
		}
		return NewSecret(password), true
	}
}

func testClient(m Method, password string) *Client {
	return NewClient(m, testUser, NewSecret(password), seeded(1))
}

func testServer(m Method) *Server {
	return NewServer(m, "ac1", onlyUser(testUser, testPassword), seeded(2))
}

// parse returns the packet of a Send action.
func parse(t *testing.T, a Action) ppp.Packet {
	t.Helper()
	if a.Kind != Send {
		t.Fatalf("action is %v, want a packet", a)
	}
	p, err := ppp.Parse(a.Payload)
	if err != nil {
		t.Fatal(err)
	}
	p.Data = append([]byte(nil), p.Data...)
	return p
}

// sent returns the only packet among actions.
func sent(t *testing.T, actions []Action) ppp.Packet {
	t.Helper()
	var found []ppp.Packet
	for _, a := range actions {
		if a.Kind == Send {
			found = append(found, parse(t, a))
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d packets in %v, want 1", len(found), actions)
	}
	return found[0]
}

// want compares actions.
func want(t *testing.T, got []Action, wanted ...Action) {
	t.Helper()
	if len(got) == 0 && len(wanted) == 0 {
		return
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Fatalf("actions (-want +got):\n%s", diff)
	}
}

// send and timer are actions as tables write them.
func send(protocol ppp.Protocol, payload ...byte) Action {
	return Action{Kind: Send, Protocol: protocol, Payload: payload}
}

func timer(d time.Duration) Action { return Action{Kind: SetTimer, Delay: d} }

func stop() Action { return Action{Kind: StopTimer} }
