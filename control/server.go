package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Daemon is what the socket gives access to.
type Daemon interface {
	Status(ctx context.Context) (Status, error)
	// Command tells a line to go Up, Down or Redial; ErrNoLine if there is none
	// of that name.
	Command(ctx context.Context, name string, verb Verb) error
	// Reload reads the configuration again; a ConfigError changes nothing.
	Reload(ctx context.Context) error
}

// Server answers on the socket.
type Server struct {
	listener  net.Listener
	daemon    Daemon
	live      context.Context // until Close
	end       context.CancelFunc
	slots     chan struct{} // one per exchange
	exchanges sync.WaitGroup
}

// Listen makes the socket, which only root and its group may use. A socket
// that a dead daemon left behind is replaced; any other is an error.
func Listen(path string, d Daemon) (*Server, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("control socket %s: a socket's path may have %d bytes; give a shorter --runtime-dir", path, maxPath)
	}
	if err := removeDead(path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return newServer(listener, d), nil
}

func newServer(l net.Listener, d Daemon) *Server {
	s := &Server{listener: l, daemon: d, slots: make(chan struct{}, maxExchanges)}
	s.live, s.end = context.WithCancel(context.Background())
	return s
}

// removeDead removes the socket of a daemon that is dead, as only a refusal
// shows: a live one may be too busy to take another client.
func removeDead(path string) error {
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("control socket %s: another linebond is running; stop it, or give this one another --runtime-dir", path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("control socket: it cannot be told whether another linebond is running: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("control socket: removing the one of a dead daemon: %w", err)
	}
	return nil
}

// Serve answers until Close. That there are no descriptors or no memory left
// is a matter of time, and no reason to end.
func (s *Server) Serve() {
	defer s.exchanges.Wait()
	for {
		s.slots <- struct{}{} // an exchange that is under way ends in time
		conn, err := s.listener.Accept()
		switch {
		case err == nil:
			s.exchanges.Go(func() {
				s.exchange(conn)
				<-s.slots
			})
		case s.live.Err() != nil:
			return
		default:
			<-s.slots
			s.pause()
		}
	}
}

// pause keeps a failing accept from being a busy loop.
func (s *Server) pause() {
	select {
	case <-time.After(acceptPause):
	case <-s.live.Done():
	}
}

// Close ends Serve and each exchange, and removes the socket.
func (s *Server) Close() error {
	s.end()
	return s.listener.Close()
}

// exchange reads a request and answers it. A client that is mute, slow or gone
// is nobody to tell of an error.
func (s *Server) exchange(conn net.Conn) {
	ctx, cancel := context.WithTimeout(s.live, patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	line, err := bufio.NewReaderSize(conn, maxRequest).ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		_ = json.NewEncoder(conn).Encode(Answer{Error: fmt.Sprintf("a request may have %d bytes", maxRequest)})
	case err == nil:
		_ = json.NewEncoder(conn).Encode(s.answer(ctx, line))
	}
}

func (s *Server) answer(ctx context.Context, line []byte) Answer {
	var r Request
	if err := json.Unmarshal(line, &r); err != nil {
		return answer(fmt.Errorf("not a request: %w", err))
	}
	switch r.Verb {
	case Report:
		status, err := s.daemon.Status(ctx)
		if err != nil {
			return answer(err)
		}
		return Answer{Status: &status}
	case Up, Down, Redial:
		return answer(s.daemon.Command(ctx, r.Line, r.Verb))
	case Reload:
		return answer(s.daemon.Reload(ctx))
	}
	return answer(fmt.Errorf("unknown verb %q", r.Verb))
}
