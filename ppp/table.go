package ppp

import (
	"fmt"
	"strings"
)

// State is a state of the negotiation automaton, with RFC 1661's number
// (section 4.2).
type State int8

// The ten states.
const (
	Initial State = iota
	Starting
	Closed
	Stopped
	Closing
	Stopping
	ReqSent
	AckRcvd
	AckSent
	Opened
)

const numStates = 10

var stateNames = [numStates]string{
	"Initial", "Starting", "Closed", "Stopped", "Closing", "Stopping", "Req-Sent", "Ack-Rcvd", "Ack-Sent", "Opened",
}

// String gives the RFC's name of the state.
func (s State) String() string { return stateNames[s] }

// event is an event of the automaton (RFC 1661 section 4.3).
type event int8

// The sixteen events.
const (
	evUp       event = iota // Up: the lower layer is ready
	evDown                  // Down: the lower layer is gone
	evOpen                  // Open: the operator wants the link
	evClose                 // Close: the operator does not want it
	evTOplus                // TO+: timeout, restart counter above zero
	evTOminus               // TO-: timeout, restart counter spent
	evRCRplus               // RCR+: Configure-Request that we accept
	evRCRminus              // RCR-: Configure-Request that we do not accept
	evRCA                   // RCA: Configure-Ack
	evRCN                   // RCN: Configure-Nak or Configure-Reject
	evRTR                   // RTR: Terminate-Request
	evRTA                   // RTA: Terminate-Ack
	evRUC                   // RUC: unknown code
	evRXJplus               // RXJ+: Code- or Protocol-Reject that we can live with
	evRXJminus              // RXJ-: Code- or Protocol-Reject that we cannot
	evRXR                   // RXR: Echo-Request, Echo-Reply or Discard-Request
)

const numEvents = 16

var eventNames = [numEvents]string{
	"Up", "Down", "Open", "Close", "TO+", "TO-", "RCR+", "RCR-", "RCA", "RCN", "RTR", "RTA", "RUC", "RXJ+", "RXJ-", "RXR",
}

// actions is a set of the automaton's actions (RFC 1661 section 4.4). They
// are carried out in the order of the constants, which is the RFC's wherever
// a cell of its table names several.
type actions uint16

const (
	tld actions = 1 << iota // This-Layer-Down
	irc                     // Initialize-Restart-Count
	zrc                     // Zero-Restart-Count
	scr                     // Send-Configure-Request
	str                     // Send-Terminate-Request
	sca                     // Send-Configure-Ack
	scn                     // Send-Configure-Nak or -Reject
	sta                     // Send-Terminate-Ack
	scj                     // Send-Code-Reject
	ser                     // Send-Echo-Reply
	tlu                     // This-Layer-Up
	tls                     // This-Layer-Started
	tlf                     // This-Layer-Finished
)

var actionNames = [...]string{"tld", "irc", "zrc", "scr", "str", "sca", "scn", "sta", "scj", "ser", "tlu", "tls", "tlf"}

// cell is one entry of the transition table: what to do, where to go, and the
// RFC's mark: r (restart option), p (passive option), x (crossed connection).
// linebond uses neither option.
type cell struct {
	do   actions
	next State
	mark byte
}

// no is an event that cannot happen in that state; a packet is discarded.
var no = cell{next: -1}

// table is the state transition table of RFC 1661 section 4.1.
var table = [numEvents][numStates]cell{
	//          Initial     Starting          Closed            Stopped                 Closing        Stopping       Req-Sent          Ack-Rcvd          Ack-Sent          Opened
	evUp:       {{0, 2, 0}, {irc | scr, 6, 0}, no, no, no, no, no, no, no, no},
	evDown:     {no, no, {0, 0, 0}, {tls, 1, 0}, {0, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {tld, 1, 0}},
	evOpen:     {{tls, 1, 0}, {0, 1, 0}, {irc | scr, 6, 0}, {0, 3, 'r'}, {0, 5, 'r'}, {0, 5, 'r'}, {0, 6, 0}, {0, 7, 0}, {0, 8, 0}, {0, 9, 'r'}},
	evClose:    {{0, 0, 0}, {tlf, 0, 0}, {0, 2, 0}, {0, 2, 0}, {0, 4, 0}, {0, 4, 0}, {irc | str, 4, 0}, {irc | str, 4, 0}, {irc | str, 4, 0}, {tld | irc | str, 4, 0}},
	evTOplus:   {no, no, no, no, {str, 4, 0}, {str, 5, 0}, {scr, 6, 0}, {scr, 6, 0}, {scr, 8, 0}, no},
	evTOminus:  {no, no, no, no, {tlf, 2, 0}, {tlf, 3, 0}, {tlf, 3, 'p'}, {tlf, 3, 'p'}, {tlf, 3, 'p'}, no},
	evRCRplus:  {no, no, {sta, 2, 0}, {irc | scr | sca, 8, 0}, {0, 4, 0}, {0, 5, 0}, {sca, 8, 0}, {sca | tlu, 9, 0}, {sca, 8, 0}, {tld | scr | sca, 8, 0}},
	evRCRminus: {no, no, {sta, 2, 0}, {irc | scr | scn, 6, 0}, {0, 4, 0}, {0, 5, 0}, {scn, 6, 0}, {scn, 7, 0}, {scn, 6, 0}, {tld | scr | scn, 6, 0}},
	evRCA:      {no, no, {sta, 2, 0}, {sta, 3, 0}, {0, 4, 0}, {0, 5, 0}, {irc, 7, 0}, {scr, 6, 'x'}, {irc | tlu, 9, 0}, {tld | scr, 6, 'x'}},
	evRCN:      {no, no, {sta, 2, 0}, {sta, 3, 0}, {0, 4, 0}, {0, 5, 0}, {irc | scr, 6, 0}, {scr, 6, 'x'}, {irc | scr, 8, 0}, {tld | scr, 6, 'x'}},
	evRTR:      {no, no, {sta, 2, 0}, {sta, 3, 0}, {sta, 4, 0}, {sta, 5, 0}, {sta, 6, 0}, {sta, 6, 0}, {sta, 6, 0}, {tld | zrc | sta, 5, 0}},
	evRTA:      {no, no, {0, 2, 0}, {0, 3, 0}, {tlf, 2, 0}, {tlf, 3, 0}, {0, 6, 0}, {0, 6, 0}, {0, 8, 0}, {tld | scr, 6, 0}},
	evRUC:      {no, no, {scj, 2, 0}, {scj, 3, 0}, {scj, 4, 0}, {scj, 5, 0}, {scj, 6, 0}, {scj, 7, 0}, {scj, 8, 0}, {scj, 9, 0}},
	evRXJplus:  {no, no, {0, 2, 0}, {0, 3, 0}, {0, 4, 0}, {0, 5, 0}, {0, 6, 0}, {0, 6, 0}, {0, 8, 0}, {0, 9, 0}},
	evRXJminus: {no, no, {tlf, 2, 0}, {tlf, 3, 0}, {tlf, 2, 0}, {tlf, 3, 0}, {tlf, 3, 0}, {tlf, 3, 0}, {tlf, 3, 0}, {tld | irc | str, 5, 0}},
	evRXR:      {no, no, {0, 2, 0}, {0, 3, 0}, {0, 4, 0}, {0, 5, 0}, {0, 6, 0}, {0, 7, 0}, {0, 8, 0}, {ser, 9, 0}},
}

// String gives the cell as the RFC writes it: "irc,scr/6", "3r", "-".
func (c cell) String() string {
	if c == no {
		return "-"
	}
	var names []string
	for i, name := range actionNames {
		if c.do&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	s := fmt.Sprint(int8(c.next))
	if c.mark != 0 {
		s += string(rune(c.mark))
	}
	if len(names) == 0 {
		return s
	}
	return strings.Join(names, ",") + "/" + s
}

// needsTimer says whether the restart timer runs in this state (RFC 1661
// section 4.1: "the Restart timer is running").
func (s State) needsTimer() bool { return s >= Closing && s <= AckSent }
