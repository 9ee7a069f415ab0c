package line

import (
	"linebond/auth"
	"linebond/pppoe"
)

// Counters count what the line did not take, since the daemon began.
type Counters struct {
	Malformed   uint64 // discovery and control packets that do not parse
	Unexpected  uint64 // well-formed, but from or for someone else, or at a wrong time
	WrongMagic  uint64 // LCP echoes with a foreign magic number
	Unknown     uint64 // frames of protocols that we do not speak, answered by a Protocol-Reject
	Excess      uint64 // frames that came too fast to be answered
	StalePADT   uint64 // PADTs for other sessions
	Established uint64 // sessions that reached Running
}

// counters returns what was counted by machines that are gone and by those of
// the moment.
func (l *Line) counters() Counters {
	c := l.status.Counters
	c.addClient(l.client)
	c.addAuth(l.auth)
	if l.lcp != nil {
		c.WrongMagic += l.lcp.WrongMagic()
		for _, a := range l.automata() {
			c.Malformed += a.Counters().Malformed
			c.Unexpected += a.Counters().Stale
		}
	}
	return c
}

func (c *Counters) addClient(m *pppoe.Client) {
	if m != nil {
		d := m.Counters()
		c.Malformed += d.Malformed
		c.Unexpected += d.BadSource + d.Unexpected + d.Foreign + d.Filtered + d.Refused + d.WrongAC
	}
}

func (c *Counters) addAuth(m *auth.Client) {
	if m != nil {
		c.Malformed += m.Counters().Malformed
		c.Unexpected += m.Counters().Unexpected
	}
}

// addForeign counts a discovery frame that is not of our session.
func (c *Counters) addForeign(payload []byte) {
	switch p, err := pppoe.Parse(payload); {
	case err != nil:
		c.Malformed++
	case p.Code == pppoe.PADT:
		c.StalePADT++
	default:
		c.Unexpected++
	}
}
