package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"linebond/lab/vm"
	"linebond/ppp"
)

func TestMain(m *testing.M) { vm.Main(m) }

// patience is for what should never happen: a test that waits this long has failed.
const patience = 20 * time.Second

const (
	lineDevice = "line0"
	farDevice  = "ac0"
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	stranger  = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x99}
)

// newPair makes a veth pair, line0 and ac0, and takes it away after the test.
func newPair(t *testing.T, mtu int) {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = lineDevice, mtu
	updates, done := make(chan netlink.LinkUpdate), make(chan struct{})
	must(t, netlink.LinkSubscribe(updates, done))
	addLink(t, &netlink.Veth{LinkAttrs: attributes, PeerName: farDevice, PeerMTU: uint32(mtu)})
	must(t, netlink.LinkSetUp(link(t, farDevice)))
	// Until the kernel has looked at the carrier, some time after both are up, it throws away what is sent.
	for !operates(t, lineDevice) || !operates(t, farDevice) {
		if _, ok := within(patience, updates); !ok {
			t.Fatal("the veth pair has no carrier")
		}
	}
	close(done)
	for range updates { // it is closed when the subscription has ended
	}
}

func operates(t *testing.T, device string) bool {
	t.Helper()
	return link(t, device).Attrs().OperState == netlink.OperUp
}

// addLink makes a device, sets it up, and removes it after the test if it is still there.
func addLink(t *testing.T, l netlink.Link) {
	t.Helper()
	must(t, netlink.LinkAdd(l))
	t.Cleanup(func() { netlink.LinkDel(l) })
	must(t, netlink.LinkSetUp(l))
}

// addVLAN makes a VLAN device over line0 whose egress map gives priority p the 802.1p value p.
func addVLAN(t *testing.T, id int) string {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.ParentIndex = fmt.Sprintf("%s.%d", lineDevice, id), link(t, lineDevice).Attrs().Index
	egress := map[uint32]uint32{}
	for p := range uint32(8) {
		egress[p] = p
	}
	addLink(t, &netlink.Vlan{LinkAttrs: attributes, VlanId: id, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q, EgressQosMap: egress})
	return attributes.Name
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func exists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

func address(t *testing.T, device string) net.HardwareAddr {
	t.Helper()
	return link(t, device).Attrs().HardwareAddr
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// far is the other end of the cable: it sends and receives bare Ethernet frames of one ethertype.
type far struct {
	conn *packet.Conn
	line net.HardwareAddr // line0's address
	own  net.HardwareAddr
	kind ethernet.EtherType
}

// openFar listens on ac0; a frame passes each of the checks.
func openFar(t *testing.T, kind ethernet.EtherType, checks ...check) *far {
	t.Helper()
	ifi, err := net.InterfaceByName(farDevice)
	must(t, err)
	program, err := filter(checks...)
	must(t, err)
	conn, err := packet.Listen(ifi, packet.Raw, int(kind), &packet.Config{Filter: program})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	return &far{conn: conn, line: address(t, lineDevice), own: ifi.HardwareAddr, kind: kind}
}

// send sends a payload to line0.
func (f *far) send(t *testing.T, payload []byte) {
	t.Helper()
	f.sendFrame(t, ethernet.Frame{Destination: f.line, Source: f.own, EtherType: f.kind, Payload: payload})
}

func (f *far) sendFrame(t *testing.T, frame ethernet.Frame) {
	t.Helper()
	b, err := frame.MarshalBinary()
	must(t, err)
	_, err = f.conn.WriteTo(b, &packet.Addr{HardwareAddr: frame.Destination})
	must(t, err)
}

// receive returns the next frame as it is on the wire.
func (f *far) receive(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, 10000)
	n, _, err := f.conn.ReadFrom(b)
	must(t, err)
	return b[:n]
}

// discovery is the payload of a discovery frame with one tag, of which the frame is known: a Service-Name.
func discovery(code byte, id uint16, name string) []byte {
	b := []byte{0x11, code}                                     // version and type, code
	b = binary.BigEndian.AppendUint16(b, id)                    // session id
	b = append(b, 0, byte(4+len(name)))                         // length
	return append(append(b, 1, 1, 0, byte(len(name))), name...) // Service-Name
}

// session is the payload of a session frame.
func session(id uint16, protocol ppp.Protocol, packet []byte) []byte {
	b := []byte{0x11, 0}                                        // version and type, code
	b = binary.BigEndian.AppendUint16(b, id)                    // session id
	b = binary.BigEndian.AppendUint16(b, uint16(2+len(packet))) // length
	b = binary.BigEndian.AppendUint16(b, uint16(protocol))
	return append(b, packet...)
}

// openTagged listens on ac0 for frames with this 802.1p priority and VLAN. Their tag stands beside the frame, and is seen only by who
// listens to all ethertypes: before the kernel offers a frame to the others it drops the tag of a VLAN that it has no device for.
func openTagged(t *testing.T, kind ethernet.EtherType, priority uint8, id uint16) *far {
	t.Helper()
	const offsetEtherType = 12
	return openFar(t, unix.ETH_P_ALL,
		check{bpf.LoadAbsolute{Off: offsetEtherType, Size: 2}, []uint32{uint32(kind)}},
		check{bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, []uint32{1}},
		check{bpf.LoadExtension{Num: bpf.ExtVLANTag}, []uint32{uint32(priority)<<13 | uint32(id)}})
}

// within takes one frame, or none if Frames is closed or the time is over.
func within[T any](wait time.Duration, frames <-chan T) (T, bool) {
	select {
	case f, ok := <-frames:
		return f, ok
	case <-time.After(wait):
		var none T
		return none, false
	}
}

// next takes one frame.
func next[T any](t *testing.T, frames <-chan T) T {
	t.Helper()
	f, ok := within(patience, frames)
	if !ok {
		t.Fatal("no frame came, or Frames was closed")
	}
	return f
}

// waitClosed throws frames away until there can be no more.
func waitClosed[T any](t *testing.T, frames <-chan T) {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case _, ok := <-frames:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("Frames was not closed")
		}
	}
}

// descriptors counts this process's open files.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// leakRounds is how often a test opens and closes between watchLeaks and the check that this returns.
const leakRounds = 10

// watchLeaks returns a check that no round has left a goroutine or a descriptor. (Some goroutine of the test may end meanwhile, and one
// that has just ended may still be counted; a leak is one in each round.)
func watchLeaks(t *testing.T) (check func()) {
	t.Helper()
	goroutines, open := runtime.NumGoroutine(), descriptors(t)
	return func() {
		t.Helper()
		if n := runtime.NumGoroutine(); n > goroutines+leakRounds/2 {
			t.Errorf("%d goroutines, before there were %d", n, goroutines)
		}
		if n := descriptors(t); n > open {
			t.Errorf("%d descriptors, before there were %d", n, open)
		}
	}
}

// padded is the payload as it is received in a frame of the least length.
func padded(payload []byte) []byte {
	return append(bytes.Clone(payload), make([]byte, max(0, 46-len(payload)))...)
}
