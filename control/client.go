package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrNotRunning says that no daemon answers.
var ErrNotRunning = errors.New("no linebond is running")

// Client speaks to a running daemon.
type Client struct{ path string }

// NewClient returns a client of the socket at path. Nothing is dialled yet.
func NewClient(path string) *Client { return &Client{path: path} }

// Status asks how things are.
func (c *Client) Status(ctx context.Context) (Status, error) {
	a, err := c.ask(ctx, Request{Verb: Report})
	switch {
	case err != nil:
		return Status{}, err
	case a.Status == nil:
		return Status{}, c.explain(errors.New("it answers without a status"))
	}
	return *a.Status, nil
}

// Command tells a line to go Up, Down or Redial.
func (c *Client) Command(ctx context.Context, name string, verb Verb) error {
	_, err := c.ask(ctx, Request{Verb: verb, Line: name})
	if errors.Is(err, ErrNoLine) {
		return fmt.Errorf("%s: %w (see `linebond status`)", name, err)
	}
	return err
}

// Reload has the configuration read again.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.ask(ctx, Request{Verb: Reload})
	return err
}

// ask makes one exchange.
func (c *Client) ask(ctx context.Context, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", c.path)
	if err != nil {
		return Answer{}, c.explain(err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // wakes the reader up
	var a Answer
	err = json.NewEncoder(conn).Encode(r)
	if err == nil || errors.Is(err, syscall.EPIPE) { // a server that has heard enough may have said why
		err = json.NewDecoder(conn).Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return Answer{}, c.explain(ctx.Err())
	case err != nil:
		return Answer{}, c.explain(err)
	}
	return a, a.err()
}

func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (nothing answers at %s); start it with `linebond run`, or name its --runtime-dir", ErrNotRunning, c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("may not use %s: run this as root", c.path)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("linebond does not answer at %s", c.path)
	}
	return fmt.Errorf("asking the daemon at %s: %w", c.path, err)
}
