package modem

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// far opens a packet socket at one of the far ends.
func far(t testing.TB, s space, device string) *port {
	t.Helper()
	var p *port
	s.do(t, func() (err error) {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		p = &port{device: device, link: link, in: -1, out: -1, buffer: make([]byte, longest), control: make([]byte, 256)}
		if p.in, err = listen(link.Attrs().Index); err != nil {
			return err
		}
		p.out, err = bound(link.Attrs().Index, 0, nil)
		return err
	})
	t.Cleanup(func() { must(t, p.close()) })
	return p
}

// comes waits for the next frame of the tests, and passes over what the kernel sends (ARP).
func (p *port) comes(t testing.TB) []byte {
	t.Helper()
	var frame []byte
	eventually(t, func() error {
		for {
			var ok bool
			if frame, _, ok = p.receive(); !ok {
				return fmt.Errorf("no frame has come to %s", p.device)
			}
			if isTest(frame) {
				return nil
			}
		}
	})
	return frame
}

// testFrame is a PPPoE discovery frame, to everybody, of a size in bytes, with tags in hexadecimal.
func testFrame(name byte, tags string, size int) []byte {
	frame := append(unhex("ffffffffffff 02000000aaaa"+tags+"8863 1109"), name)
	return append(frame, make([]byte, size-len(frame))...)
}

func isTest(frame []byte) bool { return len(frame) > 12 && frame[10] == 0xaa && frame[11] == 0xaa }

func TestFramesPassUnchanged(t *testing.T) {
	b := newBench(t, Direction{}, Direction{})
	for _, test := range []struct {
		name, tags string
		size       int
	}{
		{"untagged", "", 60},
		{"shorter than Ethernet has it", "", 20},
		{"802.1Q, with a priority", "8100 a065", 1518},
		{"802.1ad outside, 802.1Q inside", "88a8 0064 8100 0065", 1526},
		{"802.1Q outside and inside", "8100 0064 8100 0065", 1526},
		{"VLAN 0", "8100 6000", 60},
		{"jumbo", "8100 0065", 9018},
	} {
		t.Run(test.name, func(t *testing.T) {
			eth1, ac1 := far(t, b.router, "eth1"), far(t, b.isp, "ac1")
			for i, pair := range [][2]*port{{eth1, ac1}, {ac1, eth1}} {
				frame := testFrame(byte(i), test.tags, test.size)
				must(t, pair[0].send(frame))
				if got := pair[1].comes(t); !bytes.Equal(got, frame) {
					t.Errorf("from %s: sent %d bytes %s, got %d bytes %s", pair[0].device, len(frame), hex.EncodeToString(frame[:20]),
						len(got), hex.EncodeToString(got[:20]))
				}
			}
		})
	}
}

// It does not hear itself, or a frame would go round for ever.
func TestNoEcho(t *testing.T) {
	b := newBench(t, Direction{}, Direction{})
	eth1, ac1 := far(t, b.router, "eth1"), far(t, b.isp, "ac1")
	must(t, eth1.send(testFrame(1, "", 60)))
	ac1.comes(t)
	must(t, ac1.send(testFrame(2, "", 60)))
	if got := eth1.comes(t); got[16] != 2 {
		t.Errorf("frame %d came back to its sender", got[16])
	}
}

// TCP and UDP whose sockets leave their checksums to the device: each packet arrives with one that the receiver accepts.
func TestChecksumsAreFinished(t *testing.T) {
	b := newBench(t, Direction{}, Direction{})
	b.router.do(t, oneSegment("eth1"))
	b.isp.do(t, oneSegment("ac1"))
	server, client := b.connect(t)
	const size = 3 << 20
	go func() {
		_, _ = client.Write(make([]byte, size))
		_ = client.Close()
	}()
	must(t, server.SetDeadline(time.Now().Add(patience)))
	if n, err := io.Copy(io.Discard, server); n != size || err != nil {
		t.Errorf("got %d bytes of %d, %v", n, size, err)
	}
	b.udp(t)
	if c := b.modem.Counters(); c.Up.Unsegmented != 0 || c.Down.Unsegmented != 0 {
		t.Errorf("frames to be segmented: %+v", c)
	}
}

// oneSegment turns segmentation offload off at a device.
func oneSegment(device string) func() error {
	return func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return netlink.LinkSetGSOMaxSegs(link, 1)
	}
}

// connect makes a connection of TCP from the router to the ISP.
func (b *bench) connect(t *testing.T) (server, client net.Conn) {
	t.Helper()
	var listener net.Listener
	b.isp.do(t, func() (err error) {
		listener, err = net.Listen("tcp4", "10.0.0.2:80")
		return err
	})
	defer listener.Close()
	b.router.do(t, func() (err error) {
		client, err = (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp4", "10.0.0.2:80")
		return err
	})
	server, err := listener.Accept()
	must(t, err)
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

// udp sends a datagram up until one is received.
func (b *bench) udp(t *testing.T) {
	t.Helper()
	var server net.PacketConn
	var client net.Conn
	b.isp.do(t, func() (err error) {
		server, err = net.ListenPacket("udp4", "10.0.0.2:7")
		return err
	})
	defer server.Close()
	b.router.do(t, func() (err error) {
		client, err = net.Dial("udp4", "10.0.0.2:7")
		return err
	})
	defer client.Close()
	_, err := client.Write([]byte("an odd number of bytes."))
	must(t, err)
	buffer := make([]byte, 100)
	must(t, server.SetDeadline(time.Now().Add(patience)))
	if n, _, err := server.ReadFrom(buffer); err != nil || n != 23 {
		t.Errorf("a datagram of %d bytes, %v", n, err)
	}
}

func TestUnsegmented(t *testing.T) {
	b := newBench(t, Direction{}, Direction{})
	_, client := b.connect(t)
	go func() { _, _ = client.Write(make([]byte, 1<<20)) }()
	eventually(t, func() error {
		if c := b.modem.Counters(); c.Up.Unsegmented == 0 {
			return fmt.Errorf("none counted: %+v", c)
		}
		return nil
	})
}

// However busy the machine is, frames are never sooner than the rate and the delay allow.
func TestRateAndDelay(t *testing.T) {
	const frames, size, rate, delay = 100, 1250 - Overhead, 2_000_000, 30 * time.Millisecond
	b := newBench(t, Direction{Rate: rate, Queue: 1 << 20, Delay: delay}, Direction{})
	eth1, ac1 := far(t, b.router, "eth1"), far(t, b.isp, "ac1")
	start := time.Now()
	for i := range frames {
		must(t, eth1.send(testFrame(byte(i), "", size)))
	}
	for i := range frames {
		if got := ac1.comes(t); got[16] != byte(i) {
			t.Fatalf("frame %d came, want %d", got[16], i)
		}
		due := time.Duration(i+1)*1250*8*time.Second/rate + delay
		if took := time.Since(start); took < due {
			t.Fatalf("frame %d came after %v, want at least %v", i, took, due)
		}
	}
}

func TestQueue(t *testing.T) {
	b := newBench(t, Direction{Rate: 10_000_000, Queue: 5000}, Direction{})
	eth1 := far(t, b.router, "eth1")
	must(t, b.modem.Set(Direction{Rate: 1000, Queue: 5000}, Direction{}))
	for range 20 {
		must(t, eth1.send(testFrame(0, "", 1000)))
	}
	b.counts(t, Up, Counts{Received: 20, Dropped: 15, QueueFrames: 5, QueueBytes: 5000})
	must(t, b.modem.Set(Direction{}, Direction{}))
	b.counts(t, Up, Counts{Received: 20, Dropped: 15, Frames: 5, Bytes: 5000})
}

// counts waits until a way has counted so. The kernel adds none of its own: no test of counters uses IP.
func (b *bench) counts(t *testing.T, w Way, want Counts) {
	t.Helper()
	eventually(t, func() error {
		c := b.modem.Counters()
		if got := []Counts{c.Up, c.Down}[w]; got != want {
			return fmt.Errorf("counted %+v, want %+v", got, want)
		}
		return nil
	})
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Direction
		want   Counts
	}{
		{"loss", Direction{Loss: 1}, Counts{Received: 10, Lost: 10}},
		{"duplicate", Direction{Duplicate: 1}, Counts{Received: 10, Duplicated: 10, Frames: 20, Bytes: 2000}},
		{"reorder", Direction{Reorder: 1}, Counts{Received: 10, Reordered: 5, Frames: 10, Bytes: 1000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, Direction{}, Direction{Rate: 1000})
			// All wait for the line, so that no pause of the sender is one between them.
			for i := range byte(10) {
				b.modem.Inject(Down, testFrame(i, "", 100))
			}
			must(t, b.modem.Set(Direction{}, test.config))
			b.counts(t, Down, test.want)
		})
	}
}

func TestReorder(t *testing.T) {
	b := newBench(t, Direction{}, Direction{Rate: 1000})
	eth1 := far(t, b.router, "eth1")
	for i := range byte(4) {
		b.modem.Inject(Down, testFrame(i, "", 100))
	}
	must(t, b.modem.Set(Direction{}, Direction{Reorder: 1}))
	var got []byte
	for range 4 {
		got = append(got, eth1.comes(t)[16])
	}
	if want := []byte{1, 0, 3, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBlackHole(t *testing.T) {
	b := newBench(t, Direction{}, Direction{Delay: time.Hour})
	eth1, ac1 := far(t, b.router, "eth1"), far(t, b.isp, "ac1")
	must(t, ac1.send(testFrame(1, "", 60)))
	b.counts(t, Down, Counts{Received: 1})
	b.modem.BlackHole(true)
	b.counts(t, Down, Counts{Received: 1, Lost: 1})
	must(t, eth1.send(testFrame(2, "", 60)))
	b.counts(t, Up, Counts{Received: 1, Lost: 1})
	must(t, carrier(t, b.router, "eth1", netlink.OperUp))
	b.modem.BlackHole(false)
	must(t, eth1.send(testFrame(3, "", 60)))
	if got := ac1.comes(t); got[16] != 3 {
		t.Errorf("frame %d came out of the black hole", got[16])
	}
}

func TestCut(t *testing.T) {
	b := newBench(t, Direction{}, Direction{})
	eth1, ac1 := far(t, b.router, "eth1"), far(t, b.isp, "ac1")
	for range 2 {
		must(t, b.modem.Cut(true))
		eventually(t, func() error { return carrier(t, b.router, "eth1", netlink.OperDown) })
		must(t, carrier(t, b.isp, "ac1", netlink.OperUp))
		refused := b.modem.Counters().Down.Refused
		must(t, ac1.send(testFrame(1, "", 60)))
		eventually(t, func() error {
			if got := b.modem.Counters().Down; got.Refused != refused+1 {
				return fmt.Errorf("not refused: %+v", got)
			}
			return nil
		})
		must(t, b.modem.Cut(false))
		eventually(t, func() error { return carrier(t, b.router, "eth1", netlink.OperUp) })
		for _, pair := range [][2]*port{{eth1, ac1}, {ac1, eth1}} {
			_, _, _ = pair[0].receive() // that its device was down
			must(t, pair[0].send(testFrame(2, "", 60)))
			if got := pair[1].comes(t); got[16] != 2 {
				t.Errorf("frame %d came to %s", got[16], pair[1].device)
			}
		}
	}
}

func TestOpenErrors(t *testing.T) {
	s := newSpace(t)
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{Customer: "a", Carrier: "b"}, "a modem between a and b: the device a: Link not found"},
		{Config{Customer: "lo", Carrier: "b"}, "a modem between lo and b: the device b: Link not found"},
		{Config{Customer: "a", Carrier: "b", Up: Direction{Rate: -1}}, "a modem between a and b: up: the rate -1 bit/s is negative"},
		{Config{Customer: "a", Carrier: "b", Down: Direction{Queue: -1}}, "a modem between a and b: down: the queue of -1 bytes is negative"},
		{Config{Customer: "a", Carrier: "b", Up: Direction{Jitter: -1}},
			"a modem between a and b: up: the delay 0s or the jitter -1ns is negative"},
		{Config{Customer: "a", Carrier: "b", Up: Direction{Loss: 1.5}},
			"a modem between a and b: up: the share loss is 1.5: it must be from 0 to 1"},
		{Config{Customer: "a", Carrier: "b", Up: Direction{Reorder: math.NaN()}},
			"a modem between a and b: up: the share reorder is NaN: it must be from 0 to 1"},
	} {
		s.do(t, func() error {
			if m, err := Open(test.config); err == nil {
				t.Error("no error", test.want, m.Close())
			} else if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			return nil
		})
	}
}

func TestSetErrors(t *testing.T) {
	b := newBench(t, Direction{}, Direction{})
	want := "setting the modem at customer: down: the share duplicate is -1: it must be from 0 to 1"
	if err := b.modem.Set(Direction{}, Direction{Duplicate: -1}); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A modem whose cables are pulled out of the machine is idle, and can be closed.
func TestDevicesGone(t *testing.T) {
	b := newBench(t, Direction{Rate: 1e6}, Direction{})
	b.wire.do(t, func() error {
		var errs []error
		for _, device := range []string{"customer", "carrier"} {
			link, err := netlink.LinkByName(device)
			if err == nil {
				err = netlink.LinkDel(link)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	b.modem.Inject(Up, testFrame(0, "", 60))
	b.counts(t, Up, Counts{Received: 1, Refused: 1})
	if err := b.modem.Cut(true); err == nil {
		t.Error("a cable that is not there was cut")
	}
}

func TestClose(t *testing.T) {
	b := newBench(t, Direction{Rate: 1000}, Direction{Delay: time.Hour})
	b.modem.Inject(Up, testFrame(0, "", 60))
	b.modem.Inject(Down, testFrame(0, "", 60))
	must(t, b.modem.Close())
	must(t, b.modem.Close())
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; strings.Contains(string(stacks), "(*exchange).run") {
		t.Errorf("a goroutine runs:\n%s", stacks)
	}
	b.modem.Inject(Up, testFrame(0, "", 60))
	b.modem.BlackHole(true)
	if got := b.modem.Counters().Up; got.Received != 1 {
		t.Errorf("a closed modem counts: %+v", got)
	}
}
