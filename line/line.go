// Package line is the whole life of one PPPoE line, as a pure machine: events
// in, actions out.
//
//	Stopped <- operator -> Waiting -> Discovery -> Establish -> Authenticate -> Network -> Running
//	                          ^  \       |            |              |            |      |     ^ |
//	             carrier      |   Unplugged           |              |            |      |   Held
//	                          +---- a reason and a pause <- (Terminate) <---------+------+
//
// discovery.go finds the access concentrator, session.go runs LCP and
// authentication, network.go the network protocols, keepalive.go watches the
// line once it is up, redial.go decides when to try again.
package line

import (
	"slices"
	"time"

	"linebond/auth"
	"linebond/config"
	"linebond/ipcp"
	"linebond/ipv6cp"
	"linebond/lcp"
	"linebond/ppp"
	"linebond/pppoe"
)

// Line is one line. It is a value: Handle is its only way in, and what it
// returns the only way out.
type Line struct {
	cfg    config.Line
	random func([]byte)
	now    time.Time // of the event at hand

	status Status
	wanted bool // the operator wants the line
	link   Link

	client    *pppoe.Client // while in Discovery
	asked     time.Time     // when the last PADI or PADR went out
	roundTrip time.Duration // the least from such to its answer
	session   *pppoe.Session
	stale     *pppoe.Session // the last one, as long as its end may not have been heard
	told      bool           // this dial has sent its PADT
	verdict   Reason         // why the session is closing
	ended     bool           // the session is over for the peer, or is not ours: no PADT is due

	lcp        *lcp.Link
	auth       *auth.Client
	hasUnit    bool
	identifier ipv6cp.Identifier // kept from session to session
	ipcp       network
	ipv6cp     network
	ipcpPolicy *ipcp.Client
	ipv6Policy *ipv6cp.Policy
	keepalive  lcp.Keepalive
	rejectID   uint8
	requests   allowance

	failures      int // dials without success in a row
	shortSessions int // sessions in a row that were not up for long
	authFailures  int
	proven        bool      // the peer has accepted our credentials once
	lastUp        time.Time // end of the last session that was up
	notBefore     time.Time // the next dial after a failed authentication
	redial        bool      // the operator asked for it

	generation uint64            // of the last timer that was set
	awaited    [NumTimers]uint64 // generation of each timer that runs, or 0
	actions    []Action
}

// New returns a line that is not yet started. random fills with random bytes.
func New(cfg config.Line, random func([]byte)) *Line {
	l := &Line{cfg: cfg, random: random}
	l.status = Status{Name: cfg.Name, Device: cfg.Device, Link: cfg.Link()}
	l.keepalive = lcp.Keepalive{Interval: cfg.Keepalive.Interval, Failures: cfg.Keepalive.Failures}
	l.identifier = ipv6cp.New(l.identifier, random).Ours()
	return l
}

// Status returns a copy of the line as it is now.
func (l *Line) Status() Status {
	s := l.status
	s.Echo = l.keepalive.Stats()
	s.Failures = l.failures + l.authFailures
	s.Counters = l.counters()
	if s.Session != nil {
		session := *s.Session
		session.AC = slices.Clone(session.AC)
		s.Session = &session
	}
	s.IPv4.DNS = slices.Clone(s.IPv4.DNS)
	return s
}

// Echo is the part of Status that each Echo-Reply changes.
func (l *Line) Echo() lcp.EchoStats { return l.keepalive.Stats() }

// Handle takes an event that happened at the time given and returns what is
// to be done. The actions and the bytes in them are valid until the next call.
func (l *Line) Handle(now time.Time, e Event) []Action {
	l.now, l.actions = now, l.actions[:0]
	switch e := e.(type) {
	case Start:
		l.start(e.Stale)
	case LinkChanged:
		l.linkChanged(e.Link)
	case DiscoveryFrame:
		l.discoveryFrame(e.Src, e.Payload)
	case DiscoveryFailed:
		l.discoveryFailed(e.Err)
	case SessionOpened:
		l.sessionOpened()
	case SessionFailed:
		l.sessionFailed(e.Err)
	case SessionLost:
		l.sessionLost(e.Err)
	case Frame:
		l.frame(e.Protocol, e.Payload)
	case TimerFired:
		if e.Generation != 0 && e.Generation == l.awaited[e.Timer] {
			l.stopTimer(e.Timer)
			l.timer(e.Timer)
		}
	case Up:
		l.dialNow()
	case Down:
		l.wanted = false
		l.hangUp(Reason{Cause: e.Cause})
	case Redial:
		l.operatorRedial()
	}
	return l.actions
}

func (l *Line) emit(a Action) { l.actions = append(l.actions, a) }

// setTimer sets a timer anew; stopTimer makes its firing late.
func (l *Line) setTimer(t Timer, d time.Duration) {
	l.generation++
	l.awaited[t] = l.generation
	l.emit(SetTimer{Timer: t, Generation: l.generation, Delay: d})
}

func (l *Line) stopTimer(t Timer) { l.awaited[t] = 0 }

func (l *Line) timer(t Timer) {
	switch t {
	case TimerDial:
		l.dial()
	case TimerDiscovery:
		l.forgetStale()
		l.discovery(l.client.Timeout())
	case TimerLCP:
		l.lcpTimeout()
	case TimerAuth:
		l.authenticate(l.auth.Timeout())
	case TimerIPCP:
		l.networkTimeout(ppp.IPCP)
	case TimerIPv6CP:
		l.networkTimeout(ppp.IPv6CP)
	case TimerSetup:
		l.setupTimeout()
	case TimerKeepalive:
		l.tick()
	case TimerHold:
		l.end(Reason{CarrierLost, "for " + holdCarrier.String()})
	case TimerVerdict:
		l.end(l.verdict)
	}
}

// enter takes a state and tells of it.
func (l *Line) enter(s State, r Reason) {
	if s != l.status.State {
		l.status.Since = l.now
	}
	if s != Waiting {
		l.status.NextDial = time.Time{}
	}
	if s != Held {
		l.stopTimer(TimerHold)
	}
	if s == Establish || s == Network && l.status.State >= Running {
		l.setTimer(TimerSetup, setup)
	}
	l.status.State, l.status.Reason = s, r
	l.emit(StatusChanged{l.Status()})
}

func (l *Line) start(stale *pppoe.Session) {
	l.status.Since = l.now
	if stale != nil && len(stale.AC) == 6 { // or else there is nobody to be told
		l.stale = stale
	}
	l.wanted = l.cfg.Enabled
	if !l.wanted {
		l.enter(Stopped, Reason{Cause: Disabled})
		return
	}
	l.rest(Reason{Cause: Starting}, l.randomDuration(firstDialSpread))
}

// rest waits for the next dial: for the pause given, or for the carrier.
func (l *Line) rest(r Reason, pause time.Duration) {
	switch {
	case !l.wanted:
		l.enter(Stopped, r)
	case !l.link.Exists:
		l.enter(Unplugged, l.noDevice())
	case !l.link.Carrier:
		if r.Cause != CarrierLost {
			r = Reason{NoCarrier, l.status.Link}
		}
		l.enter(Unplugged, r)
	default:
		pause = max(pause, l.notBefore.Sub(l.now))
		l.status.NextDial = l.now.Add(pause)
		l.setTimer(TimerDial, pause)
		l.enter(Waiting, r)
	}
}

// noDevice names the device that is missing. A VLAN device, which the user
// never named, is most likely missing because the one below it is.
func (l *Line) noDevice() Reason {
	detail := l.status.Link
	if below := l.cfg.Interface; below != detail {
		detail += " (is there a device " + below + "?)"
	}
	return Reason{NoDevice, detail}
}

// dialNow cuts a wait short, and forgets earlier failures.
func (l *Line) dialNow() {
	l.wanted, l.failures, l.shortSessions, l.authFailures = true, 0, 0, 0
	l.notBefore = time.Time{}
	switch l.status.State {
	case Stopped, Waiting, Unplugged:
		l.rest(Reason{Cause: Operator}, 0)
	}
}

func (l *Line) operatorRedial() {
	switch l.status.State {
	case Stopped, Waiting, Unplugged:
		l.dialNow()
	default:
		l.wanted = true
		l.redial = true
		l.hangUp(Reason{Cause: Operator})
	}
}

// linkChanged follows the Ethernet device. Without carrier a session is kept
// for a while: a modem that resyncs often comes back to it (TR-124 WAN.PPP.7).
func (l *Line) linkChanged(link Link) {
	had, has := l.link.Carrier && l.link.Exists, link.Carrier && link.Exists
	existed := l.link.Exists
	l.link = link
	switch s := l.status.State; {
	case s == Stopped || s == Terminate:
	case s == Unplugged && has:
		l.rest(Reason{Cause: CarrierBack}, l.randomDuration(firstDialSpread))
	case s == Unplugged && existed != link.Exists:
		l.rest(Reason{Cause: NoCarrier}, 0)
	case had && !link.Exists && s != Waiting:
		l.end(l.noDevice())
	case had && !has && (s == Running || s == Held):
		l.hold()
	case s == Held && !link.Exists:
		l.end(l.noDevice())
	case had && !has:
		l.end(Reason{CarrierLost, "on " + l.status.Link})
	case !had && has && s == Held:
		l.tryHeld()
	}
}
