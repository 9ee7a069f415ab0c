package internet

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net/textproto"
	"strconv"
	"strings"
)

// The lab is a part of the daemon's program: package net/http would cost each daemon megabytes of memory. Here is what the lab needs
// of HTTP/1.1 (RFC 9112), with one request per connection.

const maxHead = 16 << 10 // bytes of a message before its body

var (
	errHeadSize = errors.New("the header is too large")
	errLine     = errors.New("the first line has not three parts")
	errEncoding = errors.New("the transfer coding is not chunked")
	errLength   = errors.New("the content length is not a number of bytes")
	errChunk    = errors.New("a chunk is malformed")
)

// message is a request or a response, as far as its body.
type message struct {
	line   [3]string // "GET", "/", "HTTP/1.1", or "HTTP/1.1", "200", "OK"
	fields textproto.MIMEHeader
	rest   *bufio.Reader
}

// readMessage reads the head of a message. The error is io.EOF where there is none, and a textproto.ProtocolError, errHeadSize,
// errLine or io.ErrUnexpectedEOF where it is wrong.
func readMessage(conn io.Reader) (*message, error) {
	limited := &io.LimitedReader{R: conn, N: maxHead}
	m := &message{rest: bufio.NewReaderSize(limited, chunk)}
	text := textproto.NewReader(m.rest)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	m.fields, err = text.ReadMIMEHeader()
	switch {
	case err != nil && limited.N == 0:
		return nil, errHeadSize
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	limited.N = math.MaxInt64
	parts := strings.SplitN(line, " ", 3)
	if copy(m.line[:], parts) < 3 {
		return nil, errLine
	}
	return m, nil
}

// copyBody copies the body to w (RFC 9112, section 6.3). One whose length is not told has no end, so its end is an error.
func (m *message) copyBody(w io.Writer) (n int64, err error) {
	encoding, length := m.fields["Transfer-Encoding"], m.fields["Content-Length"]
	size, ok := int64(endless), true
	if length != nil {
		size, ok = parseSize(length[0])
	}
	switch {
	case len(encoding) == 1 && strings.EqualFold(encoding[0], "chunked"):
		n, err = copyChunks(w, m.rest)
	case encoding != nil:
		err = errEncoding
	case !ok || len(length) > 1:
		err = errLength
	default:
		n, err = io.CopyN(w, m.rest, size)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// copyChunks copies a body in chunks, without their extensions and the trailer (RFC 9112, section 7.1).
func copyChunks(w io.Writer, r *bufio.Reader) (n int64, err error) {
	for {
		line, err := readLine(r)
		if err != nil {
			return n, err
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(strings.TrimRight(digits, " \t"), 16, 63)
		if err != nil {
			return n, errChunk
		}
		if size == 0 {
			break
		}
		k, err := io.CopyN(w, r, int64(size))
		n += k
		if err != nil {
			return n, err
		}
		if line, err = readLine(r); err != nil {
			return n, err
		}
		if line != "" {
			return n, errChunk
		}
	}
	for {
		if line, err := readLine(r); err != nil || line == "" {
			return n, err
		}
	}
}

// readLine reads a line that fits into the buffer, without its end.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errChunk
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), err
}

// parseSize reads a number of bytes; false: it is none.
func parseSize(digits string) (int64, bool) {
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil
}
