// Package internet is what stands behind the ISP of a lab, and the clients that use it from behind the line.
//
//	Serve          TCP 80  HTTP: /          a page that says which address the client has come from
//	                             /address   that address alone
//	                             /download  a stream of zeros without end, or of ?bytes=N
//	                             /upload    takes what is posted, and says how much it was
//	               TCP 7   echo (RFC 862)
//	               UDP 7   echo (RFC 862)
//	StartDownload, StartUpload  running transfers
//	StartEcho                   pings by UDP
//	SeenAs                      the address that the server sees
//
// Serve opens its sockets in the network namespace of the thread that calls it. Clients get theirs from a Dialer of the caller's.
package internet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

const (
	portEcho = 7
	portHTTP = 80

	chunk = 64 << 10 // bytes that are read or written at once

	acceptPause = 100 * time.Millisecond
)

// Server is a host on the internet.
type Server struct {
	addr     netip.Addr
	page     net.Listener
	echoTCP  net.Listener
	echoUDP  net.PacketConn
	http     *http.Server
	running  sync.WaitGroup // the goroutines that serve, and one for each connection
	closing  sync.Once
	closeErr error

	mu    sync.Mutex
	conns map[net.Conn]bool // of echo; nil when the server is closed
}

// Serve starts the servers on an address of this host, of either family.
func Serve(addr netip.Addr) (*Server, error) {
	s := &Server{addr: addr, conns: map[net.Conn]bool{}}
	if err := s.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("serving as the internet at %v: %w", addr, err), s.closeSockets())
	}
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Minute, ConnState: s.track}
	s.running.Go(func() { _ = s.http.Serve(s.page) })
	s.running.Go(s.acceptEcho)
	s.running.Go(s.answerEcho)
	return s, nil
}

// listen opens the sockets, each for TCP as it is (Go would have a listener speak Multipath TCP).
func (s *Server) listen() (err error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	at := func(port uint16) string { return netip.AddrPortFrom(s.addr, port).String() }
	if s.page, err = config.Listen(context.Background(), "tcp", at(portHTTP)); err != nil {
		return err
	}
	if s.echoTCP, err = config.Listen(context.Background(), "tcp", at(portEcho)); err != nil {
		return err
	}
	s.echoUDP, err = config.ListenPacket(context.Background(), "udp", at(portEcho))
	return err
}

// Close ends the servers and all connections to them.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.closeErr = errors.Join(s.http.Close(), s.closeSockets())
		s.running.Wait()
	})
	return s.closeErr
}

func (s *Server) closeSockets() error {
	var errs []error
	for _, c := range []io.Closer{s.page, s.echoTCP, s.echoUDP} {
		if c == nil {
			continue
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) { // http.Server has closed its own
			errs = append(errs, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
	return errors.Join(errs...)
}

// track has Close wait for the connections of HTTP. A connection is new before Serve goes on, and closed when its handler has returned.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
	case http.StateClosed:
		s.running.Done()
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /address", serveAddress)
	mux.HandleFunc("GET /download", serveDownload)
	mux.HandleFunc("POST /upload", serveUpload)
	return mux
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "This is the internet of linebond's lab, at %v.\nYou have come from %s.\n", s.addr, r.RemoteAddr)
}

func serveAddress(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, client.Addr())
}

func serveDownload(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	if asked := r.FormValue("bytes"); asked != "" {
		n, err := strconv.ParseInt(asked, 10, 64)
		if err != nil || n < 0 {
			http.Error(w, fmt.Sprintf("bytes is %q: it must be a number of bytes", asked), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", asked)
		_, _ = io.CopyN(w, zeros{}, n)
		return
	}
	_, _ = io.Copy(w, zeros{}) // until the client has gone
}

func serveUpload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, n)
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// WriteTo never returns without an error.
func (zeros) WriteTo(w io.Writer) (n int64, err error) {
	b := make([]byte, chunk)
	for err == nil {
		var k int
		k, err = w.Write(b)
		n += int64(k)
	}
	return n, err
}

func (s *Server) acceptEcho() {
	for {
		conn, err := s.echoTCP.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // there is no descriptor for it, now
			time.Sleep(acceptPause)
			continue
		}
		if !s.keep(conn) {
			return
		}
		s.running.Go(func() {
			_, _ = io.Copy(conn, conn)
			s.forget(conn)
		})
	}
}

// keep notes a connection for Close; false when the server is closed already.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		_ = conn.Close()
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *Server) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	_ = conn.Close()
}

func (s *Server) answerEcho() {
	buffer := make([]byte, chunk)
	for {
		n, from, err := s.echoUDP.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = s.echoUDP.WriteTo(buffer[:n], from)
		}
	}
}
