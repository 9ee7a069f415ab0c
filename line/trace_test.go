package line

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"linebond/ppp"
	"linebond/pppoe"
)

// trace is a line's history as text: each event with its time, and below it
// what the line does. A brief one has the operator's and the carrier's doings
// and the changes of status alone.
type trace struct {
	b     strings.Builder
	brief bool
	off   bool
	now   time.Duration
}

func (tr *trace) String() string { return tr.b.String() }

func (tr *trace) printf(format string, args ...any) { fmt.Fprintf(&tr.b, format, args...) }

// note begins a chapter.
func (tr *trace) note(text string) { tr.printf("# %s\n", text) }

func (tr *trace) event(now time.Duration, e Event) {
	tr.now = now
	if tr.off {
		return
	}
	var text string
	minor := false
	switch e := e.(type) {
	case Start:
		text = "start"
		if e.Stale != nil {
			text += fmt.Sprintf(", stale session %#04x", e.Stale.ID)
		}
	case LinkChanged:
		text = fmt.Sprintf("link exists=%v carrier=%v mtu=%d", e.Link.Exists, e.Link.Carrier, e.Link.MTU)
	case DiscoveryFrame:
		text, minor = "recv "+describeDiscovery(nil, e.Payload), true
	case DiscoveryFailed:
		text = "discovery failed: " + e.Err.Error()
	case SessionOpened:
		text, minor = "session opened", true
	case SessionFailed:
		text = "session failed: " + e.Err.Error()
	case SessionLost:
		text = "session lost: " + e.Err.Error()
	case Frame:
		text, minor = "recv "+describeFrame(e.Protocol, e.Payload), true
	case TimerFired:
		text, minor = "timer "+timerNames[e.Timer], true
	case Down:
		text = "down: " + e.Cause.String()
	default:
		text = strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e), "line."))
	}
	if !tr.brief || !minor {
		tr.printf("%-10s %s\n", clock(now), text)
	}
}

func clock(d time.Duration) string { return d.Round(time.Millisecond).String() }

var timerNames = [NumTimers]string{
	"dial", "discovery", "lcp", "auth", "ipcp", "ipv6cp", "keepalive", "hold", "verdict", "setup",
}

func (tr *trace) action(a Action) {
	if tr.off {
		return
	}
	if s, ok := a.(StatusChanged); ok && tr.brief {
		tr.printf("%-10s -> %s\n", clock(tr.now), describeStatus(s.Status, tr.now))
	}
	if !tr.brief {
		tr.printf("%12s%s\n", "", describe(a, tr.now))
	}
}

func describe(a Action, now time.Duration) string {
	switch a := a.(type) {
	case OpenDiscovery:
		return "open discovery"
	case SendDiscovery:
		return "send " + describeDiscovery(a.Dst, a.Payload)
	case OpenSession:
		return fmt.Sprintf("open session %#04x", a.Session.ID)
	case SendFrame:
		return "send " + describeFrame(a.Protocol, a.Payload)
	case CreateUnit:
		return "create unit"
	case Close:
		return "close"
	case SaveSession:
		return fmt.Sprintf("save session %#04x", a.Session.ID)
	case ForgetSession:
		return "forget session"
	case SetTimer:
		return fmt.Sprintf("timer %s in %s", timerNames[a.Timer], clock(a.Delay))
	case StatusChanged:
		return "-> " + describeStatus(a.Status, now)
	case Silence:
		return fmt.Sprintf("silence: %d", a.Status.Echo.Silent)
	}
	return fmt.Sprintf("%T", a)
}

func describeStatus(s Status, now time.Duration) string {
	text := s.State.String() + ": " + s.Reason.String()
	if s.State == Waiting {
		text += ", dials in " + clock(s.NextDial.Sub(epoch.Add(now)))
	}
	if s.IPv4.Local.IsValid() {
		text += fmt.Sprintf(", %v peer %v dns %v", s.IPv4.Local, s.IPv4.Peer, s.IPv4.DNS)
	}
	if s.IPv6.Local.IsValid() {
		text += fmt.Sprintf(", %v peer %v", s.IPv6.Local, s.IPv6.Peer)
	}
	if x := s.Session; x != nil && x.MTU != 0 && s.State == Network {
		text += fmt.Sprintf(", mtu %d %s", x.MTU, x.MTULimit)
	}
	return strings.TrimSpace(text)
}

func describeDiscovery(dst net.HardwareAddr, payload []byte) string {
	p, err := pppoe.Parse(payload)
	if err != nil {
		return fmt.Sprintf("% x", payload)
	}
	text := p.Code.String()
	if p.SessionID != 0 {
		text += fmt.Sprintf(" %#04x", p.SessionID)
	}
	if dst != nil && dst[0]&1 != 0 {
		text += " to all"
	}
	for _, t := range p.Tags {
		switch t.Type {
		case pppoe.TagPPPMaxPayload:
			text += fmt.Sprintf(" max-payload=%d", binary.BigEndian.Uint16(t.Value))
		case pppoe.TagGenericError, pppoe.TagServiceNameError, pppoe.TagACSystemError:
			text += fmt.Sprintf(" %v=%q", t.Type, t.Value)
		}
	}
	return text
}

func describeFrame(protocol ppp.Protocol, payload []byte) string {
	p, err := ppp.Parse(payload)
	if err != nil {
		return fmt.Sprintf("%v % x", protocol, payload)
	}
	switch protocol {
	case ppp.PAP:
		return fmt.Sprintf("PAP %s #%d", [...]string{1: "Authenticate-Request", 2: "Authenticate-Ack", 3: "Authenticate-Nak"}[p.Code], p.ID)
	case ppp.CHAP:
		return fmt.Sprintf("CHAP %s #%d", [...]string{1: "Challenge", 2: "Response", 3: "Success", 4: "Failure"}[p.Code], p.ID)
	}
	text := fmt.Sprintf("%v %v #%d", protocol, p.Code, p.ID)
	switch p.Code {
	case ppp.ConfigureRequest, ppp.ConfigureAck, ppp.ConfigureNak, ppp.ConfigureReject:
		opts, _ := ppp.ParseOptions(p.Data)
		for _, o := range opts {
			text += " " + describeOption(protocol, o)
		}
	case ppp.ProtocolReject:
		if len(p.Data) >= 2 {
			text += fmt.Sprintf(" of %v, %d bytes", ppp.Protocol(binary.BigEndian.Uint16(p.Data)), len(p.Data)-2)
		}
	}
	return text
}

func describeOption(protocol ppp.Protocol, o ppp.Option) string {
	switch {
	case protocol == ppp.LCP && o.Type == 1 && len(o.Data) == 2:
		return fmt.Sprintf("mru=%d", binary.BigEndian.Uint16(o.Data))
	case protocol == ppp.LCP && o.Type == 3:
		return fmt.Sprintf("auth=%x", o.Data)
	case protocol == ppp.LCP && o.Type == 5:
		return "magic"
	case protocol == ppp.IPCP && len(o.Data) == 4:
		name := map[uint8]string{3: "address", 129: "dns1", 131: "dns2"}[o.Type]
		return fmt.Sprintf("%s=%v", name, netip.AddrFrom4([4]byte(o.Data)))
	case protocol == ppp.IPv6CP && o.Type == 1:
		return fmt.Sprintf("id=%x", o.Data)
	}
	return fmt.Sprintf("option %d=%x", o.Type, o.Data)
}
