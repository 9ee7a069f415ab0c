package auth

import "linebond/ppp"

// Codes of CHAP (RFC 1994 section 4).
const (
	chapChallenge ppp.Code = 1
	chapResponse  ppp.Code = 2
	chapSuccess   ppp.Code = 3
	chapFailure   ppp.Code = 4
)

// parseCHAP reads the data of a Challenge or Response (RFC 1994 section 4.1);
// false if the value is empty or runs past its end. The results alias data.
func parseCHAP(data []byte) (value, name []byte, ok bool) {
	value, name, ok = cutCounted(data)
	return value, name, ok && len(value) > 0
}

// appendCHAP appends the data of a Challenge or Response. value has at most
// 255 bytes.
func appendCHAP(b, value []byte, name string) []byte {
	b = append(b, byte(len(value)))
	b = append(b, value...)
	return append(b, name...)
}
