package line

import (
	"fmt"

	"linebond/ppp"
)

// Cause is why a line is in its state.
type Cause uint8

// The causes, in the order of a line's life.
const (
	CauseNone Cause = iota
	Starting
	Disabled
	Operator
	Reloaded
	Removed
	Shutdown
	NoDevice
	NoCarrier
	CarrierLost
	CarrierBack
	Dialling
	SocketFailed
	PADOTimeout
	PADSTimeout
	DiscoveryRefused
	SessionMade
	SessionBroken
	LCPTimeout
	LCPRefused
	Looped
	AuthUnsupported
	AuthDemanded
	AuthRefused // by a PAP Nak or a CHAP Failure
	AuthCut     // by the end of the session, which may mean something else
	AuthAborted
	AuthSilent
	NetworkStarted
	NetworkFailed
	NoAddress
	Negotiated
	Renegotiated
	EchoLost
	PeerTerminated
	PeerPADT
	HungUp
)

var causeWords = [...]string{
	CauseNone:        "",
	Starting:         "starting",
	Disabled:         "disabled by its configuration",
	Operator:         "by the operator",
	Reloaded:         "configuration changed",
	Removed:          "configuration removed",
	Shutdown:         "linebond stops",
	NoDevice:         "no such device",
	NoCarrier:        "no carrier",
	CarrierLost:      "carrier lost",
	CarrierBack:      "carrier back",
	Dialling:         "dialling",
	SocketFailed:     "discovery socket failed",
	PADOTimeout:      "PADO timeout",
	PADSTimeout:      "PADS timeout",
	DiscoveryRefused: "refused by the access concentrator",
	SessionMade:      "session given",
	SessionBroken:    "session could not be opened",
	LCPTimeout:       "LCP timeout",
	LCPRefused:       "LCP refused by the peer",
	Looped:           "line is looped back",
	AuthUnsupported:  "no authentication method in common",
	AuthDemanded:     "LCP opened",
	AuthRefused:      "authentication refused",
	AuthCut:          "authentication refused",
	AuthAborted:      "authentication aborted",
	AuthSilent:       "authentication timeout",
	NetworkStarted:   "authenticated",
	NetworkFailed:    "no network protocol",
	NoAddress:        "no address assigned",
	Negotiated:       "address assigned",
	Renegotiated:     "peer renegotiates",
	EchoLost:         "echo lost",
	PeerTerminated:   "terminated by peer",
	PeerPADT:         "PADT",
	HungUp:           "session dropped by the kernel",
}

// String gives the cause's words, which do not change between releases.
func (c Cause) String() string { return causeWords[c] }

// Reason is why a line is in its state: a cause, and what is particular to
// this case.
type Reason struct {
	Cause  Cause
	Detail string // printable, bounded; "" if the cause says all
}

// String gives "PADO timeout", "authentication refused: E=691 ...", "echo lost 5 of 5".
func (r Reason) String() string {
	switch {
	case r.Detail == "":
		return r.Cause.String()
	case r.Cause == EchoLost, r.Cause == CarrierLost:
		return fmt.Sprintf("%s %s", r.Cause, r.Detail)
	}
	return fmt.Sprintf("%s: %s", r.Cause, r.Detail)
}

// maxDetail bounds the words of a Reason, in runes.
const maxDetail = 128

// words is an error's text as a Reason's detail.
func words(err error) string {
	if err == nil {
		return ""
	}
	return ppp.Printable([]byte(err.Error()), maxDetail)
}
