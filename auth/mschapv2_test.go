package auth

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"linebond/ppp"
)

// The example of RFC 2759 section 9.2.
var (
	rfcUser      = "User"
	rfcPassword  = NewSecret("clientPass")
	rfcChallenge = []byte{
		0x5b, 0x5d, 0x7c, 0x7d, 0x7b, 0x3f, 0x2f, 0x3e, // AuthenticatorChallenge
		0x3c, 0x2c, 0x60, 0x21, 0x32, 0x26, 0x26, 0x28,
	}
	rfcPeerChallenge = []byte{
		0x21, 0x40, 0x23, 0x24, 0x25, 0x5e, 0x26, 0x2a, // PeerChallenge
		0x28, 0x29, 0x5f, 0x2b, 0x3a, 0x33, 0x7c, 0x7e,
	}
	rfcProof = "407A5589115FD0D6209F510FE9C04566932CDA56"
)

func TestRFC2759Section92(t *testing.T) {
	hash := ntPasswordHash(rfcPassword)
	challenge := challengeHash(rfcPeerChallenge, rfcChallenge, rfcUser)
	response := ntResponse(rfcChallenge, rfcPeerChallenge, rfcUser, rfcPassword)
	proof := authenticatorResponse(rfcPassword, response, rfcPeerChallenge, rfcChallenge, rfcUser)
	domain := challengeHash(rfcPeerChallenge, rfcChallenge, `BIGCO\`+rfcUser)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"Challenge", challenge[:], "D02E4386BCE91226"},
		{"Challenge with domain", domain[:], "D02E4386BCE91226"},
		{"PasswordHash", hash[:], "44EBBA8D5312B8D611474411F56989AE"},
		{"NT-Response", response[:], "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF"},
		{"AuthenticatorResponse", proof[:], rfcProof},
	} {
		if got := strings.ToUpper(hex.EncodeToString(c.got)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// rfcClient has answered the example's challenge, with identifier 1.
func rfcClient(t *testing.T) *Client {
	c := NewClient(MSCHAPv2, rfcUser, rfcPassword, func(b []byte) { copy(b, rfcPeerChallenge) })
	c.Start()
	response := sent(t, c.Receive(ppp.CHAP, ppp.Packet{
		Code: chapChallenge, ID: 1, Data: appendCHAP(nil, rfcChallenge, "ac"),
	}))
	wire := "31" + // Value-Size
		"21402324255e262a28295f2b3a337c7e" + // Peer-Challenge
		"0000000000000000" + // reserved
		"82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df" + // NT-Response
		"00" + // Flags
		"55736572" // Name
	if got := hex.EncodeToString(response.Data); got != wire {
		t.Fatalf("response %s, want %s", got, wire)
	}
	return c
}

func TestMSCHAPSuccess(t *testing.T) {
	const noProof = "the server does not prove that it knows the password"
	const wrongProof = "the server does not know the password"
	for _, c := range []struct {
		name, message string
		want          Action
	}{
		{"the RFC's", "S=" + rfcProof + " M=Access granted", Action{Kind: Success, Message: "Access granted"}},
		{"no text", "S=" + rfcProof, Action{Kind: Success}},
		{"lower case", "S=" + strings.ToLower(rfcProof) + " M=", Action{Kind: Success}},
		{"one digit wrong", "S=5" + rfcProof[1:], Action{Kind: Failure, Ours: true, Message: wrongProof}},
		{"not hex", "S=G" + rfcProof[1:], Action{Kind: Failure, Ours: true, Message: wrongProof}},
		{"a digit short", "S=" + rfcProof[1:], Action{Kind: Failure, Ours: true, Message: noProof}},
		{"no proof", "M=trust me", Action{Kind: Failure, Ours: true, Message: noProof}},
		{"nothing", "", Action{Kind: Failure, Ours: true, Message: noProof}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rfcClient(t).Receive(ppp.CHAP, ppp.Packet{Code: chapSuccess, ID: 1, Data: []byte(c.message)})
			want(t, got, stop(), c.want)
		})
	}
}

func TestMSCHAPFailure(t *testing.T) {
	const c = "C=00112233445566778899AABBCCDDEEFF"
	for _, tt := range []struct {
		message, words string
		code           int
	}{
		{"E=646 R=0 " + c + " V=3 M=", "restricted logon hours", 646},
		{"E=647 R=0 " + c + " V=3", "account disabled", 647},
		{"E=648 R=0 " + c + " V=3 M=call us", "password expired: call us", 648},
		{"E=649 R=0 " + c + " V=3 M=", "no dial-in permission", 649},
		{"E=691 R=1 " + c + " V=3 M=E=1 M=x", "authentication failure: E=1 M=x", 691},
		{"E=0000000709 R=0", "error changing password", 709},
		{"R=0 E=12 M=\x00\r\n", "error 12:", 12},
		{"E=99999999999 R=0", "E=99999999999 R=0", 0},
		{"E=x", "E=x", 0},
		{"Access denied", "Access denied", 0},
		{"", "", 0},
	} {
		got := rfcClient(t).Receive(ppp.CHAP, ppp.Packet{Code: chapFailure, ID: 1, Data: []byte(tt.message)})
		want(t, got, stop(), Action{Kind: Failure, Message: tt.words, Code: tt.code})
	}
}

func TestMSCHAPServerMessages(t *testing.T) {
	s := NewServer(MSCHAPv2, "ac", onlyUser(rfcUser, rfcPassword.Reveal()), func(b []byte) { copy(b, rfcChallenge) })
	value := make([]byte, mschapResponseLen)
	copy(value, rfcPeerChallenge)
	response := ntResponse(rfcChallenge, rfcPeerChallenge, rfcUser, rfcPassword)
	copy(value[ntResponseAt:], response[:])
	for _, c := range []struct {
		flip byte
		code ppp.Code
		want string
	}{
		{0, chapSuccess, "S=" + rfcProof + " M=welcome"},
		{1, chapFailure, fmt.Sprintf("E=691 R=0 C=%X V=3 M=wrong user name or password", rfcChallenge)},
	} {
		id := sent(t, s.Start()).ID
		value[ntResponseAt] ^= c.flip
		p := sent(t, s.Receive(ppp.CHAP, ppp.Packet{Code: chapResponse, ID: id, Data: appendCHAP(nil, value, rfcUser)}))
		if p.Code != c.code || string(p.Data) != c.want {
			t.Errorf("code %d, %q, want %d, %q", p.Code, p.Data, c.code, c.want)
		}
	}
}
