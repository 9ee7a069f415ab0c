package line

import (
	"fmt"

	"linebond/ppp"
)

// tick sends an Echo-Request, or ends a session whose peer has fallen silent.
func (l *Line) tick() {
	id, dead := l.keepalive.Tick(l.now)
	if dead {
		n := l.keepalive.Failures
		l.end(Reason{EchoLost, fmt.Sprintf("%d of %d", n, n)})
		return
	}
	if l.lcp.EchoUnsupported() {
		l.keepalive.Alive()
	}
	l.emit(SendFrame{ppp.LCP, l.lcp.AppendEchoRequest(nil, id)})
	l.setTimer(TimerKeepalive, l.keepalive.Interval)
}

func (l *Line) echoReply(id uint8) {
	l.keepalive.Reply(l.now, id)
	if l.status.State == Held && l.link.Carrier {
		l.proceed(Reason{Cause: CarrierBack})
	}
}

// hold keeps a session whose carrier is gone.
func (l *Line) hold() {
	l.stopTimer(TimerKeepalive)
	l.setTimer(TimerHold, holdCarrier)
	l.enter(Held, Reason{CarrierLost, "on " + l.status.Link})
}

// tryHeld asks at once whether the session has outlived the loss of carrier;
// the first answer makes it Running again, silence ends it.
func (l *Line) tryHeld() {
	l.stopTimer(TimerHold)
	l.keepalive.Alive()
	l.tick()
}
