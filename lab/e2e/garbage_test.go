package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/mdlayher/packet"

	"linebond/lab"
	"linebond/pppoe"
)

// TestGarbage: a hostile access concentrator, or somebody else on the wire,
// sends what it likes; the session, the daemon and the log survive it.
func TestGarbage(t *testing.T) {
	t.Parallel()
	l := newLine(t, set{})
	before := l.up(t)
	conn, dev := listen(t, l.isp, l.cable.ISPLink(), etherTypeDiscovery)
	router := routerMAC(t, l)
	logged := len(l.linebond.Log())
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		frame := append(append([]byte{}, router...), dev.HardwareAddr...)
		frame = append(frame, garbage(random, before.Session.ID)...)
		if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: router}); err != nil {
			t.Fatal(err)
		}
	}
	lab.Eventually(t, limit, func() error {
		s, err := l.linebond.Line("a")
		if err != nil {
			return err
		}
		if s.Counters.Malformed == 0 || s.Counters.Unknown == 0 || s.Counters.StalePADT == 0 {
			return fmt.Errorf("not counted: %+v", s.Counters)
		}
		return nil
	})
	after := l.isUp(t)
	if after.Session.ID != before.Session.ID || !after.Session.UpSince.Equal(*before.Session.UpSince) {
		t.Errorf("the session has changed: %+v, before %+v", after.Session, before.Session)
	}
	if lines := strings.Count(l.linebond.Log()[logged:], "\n"); lines > 200 {
		t.Errorf("5000 bad frames led to %d log entries", lines)
	}
}

// routerMAC asks the ISP's side nothing: the router's own device tells.
func routerMAC(t *testing.T, l *line) net.HardwareAddr {
	t.Helper()
	var dev *net.Interface
	var err error
	l.router.Do(t, func() { dev, err = net.InterfaceByName("eth1.101") })
	if err != nil {
		t.Fatal(err)
	}
	return dev.HardwareAddr
}

// garbage returns an Ethernet frame from its type on.
func garbage(random *rand.Rand, session uint16) []byte {
	noise := make([]byte, random.IntN(100))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	frame := func(etherType uint16, payload []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, etherType), payload...)
	}
	ppp := func(protocol uint16, payload ...byte) []byte {
		b := []byte{0x11, 0}
		b = binary.BigEndian.AppendUint16(b, session)
		b = binary.BigEndian.AppendUint16(b, uint16(2+len(payload)))
		return frame(0x8864, append(binary.BigEndian.AppendUint16(b, protocol), payload...))
	}
	switch random.IntN(8) {
	case 0:
		return frame(etherTypeDiscovery, noise)
	case 1: // PADS, PADO, PADT codes, so that they pass the filter
		return frame(etherTypeDiscovery, append([]byte{0x11, []byte{0x07, 0x65, 0xa7}[random.IntN(3)]}, noise...))
	case 2:
		return frame(etherTypeDiscovery, pppoe.Packet{Code: pppoe.PADT, SessionID: session + 1}.Append(nil))
	case 3:
		return frame(etherTypeDiscovery, pppoe.Packet{Code: pppoe.PADO, Tags: []pppoe.Tag{{Type: pppoe.TagACName, Value: noise}}}.Append(nil))
	case 4:
		return ppp(0xc021, 1, 1, 0, byte(5+random.IntN(4)), 1) // LCP: longer than it is
	case 5:
		return ppp(0xc021, 1, 1, 0, 3) // LCP: shorter than its header
	case 6:
		return ppp(0x80fd, noise...) // CCP
	}
	return ppp(0xc021, append([]byte{byte(14 + random.IntN(200)), 1, 0, byte(4 + len(noise))}, noise...)...) // LCP: unknown codes
}
