package wire

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/pppoe"
)

func openDiscovery(t *testing.T, device string, priority uint8) *Discovery {
	t.Helper()
	d, err := OpenDiscovery(device, priority)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDiscoverySend(t *testing.T) {
	newPair(t, 1500)
	ac := openFar(t, etherTypeDiscovery)
	d := openDiscovery(t, lineDevice, 0)

	must(t, d.Send(broadcast, discovery(0x09, 0, "isp")))

	want := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, address(t, lineDevice)...)
	want = append(want, 0x88, 0x63)             // ethertype
	want = append(want, 0x11, 0x09, 0, 0)       // version and type, PADI, no session
	want = append(want, 0, 7)                   // length
	want = append(want, 1, 1, 0, 3)             // Service-Name
	want = append(want, 'i', 's', 'p')          // its value
	want = append(want, make([]byte, 60-27)...) // padding
	if diff := cmp.Diff(want, ac.receive(t)); diff != "" {
		t.Errorf("PADI on the wire (-want +got):\n%s", diff)
	}
}

func TestDiscoveryReceives(t *testing.T) {
	newPair(t, 1500)
	ac := openFar(t, etherTypeDiscovery)
	other := openFar(t, etherTypeSession)
	d := openDiscovery(t, lineDevice, 0)
	to := func(dst net.HardwareAddr, payload []byte) ethernet.Frame {
		return ethernet.Frame{Destination: dst, Source: ac.own, EtherType: etherTypeDiscovery, Payload: payload}
	}
	version2 := discovery(codePADO, 0, "version2")
	version2[0] = 0x21
	for _, frame := range []ethernet.Frame{
		to(ac.line, discovery(codePADO, 0, "PADO")),
		to(broadcast, discovery(0x09, 0, "PADI of another client")),
		to(ac.line, discovery(0x19, 0, "PADR")),
		to(stranger, discovery(codePADO, 0, "PADO for another client")),
		to(ac.line, version2),
		to(broadcast, discovery(codePADT, 1, "PADT to all")),
		to(ac.line, discovery(codePADS, 1, strings.Repeat("long", 60))),
	} {
		ac.sendFrame(t, frame)
	}
	other.send(t, discovery(codePADO, 0, "of the ethertype of sessions"))
	ac.send(t, discovery(codePADT, 1, "the last"))

	want := [][]byte{
		padded(discovery(codePADO, 0, "PADO")),
		padded(discovery(codePADT, 1, "PADT to all")),
		discovery(codePADS, 1, strings.Repeat("long", 60)),
		padded(discovery(codePADT, 1, "the last")),
	}
	for _, payload := range want {
		if diff := cmp.Diff(pppoe.Frame{Src: ac.own, Payload: payload}, next(t, d.Frames())); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
	}
}

// What comes for a VLAN is also offered to a socket on its parent device. Two lines, one tagged and one not, must not hear each other's.
func TestDiscoveryOfParentAndVLAN(t *testing.T) {
	newPair(t, 1500)
	vlan := addVLAN(t, 101)
	ac := openFar(t, etherTypeDiscovery)
	onParent := openDiscovery(t, lineDevice, 0)
	onVLAN := openDiscovery(t, vlan, 0)
	for _, tag := range []*ethernet.VLAN{{ID: 101}, {ID: 102}, {ID: 0, Priority: 6}, nil} {
		name := "untagged"
		if tag != nil {
			name = map[uint16]string{0: "priority tag", 101: "VLAN 101", 102: "VLAN 102"}[tag.ID]
		}
		ac.sendFrame(t, ethernet.Frame{
			Destination: ac.line, Source: ac.own, VLAN: tag, EtherType: etherTypeDiscovery, Payload: discovery(codePADO, 0, name),
		})
	}
	for _, name := range []string{"priority tag", "untagged"} {
		if diff := cmp.Diff(padded(discovery(codePADO, 0, name)), next(t, onParent.Frames()).Payload); diff != "" {
			t.Errorf("on the parent (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(padded(discovery(codePADO, 0, "VLAN 101")), next(t, onVLAN.Frames()).Payload); diff != "" {
		t.Errorf("on the VLAN device (-want +got):\n%s", diff)
	}
}

func TestDiscoveryPriority(t *testing.T) {
	newPair(t, 1500)
	vlan := addVLAN(t, 101)
	for _, priority := range []uint8{0, 6, 7} {
		ac := openTagged(t, etherTypeDiscovery, priority, 101)
		d := openDiscovery(t, vlan, priority)
		must(t, d.Send(broadcast, discovery(0x09, 0, "isp")))
		ac.receive(t)
	}
}

func TestDiscoveryEndsWithItsDevice(t *testing.T) {
	for name, end := range map[string]func(netlink.Link) error{"down": netlink.LinkSetDown, "deleted": netlink.LinkDel} {
		t.Run(name, func(t *testing.T) {
			newPair(t, 1500)
			d := openDiscovery(t, lineDevice, 0)
			if err := d.Err(); err != nil {
				t.Errorf("Err() of an open one = %v", err)
			}
			must(t, end(link(t, lineDevice)))
			waitClosed(t, d.Frames())
			if err := d.Err(); !errors.Is(err, unix.ENETDOWN) || !strings.Contains(err.Error(), lineDevice) {
				t.Errorf("Err() = %v, want ENETDOWN and the device's name", err)
			}
			if err := d.Send(broadcast, discovery(0x09, 0, "")); err == nil || !strings.Contains(err.Error(), lineDevice) {
				t.Errorf("Send() = %v, want an error with the device's name", err)
			}
		})
	}
}

func TestOpenDiscoveryErrors(t *testing.T) {
	newPair(t, 1500)
	must(t, netlink.LinkSetDown(link(t, lineDevice)))
	for device, want := range map[string]string{
		"nowhere0": "opening PPPoE discovery on nowhere0: the device nowhere0: ",
		lineDevice: "opening PPPoE discovery on line0: the device line0 is down: network is down",
	} {
		if _, err := OpenDiscovery(device, 0); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("OpenDiscovery(%q) = %v, want %q", device, err, want)
		}
	}
}

func TestDiscoveryLeavesNothing(t *testing.T) {
	newPair(t, 1500)
	openDiscovery(t, lineDevice, 0).Close() // whatever Go makes once and keeps
	noLeak := watchLeaks(t)
	for range leakRounds {
		d := openDiscovery(t, lineDevice, 0)
		must(t, d.Close())
		if _, open := <-d.Frames(); open || d.Err() != nil {
			t.Fatalf("after Close: Frames open %v, Err() = %v", open, d.Err())
		}
	}
	noLeak()
}

// A reader that nobody listens to drops; Close is not held up by it.
func TestInboxFull(t *testing.T) {
	b := newInbox[int]()
	for i := range inboxSize + 3 {
		b.put(i)
	}
	b.end(errors.New("the first reason"))
	b.end(errors.New("the second reason"))
	b.put(1000)
	if err := b.Err(); err.Error() != "the first reason" {
		t.Errorf("Err() = %v, want the first reason", err)
	}
	var n int
	for f := range b.Frames() {
		if f != n {
			t.Fatalf("frame %d is %d", n, f)
		}
		n++
	}
	if n != inboxSize {
		t.Errorf("%d frames, want %d", n, inboxSize)
	}
}
