package line

import (
	"fmt"
	"time"

	"linebond/ppp"
)

// After a loss of carrier the configured keepalive, of up to 100 minutes, would
// be too patient: a session that is dead must be redialled soon.
const (
	heldInterval = time.Second
	heldFailures = 5
)

// tick sends an Echo-Request, or ends a session whose peer has fallen silent.
func (l *Line) tick() {
	k, held := &l.keepalive, l.status.State == Held
	k.Interval, k.Failures = l.cfg.Keepalive.Interval, l.cfg.Keepalive.Failures
	if held {
		k.Interval, k.Failures = min(k.Interval, heldInterval), min(k.Failures, heldFailures)
	}
	id, dead := k.Tick(l.now)
	if dead {
		l.end(Reason{EchoLost, fmt.Sprintf("%d of %d", k.Failures, k.Failures)})
		return
	}
	if !held && l.lcp.EchoUnsupported() {
		k.Alive()
	}
	l.emit(SendFrame{ppp.LCP, l.lcp.AppendEchoRequest(nil, id)})
	l.setTimer(TimerKeepalive, k.Interval)
	if l.silent() {
		l.emit(Silence{l.Status()})
	}
}

// silent says whether an Echo-Request has gone unanswered: one more than that
// is on its way.
func (l *Line) silent() bool { return l.keepalive.Stats().Silent > 1 }

func (l *Line) echoReply(id uint8) {
	l.alive(func() { l.keepalive.Reply(l.now, id) })
}

// echoRejected takes a Code-Reject, which proves as much as a reply.
func (l *Line) echoRejected() { l.alive(l.keepalive.Alive) }

// alive takes a proof that the peer is there, by which the keepalive takes it.
func (l *Line) alive(take func()) {
	was := l.silent()
	take()
	switch {
	case l.status.State == Held && l.link.Carrier:
		l.proceed(Reason{Cause: CarrierBack})
	case was:
		l.emit(Silence{l.Status()})
	}
}

// hold keeps a session whose carrier is gone.
func (l *Line) hold() {
	l.stopTimer(TimerKeepalive)
	l.setTimer(TimerHold, holdCarrier)
	l.enter(Held, Reason{CarrierLost, "on " + l.status.Link})
}

// tryHeld asks at once whether the session has outlived the loss of carrier;
// the first answer, even a Code-Reject, makes it Running again, silence ends it.
func (l *Line) tryHeld() {
	l.stopTimer(TimerHold)
	l.keepalive.Alive()
	l.tick()
}
