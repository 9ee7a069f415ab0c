package isp

import (
	"encoding/binary"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"linebond/ppp"
	"linebond/pppoe"
)

// kinds of nonsense, to the host of a session; nobody has the session foreign. Each session must outlive all of them.
var kinds = []func(session, foreign uint16) (etherType uint16, payload []byte){
	func(_, _ uint16) (uint16, []byte) { return etherTypes[rand.IntN(2)], noise(rand.IntN(200)) },
	func(_, _ uint16) (uint16, []byte) { return etherTypes[rand.IntN(2)], noise(rand.IntN(8)) }, // cut off
	oversized,
	func(_, foreign uint16) (uint16, []byte) { // of a session that is not there
		packet := noise(rand.IntN(1492))
		header := sessionHeader(foreign, protocols[rand.IntN(len(protocols))], len(packet))
		return unix.ETH_P_PPP_SES, append(header, packet...)
	},
	func(session, _ uint16) (uint16, []byte) { // control packets that do not parse
		return unix.ETH_P_PPP_SES, append(sessionHeader(session, protocols[rand.IntN(len(protocols))], 4), 1, 1, 0xff, 0xff)
	},
	func(session, _ uint16) (uint16, []byte) { // data that is none
		return unix.ETH_P_PPP_SES, append(sessionHeader(session, ppp.IPv4, 40), noise(40)...)
	},
	func(_, _ uint16) (uint16, []byte) {
		return unix.ETH_P_PPP_DISC, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{
			{Type: pppoe.TagACName, Value: noise(rand.IntN(700))}, {Type: pppoe.TagServiceName}, {Type: pppoe.TagHostUniq, Value: noise(8)},
		}}.Append(nil)
	},
	func(_, foreign uint16) (uint16, []byte) {
		return unix.ETH_P_PPP_DISC, pppoe.Packet{Code: pppoe.PADS, SessionID: foreign, Tags: []pppoe.Tag{
			{Type: pppoe.TagServiceName}, {Type: pppoe.TagHostUniq, Value: noise(8)},
		}}.Append(nil)
	},
	func(_, foreign uint16) (uint16, []byte) {
		return unix.ETH_P_PPP_DISC, pppoe.Packet{Code: pppoe.PADT, SessionID: foreign}.Append(nil)
	},
}

var (
	etherTypes = []uint16{unix.ETH_P_PPP_DISC, unix.ETH_P_PPP_SES}
	protocols  = []ppp.Protocol{ppp.LCP, ppp.PAP, ppp.CHAP, ppp.IPCP, ppp.IPv6CP, ppp.IPv4, ppp.IPv6}
)

// nonsense is a frame that nobody should send.
func nonsense(session, foreign uint16) (etherType uint16, payload []byte) {
	return kinds[rand.IntN(len(kinds))](session, foreign)
}

// oversized has lengths, of the packet or of a tag in it, that run past its end.
func oversized(session, _ uint16) (uint16, []byte) {
	if rand.IntN(2) == 0 {
		b := append(sessionHeader(session, ppp.LCP, 40), noise(40)...)
		binary.BigEndian.PutUint16(b[4:], uint16(100+rand.IntN(65000)))
		return unix.ETH_P_PPP_SES, b
	}
	b := pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACName, Value: noise(40)}}}.Append(nil)
	binary.BigEndian.PutUint16(b[8:], uint16(100+rand.IntN(65000)))
	return unix.ETH_P_PPP_DISC, b
}

// noise is n random bytes that do not begin like a PPPoE header: by chance alone they could say anything.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	if n > 0 && b[0] == versionType {
		b[0]++
	}
	return b
}
