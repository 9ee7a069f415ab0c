// Package auth proves to an access concentrator who we are, by PAP (RFC 1334),
// CHAP with MD5 (RFC 1994) or MS-CHAPv2 (RFC 2759), and holds the verifying
// side of each for the simulated ISP.
//
// All of them travel in packets laid out as package ppp shows: Code,
// Identifier, Length, Data. The data of PAP (protocol 0xc023):
//
//	1 Authenticate-Request | Peer-ID Length (1) | Peer-ID | Passwd-Length (1) | Password |
//	2 Authenticate-Ack     | Msg-Length (1) | Message |
//	3 Authenticate-Nak     | Msg-Length (1) | Message |
//
// The data of CHAP (protocol 0xc223):
//
//	1 Challenge | Value-Size (1) | Value | Name to the end |
//	2 Response  | Value-Size (1) | Value | Name to the end |
//	3 Success   | Message to the end |
//	4 Failure   | Message to the end |
//
// With MD5 the challenge's value is of any size and the response's is 16
// bytes, MD5(Identifier, password, challenge). With MS-CHAPv2 the challenge's
// is 16 bytes and the response's 49:
//
//	| Peer-Challenge (16) | reserved, zero (8) | NT-Response (24) | Flags, zero (1) |
//
// and both messages have a form:
//
//	Success  S=<Authenticator-Response, 40 hex digits> M=<text>
//	Failure  E=<error, decimal> R=<retry, 0 or 1> C=<challenge, 32 hex digits> V=3 M=<text>
//
// Client and Server are machines: each method is an event and returns what to
// do. They never send, sleep or lock, and have one timer each. Nothing that
// either exports shows a password when it is printed.
package auth

import (
	"fmt"
	"io"
	"time"

	"linebond/ppp"
)

// maxMessage bounds, in runes, what is kept of the other side's words.
const maxMessage = 128

// ActionKind tells the kinds of Action apart.
type ActionKind uint8

// What a Client or Server may ask of the code around it.
const (
	Send      ActionKind = iota // send Payload as a frame of Protocol
	SetTimer                    // call Timeout after Delay; replaces the last timer
	StopTimer                   // forget the timer
	Success                     // the verdict is yes
	Failure                     // the verdict is no, or authentication cannot go on; Message says why
	NoAnswer                    // the other side stays silent
)

// Action is one thing to do. It is valid until the machine's next call.
type Action struct {
	Kind     ActionKind
	Protocol ppp.Protocol  // Send
	Payload  []byte        // Send: a whole PPP control packet; PAP's holds the password
	Delay    time.Duration // SetTimer
	Message  string        // Success, Failure: printable, at most maxMessage runes, may be empty
	Ours     bool          // Failure: it is we who cannot go on, or do not trust the server
	Code     int           // Failure of an MS-CHAPv2 client: the server's error code (E=), 0 if none
	Username string        // Success, Failure of a Server: whom it is about, printable like Message
}

// String says what to do, without a byte of Payload.
func (a Action) String() string {
	switch a.Kind {
	case Send:
		return fmt.Sprintf("send %v, %d bytes", a.Protocol, len(a.Payload))
	case SetTimer:
		return fmt.Sprintf("set timer to %v", a.Delay)
	case StopTimer:
		return "stop timer"
	case Success:
		return fmt.Sprintf("success %q", a.Message)
	case Failure:
		return fmt.Sprintf("failure %d %q", a.Code, a.Message)
	case NoAnswer:
		return "no answer"
	}
	return fmt.Sprintf("action %d", uint8(a.Kind))
}

// Format prints String for every verb: %v, %#v and %x would show Payload.
func (a Action) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// MarshalText keeps Payload out of JSON and other encodings.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Counters count the packets that a machine ignored.
type Counters struct {
	Malformed  uint64 // lengths inside do not fit
	Unexpected uint64 // wrong protocol, code or identifier, or out of turn
}
