package ppp

import "time"

// step looks the event up in the table, carries out the cell's actions in the
// RFC's order, and takes the next state. p is the packet received; for RCR- its
// code is that of the answer, with refused as the answer's options.
func (a *Automaton) step(e event, p Packet, refused []Option) {
	c := table[e][a.state]
	if c == no {
		return
	}
	if c.do&tld != 0 {
		a.emit(Action{Kind: LayerDown})
	}
	if e == evRCN && a.refused > maxRefused {
		// The peer refuses whatever we ask. RFC 1661 leaves this open: its irc
		// and scr would have us ask for ever, as fast as the peer refuses. From
		// here on the state alone is the table's. The request that is due is
		// left to the restart timer's next TO+, and the restart counter is not
		// set back: Max-Configure ends the negotiation.
		c.do &^= irc | scr
		a.wait = a.times.Restart
	}
	a.count(c)
	a.transmit(e, c, p, refused)
	a.rearm(e, c)
	a.state = c.next
	if c.do&tlu != 0 {
		a.refused, a.kicked = 0, false
		a.emit(Action{Kind: LayerUp})
	}
	if c.do&tls != 0 {
		a.emit(Action{Kind: LayerStarted})
	}
	if c.do&tlf != 0 {
		a.emit(Action{Kind: LayerFinished})
	}
}

// maxRefused is how many of our requests the peer may refuse in one negotiation
// and be asked again at once: about twice what honest haggling takes, with a
// Max-Failure of 5 on the other side.
const maxRefused = 10

func (a *Automaton) emit(x Action) { a.actions = append(a.actions, x) }

// count does irc and zrc, and forgets the Naks of a negotiation that is over.
// RFC 1661 section 4.4 asks that irc set the timeout period back to its
// initial value, too.
func (a *Automaton) count(c cell) {
	switch {
	case c.do&zrc != 0:
		a.restart = 0
	case c.do&irc != 0 && c.do&str != 0:
		a.restart = a.times.MaxTerminate
	case c.do&irc != 0:
		a.restart, a.wait, a.kicked = a.times.MaxConfigure, a.times.First, false
	case c.do&(tld|scr) == tld|scr:
		// A renegotiation in place starts counting afresh as well: the RFC's
		// table leaves out irc there, and would give up at once if a
		// long-gone negotiation had spent the counter. But it repeats slowly:
		// where the round trip exceeds First, it may well be our own early
		// repetition that made the peer begin again, and the next one would do
		// the same for ever.
		a.restart, a.wait, a.kicked = a.times.MaxConfigure, a.times.Restart, true
	}
	if c.next <= Stopped {
		a.failure, a.refused = 0, 0 // the next negotiation may be with another peer
	}
}

// transmit does scr, str, sca, scn, sta, scj and ser.
func (a *Automaton) transmit(e event, c cell, p Packet, refused []Option) {
	if c.do&scr != 0 {
		a.sendRequest(e == evTOplus)
	}
	if c.do&str != 0 {
		a.terminateID = a.newID()
		a.restart--
		a.send(Packet{Code: TerminateRequest, ID: a.terminateID})
	}
	if c.do&sca != 0 {
		a.send(Packet{Code: ConfigureAck, ID: p.ID, Data: p.Data})
	}
	if c.do&scn != 0 {
		a.send(Packet{Code: p.Code, ID: p.ID, Data: AppendOptions(nil, refused...)})
	}
	if c.do&sta != 0 {
		id := p.ID
		if e != evRTR {
			id = a.newID()
		}
		a.send(Packet{Code: TerminateAck, ID: id})
	}
	if c.do&scj != 0 {
		a.sendCodeReject(p)
	}
	if c.do&ser != 0 {
		from := len(a.buf)
		a.buf = a.policy.(Extension).AppendEchoReply(a.buf, p)
		if len(a.buf) > from {
			a.emit(Action{Kind: Send, Packet: a.buf[from:]})
		}
	}
}

// sendRequest does scr. A repetition keeps its identifier, so that a late
// answer to the first copy still counts (RFC 1661 section 5.1).
func (a *Automaton) sendRequest(repeat bool) {
	if !repeat || !a.outstanding {
		a.wanted = a.policy.Request(a.wanted[:0])
		a.request = AppendOptions(a.request[:0], a.wanted...)
		a.requestID = a.newID()
		a.outstanding = true
	}
	a.restart--
	a.send(Packet{Code: ConfigureRequest, ID: a.requestID, Data: a.request})
}

// sendCodeReject returns the packet, cut to the peer's MRU (RFC 1661 section 5.6).
func (a *Automaton) sendCodeReject(p Packet) {
	whole := p.Append(nil)
	if room := a.peerMRU - HeaderLen; len(whole) > room {
		whole = whole[:room]
	}
	a.send(Packet{Code: CodeReject, ID: a.newID(), Data: whole})
}

func (a *Automaton) send(p Packet) {
	from := len(a.buf)
	a.buf = p.Append(a.buf)
	a.emit(Action{Kind: Send, Packet: a.buf[from:]})
}

func (a *Automaton) newID() uint8 {
	a.nextID++
	return a.nextID
}

// rearm sets or stops the restart timer for the state that c leads to.
func (a *Automaton) rearm(e event, c cell) {
	switch {
	case !c.next.needsTimer():
		if a.state.needsTimer() {
			a.emit(Action{Kind: StopTimer})
		}
	case c.do&(str|zrc) != 0:
		a.setTimer(a.times.Terminate)
	case c.do&scr != 0:
		if e == evTOplus {
			a.wait = min(a.wait+a.wait/4, a.times.Restart)
		}
		a.setTimer(a.wait)
	case e == evRCN && c.next >= ReqSent:
		a.setTimer(a.wait) // scr was put off
	case e == evRCA && c.next == AckRcvd:
		a.setTimer(a.times.Restart) // the peer's own request is awaited; it repeats at its own pace
	case (e == evRCRplus || e == evRCRminus) && a.state == ReqSent && a.outstanding && !a.kicked:
		// The peer speaks, and has not answered: most likely it was not there
		// yet when our request went out. Ask again soon.
		a.kicked = true
		a.setTimer(a.times.First / 4)
	}
}

func (a *Automaton) setTimer(d time.Duration) { a.emit(Action{Kind: SetTimer, Delay: d}) }
