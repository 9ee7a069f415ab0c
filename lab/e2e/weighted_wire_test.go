package e2e

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"linebond/lab"
)

// wiretap looks at each packet that comes to the ISP's end of a line.
type wiretap struct {
	device    string
	good, bad atomic.Int64
	example   atomic.Value // of a bad one
}

const etherTypeSession = 0x8864

// tap watches all lines from now on.
func (w *weighted) tap(t *testing.T) {
	t.Helper()
	for _, l := range w.Lines {
		tap := &wiretap{device: l.Cable.ISPLink()}
		w.wires = append(w.wires, tap)
		tap.watch(t, w.ISP)
	}
}

func (w *wiretap) watch(t *testing.T, n *lab.Namespace) {
	t.Helper()
	conn, dev := listen(t, n, w.device, etherTypeSession)
	go func() {
		frame := make([]byte, 2048)
		for {
			length, _, err := conn.ReadFrom(frame)
			if err != nil {
				return
			}
			if string(frame[:6]) == string(dev.HardwareAddr) {
				w.see(frame[14:length])
			}
		}
	}()
}

// see looks at a PPPoE packet, whose Ethernet frame may have been padded.
func (w *wiretap) see(b []byte) {
	if len(b) < 8 {
		return
	}
	var checked, right bool
	switch binary.BigEndian.Uint16(b[6:]) {
	case 0x21:
		checked, right = checkIPv4(b[8:])
	case 0x57:
		checked, right = checkIPv6(b[8:])
	}
	switch {
	case !checked:
	case right:
		w.good.Add(1)
	default:
		w.bad.Add(1)
		w.example.Store(fmt.Sprintf("%x", b))
	}
}

// checkIPv4 says whether there was a checksum above IP to check, and whether all were right.
func checkIPv4(b []byte) (checked, right bool) {
	length := int(binary.BigEndian.Uint16(b[2:]))
	header := int(b[0]&15) * 4
	if length > len(b) || fold(sum(b[:header])) != 0xffff {
		return true, false
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // a fragment
		return false, false
	}
	pseudo := sum(b[12:20]) + uint32(b[9]) + uint32(length-header)
	return checkTransport(b[9], pseudo, b[header:length])
}

func checkIPv6(b []byte) (checked, right bool) {
	const header = 40
	length := int(binary.BigEndian.Uint16(b[4:]))
	if header+length > len(b) {
		return true, false
	}
	return checkTransport(b[6], sum(b[8:header])+uint32(b[6])+uint32(length), b[header:header+length])
}

// checkTransport checks TCP, UDP and both kinds of ICMP.
func checkTransport(protocol byte, pseudo uint32, b []byte) (checked, right bool) {
	switch protocol {
	case 1: // its checksum covers no addresses
		return true, fold(sum(b)) == 0xffff
	case 6, 17, 58:
		return true, fold(pseudo+sum(b)) == 0xffff
	}
	return false, false
}

// sum adds words of 16 bits (RFC 1071).
func sum(b []byte) (sum uint32) {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint32 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}
