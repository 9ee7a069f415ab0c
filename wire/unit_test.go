package wire

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linebond/ppp"
)

func TestUnitReceivesNetworkControl(t *testing.T) {
	const ccp, mplscp, unknown ppp.Protocol = 0x80fd, 0x8281, 0x4021
	newPair(t, 1500)
	ac := openFar(t, etherTypeSession)
	s := openTestSession(t, testConfig(t))
	ac.send(t, session(sessionID, ppp.IPCP, echo('a'))) // before there is a unit
	must(t, s.CreateUnit("ppp-a"))
	if l := link(t, "ppp-a"); l.Attrs().Flags&net.FlagUp != 0 || l.Attrs().MTU != 1500 {
		t.Errorf("the new device has flags %v and MTU %d, want down and 1500", l.Attrs().Flags, l.Attrs().MTU)
	}
	wantFrames(t, s.Frames(), ppp.Frame{Protocol: ppp.IPCP, Payload: echo('a')})
	for _, protocol := range []ppp.Protocol{ppp.IPCP, ppp.IPv6CP, ccp, mplscp, unknown, ppp.LCP, ppp.PAP} {
		ac.send(t, session(sessionID, protocol, echo('b')))
		wantFrames(t, s.Frames(), ppp.Frame{Protocol: protocol, Payload: echo('b')})
	}
}

// Packets of 1500 bytes pass both ways between the device and the wire, and none of them comes to Frames.
func TestUnitCarriesData(t *testing.T) {
	newPair(t, 1508)
	ac := openFar(t, etherTypeSession)
	s := openTestSession(t, testConfig(t))
	must(t, s.CreateUnit("ppp-a"))
	must(t, netlink.LinkSetUp(link(t, "ppp-a")))
	ifi, err := net.InterfaceByName("ppp-a")
	must(t, err)
	host, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_IP, nil)
	must(t, err)
	defer host.Close()
	must(t, host.SetReadDeadline(time.Now().Add(patience)))
	data := make([]byte, 1500)
	copy(data, []byte{
		0x45, 0, 0x05, 0xdc, // version and header length, service, length 1500
		0, 0, 0x40, 0, // identification, do not fragment
		64, 253, 0, 0, // time to live, an experimental protocol, checksum
		192, 0, 2, 1, // source
		192, 0, 2, 2, // destination
	})

	ac.send(t, session(sessionID, ppp.IPv4, data))
	ac.send(t, session(sessionID, ppp.LCP, echo('a')))
	got := make([]byte, 2000)
	n, _, err := host.ReadFrom(got)
	must(t, err)
	if diff := cmp.Diff(data, got[:n]); diff != "" {
		t.Errorf("from the wire (-want +got):\n%s", diff)
	}
	wantFrames(t, s.Frames(), ppp.Frame{Protocol: ppp.LCP, Payload: echo('a')})

	_, err = host.WriteTo(data, &packet.Addr{HardwareAddr: net.HardwareAddr{}})
	must(t, err)
	const ethernetHeader = 14
	for { // an IPv6 host may have something to say on a new device
		if diff := cmp.Diff(session(sessionID, ppp.IPv4, data), ac.receive(t)[ethernetHeader:]); diff == "" {
			break
		}
	}
}

func TestCreateUnitErrors(t *testing.T) {
	newPair(t, 1500)
	s := openTestSession(t, testConfig(t))
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "ppp-a"
	addLink(t, &netlink.Dummy{LinkAttrs: attributes})
	open := descriptors(t)

	err := s.CreateUnit("ppp-a")
	want := "making the device ppp-a: there is a device of that name already: " +
		"stop the program that it belongs to, or `ip link delete ppp-a`: file exists"
	if !errors.Is(err, unix.EEXIST) || err.Error() != want {
		t.Errorf("CreateUnit() = %v, want %s", err, want)
	}
	if err := s.CreateUnit("a name/that is wrong"); err == nil || !strings.HasPrefix(err.Error(), "making the device a name") {
		t.Errorf("CreateUnit() = %v", err)
	}
	must(t, s.CreateUnit("ppp-b")) // the failures did no harm
	want = "connecting the device ppp-c to session 4660 on line0: invalid argument"
	if err := s.CreateUnit("ppp-c"); err == nil || err.Error() != want {
		t.Errorf("a second CreateUnit() = %v, want %s", err, want)
	}
	if exists("ppp-c") {
		t.Error("the second device is there")
	}
	if n := descriptors(t); n != open+1 {
		t.Errorf("%d descriptors, want %d", n, open+1)
	}
}

// The device may also be taken away from without.
func TestUnitDeleted(t *testing.T) {
	newPair(t, 1500)
	s := openTestSession(t, testConfig(t))
	must(t, s.CreateUnit("ppp-a"))
	must(t, netlink.LinkDel(link(t, "ppp-a")))
	waitClosed(t, s.Frames())
	if err := s.Err(); err == nil || err.Error() != "the device ppp-a was deleted by another program" {
		t.Errorf("Err() = %v, want that the device was deleted", err)
	}
	must(t, s.Close())
}
