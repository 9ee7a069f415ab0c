package internet

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// from is a connection of a client with an address.
type from struct {
	net.Conn
	addr netip.AddrPort
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(f.addr) }

// served returns what the server answers, and after how long it has closed the connection. A piece of nothing waits for 50 seconds.
func served(t *testing.T, pieces ...string) (got string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		begin := time.Now()
		go func() {
			defer theirs.Close()
			s := Server{addr: server4}
			s.serveHTTP(from{theirs, netip.MustParseAddrPort("198.51.100.7:4000")})
		}()
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			for _, piece := range pieces {
				if piece == "" {
					time.Sleep(50 * time.Second)
				}
				_, _ = io.WriteString(ours, piece)
			}
		})
		answer, err := io.ReadAll(ours)
		must(t, err)
		got, took = string(answer), time.Since(begin)
	})
	return got, took
}

// response is one that a request in the fake time of synctest has.
func response(status, fields, body string) string {
	const head = "HTTP/1.1 %s\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nConnection: close\r\n%s\r\n%s"
	return fmt.Sprintf(head, status, fields, body)
}

func plain(status, body string) string {
	return response(status, fmt.Sprintf("Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n", len(body)), body)
}

func TestRequests(t *testing.T) {
	const (
		page   = "This is the internet of linebond's lab, at 192.0.2.1.\nYou have come from 198.51.100.7:4000.\n"
		zeros  = "Content-Type: application/octet-stream\r\n"
		upload = "POST /upload HTTP/1.1\r\nHost: x\r\n"
		chunks = upload + "Transfer-Encoding: chunked\r\n\r\n"
	)
	notAllowed := func(page, allow string) string {
		body := page + " is for " + allow + "\n"
		return response("405 Method Not Allowed", fmt.Sprintf("Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nAllow: %s\r\n",
			len(body), allow), body)
	}
	for _, test := range []struct{ name, request, want string }{
		{"curl", "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n", plain("200 OK", page)},
		{"wget 1.11", "GET / HTTP/1.0\r\nUser-Agent: Wget/1.11\r\nHost: 192.0.2.1\r\nConnection: Keep-Alive\r\n\r\n", plain("200 OK", page)},
		{"by hand", "GET / HTTP/1.0\n\n", plain("200 OK", page)},
		{"through a proxy", "GET http://192.0.2.1/address HTTP/1.1\r\nhost: 192.0.2.1\r\n\r\n", plain("200 OK", "198.51.100.7\n")},
		{"a query", "GET /address?a=b HTTP/1.1\r\nHost: x\r\n\r\n", plain("200 OK", "198.51.100.7\n")},
		{"download", "GET /download?bytes=3 HTTP/1.1\r\nHost: x\r\n\r\n", response("200 OK", zeros+"Content-Length: 3\r\n", "\x00\x00\x00")},
		{"long download", "GET /download?bytes=200000 HTTP/1.1\r\nHost: x\r\n\r\n",
			response("200 OK", zeros+"Content-Length: 200000\r\n", strings.Repeat("\x00", 200000))},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimSuffix(plain("200 OK", page), page)},
		{"HEAD of a download", "HEAD /download?bytes=3 HTTP/1.1\r\nHost: x\r\n\r\n", response("200 OK", zeros+"Content-Length: 3\r\n", "")},
		{"HEAD of one without end", "HEAD /download HTTP/1.1\r\nHost: x\r\n\r\n", response("200 OK", zeros, "")},
		{"HEAD of nothing", "HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
			response("404 Not Found", "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n", "")},

		{"upload", upload + "Content-Length: 5\r\n\r\nfive.", plain("200 OK", "5\n")},
		{"upload of nothing", upload + "\r\n", plain("200 OK", "0\n")},
		{"upload, and more", upload + "Content-Length: 5\r\n\r\nfive.GET / HTTP/1.1\r\n\r\n", plain("200 OK", "5\n")},
		{"upload of one that asks before", upload + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nfive.",
			"HTTP/1.1 100 Continue\r\n\r\n" + plain("200 OK", "5\n")},
		{"upload in chunks", chunks + "5\r\nfive.\r\n0A ;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", plain("200 OK", "15\n")},
		{"upload of no chunk", chunks + "0\r\n\r\n", plain("200 OK", "0\n")},
		{"no size of a chunk", chunks + "five\r\nfive.\r\n", plain("400 Bad Request", "a chunk is malformed\n")},
		{"a negative chunk", chunks + "-5\r\nfive.\r\n", plain("400 Bad Request", "a chunk is malformed\n")},
		{"too large a chunk", chunks + "8000000000000000\r\n", plain("400 Bad Request", "a chunk is malformed\n")},
		{"a chunk that goes on", chunks + "5\r\nfive, or more\r\n", plain("400 Bad Request", "a chunk is malformed\n")},
		{"an endless size", chunks + strings.Repeat("0", chunk), plain("400 Bad Request", "a chunk is malformed\n")},
		{"another coding", upload + "Transfer-Encoding: gzip, chunked\r\n\r\n", plain("501 Not Implemented", "the transfer coding is not chunked\n")},
		{"no length", upload + "Content-Length: five\r\n\r\n", plain("400 Bad Request", "the content length is not a number of bytes\n")},
		{"two lengths", upload + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
			plain("400 Bad Request", "the content length is not a number of bytes\n")},

		{"no such page", "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", plain("404 Not Found", "404 page not found\n")},
		{"all pages", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", plain("404 Not Found", "404 page not found\n")},
		{"POST of a page", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfive.", notAllowed("/", "GET, HEAD")},
		{"GET of the upload", "GET /upload HTTP/1.1\r\nHost: x\r\n\r\n", notAllowed("/upload", "POST")},
		{"part of a method", "GET, /address HTTP/1.1\r\nHost: x\r\n\r\n", notAllowed("/address", "GET, HEAD")},
		{"bytes", "GET /download?bytes=1e9 HTTP/1.1\r\nHost: x\r\n\r\n",
			plain("400 Bad Request", "bytes is \"1e9\": it must be a number of bytes\n")},
		{"no target", "GET index.html HTTP/1.1\r\nHost: x\r\n\r\n", plain("400 Bad Request", "parse \"index.html\": invalid URI for request\n")},
		{"no host", "GET / HTTP/1.1\r\n\r\n", plain("400 Bad Request", "there must be one field Host\n")},
		{"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", plain("400 Bad Request", "there must be one field Host\n")},
		{"HTTP/0.9", "GET /\r\n\r\n", plain("400 Bad Request", "the first line has not three parts\n")},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", plain("505 HTTP Version Not Supported", "\"HTTP/2.0\" is neither HTTP/1.1 nor HTTP/1.0\n")},
		{"TLS", "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03\n\r\n", plain("400 Bad Request", "the first line has not three parts\n")},
		{"no field", "GET / HTTP/1.1\r\nHost\r\n\r\n", plain("400 Bad Request", "malformed MIME header: missing colon: \"Host\"\n")},
		{"a long line", "GET /" + strings.Repeat("x", maxHead), plain("431 Request Header Fields Too Large", "the header is too large\n")},
		{"many fields", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHead/6),
			plain("431 Request Header Fields Too Large", "the header is too large\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, took := served(t, test.request); got != test.want || took != lingering {
				t.Errorf("after %v got  %.600q\nwant %.600q", took, got, test.want)
			}
			if got, _ := served(t, strings.Split(test.request, "")...); got != test.want {
				t.Errorf("byte by byte: got  %.600q\nwant %.600q", got, test.want)
			}
		})
	}
}

// A client has a minute for its request, in all, and any time for its body.
func TestSlowRequests(t *testing.T) {
	const late = "HTTP/1.1 408 Request Timeout\r\nDate: Sat, 01 Jan 2000 00:01:00 GMT\r\nConnection: close\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 37\r\n\r\nthe request has not come within 1m0s\n"
	for _, test := range []struct {
		name   string
		pieces []string
		want   string
		took   time.Duration
	}{
		{"nothing", nil, late, headPatience + lingering},
		{"a line", []string{"GET / HTTP/1.1\r\n"}, late, headPatience + lingering},
		{"now and then", []string{"GET / ", "", "HTTP/1.1\r\n", "", "\r\n"}, late, headPatience + lingering},
		{"the body", []string{"POST /upload HTTP/1.0\r\nContent-Length: 5\r\n\r\n", "", "fi", "", "ve."},
			strings.ReplaceAll(plain("200 OK", "5\n"), "00:00:00", "00:01:40"), 100*time.Second + lingering},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, took := served(t, test.pieces...); got != test.want || took != test.took {
				t.Errorf("after %v got  %q\nafter %v want %q", took, got, test.took, test.want)
			}
		})
	}
}

// Requests that end too early, by TCP. The client that has sent all it had reads the whole answer, also of what the server does not read.
func TestHalfRequests(t *testing.T) {
	s := newSpace(t)
	s.serve(t, server4)
	for _, test := range []struct{ name, request, end string }{
		{"nothing", "", ""},
		{"a line", "GET / HTTP/1.1\r\n", "\r\n\r\nunexpected EOF\n"},
		{"half a line", "GET /", "\r\n\r\nunexpected EOF\n"},
		{"half a body", "POST /upload HTTP/1.0\r\nContent-Length: 5\r\n\r\nfi", "\r\n\r\nunexpected EOF\n"},
		{"half a chunk", "POST /upload HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfi", "\r\n\r\nunexpected EOF\n"},
		{"half a trailer", "POST /upload HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx", "\r\n\r\nunexpected EOF\n"},
		{"an unread body", "POST / HTTP/1.0\r\n\r\n" + strings.Repeat("x", 1<<20), "\r\n\r\n/ is for GET, HEAD\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := s.dial(t.Context(), "tcp", "192.0.2.1:80")
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			_, err = io.WriteString(conn, test.request)
			must(t, err)
			must(t, conn.(*net.TCPConn).CloseWrite())
			got, err := io.ReadAll(conn)
			if !strings.HasSuffix(string(got), test.end) || (len(got) == 0) != (test.end == "") || err != nil {
				t.Errorf("got %q, %v, want ...%q", got, err, test.end)
			}
		})
	}
}

func TestTooManyConnections(t *testing.T) {
	s := newSpace(t)
	server := s.serve(t, server4)
	others := make([]net.Conn, maxConns)
	for i := range others {
		others[i], _ = net.Pipe()
		if !server.keep(others[i]) {
			t.Fatalf("connection %d is refused", i)
		}
	}
	refused := StartDownload(s.dial, server4, 1)
	if _, err := ended(t, refused); err == nil || refused.Bytes() != 0 {
		t.Errorf("%d bytes over a connection too many, %v", refused.Bytes(), err)
	}
	server.forget(others[0])
	taken := StartDownload(s.dial, server4, 1)
	if _, err := ended(t, taken); err != nil || taken.Bytes() != 1 {
		t.Errorf("%d bytes over the last connection, %v", taken.Bytes(), err)
	}
}
