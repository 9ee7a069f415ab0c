package auth

import (
	"crypto/des"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	//lint:ignore SA1019 RFC 2759 section 8.3 demands MD4; whoever minds it does not allow mschapv2
	"golang.org/x/crypto/md4"

	"linebond/ppp"
)

// Sizes of the fields of a Response's value, in bytes (RFC 2759 section 4).
const (
	ntResponseLen     = 24
	ntResponseAt      = challengeLen + 8
	mschapResponseLen = ntResponseAt + ntResponseLen + 1
)

// Constants of RFC 2759 section 8.7.
const (
	magic1 = "Magic server to client signing constant"
	magic2 = "Pad to make it do more than one iteration"
)

// mschapErrors are the codes of RFC 2759 section 6, in words.
var mschapErrors = map[int]string{
	646: "restricted logon hours",
	647: "account disabled",
	648: "password expired",
	649: "no dial-in permission",
	691: "authentication failure",
	709: "error changing password",
}

// challengeHash is section 8.2. A domain before the user name does not count.
func challengeHash(peerChallenge, challenge []byte, username string) [8]byte {
	username = username[strings.LastIndexByte(username, '\\')+1:]
	h := sha1.New()
	h.Write(peerChallenge)
	h.Write(challenge)
	h.Write([]byte(username))
	return [8]byte(h.Sum(nil))
}

// ntPasswordHash is section 8.3: MD4 over the password in UTF-16LE.
func ntPasswordHash(password Secret) [md4.Size]byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(password.Reveal())) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	h := md4.New()
	h.Write(b)
	return [md4.Size]byte(h.Sum(nil))
}

// challengeResponse is section 8.5: the hash, padded with zeros to 21 bytes,
// makes three DES keys.
func challengeResponse(challenge [8]byte, passwordHash [md4.Size]byte) [ntResponseLen]byte {
	var keys [21]byte
	copy(keys[:], passwordHash[:])
	var response [ntResponseLen]byte
	for i := range 3 {
		key := desKey([7]byte(keys[7*i:]))
		block, err := des.NewCipher(key[:])
		if err != nil {
			panic(err) // the key has 8 bytes; all else is GODEBUG=fips140=only, where MD4, MD5 and DES are forbidden
		}
		block.Encrypt(response[8*i:], challenge[:])
	}
	return response
}

// desKey is section 8.6: 7 bits of the key go into each byte, above a parity
// bit that DES ignores.
func desKey(key [7]byte) [8]byte {
	var padded [8]byte
	copy(padded[1:], key[:])
	bits := binary.BigEndian.Uint64(padded[:]) // 56 of them
	var spread [8]byte
	for i := range spread {
		spread[i] = byte(bits>>(49-7*i)) << 1
	}
	return spread
}

// ntResponse is section 8.1, GenerateNTResponse.
func ntResponse(challenge, peerChallenge []byte, username string, password Secret) [ntResponseLen]byte {
	return challengeResponse(challengeHash(peerChallenge, challenge, username), ntPasswordHash(password))
}

// authenticatorResponse is section 8.7, without the "S=" and as bytes.
func authenticatorResponse(password Secret, response [ntResponseLen]byte, peerChallenge, challenge []byte, username string) [sha1.Size]byte {
	hash := ntPasswordHash(password)
	h := md4.New()
	h.Write(hash[:])
	hashHash := h.Sum(nil)

	h = sha1.New()
	h.Write(hashHash)
	h.Write(response[:])
	h.Write([]byte(magic1))
	digest := h.Sum(nil)

	c := challengeHash(peerChallenge, challenge, username)
	h = sha1.New()
	h.Write(digest)
	h.Write(c[:])
	h.Write([]byte(magic2))
	return [sha1.Size]byte(h.Sum(nil))
}

// mschapResponder is the client's side of MS-CHAPv2.
type mschapResponder struct {
	username string
	password Secret
	random   func([]byte)
	proof    [sha1.Size]byte // the Authenticator-Response that the server owes us
}

func (r *mschapResponder) respond(_ uint8, challenge []byte) ([]byte, bool) {
	if len(challenge) != challengeLen {
		return nil, false
	}
	value := make([]byte, mschapResponseLen)
	peerChallenge := value[:challengeLen]
	r.random(peerChallenge)
	response := ntResponse(challenge, peerChallenge, r.username, r.password)
	copy(value[ntResponseAt:], response[:])
	r.proof = authenticatorResponse(r.password, response, peerChallenge, challenge, r.username)
	return value, true
}

// success verifies the server's proof (section 8.8). Without it the session
// must end, or anyone could play our access concentrator.
func (r *mschapResponder) success(message []byte) (string, bool) {
	s, found := strings.CutPrefix(string(message), "S=")
	digits := 2 * len(r.proof)
	if !found || len(s) < digits {
		return "the server does not prove that it knows the password", false
	}
	proof, err := hex.DecodeString(s[:digits])
	if err != nil || subtle.ConstantTimeCompare(proof, r.proof[:]) != 1 {
		return "the server does not know the password", false
	}
	_, text, _ := strings.Cut(s[digits:], "M=")
	return ppp.Printable([]byte(text), maxMessage), true
}

func (r *mschapResponder) failure(message []byte) (string, int) { return parseMSCHAPFailure(message) }

// parseMSCHAPFailure reads the message of a Failure (section 6): its error
// code in words, followed by the server's own. Without a code (0) the words
// are the whole message. R and C are of no use, as we have no other password.
func parseMSCHAPFailure(message []byte) (words string, code int) {
	fields, text, _ := strings.Cut(string(message), "M=")
	for field := range strings.FieldsSeq(fields) {
		if digits, ok := strings.CutPrefix(field, "E="); ok {
			if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
				code = int(n)
			}
		}
	}
	if code == 0 {
		return ppp.Printable(message, maxMessage), 0
	}
	words, known := mschapErrors[code]
	if !known {
		words = fmt.Sprintf("error %d", code)
	}
	if text != "" {
		words += ": " + text
	}
	return ppp.Printable([]byte(words), maxMessage), code
}

// mschapVerifier is the server's side of MS-CHAPv2.
type mschapVerifier struct{ random func([]byte) }

func (mschapVerifier) responseLen() int { return mschapResponseLen }

func (mschapVerifier) verify(_ uint8, challenge, value []byte, username string, password Secret) (string, bool) {
	peerChallenge := value[:challengeLen]
	given := [ntResponseLen]byte(value[ntResponseAt:])
	want := ntResponse(challenge, peerChallenge, username, password)
	proof := authenticatorResponse(password, want, peerChallenge, challenge, username)
	return fmt.Sprintf("S=%X M=%s", proof, greeting), subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

func (v mschapVerifier) refuse() string {
	var challenge [challengeLen]byte
	v.random(challenge[:])
	return fmt.Sprintf("E=691 R=0 C=%X V=3 M=%s", challenge, refusal)
}
