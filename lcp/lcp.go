// Package lcp is the Link Control Protocol's part of RFC 1661: what we ask of
// the link and grant to the peer, the echo keepalive, and the detection of a
// line that is looped back to us. The negotiation itself is ppp.Automaton.
//
// The options of a Configure-Request (RFC 1661 section 6; the layout is
// ppp.Option's):
//
//	1 Maximum-Receive-Unit     | 01 04 | MRU (2)        |
//	3 Authentication-Protocol  | 03 nn | protocol (2)   | data (0 or 1): auth.Method
//	5 Magic-Number             | 05 06 | magic (4)      |
//
// All others are refused: RFC 2516 section 7 forbids FCS alternatives,
// Address-and-Control-Field-Compression and the Async-Control-Character-Map
// over Ethernet and advises against Protocol-Field-Compression.
//
// Echo-Request, Echo-Reply and Discard-Request (section 5.8) carry the
// sender's magic number in the first four bytes of their data.
package lcp

import (
	"encoding/binary"
	"slices"

	"linebond/auth"
	"linebond/ppp"
)

// Option types (RFC 1661 section 6).
const (
	optMRU   = 1
	optAuth  = 3
	optMagic = 5
)

const (
	defaultMRU = 1500 // RFC 1661 section 6.1
	// minMRU is the least MRU that we take from a peer. The RFC sets no bound;
	// below this a peer could not be sent the control packets that it needs.
	minMRU = 128
	// maxLoops is how often our own magic number may come back before the line
	// is held to be looped (RFC 1661 section 6.4 leaves the number open).
	maxLoops = 5
)

// Config is what one side wants of the link.
type Config struct {
	MRU     uint16        // what we can receive
	Allowed []auth.Method // how we are willing to prove who we are, best first
	Demand  []auth.Method // how the peer may prove who it is, best first (a server's); none: it need not
	Random  func([]byte)  // fills with random bytes
}

// Link is LCP on one link.
type Link struct {
	*ppp.Automaton
	options
}

// New returns LCP in state Initial.
func New(cfg Config, times ppp.Times) *Link {
	l := &Link{options: options{cfg: cfg}}
	l.Reset()
	l.Automaton = ppp.New(&l.options, times)
	return l
}

// options is the policy: what has been asked and granted in this negotiation.
type options struct {
	cfg Config

	mru      uint16
	magic    uint32
	demand   []auth.Method // what is left of cfg.Demand; the first is asked
	rejected [8]bool       // our options that the peer does not know, by type

	peerMRU   uint16
	peerMagic uint32
	auth      auth.Method // what the peer demands of us
	mustAuth  bool
	refused   []byte // the last Authentication-Protocol that we could not accept
	hints     int    // Naks of that option sent: the next hint

	loops    int
	echoless bool
	wrong    uint64
}

// Reset forgets what was negotiated; for a new session on the same line.
func (o *options) Reset() {
	*o = options{cfg: o.cfg, mru: o.cfg.MRU, peerMRU: defaultMRU, demand: o.cfg.Demand}
	o.magic = o.random()
}

// random returns a magic number that is not zero.
func (o *options) random() uint32 {
	var b [4]byte
	o.cfg.Random(b[:])
	return max(1, binary.BigEndian.Uint32(b[:]))
}

// MRU is the largest packet that the peer may send us, PeerMRU the largest
// that we may send.
func (o *options) MRU() int { return int(o.mru) }

// PeerMRU is the largest packet that we may send.
func (o *options) PeerMRU() int { return int(o.peerMRU) }

// Auth is the method by which the peer wants us to prove who we are; false if
// it asked for none.
func (o *options) Auth() (auth.Method, bool) { return o.auth, o.mustAuth }

// PeerAuth is the method by which the peer agreed to prove who it is; false
// if there is none.
func (o *options) PeerAuth() (auth.Method, bool) {
	if len(o.demand) == 0 || o.rejected[optAuth] {
		return 0, false
	}
	return o.demand[0], true
}

// RefusedAuth is the last Authentication-Protocol option (its data) that the
// peer insisted on and we may not use; nil if there was none.
func (o *options) RefusedAuth() []byte { return o.refused }

// Looped says that the line returns our own packets to us.
func (o *options) Looped() bool { return o.loops >= maxLoops }

// EchoUnsupported says that the peer answered an Echo-Request with a
// Code-Reject: it is alive, and echoes are of no use.
func (o *options) EchoUnsupported() bool { return o.echoless }

// WrongMagic counts echo packets with a magic number that is neither zero nor
// the peer's.
func (o *options) WrongMagic() uint64 { return o.wrong }

// Request implements ppp.Policy.
func (o *options) Request(opts []ppp.Option) []ppp.Option {
	if o.mru != defaultMRU && !o.rejected[optMRU] {
		opts = append(opts, mruOption(o.mru))
	}
	if m, ok := o.PeerAuth(); ok {
		opts = append(opts, ppp.Option{Type: optAuth, Data: m.Option()})
	}
	if !o.rejected[optMagic] {
		opts = append(opts, magicOption(o.magic))
	}
	return opts
}

func mruOption(mru uint16) ppp.Option {
	return ppp.Option{Type: optMRU, Data: binary.BigEndian.AppendUint16(nil, mru)}
}

func magicOption(magic uint32) ppp.Option {
	return ppp.Option{Type: optMagic, Data: binary.BigEndian.AppendUint32(nil, magic)}
}

// Judge implements ppp.Policy. What is unknown or ill-formed is rejected, and
// only when nothing is are values haggled over (RFC 1661 section 5.4).
func (o *options) Judge(opts []ppp.Option) (ppp.Code, []ppp.Option) {
	if reject := o.unknown(opts); len(reject) > 0 {
		return ppp.ConfigureReject, reject
	}
	var nak []ppp.Option
	o.peerMRU, o.peerMagic, o.mustAuth = defaultMRU, 0, false
	for _, opt := range opts {
		switch opt.Type {
		case optMRU:
			if mru := binary.BigEndian.Uint16(opt.Data); mru >= minMRU {
				o.peerMRU = mru
			} else {
				nak = append(nak, mruOption(minMRU))
			}
		case optAuth:
			nak = append(nak, o.judgeAuth(opt)...)
		case optMagic:
			nak = append(nak, o.judgeMagic(opt)...)
		}
	}
	if len(nak) > 0 {
		return ppp.ConfigureNak, nak
	}
	o.hints = 0
	return ppp.ConfigureAck, nil
}

// unknown picks the options that we do not know, or that are not of their
// type's length.
func (o *options) unknown(opts []ppp.Option) []ppp.Option {
	var unknown []ppp.Option
	for _, opt := range opts {
		known := false
		switch opt.Type {
		case optMRU:
			known = len(opt.Data) == 2
		case optAuth:
			known = len(opt.Data) >= 2 && len(o.cfg.Allowed) > 0
		case optMagic:
			known = len(opt.Data) == 4
		}
		if !known {
			unknown = append(unknown, opt)
		}
	}
	return unknown
}

// judgeAuth grants a method that we allow; else it hints at those we allow,
// one after the other (RFC 1661 section 6.2).
func (o *options) judgeAuth(opt ppp.Option) []ppp.Option {
	if m, ok := auth.ParseOption(opt.Data); ok && slices.Contains(o.cfg.Allowed, m) {
		o.auth, o.mustAuth, o.refused = m, true, nil
		return nil
	}
	o.refused = slices.Clone(opt.Data)
	hint := o.cfg.Allowed[o.hints%len(o.cfg.Allowed)]
	o.hints++
	return []ppp.Option{{Type: optAuth, Data: hint.Option()}}
}

// judgeMagic: our own number coming back means a loop; new numbers on both
// sides tell a loop from a coincidence (RFC 1661 section 6.4). Another number
// does not prove a peer: on a long loop it may be the one that we asked with
// before, in a repeated request that is still on its way round.
func (o *options) judgeMagic(opt ppp.Option) []ppp.Option {
	magic := binary.BigEndian.Uint32(opt.Data)
	if magic != 0 && magic != o.magic {
		o.peerMagic = magic
		return nil
	}
	if magic == o.magic {
		o.loops++
	}
	return []ppp.Option{magicOption(o.random())}
}

// Nak implements ppp.Policy. What the peer rejected before stays rejected.
func (o *options) Nak(opts []ppp.Option) {
	for _, opt := range opts {
		switch {
		case int(opt.Type) < len(o.rejected) && o.rejected[opt.Type]:
		case opt.Type == optMRU && len(opt.Data) == 2:
			if mru := binary.BigEndian.Uint16(opt.Data); mru >= minMRU {
				o.mru = min(mru, o.cfg.MRU)
			}
		case opt.Type == optMagic && len(opt.Data) == 4:
			// A Nak of ours that was looped back shows in the next request;
			// what matters is to ask with another number.
			o.magic = o.random()
		case opt.Type == optAuth:
			o.nakAuth(opt)
		}
	}
}

// nakAuth takes the peer's hint if we demand that method too, or goes on to
// the next of ours.
func (o *options) nakAuth(opt ppp.Option) {
	if len(o.demand) == 0 {
		return
	}
	m, ok := auth.ParseOption(opt.Data)
	if i := slices.Index(o.demand, m); ok && i >= 0 {
		o.demand = o.demand[i:]
	} else if len(o.demand) > 1 {
		o.demand = o.demand[1:]
	}
}

// Reject implements ppp.Policy.
func (o *options) Reject(opts []ppp.Option) {
	for _, opt := range opts {
		if int(opt.Type) < len(o.rejected) {
			o.rejected[opt.Type] = true
		}
		switch opt.Type {
		case optMRU:
			o.mru = defaultMRU
		case optMagic:
			o.magic = 0
		}
	}
}
