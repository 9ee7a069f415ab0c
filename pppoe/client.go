package pppoe

import (
	"bytes"
	"net"
	"slices"
	"time"
)

// ClientConfig is what a host looks for, and how patiently.
type ClientConfig struct {
	ServiceName string // the only service that will do; "": any
	ACName      string // the only AC that will do; "": any
	HostUniq    []byte // settled by the ISP; empty: a new one by Random at each Start
	MaxPayload  uint16 // above StandardPayload: ask for it (RFC 4638)

	Timeout    time.Duration // the first wait for an answer; doubled from one repetition to the next,
	MaxTimeout time.Duration // but not beyond this
	Attempts   int           // PADIs that are sent before giving up; at least 1
	Requests   int           // PADRs likewise; 0: as many as Attempts

	Random func([]byte) // fills with random bytes
}

// Counters count the frames that a client took no notice of, and why.
type Counters struct {
	BadSource  uint64 // from an address that is no station's: a group's, or none
	Malformed  uint64 // not a discovery packet, or one whose tags no answer has room for
	Unexpected uint64 // of a code that was not waited for: late, repeated, or other hosts'
	Foreign    uint64 // with another Host-Uniq than ours
	Filtered   uint64 // PADOs of another AC or service than the wanted one
	Refused    uint64 // PADOs with an error tag
	WrongAC    uint64 // PADSs of another AC than the one that was asked
}

type state uint8

const (
	resting state = iota
	awaitPADO
	awaitPADS
)

// hostUniqLen is the length of a Host-Uniq of our own making.
const hostUniqLen = 8

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Client is the host's side of discovery. It is a value: each method is an
// event and returns what to do, valid until the next call. It never sends or
// waits itself. It has one timer, whose firing is Timeout.
type Client struct {
	cfg      ClientConfig
	state    state
	hostUniq []byte
	offer    offer
	excuse   string // what the last AC said that refused by its PADO

	dst     net.HardwareAddr // the outstanding PADI or PADR
	payload []byte
	sent    int           // how often
	wait    time.Duration // for the answer to its last copy

	counters Counters
	actions  []Action
}

// offer is the PADO that was taken.
type offer struct {
	ac              net.HardwareAddr
	acName          string
	cookie, relayID []byte // nil: there was none
	unique          bool   // it returned our Host-Uniq
}

// NewClient returns a client at rest. ServiceName and HostUniq together may be
// at most 1,464 bytes long: a PADI keeps room for a relay's tag, and is no
// longer than 1,484 bytes (RFC 2516 section 5.1).
func NewClient(cfg ClientConfig) *Client {
	cfg.HostUniq = slices.Clone(cfg.HostUniq)
	cfg.MaxTimeout = max(cfg.MaxTimeout, cfg.Timeout)
	if cfg.Requests == 0 {
		cfg.Requests = cfg.Attempts
	}
	return &Client{cfg: cfg}
}

// Counters returns what was ignored since NewClient.
func (c *Client) Counters() Counters { return c.counters }

// Start looks for an AC from the beginning, whatever was going on.
func (c *Client) Start() []Action {
	c.actions = c.actions[:0]
	c.offer, c.excuse = offer{}, ""
	c.hostUniq = c.cfg.HostUniq
	if len(c.hostUniq) == 0 {
		// A new one each time: what is still under way for an older attempt
		// will not be taken for an answer to this one.
		c.hostUniq = make([]byte, hostUniqLen)
		c.cfg.Random(c.hostUniq)
	}
	c.ask(awaitPADO, broadcast, c.request(PADI))
	return c.actions
}

// Timeout repeats the outstanding PADI or PADR, or gives up (RFC 2516 section
// 8). After a PADS timeout the caller is to Start again, with a PADI.
func (c *Client) Timeout() []Action {
	c.actions = c.actions[:0]
	most := c.cfg.Attempts
	if c.state == awaitPADS {
		most = c.cfg.Requests
	}
	switch {
	case c.state == resting:
	case c.sent < most:
		c.wait = min(2*c.wait, c.cfg.MaxTimeout)
		c.transmit()
	case c.state == awaitPADO:
		c.fail(Failure{Kind: PADOTimeout, Message: c.excuse})
	default:
		c.fail(Failure{Kind: PADSTimeout})
	}
	return c.actions
}

// Receive takes a frame of type 0x8863: who sent it, and its payload.
func (c *Client) Receive(src net.HardwareAddr, payload []byte) []Action {
	c.actions = c.actions[:0]
	if !unicast(src) {
		c.counters.BadSource++
		return nil
	}
	p, err := Parse(payload)
	switch {
	case err != nil:
		c.counters.Malformed++
	case c.state == awaitPADO && p.Code == PADO:
		c.receivePADO(src, p)
	case c.state == awaitPADS && p.Code == PADS:
		c.receivePADS(src, p)
	default:
		c.counters.Unexpected++
	}
	return c.actions
}

// receivePADO takes the first offer that will do (RFC 2516 section 5.2). An AC
// that leaves out its AC-Name or Service-Name, as none should, will do if
// nobody asked for a certain one.
func (c *Client) receivePADO(src net.HardwareAddr, p Packet) {
	uniq, unique := p.lookup(TagHostUniq)
	if unique && !bytes.Equal(uniq, c.hostUniq) {
		c.counters.Foreign++
		return
	}
	if c.cfg.ACName != "" && !p.has(TagACName, c.cfg.ACName) {
		c.counters.Filtered++
		return
	}
	if refusal, refused := p.refusal(); refused {
		c.counters.Refused++
		c.excuse = refusal.Message
		return
	}
	if c.cfg.ServiceName != "" && !p.has(TagServiceName, c.cfg.ServiceName) {
		c.counters.Filtered++
		return
	}
	cookie, _ := p.lookup(TagACCookie)
	relayID, _ := p.lookup(TagRelaySessionID)
	c.offer = offer{
		ac:      slices.Clone(src),
		acName:  p.text(TagACName),
		cookie:  slices.Clone(cookie),
		relayID: slices.Clone(relayID),
		unique:  unique,
	}
	request := c.request(PADR)
	if len(request) > maxLen {
		c.counters.Malformed++
		return
	}
	c.ask(awaitPADS, c.offer.ac, request)
}

// receivePADS takes the AC's verdict (RFC 2516 section 5.4). An AC may return
// no Host-Uniq at all; but one that did in its PADO does so in its PADS, and
// without it means another host.
func (c *Client) receivePADS(src net.HardwareAddr, p Packet) {
	uniq, unique := p.lookup(TagHostUniq)
	switch {
	case !bytes.Equal(src, c.offer.ac):
		c.counters.WrongAC++
		return
	case unique && !bytes.Equal(uniq, c.hostUniq), !unique && c.offer.unique:
		c.counters.Foreign++
		return
	}
	c.emit(Action{Kind: StopTimer})
	refusal, refused := p.refusal()
	switch {
	case refused:
		c.fail(refusal)
	case !legal(p.SessionID):
		c.fail(Failure{Kind: BadSessionID})
	default:
		c.state = resting
		c.emit(Action{Kind: Done, Session: c.session(p, unique)})
	}
}

func (c *Client) session(pads Packet, unique bool) Session {
	return Session{
		AC:          c.offer.ac,
		ACName:      c.offer.acName,
		ServiceName: pads.text(TagServiceName),
		ID:          pads.SessionID,
		MaxPayload:  pads.maxPayload(c.cfg.MaxPayload),
		Unique:      unique,
		HostUniq:    c.hostUniq,
		Cookie:      c.offer.cookie,
		RelayID:     c.offer.relayID,
	}
}

// request builds the PADI or, with what the AC wants to have back, the PADR
// (RFC 2516 sections 5.1 and 5.3).
func (c *Client) request(code Code) []byte {
	p := Packet{Code: code, Tags: []Tag{
		{TagServiceName, []byte(c.cfg.ServiceName)},
		{TagHostUniq, c.hostUniq},
	}}
	if c.cfg.MaxPayload > StandardPayload {
		p.Tags = append(p.Tags, maxPayloadTag(c.cfg.MaxPayload))
	}
	if c.offer.cookie != nil {
		p.Tags = append(p.Tags, Tag{TagACCookie, c.offer.cookie})
	}
	if c.offer.relayID != nil {
		p.Tags = append(p.Tags, Tag{TagRelaySessionID, c.offer.relayID})
	}
	return p.Append(nil)
}

// ask sends a request for the first time.
func (c *Client) ask(next state, dst net.HardwareAddr, payload []byte) {
	c.state, c.dst, c.payload = next, dst, payload
	c.sent, c.wait = 0, c.cfg.Timeout
	c.transmit()
}

func (c *Client) transmit() {
	c.sent++
	c.emit(Action{Kind: Send, Dst: c.dst, Payload: c.payload})
	c.emit(Action{Kind: SetTimer, Delay: c.wait})
}

func (c *Client) fail(f Failure) {
	c.state = resting
	c.emit(Action{Kind: Fail, Failure: f})
}

func (c *Client) emit(a Action) { c.actions = append(c.actions, a) }

// unicast says whether a can be the address of one station.
func unicast(a net.HardwareAddr) bool {
	return len(a) == 6 && a[0]&1 == 0 && !bytes.Equal(a, make([]byte, 6))
}
