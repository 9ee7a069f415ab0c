package datapath

import (
	"bytes"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linebond/ppp"
	"linebond/pppoe"
)

// A line that dials anew after its Ethernet device was given another address uses that, also where another line is still open there.
func TestAddressChange(t *testing.T) {
	d := newDial(t, nil, nil)
	a, b := d.discover(), d.discover()
	d.home.sh("ip link set eth1 address 02:00:00:00:00:77")
	must(t, a.Close())
	d.home.mac = net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	a = d.discover()
	d.ask(a, "a")
	frame := d.far.receive()
	for !bytes.Equal(frame[12:14], []byte{0x88, 0x63}) {
		frame = d.far.receive()
	}
	if src := net.HardwareAddr(frame[6:12]); src.String() != d.home.mac.String() {
		t.Errorf("the PADI is from %v", src)
	}
	d.answer(pppoe.PADO, 0, "a")
	next(t, a.Frames())
	for _, c := range []*Discovery{b, a} {
		must(t, c.Close())
	}
	if n := len(d.home.path.trunks); n > 0 {
		t.Errorf("%d trunks are left", n)
	}
}

// Further PADSs, to a PADR that was sent again, do not have the session that is open forgotten, however many there are.
func TestFurtherPADS(t *testing.T) {
	d := newDial(t, nil, nil)
	a := d.discover()
	told := func(want ...pppoe.Code) {
		t.Helper()
		var got []pppoe.Code
		d.answer(pppoe.PADO, 99, "a") // a fence
		for f := next(t, a.Frames()); f.Payload[1] != byte(pppoe.PADO); f = next(t, a.Frames()) {
			got = append(got, pppoe.Code(f.Payload[1]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("was told (-want +got):\n%s", diff)
		}
	}
	d.ask(a, "a")
	d.answer(pppoe.PADS, 7, "a")
	told(pppoe.PADS)
	s := d.openSession(7)
	for id := range uint16(2 * maxOffers) {
		d.answer(pppoe.PADS, 8+id, "a")
		told(pppoe.PADS)
	}
	if len(a.offers) != maxOffers {
		t.Errorf("%d sessions are kept, want %d", len(a.offers), maxOffers)
	}
	d.answer(pppoe.PADS, 0) // without a Host-Uniq: for those that are dialling
	told()
	d.answer(pppoe.PADT, 7)
	told(pppoe.PADT)
	must(t, s.Close())
	d.ask(a, "b")
	d.answer(pppoe.PADT, 7)
	d.answer(pppoe.PADO, 0, "b")
	if f := next(t, a.Frames()); f.Payload[1] != byte(pppoe.PADO) {
		t.Errorf("after another PADI: was told %v", pppoe.Code(f.Payload[1]))
	}
	must(t, a.Close())
	if trunks := d.home.path.trunks; len(trunks) > 0 || len(a.offers) > 0 {
		t.Errorf("after Close: trunks %v, offers %v", trunks, a.offers)
	}
}

// A session is not given the frames of one before it that had its id.
func TestEarlyFramesOfBefore(t *testing.T) {
	d := newDial(t, nil, nil)
	a := d.discover()
	d.far.send(session(d.home.mac, d.isp.mac, nil, 7, uint16(ppp.LCP), echo('o')))
	d.arrived(1)
	d.ask(a, "a")
	d.answer(pppoe.PADS, 7, "a")
	next(t, a.Frames())
	d.far.send(session(d.home.mac, d.isp.mac, nil, 7, uint16(ppp.LCP), echo('n')))
	d.arrived(2)
	s := d.openSession(7)
	if diff := cmp.Diff(ppp.Frame{Protocol: ppp.LCP, Payload: echo('n')}, next(t, s.Frames())); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}
