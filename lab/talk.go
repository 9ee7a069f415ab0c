package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"linebond/lab/netns"
)

// Talk is one TCP connection, kept for long, whose far end gives each line back.
type Talk struct {
	conn  net.Conn
	lines *bufio.Reader
	count int
}

// NewTalk connects a client to a server that listens on an address of the other namespace.
func NewTalk(t testing.TB, client, server *Namespace, address string) *Talk {
	t.Helper()
	talk, err := DialTalk(t, client, NewEcho(t, server, address+":0").Address, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return talk
}

// DialTalk connects to an Echo at an address and port, within the timeout.
func DialTalk(t testing.TB, client *Namespace, address string, timeout time.Duration) (*Talk, error) {
	t.Helper()
	conn, err := dialTCP(t, client, address, timeout)
	if err != nil {
		return nil, err
	}
	return &Talk{conn: conn, lines: bufio.NewReader(conn)}, nil
}

// Echo is a server that gives back what it gets.
type Echo struct {
	Address string        // and port
	Clients <-chan string // the addresses and ports that clients come from, as it sees them
}

// NewEcho starts an echo server at an address and port of a namespace. Port 0 is any; the address 0.0.0.0 is every one, IPv6 included.
func NewEcho(t testing.TB, n *Namespace, address string) *Echo {
	t.Helper()
	listener := listen(t, n, address)
	clients := make(chan string, 100)
	go serve(listener, func(conn net.Conn) {
		clients <- conn.RemoteAddr().String()
		_, _ = io.Copy(conn, conn)
	})
	return &Echo{Address: listener.Addr().String(), Clients: clients}
}

// Say sends a line, and returns nil when it has come back within the timeout. After an error the connection is of no more use, unless
// the error is a timeout: then what was sent may come back yet, and the next call waits for that too.
func (k *Talk) Say(timeout time.Duration) error {
	k.count++
	if err := k.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	line := fmt.Sprintf("line %d\n", k.count)
	if _, err := io.WriteString(k.conn, line); err != nil {
		return fmt.Errorf("the connection of %v: %w", k.conn.LocalAddr(), err)
	}
	for {
		got, err := k.lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the connection of %v, after %d lines: %w", k.conn.LocalAddr(), k.count-1, err)
		}
		if got == line {
			return nil
		}
	}
}

// Flow is one TCP connection that carries as much as it can.
type Flow struct {
	received atomic.Int64
	cancel   context.CancelFunc
}

// flowWindow bounds what is under way, in bytes, so that no modem's queue ever overflows: what is lost then is lost by the bond.
const flowWindow = 512 << 10

// NewFlow has a client send to a server, until the test ends or Stop.
func NewFlow(t testing.TB, client, server *Namespace, address string) *Flow {
	t.Helper()
	f := &Flow{}
	listener := listen(t, server, address+":0")
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	go serve(listener, func(conn net.Conn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			f.received.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	conn, err := dialTCP(t, client, listener.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-ctx.Done()
		_ = conn.(*net.TCPConn).SetLinger(0) // what has not been sent yet stays so
		_ = conn.Close()
	}()
	go func() {
		zeros := make([]byte, 64<<10)
		for {
			if _, err := conn.Write(zeros); err != nil {
				return
			}
		}
	}()
	t.Cleanup(f.cancel)
	return f
}

// Received is the number of bytes that have arrived.
func (f *Flow) Received() int64 { return f.received.Load() }

// Stop ends the flow, at once.
func (f *Flow) Stop() { f.cancel() }

// GoesOn waits until so many bytes more have arrived.
func (f *Flow) GoesOn(t testing.TB, bytes int64) {
	t.Helper()
	from := f.Received()
	Eventually(t, time.Minute, func() error {
		if got := f.Received() - from; got < bytes {
			return fmt.Errorf("the flow stands still: %d bytes of %d", got, bytes)
		}
		return nil
	})
}

// listen opens a listener in a namespace, for as long as the test. Its connections get a bounded window.
func listen(t testing.TB, n *Namespace, address string) net.Listener {
	t.Helper()
	var listener net.Listener
	var err error
	n.Do(t, func() { listener, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatalf("listening in %s: %v", n.Name, err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func serve(listener net.Listener, handle func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(flowWindow)
		go func() {
			defer conn.Close()
			handle(conn)
		}()
	}
}

// dialTCP makes a TCP connection from a namespace, for as long as the test.
func dialTCP(t testing.TB, n *Namespace, address string, timeout time.Duration) (net.Conn, error) {
	t.Helper()
	var conn net.Conn
	var err error
	n.Do(t, func() { conn, err = net.DialTimeout("tcp", address, timeout) })
	if err != nil {
		return nil, fmt.Errorf("connecting from %s: %w", n.Name, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, nil
}

// Packets are those that a device has counted since it was made.
func (n *Namespace) Packets(device string) (received, sent uint64, err error) {
	s, err := n.Count(device)
	return s.RxPackets, s.TxPackets, err
}

// Count is all that a device has counted since it was made.
func (n *Namespace) Count(device string) (netlink.LinkStatistics, error) {
	handle, err := netns.Netlink(n.Name)
	if err != nil {
		return netlink.LinkStatistics{}, err
	}
	defer handle.Close()
	link, err := handle.LinkByName(device)
	if err != nil {
		return netlink.LinkStatistics{}, fmt.Errorf("%s in %s: %w", device, n.Name, err)
	}
	return *link.Attrs().Statistics, nil
}

// Qdisc is the kind of a device's root queueing discipline.
func (n *Namespace) Qdisc(device string) (string, error) {
	handle, err := netns.Netlink(n.Name)
	if err != nil {
		return "", err
	}
	defer handle.Close()
	link, err := handle.LinkByName(device)
	if err != nil {
		return "", fmt.Errorf("%s in %s: %w", device, n.Name, err)
	}
	qdiscs, err := handle.QdiscList(link)
	if err != nil {
		return "", fmt.Errorf("the qdiscs of %s in %s: %w", device, n.Name, err)
	}
	for _, q := range qdiscs {
		if q.Attrs().Parent == netlink.HANDLE_ROOT {
			return q.Type(), nil
		}
	}
	return "", nil
}
