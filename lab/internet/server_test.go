package internet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPages(t *testing.T) {
	s := newSpace(t)
	s.serve(t, server4)
	s.serve(t, server6)
	from := func(local string) Dialer {
		return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = s.do(func() (err error) {
				dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(local))}
				conn, err = dialer.DialContext(ctx, network, address)
				return err
			})
			return conn, err
		}
	}
	for _, test := range []struct {
		from, method, url, body string
		status                  int
		want                    string
	}{
		{"127.0.0.5:4000", "GET", "http://192.0.2.1/", "", 200,
			"This is the internet of linebond's lab, at 192.0.2.1.\nYou have come from 127.0.0.5:4000.\n"},
		{"[::1]:4000", "GET", "http://[2001:db8::1]/", "", 200,
			"This is the internet of linebond's lab, at 2001:db8::1.\nYou have come from [::1]:4000.\n"},
		{"127.0.0.5:4001", "GET", "http://192.0.2.1/address", "", 200, "127.0.0.5\n"},
		{"127.0.0.5:4002", "GET", "http://192.0.2.1/download?bytes=3", "", 200, "\x00\x00\x00"},
		{"127.0.0.5:4003", "GET", "http://192.0.2.1/download?bytes=0", "", 200, ""},
		{"127.0.0.5:4004", "GET", "http://192.0.2.1/download?bytes=-1", "", 400, "bytes is \"-1\": it must be a number of bytes\n"},
		{"127.0.0.5:4005", "GET", "http://192.0.2.1/download?bytes=many", "", 400, "bytes is \"many\": it must be a number of bytes\n"},
		{"127.0.0.5:4006", "POST", "http://192.0.2.1/upload", "five.", 200, "5\n"},
		{"127.0.0.5:4007", "GET", "http://192.0.2.1/nothing", "", 404, "404 page not found\n"},
	} {
		t.Run(test.method+" "+test.url, func(t *testing.T) {
			request, err := http.NewRequest(test.method, test.url, strings.NewReader(test.body))
			must(t, err)
			client := http.Client{Transport: &http.Transport{DialContext: from(test.from), DisableKeepAlives: true}}
			response, err := client.Do(request)
			must(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != test.status || string(body) != test.want || err != nil {
				t.Errorf("got  %d %q, %v\nwant %d %q", response.StatusCode, body, err, test.status, test.want)
			}
		})
	}
}

func TestSeenAs(t *testing.T) {
	s := newSpace(t)
	s.serve(t, server4)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got, err := SeenAs(ctx, s.dial, server4); got != server4 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	want := `asking 2001:db8::1 for our address: GET http://[2001:db8::1]:80/address: dial tcp [2001:db8::1]:80: connect: connection refused`
	if got, err := SeenAs(ctx, s.dial, server6); err == nil || err.Error() != want {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
}

func TestEchoTCP(t *testing.T) {
	s := newSpace(t)
	s.serve(t, server6)
	conn, err := s.dial(t.Context(), "tcp", "[2001:db8::1]:7")
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	for _, text := range []string{"one", "two"} {
		_, err := conn.Write([]byte(text))
		must(t, err)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
}

func TestServeErrors(t *testing.T) {
	s := newSpace(t)
	first := s.serve(t, server4)
	for _, test := range []struct{ addr, want string }{
		{"192.0.2.1", "serving as the internet at 192.0.2.1: listen tcp 192.0.2.1:80: bind: address already in use"},
		{"192.0.2.2", "serving as the internet at 192.0.2.2: listen tcp 192.0.2.2:80: bind: cannot assign requested address"},
	} {
		err := s.do(func() error {
			_, err := Serve(netip.MustParseAddr(test.addr))
			return err
		})
		if err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
	must(t, first.Close())
	s.serve(t, server4)
}

// What is half open when another port is taken is closed again.
func TestServeTaken(t *testing.T) {
	s := newSpace(t)
	var taken net.PacketConn
	must(t, s.do(func() (err error) {
		taken, err = net.ListenPacket("udp4", "192.0.2.1:7")
		return err
	}))
	err := s.do(func() error {
		_, err := Serve(server4)
		return err
	})
	want := "serving as the internet at 192.0.2.1: listen udp 192.0.2.1:7: bind: address already in use"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	must(t, taken.Close())
	s.serve(t, server4)
}

// Close ends what clients would have gone on for ever, and waits for it.
func TestServerClose(t *testing.T) {
	s := newSpace(t)
	server := s.serve(t, server4)
	down, up := StartDownload(s.dial, server4, 0), StartUpload(s.dial, server4)
	defer down.Close()
	defer up.Close()
	echo, err := s.dial(t.Context(), "tcp", "192.0.2.1:7")
	must(t, err)
	defer echo.Close()
	_, err = echo.Write([]byte("x"))
	must(t, err)
	_, err = echo.Read(make([]byte, 1))
	must(t, err)
	eventually(t, func() error {
		if down.Bytes() == 0 || up.Bytes() == 0 {
			return fmt.Errorf("%d bytes down, %d up", down.Bytes(), up.Bytes())
		}
		return nil
	})
	must(t, server.Close())
	must(t, server.Close())
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; strings.Contains(string(stacks), "internet.(*Server)") ||
		strings.Contains(string(stacks), "internet.serve") {
		t.Errorf("a goroutine runs:\n%s", stacks)
	}
	must(t, echo.SetDeadline(time.Now().Add(patience)))
	if n, err := echo.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the echo's connection lives: %d, %v", n, err)
	}
}

// What a server may answer that is not ours.
func TestSeenAsErrors(t *testing.T) {
	const asking = "asking 192.0.2.1 for our address: "
	for _, test := range []struct{ name, answer, want string }{
		{"an address", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n192.0.2.9\n", ""},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\n192.0\r\n4\r\n.2.9\r\n0\r\n\r\n", ""},
		{"no address", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyou", asking + `ParseAddr("you"): unable to parse IP`},
		{"too much", "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + strings.Repeat("1", 1001),
			asking + "GET http://192.0.2.1:80/address: the answer is too long"},
		{"an error", "HTTP/1.1 503 Service Unavailable\r\n\r\n", asking + "GET http://192.0.2.1:80/address: the server says 503 Service Unavailable"},
		{"not HTTP", "220 smtp.example.net ESMTP\r\n\r\n", asking + "GET http://192.0.2.1:80/address: the server says smtp.example.net ESMTP"},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n192.0", asking + "GET http://192.0.2.1:80/address: unexpected EOF"},
		{"nothing", "", asking + "GET http://192.0.2.1:80/address: EOF"},
		{"silence", "silence", asking + "GET http://192.0.2.1:80/address: context deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				got, err := SeenAs(ctx, func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() {
						if _, err := readMessage(theirs); err == nil && test.answer == "silence" {
							<-ctx.Done()
						}
						_, _ = io.WriteString(theirs, test.answer)
						_ = theirs.Close()
					}()
					return ours, nil
				}, server4)
				switch {
				case test.want == "" && (err != nil || got != netip.MustParseAddr("192.0.2.9")):
					t.Errorf("got %v, %v", got, err)
				case test.want != "" && (err == nil || err.Error() != test.want):
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
			})
		})
	}
}
