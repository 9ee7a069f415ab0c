package auth

import (
	"crypto/md5"
	"crypto/subtle"

	"linebond/ppp"
)

// md5Value is the value of a Response (RFC 1994 section 4.1).
func md5Value(id uint8, password Secret, challenge []byte) [md5.Size]byte {
	b := append([]byte{id}, password.Reveal()...)
	return md5.Sum(append(b, challenge...))
}

// md5Responder is the client's side of CHAP with MD5.
type md5Responder struct{ password Secret }

func (r md5Responder) respond(id uint8, challenge []byte) ([]byte, bool) {
	value := md5Value(id, r.password, challenge)
	return value[:], true
}

func (r md5Responder) success(message []byte) (string, bool) {
	return ppp.Printable(message, maxMessage), true
}

func (r md5Responder) failure(message []byte) (string, int) {
	return ppp.Printable(message, maxMessage), 0
}

// md5Verifier is the server's side of CHAP with MD5.
type md5Verifier struct{}

func (md5Verifier) responseLen() int { return md5.Size }

func (md5Verifier) verify(id uint8, challenge, value []byte, _ string, password Secret) (string, bool) {
	want := md5Value(id, password, challenge)
	return greeting, subtle.ConstantTimeCompare(want[:], value) == 1
}

func (md5Verifier) refuse() string { return refusal }
