package internet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ended waits for the end of a transfer.
func ended(t *testing.T, transfer *Transfer) (time.Time, error) {
	t.Helper()
	select {
	case <-transfer.Done():
	case <-time.After(patience):
		t.Fatal("the transfer goes on")
	}
	return transfer.Ended()
}

func TestDownload(t *testing.T) {
	s := newSpace(t)
	s.serve(t, server4)
	const size = 5_000_001
	start := time.Now()
	d := StartDownload(s.dial, server4, size)
	at, err := ended(t, d)
	if d.Bytes() != size || err != nil || at.Before(start) {
		t.Errorf("got %d bytes of %d by %v, %v", d.Bytes(), size, at, err)
	}
	must(t, d.Close())
}

func TestTransfersWithoutEnd(t *testing.T) {
	s := newSpace(t)
	for _, test := range []struct {
		name  string
		start func() *Transfer
		broke string
	}{
		{"download", func() *Transfer { return StartDownload(s.dial, server4, 0) }, "GET http://192.0.2.1:80/download: "},
		{"upload", func() *Transfer { return StartUpload(s.dial, server4) }, "POST http://192.0.2.1:80/upload: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := s.serve(t, server4)
			closed, broken := test.start(), test.start()
			for _, transfer := range []*Transfer{closed, broken} {
				for range 2 {
					before := transfer.Bytes()
					eventually(t, func() error {
						if now := transfer.Bytes(); now <= before {
							return fmt.Errorf("%d bytes, and %d before", now, before)
						}
						return nil
					})
				}
				if at, err := transfer.Ended(); !at.IsZero() || err != nil {
					t.Errorf("it ended at %v, %v", at, err)
				}
			}
			must(t, closed.Close())
			if at, err := closed.Ended(); at.IsZero() || err != nil {
				t.Errorf("closed: it ended at %v, %v", at, err)
			}
			must(t, server.Close())
			if at, err := ended(t, broken); at.IsZero() || err == nil || !strings.HasPrefix(err.Error(), test.broke) {
				t.Errorf("the server has gone: it ended at %v, %v; want %s...", at, err, test.broke)
			}
			bytes := broken.Bytes()
			must(t, broken.Close())
			if _, err := broken.Ended(); err == nil || broken.Bytes() != bytes || bytes == 0 {
				t.Errorf("after Close: %d bytes, %v; before %d", broken.Bytes(), err, bytes)
			}
		})
	}
}

func TestTransferErrors(t *testing.T) {
	s := newSpace(t)
	pipe := func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		return a, b.Close()
	}
	nowhere := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no way there") }
	never := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	for _, test := range []struct {
		name  string
		start func() *Transfer
		want  string
	}{
		{"nobody there", func() *Transfer { return StartDownload(s.dial, server4, 0) },
			"GET http://192.0.2.1:80/download: dial tcp 192.0.2.1:80: connect: connection refused"},
		{"no connection", func() *Transfer { return StartUpload(nowhere, server4) }, "POST http://192.0.2.1:80/upload: no way there"},
		{"not a socket", func() *Transfer { return StartUpload(pipe, server4) },
			"POST http://192.0.2.1:80/upload: the connection to pipe has no descriptor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			transfer := test.start()
			if _, err := ended(t, transfer); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if transfer.Bytes() != 0 {
				t.Errorf("%d bytes came", transfer.Bytes())
			}
		})
	}
	waits := StartDownload(never, server4, 0)
	must(t, waits.Close())
	if at, err := waits.Ended(); at.IsZero() || err != nil {
		t.Errorf("closed before it was connected: it ended at %v, %v", at, err)
	}
}

func TestDownloadRefused(t *testing.T) {
	s := newSpace(t)
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}
	must(t, s.do(func() error {
		listener, err := net.Listen("tcp4", "192.0.2.1:80")
		if err == nil {
			go func() { _ = server.Serve(listener) }()
		}
		return err
	}))
	defer server.Close()
	want := "GET http://192.0.2.1:80/download: the server says 404 Not Found"
	if _, err := ended(t, StartDownload(s.dial, server4, 0)); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
