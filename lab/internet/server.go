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
	"net/netip"
	"sync"
	"time"
)

const (
	portEcho = 7
	portHTTP = 80

	chunk = 64 << 10 // bytes that are read or written at once

	acceptPause = 100 * time.Millisecond
	maxConns    = 1000 // of TCP
)

// Server is a host on the internet.
type Server struct {
	addr     netip.Addr
	page     net.Listener
	echoTCP  net.Listener
	echoUDP  net.PacketConn
	running  sync.WaitGroup // the goroutines that serve, and one for each connection
	closing  sync.Once
	closeErr error

	mu    sync.Mutex
	conns map[net.Conn]bool // of TCP; nil when the server is closed
}

// Serve starts the servers on an address of this host, of either family.
func Serve(addr netip.Addr) (*Server, error) {
	s := &Server{addr: addr, conns: map[net.Conn]bool{}}
	if err := s.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("serving as the internet at %v: %w", addr, err), s.closeSockets())
	}
	s.running.Go(func() { s.accept(s.page, s.serveHTTP) })
	s.running.Go(func() { s.accept(s.echoTCP, func(conn net.Conn) { _, _ = io.Copy(conn, conn) }) })
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
		s.closeErr = s.closeSockets()
		s.running.Wait()
	})
	return s.closeErr
}

func (s *Server) closeSockets() error {
	var errs []error
	for _, c := range []io.Closer{s.page, s.echoTCP, s.echoUDP} {
		if c != nil {
			errs = append(errs, c.Close())
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

// accept has each connection served in a goroutine of its own. Those above the limit are closed at once.
func (s *Server) accept(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // there is no descriptor for it, now
			time.Sleep(acceptPause)
		case !s.keep(conn):
			_ = conn.Close()
		default:
			s.running.Go(func() {
				defer s.forget(conn)
				serve(conn)
			})
		}
	}
}

// keep notes a connection for Close; false when there are too many, or the server is closed already.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil || len(s.conns) == maxConns {
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
