package internet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	headPatience = time.Minute     // for a request to come, without its body
	lingering    = 5 * time.Second // for the client to close its connection

	endless = math.MaxInt64
	dates   = "Mon, 02 Jan 2006 15:04:05 GMT" // RFC 9110, section 5.6.7
)

// methods are those of each page, as the field Allow tells them.
var methods = map[string]string{"/": "GET, HEAD", "/address": "GET, HEAD", "/download": "GET, HEAD", "/upload": "POST"}

// zeros are never written to, so they take no memory.
var zeros [chunk]byte

// answer is a response. Its body is a text, or zeros.
type answer struct {
	status string // such as "200 OK"
	allow  string // methods, of an answer to another one
	text   string
	zeros  int64 // bytes, or endless; with a text 0
	binary bool
}

func text(status, format string, a ...any) answer {
	return answer{status: status, text: fmt.Sprintf(format+"\n", a...)}
}

// serveHTTP answers one request.
func (s *Server) serveHTTP(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(headPatience))
	request, err := readMessage(conn)
	_ = conn.SetReadDeadline(time.Time{})
	withBody := true
	var a answer
	switch {
	case errors.Is(err, io.EOF):
		return // nobody has asked
	case err != nil:
		a = refuse(err)
	default:
		a, withBody = s.answer(conn, request), request.line[0] != "HEAD"
	}
	if a.write(conn, withBody) == nil {
		linger(conn)
	}
}

// refuse answers a request that is not understood.
func refuse(err error) answer {
	status := "400 Bad Request"
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return text("408 Request Timeout", "the request has not come within %v", headPatience)
	case errors.Is(err, errHeadSize):
		status = "431 Request Header Fields Too Large"
	case errors.Is(err, errEncoding):
		status = "501 Not Implemented"
	}
	return text(status, "%v", err)
}

func (s *Server) answer(conn net.Conn, request *message) answer {
	method, version := request.line[0], request.line[2]
	if version != "HTTP/1.1" && version != "HTTP/1.0" {
		return text("505 HTTP Version Not Supported", "%q is neither HTTP/1.1 nor HTTP/1.0", version)
	}
	if version == "HTTP/1.1" && len(request.fields["Host"]) != 1 {
		return text("400 Bad Request", "there must be one field Host")
	}
	target, err := url.ParseRequestURI(request.line[1])
	if err != nil {
		return text("400 Bad Request", "%v", err)
	}
	allow, ok := methods[target.Path]
	if !ok {
		return text("404 Not Found", "404 page not found")
	}
	if !slices.Contains(strings.Split(allow, ", "), method) {
		a := text("405 Method Not Allowed", "%s is for %s", target.Path, allow)
		a.allow = allow
		return a
	}
	switch target.Path {
	case "/address":
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String()) // an address of TCP has both
		return text("200 OK", "%s", host)
	case "/download":
		return download(target.Query().Get("bytes"))
	case "/upload":
		return upload(conn, request)
	}
	return text("200 OK", "This is the internet of linebond's lab, at %v.\nYou have come from %v.", s.addr, conn.RemoteAddr())
}

func download(asked string) answer {
	size, ok := int64(endless), true
	if asked != "" {
		size, ok = parseSize(asked)
	}
	if !ok {
		return text("400 Bad Request", "bytes is %q: it must be a number of bytes", asked)
	}
	return answer{status: "200 OK", zeros: size, binary: true}
}

func upload(conn net.Conn, request *message) answer {
	if request.fields["Transfer-Encoding"] == nil && request.fields["Content-Length"] == nil {
		return text("200 OK", "0")
	}
	if strings.EqualFold(request.fields.Get("Expect"), "100-continue") { // curl waits for that (RFC 9110, section 10.1.1)
		if _, err := io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return refuse(err)
		}
	}
	n, err := request.copyBody(io.Discard)
	if err != nil {
		return refuse(err)
	}
	return text("200 OK", "%d", n)
}

// write sends the answer; endless ones until the client has gone.
func (a answer) write(conn net.Conn, withBody bool) error {
	kind, size := "text/plain; charset=utf-8", int64(len(a.text))
	if a.binary {
		kind, size = "application/octet-stream", a.zeros
	}
	head := fmt.Sprintf("HTTP/1.1 %s\r\nDate: %s\r\nConnection: close\r\nContent-Type: %s\r\n", a.status, time.Now().UTC().Format(dates), kind)
	if size != endless {
		head += fmt.Sprintf("Content-Length: %d\r\n", size)
	}
	if a.allow != "" {
		head += fmt.Sprintf("Allow: %s\r\n", a.allow)
	}
	head += "\r\n"
	if !withBody {
		_, err := io.WriteString(conn, head)
		return err
	}
	_, err := io.WriteString(conn, head+a.text)
	for left := a.zeros; left > 0 && err == nil; {
		var n int
		n, err = conn.Write(zeros[:min(left, chunk)])
		left -= int64(n)
	}
	return err
}

// linger lets the client read the answer to its end: the kernel resets a connection that is closed before all of its input has been
// read (RFC 9112, section 9.6).
func linger(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.Copy(io.Discard, conn)
}
