package internet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// client speaks HTTP over one connection, whose opening the caller may watch.
func (dial Dialer) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, DisableCompression: true, ReadBufferSize: chunk, WriteBufferSize: chunk,
	}}
}

func url(server netip.Addr, path string) string {
	return "http://" + netip.AddrPortFrom(server, portHTTP).String() + path
}

// SeenAs asks the server which address it is that the client has come from: behind NAT that of the NAT.
func SeenAs(ctx context.Context, dial Dialer, server netip.Addr) (netip.Addr, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url(server, "/address"), nil)
	if err != nil {
		return netip.Addr{}, err
	}
	response, err := dial.client().Do(request)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("asking %v for our address: %w", server, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1000))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("asking %v for our address: %w", server, err)
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(string(answer)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("asking %v for our address: %w", server, err)
	}
	return addr, nil
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
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url(server, path), nil)
		if err != nil {
			return err
		}
		return t.do(dial, request)
	})
}

// StartUpload starts an upload without end. What prevents it is told by Ended.
func StartUpload(dial Dialer, server netip.Addr) *Transfer {
	return start(func(ctx context.Context, t *Transfer) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url(server, "/upload"), zeros{})
		if err != nil {
			return err
		}
		return t.do(t.acked(dial), request)
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

// do runs the request to its end.
func (t *Transfer) do(dial Dialer, request *http.Request) error {
	response, err := dial.client().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %v: the server says %s", request.Method, request.URL, response.Status)
	}
	buffer := make([]byte, chunk)
	for {
		n, err := response.Body.Read(buffer)
		t.bytes.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s %v: %w", request.Method, request.URL, err)
		}
	}
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
