package cgihttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A response is the http.ResponseWriter of an Application. It follows the
// rules of net/http's own: the header is frozen by WriteHeader, the type is
// guessed from the first bytes, and a short body gets its length.
type response struct {
	w    cgi.ResponseWriter
	body *appBody // of the request; may be nil
	head bool     // the request is a HEAD

	header http.Header
	status int        // 0 until WriteHeader
	frozen cgi.Header // header as it was then
	guess  bool       // Content-Type is to be guessed
	bare   bool       // the status allows no body
	sent   bool       // the head has been given to w
	ended  bool       // the handler has returned: w must not be used

	length  int64  // Content-Length by the handler, or -1
	written int64  // bytes the handler wrote
	buf     []byte // not yet given to w
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ http.Hijacker       = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
	_ io.StringWriter     = (*response)(nil)
)

var errEnded = errors.New("cgihttp: write: the handler has returned")

// Header implements http.ResponseWriter.
func (p *response) Header() http.Header {
	if p.header == nil {
		p.header = make(http.Header)
	}
	return p.header
}

// WriteHeader implements http.ResponseWriter. Like net/http it panics at a
// status that is not a number of three digits, and ignores a second call.
func (p *response) WriteHeader(status int) {
	if p.status != 0 || p.ended {
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 {
		// If w is gone, the next Write will say so.
		p.w.WriteHeader(status, without(responseFields(p.header), "Content-Length"))
		return
	}
	p.status = status
	p.bare = status == http.StatusNoContent || status == http.StatusNotModified
	p.frozen = responseFields(p.header)
	if status == http.StatusNotModified {
		p.frozen = without(p.frozen, "Content-Type") // RFC 9110 §15.4.5
	}
	_, hasType := p.header["Content-Type"]
	p.guess = !p.bare && !hasType && p.header.Get("Content-Encoding") == ""
	p.freezeLength()
}

// freezeLength takes Content-Length out of the fields. It goes back in front
// of the body, if there is one and the length is a number.
func (p *response) freezeLength() {
	p.length = -1
	value := p.header.Get("Content-Length")
	if value == "" {
		return
	}
	p.frozen = without(p.frozen, "Content-Length")
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 && !p.bare {
		p.length = n
	}
}

// without removes the fields of one name.
func without(h cgi.Header, name string) cgi.Header {
	return slices.DeleteFunc(h, func(f cgi.Field) bool { return f.Name == name })
}

// responseFields returns the fields of h that can be sent, sorted by name, with
// room for two more. A line break in a value becomes a space, as in net/http.
func responseFields(h http.Header) cgi.Header {
	n := 2
	for _, values := range h {
		n += len(values)
	}
	fields := fieldsOf(h, make(cgi.Header, 0, n))
	kept := fields[:0]
	for _, f := range fields {
		if cgi.HopByHop(f.Name) || !isToken(f.Name) {
			continue // http.TrailerPrefix is not a token either
		}
		if strings.ContainsAny(f.Value, "\r\n\x00") {
			f.Value = lineBreaks.Replace(f.Value)
		}
		kept = append(kept, f)
	}
	return kept
}

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// isToken reports whether name may be the name of a field (RFC 9110 §5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		case strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return name != ""
}

// admit counts n bytes of body that the handler wants to write, and tells
// whether they are allowed.
func (p *response) admit(n int) error {
	if p.ended {
		return errEnded
	}
	if p.status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if p.bare {
		return http.ErrBodyNotAllowed
	}
	if p.length >= 0 && p.written+int64(n) > p.length {
		return http.ErrContentLength
	}
	p.written += int64(n)
	return nil
}

// Write implements http.ResponseWriter.
func (p *response) Write(b []byte) (int, error) {
	if err := p.admit(len(b)); err != nil {
		return 0, err
	}
	if len(p.buf)+len(b) <= bufferedReply {
		p.buf = append(p.grown(len(b)), b...)
		return len(b), nil
	}
	if err := p.push(b); err != nil {
		return 0, err
	}
	if !p.head {
		if _, err := p.w.Write(b); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// WriteString implements io.StringWriter.
func (p *response) WriteString(s string) (int, error) {
	if len(p.buf)+len(s) > bufferedReply {
		return p.Write([]byte(s))
	}
	if err := p.admit(len(s)); err != nil {
		return 0, err
	}
	p.buf = append(p.grown(len(s)), s...)
	return len(s), nil
}

// grown returns the buffer, made for n bytes at least if it is not there yet.
// It is the handler's own: a goroutine that it left behind may write late.
func (p *response) grown(n int) []byte {
	if p.buf == nil {
		return make([]byte, 0, max(n, 512))
	}
	return p.buf
}

// push gives the head and what is buffered to w. next is what will follow at
// once, for the guess of the type.
func (p *response) push(next []byte) error {
	if !p.sent {
		p.sent = true
		if first := p.buf; p.guess && len(first)+len(next) > 0 {
			if len(first) == 0 {
				first = next
			}
			p.frozen = append(p.frozen, cgi.Field{Name: "Content-Type", Value: http.DetectContentType(first)})
		}
		if p.length >= 0 {
			p.frozen = append(p.frozen, cgi.Field{Name: "Content-Length", Value: strconv.FormatInt(p.length, 10)})
		}
		if err := p.w.WriteHeader(p.status, p.frozen); err != nil {
			return err
		}
	}
	if len(p.buf) == 0 {
		return nil
	}
	buf := p.buf
	p.buf = p.buf[:0]
	if p.head {
		return nil
	}
	_, err := p.w.Write(buf)
	return err
}

// ReadFrom implements io.ReaderFrom: it lets a file go to the socket without
// being copied, where w can do that.
func (p *response) ReadFrom(src io.Reader) (int64, error) {
	to, ok := p.w.(io.ReaderFrom)
	limited, _ := src.(*io.LimitedReader)
	known := limited != nil && (p.length < 0 || limited.N <= p.length-p.written)
	if err := p.admit(0); err != nil {
		return 0, err
	}
	if !ok || !known || p.bare || p.guess && !p.sent || p.head {
		return io.Copy(struct{ io.Writer }{p}, src)
	}
	if err := p.push(nil); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(src)
	p.written += n
	return n, err
}

// Flush implements http.Flusher.
func (p *response) Flush() { p.FlushError() }

// FlushError is Flush for http.ResponseController.
func (p *response) FlushError() error {
	if err := p.admit(0); err != nil {
		return err
	}
	if err := p.push(nil); err != nil {
		return err
	}
	return p.w.Flush()
}

// SetReadDeadline is found by http.ResponseController.
func (p *response) SetReadDeadline(t time.Time) error {
	if p.body != nil {
		p.body.setDeadline(t)
	}
	return nil
}

// SetWriteDeadline is found by http.ResponseController.
func (p *response) SetWriteDeadline(t time.Time) error {
	if d, ok := p.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return d.SetWriteDeadline(t)
	}
	return http.ErrNotSupported
}

// EnableFullDuplex is found by http.ResponseController. There is nothing to
// enable: nobody here reads the body behind the handler's back.
func (p *response) EnableFullDuplex() error { return nil }

// Hijack implements http.Hijacker, to say why it cannot be done.
func (p *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, fmt.Errorf("cgihttp: hijack: a CGI request has no connection of its own: %w", http.ErrNotSupported)
}

// finish ends the response of a handler that has returned. A body that is in
// the buffer to its last byte has a known length now; that of a HEAD request
// only if the handler wrote one.
func (p *response) finish() {
	if err := p.admit(0); err != nil {
		return
	}
	p.ended = true
	if !p.sent && p.length < 0 && !p.bare && (!p.head || p.written > 0) {
		p.length = p.written
	}
	// An error means that nobody is there to be told.
	p.push(nil)
	if !p.head && !p.bare && p.length >= 0 && p.written != p.length {
		p.w.Abort()
	}
}
