package auth

import (
	"encoding/binary"
	"fmt"

	"linebond/ppp"
)

// Method is a way of proving who one is. The zero Method is none.
type Method uint8

// The methods, from the weakest to the strongest.
const (
	PAP      Method = iota + 1 // the password in the clear (RFC 1334)
	CHAPMD5                    // RFC 1994
	MSCHAPv2                   // RFC 2759; the server proves itself as well
)

// Values of the algorithm byte that follows CHAP's number in LCP's option.
const (
	algorithmMD5      = 0x05
	algorithmMSCHAPv2 = 0x81
)

// String returns the name that config files and the log use.
func (m Method) String() string {
	switch m {
	case PAP:
		return "pap"
	case CHAPMD5:
		return "chap"
	case MSCHAPv2:
		return "mschapv2"
	}
	return "none"
}

// ParseMethod is the reverse of String. Errors: any other name than those of
// the three methods.
func ParseMethod(name string) (Method, error) {
	for _, m := range []Method{PAP, CHAPMD5, MSCHAPv2} {
		if name == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("auth: no method is called %q; allowed: pap, chap, mschapv2", name)
}

// protocol is the one whose packets the method uses.
func (m Method) protocol() ppp.Protocol {
	if m == PAP {
		return ppp.PAP
	}
	return ppp.CHAP
}

// Option returns the data of LCP's Authentication-Protocol option (RFC 1661
// section 6.2): the protocol and, for CHAP, the algorithm.
func (m Method) Option() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(m.protocol()))
	switch m {
	case CHAPMD5:
		b = append(b, algorithmMD5)
	case MSCHAPv2:
		b = append(b, algorithmMSCHAPv2)
	}
	return b
}

// ParseOption is the reverse of Option; false for any other protocol,
// algorithm or length.
func ParseOption(data []byte) (Method, bool) {
	for _, m := range []Method{PAP, CHAPMD5, MSCHAPv2} {
		if string(data) == string(m.Option()) {
			return m, true
		}
	}
	return 0, false
}
