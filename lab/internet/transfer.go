package internet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dialer opens a client's connection, as net.Dialer.DialContext does; it decides in which network namespace.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// ask makes a request of the server, and copies the body of what it answers to w. The body of a POST is zeros without end.
func (dial Dialer) ask(ctx context.Context, method string, server netip.Addr, path string, w io.Writer) (err error) {
	host := netip.AddrPortFrom(server, portHTTP).String()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // which has closed the connection
		}
		if err != nil {
			err = fmt.Errorf("%s http://%s%s: %w", method, host, path, err)
		}
	}()
	conn, err := dial(ctx, "tcp", host)
	if err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, host)
	if method == "POST" {
		head += "Transfer-Encoding: chunked\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	if method == "POST" {
		sending.Go(func() { sendChunks(conn) })
	}
	answer, err := readMessage(conn)
	if err != nil {
		return err
	}
	if answer.line[1] != "200" {
		return fmt.Errorf("the server says %s %s", answer.line[1], answer.line[2])
	}
	_, err = answer.copyBody(w)
	return err
}

// sendChunks sends zeros until the connection is closed. If it breaks, reading from it tells why.
func sendChunks(conn net.Conn) {
	piece := fmt.Appendf(nil, "%x\r\n%s\r\n", chunk, zeros[:])
	for {
		if _, err := conn.Write(piece); err != nil {
			return
		}
	}
}

// SeenAs asks the server which address it is that the client has come from: behind NAT that of the NAT.
func SeenAs(ctx context.Context, dial Dialer, server netip.Addr) (addr netip.Addr, err error) {
	var answer short
	if err = dial.ask(ctx, "GET", server, "/address", &answer); err == nil {
		addr, err = netip.ParseAddr(strings.TrimSpace(answer.String()))
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("asking %v for our address: %w", server, err)
	}
	return addr, nil
}

// short is an answer of a line or so.
type short struct{ strings.Builder }

func (s *short) Write(b []byte) (int, error) {
	if s.Len()+len(b) > 1000 {
		return 0, errors.New("the answer is too long")
	}
	return s.Builder.Write(b)
}

// counter counts what is written to it.
type counter struct{ bytes *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.bytes.Add(int64(len(b)))
	return len(b), nil
}

// Transfer is a running download or upload. It has no time limit of its own: a connection through a dead line waits for as long as the
// kernel does.
type Transfer struct {
	cancel context.CancelFunc
	done   chan struct{}
	bytes  atomic.Int64 // downloaded

	mu     sync.Mutex
	conn   *ackedConn // of an upload
	closed bool
	ended  time.Time
	err    error
}

// StartDownload starts a download of n bytes, or without end if n is 0. What prevents it is told by Ended.
func StartDownload(dial Dialer, server netip.Addr, n int64) *Transfer {
	path := "/download"
	if n > 0 {
		path = fmt.Sprintf("/download?bytes=%d", n)
	}
	return start(func(ctx context.Context, t *Transfer) error {
		return dial.ask(ctx, "GET", server, path, counter{&t.bytes})
	})
}

// StartUpload starts an upload without end. What prevents it is told by Ended.
func StartUpload(dial Dialer, server netip.Addr) *Transfer {
	return start(func(ctx context.Context, t *Transfer) error {
		return t.acked(dial).ask(ctx, "POST", server, "/upload", io.Discard)
	})
}

func start(run func(context.Context, *Transfer) error) *Transfer {
	ctx, cancel := context.WithCancel(context.Background())
	t := &Transfer{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer cancel()
		err := run(ctx, t)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.ended = time.Now()
		if !t.closed {
			t.err = err
		}
	}()
	return t
}

// Bytes is how much has come through so far. Of a download it is what the client has read, of an upload what the server's host has
// acknowledged, headers of HTTP included; so what waits in the client's kernel does not count.
func (t *Transfer) Bytes() int64 {
	t.mu.Lock()
	conn := t.conn
	t.mu.Unlock()
	if conn != nil {
		return conn.acknowledged()
	}
	return t.bytes.Load()
}

// Ended says when the transfer ended, and why if it broke; the time is zero while it runs. A transfer that Close has ended, and a
// download that is complete, have not broken.
func (t *Transfer) Ended() (at time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended, t.err
}

// Done is closed when the transfer has ended.
func (t *Transfer) Done() <-chan struct{} { return t.done }

// Close ends the transfer. Bytes and Ended go on to tell how it was.
func (t *Transfer) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	<-t.done
	return nil
}

// acked makes the connection that dial opens the one of the upload.
func (t *Transfer) acked(dial Dialer) Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		raw, err := rawConn(conn)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		acked := &ackedConn{Conn: conn, raw: raw}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.conn = acked
		return acked, nil
	}
}

func rawConn(conn net.Conn) (syscall.RawConn, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("the connection to %v has no descriptor", conn.RemoteAddr())
	}
	return c.SyscallConn()
}

// ackedConn is a connection of TCP that knows how much its peer has acknowledged, also when it is closed.
type ackedConn struct {
	net.Conn
	raw   syscall.RawConn
	bytes atomic.Int64
}

func (c *ackedConn) acknowledged() int64 {
	_ = c.raw.Control(func(fd uintptr) { // it fails when the connection is closed
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			c.bytes.Store(int64(info.Bytes_acked))
		}
	})
	return c.bytes.Load()
}

func (c *ackedConn) Close() error {
	c.acknowledged()
	return c.Conn.Close()
}
